# Shared by all scripts; sourced, never run.
# shellcheck shell=bash

set -euo pipefail

# Every script works on the clone it lies in, wherever it is called from.
muster_root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
readonly muster_root

# A service, a cron job or a CI runner may come without these folders in PATH.
for muster_folder in "${CARGO_HOME:-${HOME:-}/.cargo}/bin" /usr/local/bin; do
  case ":$PATH:" in
    *":$muster_folder:"*) ;;
    *) PATH="$PATH:$muster_folder" ;;
  esac
done
unset muster_folder
export PATH

# Standard output is for results, so everything said on the way goes to standard error.
say() { printf '%s\n' "$*" >&2; }

# fail CODE MESSAGE...: one line that says what is wrong, then the end.
fail() {
  local code=$1
  shift
  say "${0##*/}: $*"
  exit "$code"
}

# The comment that opens the script is its help.
usage() { awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$0"; }

# Where cargo builds: CARGO_TARGET_DIR, or a configuration file of cargo, or target/ in the clone.
target_directory() {
  (cd "$muster_root" && cargo metadata --no-deps --format-version 1 --offline 2>/dev/null) |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# build_binaries NAME...: builds these binaries and what they need, nothing else. With --workspace, because cargo
# compiles a dependency once per set of features, and the features of a single package differ from those of all.
build_binaries() {
  local target binary
  local -a wanted=()
  for binary in "$@"; do wanted+=(--bin "$binary"); done
  target="$(target_directory)"
  [[ -n $target ]] || fail 1 'cargo cannot read the workspace: run cargo metadata to see why'
  if ! compgen -G "$target/release/build/librocksdb-sys-*/out/librocksdb.a" >/dev/null; then
    say '    First build: RocksDB is compiled from its C++ sources, which takes about 10 minutes on'
    say '    2 cores; everything else takes a few more. It is done once: later builds compile only'
    say "    what changed. Built in $target"
  fi
  (cd "$muster_root" && cargo build --release --locked --workspace "${wanted[@]}" 1>&2) ||
    fail 1 'the build failed, see above'
}

# The other systems that scripts/capacity compares with; a workspace of its own.
build_peers() {
  (cd "$muster_root/benches/peers" && cargo build --release --locked 1>&2) || fail 1 'the build failed, see above'
}

# The same server with kill points, for scripts/crash --kill-points.
build_kill_points() {
  (cd "$muster_root" && cargo build --release --locked --workspace \
    --bin muster-failpoints --features muster-cli/failpoints 1>&2) ||
    fail 1 'the build failed, see above'
}
