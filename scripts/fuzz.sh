#!/usr/bin/env bash
# Fuzzes with libFuzzer on the stable toolchain: `scripts/fuzz.sh` lists the targets, `scripts/fuzz.sh TARGET [SECONDS]`
# runs one (60 seconds by default), `scripts/fuzz.sh all [SECONDS]` one after another, `scripts/fuzz.sh TARGET FILE` runs
# one input again. Only what is fuzzed is instrumented, so that the dependencies are built as for tests. Inputs that were
# found are kept in `fuzz/corpus/`, failures in `fuzz/artifacts/`.
set -euo pipefail

# As rustc's wrapper: adds coverage to the crates that read what strangers send.
if [[ ${SOCIARO_FUZZ_WRAPPER-} ]]; then
    case " $* " in
    *" --crate-name sociaro_gateway "* | *" --crate-name brotli_decompressor "* | *" --crate-name miniz_oxide "*)
        exec "$@" --cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
            -Cllvm-args=-sanitizer-coverage-trace-compares
        ;;
    esac
    exec "$@"
fi

cd "$(dirname "$0")/../fuzz"
targets=$(sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"$|\1|p' Cargo.toml)
if (($# == 0)); then
    echo "$targets"
    exit
fi

run() {
    local target=$1 what=${2:-60}
    SOCIARO_FUZZ_WRAPPER=1 RUSTC_WRAPPER="$PWD/../scripts/fuzz.sh" \
        cargo build --quiet --bin "$target" --target-dir "${CARGO_TARGET_DIR:-target}"
    local program=${CARGO_TARGET_DIR:-target}/debug/$target
    if [[ -f $what ]]; then
        "$program" "$what"
        return
    fi
    mkdir -p "corpus/$target" "artifacts/$target"
    "$program" "corpus/$target" $(seeds "$target") -artifact_prefix="artifacts/$target/" -max_total_time="$what" \
        -max_len=4096 -dict=words.dict -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -print_final_stats=1
}

# Folders of recorded inputs that a target can begin with.
seeds() {
    [[ $1 == answer ]] && find ../tests/fixtures -mindepth 2 -type d || true
}

if [[ $1 == all ]]; then
    for target in $targets; do
        echo "== $target"
        run "$target" "${2:-60}"
    done
else
    run "$@"
fi
