#!/bin/sh
# cppcheck over the program's own code (the tests are full of deliberate nonsense). Results are kept
# outside the tree, so that only what changed is looked at again.
set -eu
cd "$(dirname "$0")/../.."
. deploy/lib/ui.sh
. tests/lint/lib/sources.sh

keep=$(ui_cache_dir)/lint/cppcheck-$(pwd | sha256sum | cut -c 1-16)
mkdir -p "$keep"
list=$(mktemp)
trap 'rm -f "$list"' EXIT
lint_sources 'importer/*.c' 'converters/*.c' 'jobs/*.c' >"$list"
cppcheck --quiet -j 2 --std=c11 --platform=unix64 --error-exitcode=1 --inline-suppr \
    --enable=warning,performance,portability --suppress=missingIncludeSystem \
    --suppress=unmatchedSuppression --template=gcc --cppcheck-build-dir="$keep" \
    -D_GNU_SOURCE -DVF_VERSION='"0"' -DVF_FAULTS=1 -I . -I include --file-list="$list"
echo "cppcheck: ok"
