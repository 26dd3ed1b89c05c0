#!/bin/sh
# clang-tidy (.clang-tidy at the top) over every C file that the build compiles.
#   tests/lint/tidy.sh [BUILD_DIR]     with the compile_commands.json of that folder (build/debug)
# A file that was found clean is remembered, outside the tree, by a digest of the checks, of its
# command and of its text with all that it includes; only what changed is looked at again.
set -eu

# The second half, once a file: tidy.sh --one NUMBER, an index into compile_commands.json.
if [ "${1:-}" = --one ]; then
    entry=$(jq -c ".[$2]" "$TIDY_BUILD/compile_commands.json")
    file=$(printf '%s' "$entry" | jq -r .file)
    command=$(printf '%s' "$entry" | jq -r '.command | gsub(" -o [^ ]+ -c .*"; "")')
    cd "$TIDY_BUILD"
    # Preprocessed with its comments: NOLINT stands in one. The command comes from our own cmake.
    key=$({
        cat "$TIDY_KEY"
        printf '%s\n' "$command"
        sh -c "$command -E -CC -w \"\$1\"" sh "$file"
    } | sha256sum | cut -c 1-40)
    if [ -e "$TIDY_KEEP/$key" ]; then
        exit 0
    fi
    # The build's compiler is gcc, and knows warnings that clang does not.
    set -- --extra-arg=-Wno-unknown-warning-option
    case $file in
    */importer/base/error.c) ;;
    *) set -- "$@" --extra-arg=-include --extra-arg="$TIDY_HINTS" ;;
    esac
    if clang-tidy -p . --quiet "$@" "$file" 2>/dev/null; then
        : >"$TIDY_KEEP/$key"
    else
        exit 1
    fi
    exit 0
fi

cd "$(dirname "$0")/../.."
. deploy/lib/ui.sh
TIDY_BUILD=$(cd "${1:-build/debug}" && pwd)
TIDY_KEEP=$(ui_cache_dir)/lint/tidy
TIDY_HINTS=$(pwd)/tests/lint/lib/analyzer.h
TIDY_KEY=$(mktemp)
export TIDY_HINTS TIDY_BUILD TIDY_KEEP TIDY_KEY
trap 'rm -f "$TIDY_KEY"' EXIT
mkdir -p "$TIDY_KEEP"
{ clang-tidy --version && cat .clang-tidy tests/.clang-tidy "$TIDY_HINTS" tests/lint/tidy.sh; } >"$TIDY_KEY"
find "$TIDY_KEEP" -type f -mtime +30 -delete

count=$(jq length "$TIDY_BUILD/compile_commands.json")
[ "$count" -gt 0 ] || ui_die "no compile commands in $TIDY_BUILD"
seq 0 $((count - 1)) | xargs -n 1 -P 2 sh tests/lint/tidy.sh --one
echo "tidy: ok ($count files)"
