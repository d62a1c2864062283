# Each target does all that it needs on a bare Debian or Ubuntu machine with Rust.
CARGO ?= cargo
CONFIG ?= conf

.PHONY: help setup run test check demo bench

help:            ## list the targets
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup:           ## install compilers, the usage store's engine and the test clients
	@scripts/setup.sh

run: setup       ## build the release and serve with conf/
	$(CARGO) run --release --locked -- --config $(CONFIG) serve

test: setup      ## run all tests
	$(CARGO) test --locked --workspace --all-targets

check: setup     ## formatting, lints, dependencies, configuration
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check; else echo "cargo-deny is not installed: skipped"; fi
	$(CARGO) run --locked -- --config $(CONFIG) check

demo: setup      ## simulator and gateway, real SDK calls, the resulting statistics
	@scripts/demo.sh

bench: setup     ## the gateway beside nginx and bare Pingora, as ratios
	@benches/edge/run.sh
