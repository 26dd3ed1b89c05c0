#!/bin/sh
# Every test of vmferry, from an empty Debian 12: installs what is missing, builds, runs, counts.
#   sh tests/run.sh [all|lint|unit|go|fuzz|e2e|cluster]...
# Environment: VMFERRY_CACHE (what is kept between runs), FUZZ_SECONDS (5), E2E_ARGS (for pytest).
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$top"
. deploy/lib/ui.sh
. deploy/lib/packages.sh
. deploy/lib/go.sh
. deploy/lib/simulator.sh
. tests/lib/kube.sh

words='lint unit go fuzz e2e cluster'
chosen=
for word in "$@"; do
    case $word in
    all) chosen=$words ;;
    lint | unit | go | fuzz | e2e | cluster) chosen="$chosen $word" ;;
    *)
        echo "usage: sh tests/run.sh [all|lint|unit|go|fuzz|e2e|cluster]..." >&2
        exit 2
        ;;
    esac
done
[ -n "$chosen" ] || chosen=$words
wants() {
    case " $chosen " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

cache=$(ui_cache_dir)
logs=$top/build/test-logs
rm -rf "$logs"
mkdir -p "$cache" "$logs"
ui_log_file=$logs/prepare.log
results=$logs/results.tsv
: >"$results"
: >"$ui_log_file"

# Compiled objects are kept outside the tree, and serve every clone of it.
export CCACHE_DIR="$cache/ccache" CCACHE_BASEDIR="$top" CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=2G
export CMAKE_C_COMPILER_LAUNCHER=ccache

running=
stop() {
    trap '' HUP INT TERM
    if [ -n "$running" ]; then
        kill "$running" 2>/dev/null || true
        wait "$running" 2>/dev/null || true
    fi
    echo "tests: interrupted; logs are in $logs" >&2
    exit "$1"
}
trap 'stop 129' HUP
trap 'stop 130' INT
trap 'stop 143' TERM

# bounded SECONDS LOG COMMAND...: its exit status; 124 when the time was up. In the background, since
# a shell handles a signal only once its foreground command has ended.
bounded() {
    seconds=$1
    log=$2
    shift 2
    timeout -k 10 "$seconds" "$@" >"$log" 2>&1 </dev/null &
    running=$!
    status=0
    wait "$running" || status=$?
    running=
    return "$status"
}

# record SUITE NAME OUTCOME DETAIL
record() {
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}" >>"$results"
}

show_tail() {
    tail -n "${2:-30}" "$1" | sed 's/^/    /'
}

# check SUITE NAME SECONDS COMMAND...: a command that is one test by itself.
check() {
    suite=$1
    name=$2
    limit=$3
    shift 3
    log=$logs/$suite-$name.log
    status=0
    bounded "$limit" "$log" "$@" || status=$?
    if [ "$status" -eq 0 ]; then
        record "$suite" "$name" pass
        return 0
    fi
    [ "$status" -ne 124 ] || echo "(stopped after $limit s)" >>"$log"
    record "$suite" "$name" fail "exit status $status, see $log"
    echo "      $name: FAILED (exit status $status)"
    show_tail "$log"
    return 1
}

# build PRESET: configure and build; counts as one test, since warnings are errors.
build() {
    check build "$1" 1500 sh tests/lib/build.sh "$1"
}

# run_suite SUITE SECONDS KIND REPORT COMMAND...: a runner with a report of its own.
run_suite() {
    suite=$1
    limit=$2
    kind=$3
    report=$4
    shift 4
    log=$logs/$suite.log
    [ "$report" = - ] && report=$log
    status=0
    bounded "$limit" "$log" "$@" || status=$?
    before=$(wc -l <"$results")
    if [ -s "$report" ]; then
        /usr/bin/python3 tests/lib/results.py "$kind" "$suite" "$report" >>"$results" || status=1
    fi
    if [ "$(wc -l <"$results")" -eq "$before" ]; then
        record "$suite" runner fail "it ran no test (exit status $status), see $log"
    elif [ "$status" -ne 0 ] && ! cut -f 1,3 "$results" | grep -q "^$suite	fail\$"; then
        record "$suite" runner fail "exit status $status, see $log"
    fi
    if [ "$status" -ne 0 ]; then
        echo "      $suite: FAILED (exit status $status)"
        show_tail "$log" 60
    fi
}

unit() {
    ui_step "unit tests under $1 sanitizers"
    if build "$1"; then
        # Races are looked for where there are threads: parsers of one thread are as good under ASan,
        # and ten times slower here.
        leave_out='^$'
        [ "$1" = asan ] ||
            leave_out='vmdk_(sesparse|sparse|cowd|descriptor|extents)|(qcow2|raw)_disk|power_loss|target_dir|warm_target|qemu_img|base\.areas|converters\.vm\.|jobs\.cli\.|yaml'
        run_suite "unit-$1" 900 junit "$logs/unit-$1.xml" \
            env "PATH=/usr/bin:$PATH" ctest --test-dir "build/$1" -j 2 --output-on-failure \
            --exclude-regex "$leave_out" \
            --test-output-size-passed 1048576 --test-output-size-failed 1048576 \
            --output-junit "$logs/unit-$1.xml"
    fi
    ui_done "unit-$1"
}

ui_steps=1
for word in $chosen; do
    case $word in unit) ui_steps=$((ui_steps + 2)) ;; *) ui_steps=$((ui_steps + 1)) ;; esac
done
started=$(ui_now)
echo "vmferry tests: ${chosen# }; about 13 minutes when warm, up to 45 on an empty machine"
echo "logs: $logs, kept between runs: $cache"

ui_step "packages"
packages_install "$packages_test"
ui_done "all there"

if wants lint; then
    ui_step "lint"
    # Its compile commands are what clang-tidy reads.
    build debug || true
    for script in tests/lint/*.sh; do
        check lint "$(basename "$script" .sh)" 900 sh "$script" || true
    done
    ui_done "lint"
fi

if wants unit; then
    unit asan
    unit tsan
fi

# go_module MODULE_DIR: format, vet and tests of one Go module.
go_module() {
    go_suite=$(basename "$1")
    go_find "$1" "$cache"
    export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
    check go-lint "gofmt-$go_suite" 60 sh tests/lib/gofmt.sh "$go_program" "$1" || true
    check go-lint "vet-$go_suite" 900 "$go_program" -C "$1" vet ./... || true
    run_suite "go-$go_suite" 900 go - "$go_program" -C "$1" test -json ./...
}

# is_root SUITE: whether a suite can make namespaces, mounts and loop devices; else it is a skip.
is_root() {
    [ "$(id -u)" -eq 0 ] && return 0
    record "$1" needs-root skip "namespaces, mounts and loop devices need root"
    return 1
}

if wants go; then
    ui_step "the test peers' own tests"
    go_module tests/peers/vsphere
    go_module tests/peers/kube/cdi/libnbd
    ! is_root go-rig || go_module tests/peers/kube/rig
    ui_done "go"
fi

if wants fuzz; then
    ui_step "fuzz targets, ${FUZZ_SECONDS:-5} s each"
    if build fuzz; then
        run_suite fuzz 1800 lines - sh tests/fuzz/run.sh -t "${FUZZ_SECONDS:-5}" -o "$logs/fuzz"
    fi
    ui_done "fuzz"
fi

if wants e2e; then
    ui_step "end-to-end tests against the simulated vCenter"
    if build asan; then
        simulator_build tests/peers/vsphere "$cache"
        export VMFERRY="$top/build/asan/jobs/vmferry" VSPHERE_SIM="$simulator_program"
        export VMFERRY_TEST_CACHE="$cache/e2e"
        # shellcheck disable=SC2086 # a list of arguments
        run_suite e2e 1800 junit "$logs/e2e.xml" /usr/bin/python3 -m pytest -q tests/e2e -n 3 \
            --ignore tests/e2e/cluster -p no:cacheprovider --junitxml "$logs/e2e.xml" ${E2E_ARGS:-}
    fi
    ui_done "e2e"
fi

if wants cluster; then
    ui_step "end-to-end tests against the test cluster"
    if is_root cluster && build asan; then
        simulator_build tests/peers/vsphere "$cache"
        kube_build tests/peers/kube "$cache"
        export VMFERRY="$top/build/asan/jobs/vmferry" VSPHERE_SIM="$simulator_program"
        export VMFERRY_TEST_CACHE="$cache/e2e" KUBE_RIG_BIN="$kube_bin"
        # shellcheck disable=SC2086 # a list of arguments
        run_suite cluster 1800 junit "$logs/cluster.xml" /usr/bin/python3 -m pytest -q \
            tests/e2e/cluster -n 6 -p no:cacheprovider --junitxml "$logs/cluster.xml" ${E2E_ARGS:-}
    fi
    ui_done "cluster"
fi

echo
echo "$(($(ui_now) - started)) s, logs in $logs"
/usr/bin/python3 tests/lib/results.py summary "$results" tests/skips.txt
