#!/bin/sh
# gofmt.sh GO_PROGRAM MODULE_DIR: name the files that gofmt would change.
set -eu
bad=$("$(dirname "$1")/gofmt" -l "$2")
if [ -n "$bad" ]; then
    printf '%s\n' "not formatted as gofmt does:" "$bad"
    exit 1
fi
