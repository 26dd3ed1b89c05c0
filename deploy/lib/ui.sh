# shellcheck shell=sh disable=SC2034 # results are globals
# What a script of ours says while it works: numbered steps with their time, and a log file for the
# noise. Sourced, after `ui_log_file` and `ui_steps` are set.

ui_step_now=0
ui_step_started=0

ui_now() {
    date +%s
}

ui_say() {
    printf '%s\n' "$*"
}

ui_die() {
    printf '%s: error: %s\n' "$(basename "$0")" "$1" >&2
    shift
    for line in "$@"; do
        printf '%s: hint: %s\n' "$(basename "$0")" "$line" >&2
    done
    exit 1
}

# ui_step TEXT: begin the next step.
ui_step() {
    ui_step_now=$((ui_step_now + 1))
    ui_step_started=$(ui_now)
    printf '[%d/%d] %s\n' "$ui_step_now" "$ui_steps" "$1"
}

# ui_done TEXT: end it.
ui_done() {
    printf '      %s (%d s)\n' "$1" $(($(ui_now) - ui_step_started))
}

# ui_run WHAT COMMAND...: run it with its output in the log; its last lines are shown if it fails.
ui_run() {
    ui_what=$1
    shift
    printf '\n== %s\n' "$*" >>"$ui_log_file"
    ui_skip=$(wc -l <"$ui_log_file")
    ui_status=0
    "$@" >>"$ui_log_file" 2>&1 </dev/null || ui_status=$?
    [ "$ui_status" -eq 0 ] && return 0
    tail -n "+$((ui_skip + 1))" "$ui_log_file" | tail -n 25 | sed 's/^/    /' >&2
    ui_die "$ui_what failed (exit status $ui_status)" "the whole log is in $ui_log_file"
}

# The folder for what is worth keeping between runs, outside the tree. Created on demand.
ui_cache_dir() {
    if [ -n "${VMFERRY_CACHE:-}" ]; then
        printf '%s\n' "$VMFERRY_CACHE"
    elif [ -n "${XDG_CACHE_HOME:-}" ]; then
        printf '%s\n' "$XDG_CACHE_HOME/vmferry"
    elif [ -n "${HOME:-}" ] && [ -d "$HOME" ] && [ -w "$HOME" ]; then
        printf '%s\n' "$HOME/.cache/vmferry"
    else
        printf '%s\n' "${TMPDIR:-/tmp}/vmferry-cache-$(id -u)"
    fi
}
