# shellcheck shell=sh disable=SC2034 # results are globals
# The simulated vCenter (tests/peers/vsphere): built once for each state of its sources, started in
# the background, stopped by the caller. Needs ui.sh and go.sh.

# simulator_build MODULE_DIR CACHE_DIR: leaves the program's path in $simulator_program.
simulator_build() {
    go_find "$1" "$2"
    simulator_key=$(cd "$1" && {
        find . -type f ! -name '*_test.go' ! -name '*.md' | LC_ALL=C sort
        find . -type f ! -name '*_test.go' ! -name '*.md' -print0 | LC_ALL=C sort -z | xargs -0 cat
        go_version_of "$go_program"
    } | sha256sum | cut -c 1-16)
    simulator_program=$2/simulator/vsphere-sim-$simulator_key
    if [ -x "$simulator_program" ]; then
        return 0
    fi
    mkdir -p "$2/simulator"
    ui_say "      building the simulated vCenter with $(go_version_of "$go_program")"
    # Without a home directory Go has no place of its own.
    if [ -z "${HOME:-}" ]; then
        export GOCACHE="$2/go-build" GOPATH="$2/go-path"
    fi
    ui_run "building the simulated vCenter" env GOTOOLCHAIN=local CGO_ENABLED=0 "$go_program" \
        build -C "$1" -buildvcs=false -trimpath -o "$simulator_program.$$" .
    mv "$simulator_program.$$" "$simulator_program"
}

# simulator_start DIR ARGUMENTS...: leaves its process in $simulator_pid; DIR/ready.json is there.
simulator_start() {
    simulator_dir=$1
    shift
    mkdir -p "$simulator_dir/work"
    "$simulator_program" --dir "$simulator_dir/work" --ready-file "$simulator_dir/ready.json" \
        --die-with-parent "$@" >"$simulator_dir/log" 2>&1 </dev/null &
    simulator_pid=$!
    tries=0
    while [ ! -s "$simulator_dir/ready.json" ]; do
        tries=$((tries + 1))
        if ! kill -0 "$simulator_pid" 2>/dev/null || [ "$tries" -gt 300 ]; then
            tail -n 20 "$simulator_dir/log" >&2
            ui_die "the simulated vCenter did not start" "its log is in $simulator_dir/log"
        fi
        sleep 0.1
    done
}

simulator_stop() {
    [ -n "${simulator_pid:-}" ] || return 0
    kill "$simulator_pid" 2>/dev/null || true
    wait "$simulator_pid" 2>/dev/null || true
    simulator_pid=
}
