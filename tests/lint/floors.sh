#!/bin/sh
# An include goes down the floors only, and parts of one floor do not know each other (design.md).
set -eu
cd "$(dirname "$0")/../.."

floor() {
    case $1 in
    include/vmferry) echo 0 ;;
    importer/base) echo 1 ;;
    importer/* | converters/*) echo 2 ;;
    jobs/cli) echo 4 ;;
    jobs | jobs/*) echo 3 ;;
    *) echo none ;;
    esac
}

bad=$(git ls-files -co --exclude-standard 'importer/*.[ch]' 'converters/*.[ch]' 'jobs/*.[ch]' 'include/*.h' |
    while read -r file; do
        from=$(dirname "$file")
        sed -n 's|^#include ["<]\(\(vmferry\|importer\|converters\|jobs\)/[^">]*\)[">].*|\1|p' "$file" |
            while read -r target; do
                to=$(dirname "$target")
                [ "$to" = vmferry ] && to=include/vmferry
                [ "$from" = "$to" ] && continue
                f=$(floor "$from")
                t=$(floor "$to")
                if [ "$f" = 3 ] && [ "$t" = 3 ]; then continue; fi
                if [ "$t" = none ] || [ "$t" -ge "$f" ]; then
                    echo "$file (floor $f) includes $target (floor $t)"
                fi
            done
    done)
if [ -n "$bad" ]; then
    echo "$bad"
    echo "floors: an include must go to a lower floor"
    exit 1
fi
echo "floors: ok"
