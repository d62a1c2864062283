#!/usr/bin/env bash
# The gateway beside nginx and bare Pingora, alternating in one run on pinned cores; prints ratios. See run.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
for need in wrk:wrk nginx:nginx h2load:nghttp2-client; do
  tool=${need%%:*} package=${need##*:}
  if ! command -v "$tool" >/dev/null; then
    [ "$(id -u)" = 0 ] || { echo "the bench needs $tool: install it as root (apt-get install $package)" >&2; exit 1; }
    apt-get update -qq && apt-get install -y -qq "$package" >/dev/null
  fi
done
cargo build --release --locked --bin sociaro-gateway --example bare_pingora --example edge_probe
exec python3 benches/edge/run.py "${CARGO_TARGET_DIR:-target}/release" "$@"
