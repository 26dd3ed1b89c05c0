# shellcheck shell=sh
# The C files of the tree: tracked ones and new ones, as git sees them, but not those deleted.
# lint_sources PATTERN...
lint_sources() {
    git ls-files -co --exclude-standard -- "$@" | LC_ALL=C sort -u | while IFS= read -r file; do
        [ -f "$file" ] && printf '%s\n' "$file"
    done
    return 0
}
