#!/usr/bin/env bash
# Ingest and statistics on the embedded usage store, with made-up usage of a month. See run.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --bin sociaro-gateway
exec python3 benches/usage/run.py "${CARGO_TARGET_DIR:-target}/release/sociaro-gateway" "$@"
