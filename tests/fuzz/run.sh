#!/bin/sh
# Run the libFuzzer targets, two at a time. Any crash, leak, time-out or memory blow-up is a failure,
# and the input that did it is kept.
#   sh tests/fuzz/run.sh [-t SECONDS] [-b BUILD_DIR] [-o OUT_DIR] [NAME...]
# without NAME: every target. Prints a line a target, and exits 1 if one failed.
set -eu

# The second half, once a target: run.sh --one NAME
if [ "${1:-}" = --one ]; then
    name=$2
    out=$FUZZ_OUT/$name
    seeds=$FUZZ_TOP/tests/fuzz/corpus/$name
    mkdir -p "$out/found" "$out/artifacts"
    if [ ! -d "$seeds" ]; then
        echo "fuzz $name: FAILED: it has no corpus in tests/fuzz/corpus/$name"
        exit 1
    fi
    status=0
    # What is found goes to the first folder; the second is read only.
    "$FUZZ_BUILD/tests/fuzz/fuzz_$name" -max_total_time="$FUZZ_SECONDS" -timeout=10 \
        -rss_limit_mb=1024 -malloc_limit_mb=512 -print_final_stats=1 \
        -artifact_prefix="$out/artifacts/" "$out/found" "$seeds" >"$out/log" 2>&1 </dev/null ||
        status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/log")
    if [ "$status" -eq 0 ] && [ "${runs:-0}" -gt 0 ]; then
        echo "fuzz $name: ok ($runs runs)"
        exit 0
    fi
    echo "fuzz $name: FAILED (exit status $status), log and input in $out"
    grep -E -A 12 'ERROR:|runtime error' "$out/log" | head -n 30 | sed 's/^/    /'
    exit 1
fi

FUZZ_TOP=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
FUZZ_SECONDS=20
FUZZ_BUILD=$FUZZ_TOP/build/fuzz
FUZZ_OUT=
while getopts t:b:o: option; do
    case $option in
    t) FUZZ_SECONDS=$OPTARG ;;
    b) FUZZ_BUILD=$OPTARG ;;
    o) FUZZ_OUT=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

if [ ! -f "$FUZZ_BUILD/build.ninja" ]; then
    cmake -S "$FUZZ_TOP" --preset fuzz >/dev/null
fi
cmake --build "$FUZZ_BUILD"

[ -n "$FUZZ_OUT" ] || FUZZ_OUT=$FUZZ_BUILD/out
rm -rf "$FUZZ_OUT"
mkdir -p "$FUZZ_OUT"
FUZZ_OUT=$(cd "$FUZZ_OUT" && pwd)
export FUZZ_TOP FUZZ_SECONDS FUZZ_BUILD FUZZ_OUT

if [ $# -eq 0 ]; then
    for source in "$FUZZ_TOP"/tests/fuzz/fuzz_*.c; do
        name=$(basename "$source" .c)
        set -- "$@" "${name#fuzz_}"
    done
fi
echo "fuzz: $# targets, $FUZZ_SECONDS s each, two at a time"
printf '%s\n' "$@" | xargs -n 1 -P 2 sh "$FUZZ_TOP/tests/fuzz/run.sh" --one
