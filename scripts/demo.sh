#!/usr/bin/env bash
# The gateway at work, without a provider's account: starts the provider simulator and a gateway with data of its own,
# issues a key, makes the calls of the official SDKs, and prints what /gw/stats says about them. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

folder=$(mktemp -d)
processes=()
finish() {
    status=$?
    # The last one started is the gateway: it hands its usage on while the simulator still stands.
    for ((i = ${#processes[@]} - 1; i >= 0; i--)); do
        kill "${processes[i]}" 2>/dev/null && wait "${processes[i]}" 2>/dev/null || true
    done
    if ((status)); then tail -n 20 "$folder"/*.log >&2 || true; fi
    rm -rf "$folder"
    exit "$status"
}
trap finish EXIT

# Waits for the first match of an extended regular expression in a file, and prints its group.
wait_for_line() {
    local file=$1 pattern=$2 process=$3 found
    for ((i = 0; i < 600; i++)); do
        found=$(sed -nE "s/.*$pattern.*/\1/p" "$file" | head -n 1)
        if [[ $found ]]; then
            printf '%s' "$found"
            return
        fi
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    echo "demo: $file never said $pattern" >&2
    return 1
}

say "Building"
cargo build --locked --bin sociaro-gateway --example provider_simulator
target=$(cargo metadata --locked --no-deps --format-version 1 |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
gateway=$target/debug/sociaro-gateway

say "Starting the provider simulator and the gateway"
"$target/debug/examples/provider_simulator" >"$folder/simulator.log" 2>&1 &
processes+=($!)
simulator=$(wait_for_line "$folder/simulator.log" 'listening on (.*)' "${processes[-1]}")

mkdir "$folder/conf"
cp conf/prices.yaml "$folder/conf/"
sed -E "s#^( *upstream: )https?://[^/ ]+#\1http://$simulator#" conf/providers.yaml >"$folder/conf/providers.yaml"
cat >"$folder/conf/gateway.yaml" <<YAML
listeners: [{address: "127.0.0.1:0"}]
operations: {address: "127.0.0.1:0"}
store: {sqlite: $folder/control.sqlite}
usage: {flush_interval_ms: 200, embedded: {folder: $folder/usage}, spool: {folder: $folder/spool}}
YAML
# Every provider needs a credential to be enabled; the simulator takes any.
while read -r variable; do
    export "$variable=demo-credential"
done < <(sed -nE 's/^ *credential: env:([A-Z0-9_]+).*/\1/p' conf/providers.yaml)

"$gateway" serve --config "$folder/conf" >"$folder/gateway.log" 2>&1 &
processes+=($!)
address=$(wait_for_line "$folder/gateway.log" '"surface":"callers","address":"([^"]*)"' "${processes[-1]}")
echo "gateway http://$address, simulator http://$simulator"

say "Issuing a key"
"$gateway" org create --config "$folder/conf" --name demo >/dev/null
key=$("$gateway" key issue --config "$folder/conf" --org demo --name demo --json \
    --scope inference:use,stats:read --allow '*:*' |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["key"])')
echo "${key:0:16}… for the organization demo: every model, and its statistics"

say "Calling through the official SDKs"
.venv/bin/python tests/clients/python/sdk_calls.py "http://$address" "$key" --header x-project=demo | tee "$folder/calls"
calls=$(wc -l <"$folder/calls")

say "What /gw/stats says"
.venv/bin/python tests/clients/python/stats_table.py "http://$address" "$key" --requests "$calls"
