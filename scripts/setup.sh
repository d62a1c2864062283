#!/usr/bin/env bash
# Everything that building, testing and the demo need beyond Rust: system tools, the usage store's engine, the SDKs that
# the tests call with. Does only what is missing, so that it costs nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

# A tool, and the Debian package that has it.
system_tools() {
    local missing=()
    local tool package
    while read -r tool package; do
        command -v "$tool" >/dev/null || missing+=("$package")
    done <<'LIST'
cmake cmake
gcc gcc
g++ g++
make make
perl perl
python3 python3
node nodejs
npm npm
LIST
    # The module can be there without what makes an environment.
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    ((${#missing[@]})) || return 0
    if ! command -v apt-get >/dev/null; then
        say "missing: ${missing[*]} (names of Debian packages); install them and run this again"
        return 1
    fi
    local as_root=()
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
            say "missing: ${missing[*]}; run as root: apt-get install -y ${missing[*]}"
            return 1
        fi
        as_root=(sudo -n)
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Runs a step unless it has run with these very inputs before: stamp, input, command…
once() {
    local stamp=$1 input=$2 sum
    shift 2
    sum=$(sha256sum <"$input")
    [[ -f $stamp && $(<"$stamp") == "$sum" ]] && return 0
    "$@"
    printf '%s\n' "$sum" >"$stamp"
}

python_clients() {
    say "installing the Python SDKs into .venv"
    [[ -x .venv/bin/python ]] || python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement tests/clients/python/requirements.txt
}

node_clients() {
    say "installing the Node clients"
    npm ci --prefix tests/clients/node --silent --ignore-scripts --no-audit --no-fund
}

system_tools
if [[ -x scripts/libchdb.sh ]]; then scripts/libchdb.sh; fi
once .venv/requirements.sha256 tests/clients/python/requirements.txt python_clients
once tests/clients/node/node_modules/.lock.sha256 tests/clients/node/package-lock.json node_clients
