# Shared by scripts/recovery and scripts/soak: starts a server and keeps it under load until it is stopped. Sourced
# after lib.sh, never executed.
# shellcheck shell=bash disable=SC2034,SC2154

readonly tenant=demo wait_seconds_max=900

work=''
threads=''
server_pid=''
loadgen_pid=''
ready=''
# Set by start_server.
quic_address=''
ops_url=''
ready_seconds=0

# shellcheck disable=SC2317  # called by the traps below
clean_up() {
  trap - EXIT
  set +e
  local pid
  for pid in "$loadgen_pid" "$server_pid"; do
    if [[ -n $pid ]]; then
      kill -KILL "$pid" 2>/dev/null
      wait "$pid" 2>/dev/null
    fi
  done
  if [[ -n $work ]]; then rm -rf -- "$work"; fi
}

alive() { kill -0 "$1" 2>/dev/null; }

# Builds the binaries and creates a scratch directory below TMPDIR with certificates for two gateways.
prepare() {
  local target number
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  "$muster_root/scripts/setup"
  say '==> building muster and muster-loadgen'
  build_binaries muster muster-loadgen
  target="$(target_directory)"
  muster="$target/release/muster"
  loadgen="$target/release/muster-loadgen"
  work="$(mktemp -d -- "${TMPDIR:-/var/tmp}/muster-${0##*/}.XXXXXXXX")"
  "$muster" pki init --out "$work/pki" >/dev/null
  mkdir -- "$work/identities"
  for number in 1 2; do
    "$muster" pki issue --pki "$work/pki" --out "$work/identities" --tenant "$tenant" \
      --gateway "gateway-$number" >/dev/null
  done
}

# start_server DIRECTORY: starts a server on this data directory and waits for its ready line.
start_server() {
  cat >"$work/muster.toml" <<CONFIGURATION
[listen]
address = "127.0.0.1:0"
certificate = "$work/pki/server.pem"
key = "$work/pki/server.key"
client_ca = "$work/pki/ca.pem"
[api]
address = "127.0.0.1:0"
[ops]
address = "127.0.0.1:0"
allow_changes = true
[store]
directory = "$1"
CONFIGURATION
  if [[ -n $threads ]]; then printf '[shards]\nthreads = %s\n' "$threads" >>"$work/muster.toml"; fi
  local began line=''
  rm -f -- "$work/ready"
  mkfifo -- "$work/ready"
  began=$EPOCHREALTIME
  "$muster" serve --config "$work/muster.toml" >"$work/ready" 2>"$work/server.log" </dev/null &
  server_pid=$!
  # Kept open: a write to a pipe without a reader would fail.
  exec {ready}<"$work/ready"
  if ! IFS= read -r -t "$wait_seconds_max" line <&"$ready"; then
    tail -n 5 -- "$work/server.log" >&2
    fail 1 'muster serve did not become ready'
  fi
  ready_seconds="$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }')"
  quic_address="${line#ready quic=}"
  quic_address="${quic_address%% *}"
  ops_url="${line##* ops=}"
}

# create_rules_once: creates the tenant with the rules of lib.sh, unless it has them from an earlier server.
create_rules_once() {
  local policies
  create_tenant "$ops_url" "$tenant"
  policies="$(curl -sf --noproxy '*' --max-time 10 "$ops_url/tenants/$tenant/deviceCompliancePolicies")"
  if [[ $policies == '{"value":[]}' ]]; then create_rules "$ops_url/tenants/$tenant"; fi
}

kill_server() {
  kill -KILL "$server_pid"
  wait "$server_pid" 2>/dev/null || true
  server_pid=''
  exec {ready}<&-
}

# start_fleet DEVICES: starts a fleet of this size that checks in through two gateways until stop_fleet.
start_fleet() {
  create_rules_once
  "$loadgen" run --target "$quic_address" --no-verify --ca "$work/pki/ca.pem" \
    --identities "$work/identities" --tenant "$tenant" --devices "$1" --check-ins 1000000000000 --json \
    >/dev/null 2>"$work/loadgen.log" </dev/null &
  loadgen_pid=$!
}

stop_fleet() {
  kill -KILL "$loadgen_pid"
  wait "$loadgen_pid" 2>/dev/null || true
  loadgen_pid=''
}

# scrape NAME...: prints the sum of each metric family on one line; zeros if the server does not answer.
scrape() {
  curl -sf --noproxy '*' --max-time 10 "$ops_url/metrics" | awk -v names="$*" '
    BEGIN { count = split(names, name, " ") }
    /^#/ { next }
    { family = $1; sub(/\{.*/, "", family); sum[family] += $NF }
    END { for (i = 1; i <= count; i++) printf "%.0f ", sum[name[i]]; print "" }'
}

# core_seconds PID: prints the CPU time of the process so far, in core seconds.
core_seconds() {
  local -a fields
  read -r -a fields < <(sed 's/^.*) //' "/proc/$1/stat")
  awk -v ticks="$((fields[11] + fields[12]))" -v hertz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f", ticks / hertz }'
}

# Prints the median of the numbers on standard input.
median() {
  sort -n | awk '{ all[NR] = $1 } END { printf "%.3f", (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2 }'
}
