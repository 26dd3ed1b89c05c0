#!/bin/sh
# Every shell script parses in the shell that it names, and shellcheck has nothing to say.
set -eu
cd "$(dirname "$0")/../.."
. tests/lint/lib/sources.sh

lint_sources '*.sh' '.ci/run' | {
    bad=0
    while IFS= read -r file; do
        case $(head -n 1 "$file") in
        *bash*) bash -n "$file" || bad=1 ;;
        *) dash -n "$file" || bad=1 ;;
        esac
        shellcheck -x "$file" || bad=1
    done
    exit "$bad"
}
echo "shell: ok"
