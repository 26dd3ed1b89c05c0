#!/bin/sh
# Every C file is as clang-format leaves it. To mend: clang-format -i FILE.
set -eu
cd "$(dirname "$0")/../.."
. tests/lint/lib/sources.sh

lint_sources '*.c' '*.h' | tr '\n' '\0' | xargs -0 -r -n 20 -P 2 clang-format --dry-run -Werror
echo "format: ok"
