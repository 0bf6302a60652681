# Shared by all scripts; sourced, never executed.
# shellcheck shell=bash

set -euo pipefail

# Every script works on its own clone, whatever the working directory is.
muster_root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
readonly muster_root

# A service, a cron job or a CI runner may lack these folders in PATH.
for muster_folder in "${CARGO_HOME:-${HOME:-}/.cargo}/bin" /usr/local/bin; do
  case ":$PATH:" in
    *":$muster_folder:"*) ;;
    *) PATH="$PATH:$muster_folder" ;;
  esac
done
unset muster_folder
export PATH

# Standard output is for results, so progress and errors go to standard error.
say() { printf '%s\n' "$*" >&2; }

# fail CODE MESSAGE...: prints an error in one line and exits with CODE.
fail() {
  local code=$1
  shift
  say "${0##*/}: $*"
  exit "$code"
}

# Prints the comment at the top of the script, which is its help.
usage() { awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$0"; }

# Prints the target directory of cargo, from CARGO_TARGET_DIR, a configuration file of cargo or the default.
target_directory() {
  (cd "$muster_root" && cargo metadata --no-deps --format-version 1 --offline 2>/dev/null) |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# build_binaries NAME...: builds only these binaries. With --workspace, because cargo compiles a dependency once per set
# of features, and a single package selects other features than the workspace.
build_binaries() {
  local target binary
  local -a options=()
  for binary in "$@"; do options+=(--bin "$binary"); done
  target="$(target_directory)"
  [[ -n $target ]] || fail 1 'cargo cannot read the workspace; cargo metadata prints the reason'
  if ! compgen -G "$target/release/build/librocksdb-sys-*/out/librocksdb.a" >/dev/null; then
    say '    First build: RocksDB is compiled from its C++ sources, which takes about 10 minutes on'
    say '    2 cores; everything else takes a few more. Later builds compile only what changed.'
    say "    Target directory: $target"
  fi
  (cd "$muster_root" && cargo build --release --locked --workspace "${options[@]}" 1>&2) ||
    fail 1 'the build failed, see above'
}

# change METHOD URL BODY: changes an object of a tenant.
change() {
  local answer
  answer="$(curl -sS --noproxy '*' --max-time 60 -w '\n%{http_code}' -X "$1" "$2" -d "$3")" ||
    fail 1 "no answer to $1 $2 (this needs curl)"
  [[ ${answer##*$'\n'} == 2* ]] || fail 1 "$1 $2 was refused: $answer"
}

# The rules that scripts give a tenant: every device of these platforms must have at most threat level medium.
readonly muster_defender=fc780465-2017-40d4-a0c5-307022471b92
readonly muster_connector='{"windowsEnabled": true, "iosEnabled": true, "androidEnabled": true}'
readonly muster_policy_types='windows10CompliancePolicy iosCompliancePolicy androidCompliancePolicy androidWorkProfileCompliancePolicy'

# policy_document TYPE: prints the compliance policy of a platform.
policy_document() {
  cat <<POLICY
{
  "@odata.type": "#microsoft.graph.$1", "displayName": "Threat level",
  "deviceThreatProtectionEnabled": true, "deviceThreatProtectionRequiredSecurityLevel": "medium",
  "scheduledActionsForRule": [{"scheduledActionConfigurations": [{"actionType": "block"}]}],
  "assignments": [{"target": {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}}]
}
POLICY
}

# create_tenant URL NAME: creates a tenant on the server at this URL (http://HOST:PORT), unless it exists.
create_tenant() {
  curl -sf --noproxy '*' --max-time 10 "$1/tenants/$2" >/dev/null ||
    change POST "$1/tenants" "{\"name\": \"$2\"}"
}

# create_rules URL: creates the connector and the policies of the tenant at this URL (http://HOST:PORT/tenants/NAME).
create_rules() {
  local of_type
  change PUT "$1/mobileThreatDefenseConnectors/$muster_defender" "$muster_connector"
  for of_type in $muster_policy_types; do
    change POST "$1/deviceCompliancePolicies" "$(policy_document "$of_type")"
  done
}

# Builds muster-peers, a separate workspace, for scripts/capacity.
build_peers() {
  (cd "$muster_root/benches/peers" && cargo build --release --locked 1>&2) || fail 1 'the build failed, see above'
}

# Builds the server with kill points, for scripts/crash --kill-points.
build_kill_points() {
  (cd "$muster_root" && cargo build --release --locked --workspace \
    --bin muster-failpoints --features muster-cli/failpoints 1>&2) ||
    fail 1 'the build failed, see above'
}
