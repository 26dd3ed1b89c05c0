# shellcheck shell=sh disable=SC2034 # results are globals
# A Go that can build what simulates vSphere and Kubernetes. Debian 12 has 1.19, and these need what
# their go.mod says: then Debian's Go fetches a newer toolchain as the Go module that it is, checked
# against the sum below. Needs ui.sh and packages.sh. Result of go_find: $go_program.

go_pin_version=1.25.14
# The h1 sums of golang.org/toolchain@v0.0.1-go$go_pin_version.linux-ARCH, as `go mod download -json`
# prints them.
go_pin_amd64=h1:XriDgll2yv4W2YeUo2X/WuUuy+iGJkXGH0CQloMBEXo=
go_pin_arm64=h1:tccCYNAEolyjUyQVNxD/wJuly2Sx85m+OUkzGIhO1oY=

# go_version_of PROGRAM: "1.25.14", or nothing. GOTOOLCHAIN=local: do not let an older Go download
# another one in order to answer.
go_version_of() {
    (cd / && GOTOOLCHAIN=local GOFLAGS='' "$1" version 2>/dev/null) |
        sed -n 's/^go version go\([0-9][0-9.]*\).*/\1/p'
}

# go_is_enough HAVE WANT
go_is_enough() {
    [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# go_find MODULE_DIR CACHE_DIR
go_find() {
    go_want=$(sed -n 's/^go \([0-9.]*\).*/\1/p' "$1/go.mod")
    go_cached="$2/go/$go_pin_version"
    go_seen=none
    for candidate in "$(command -v go || true)" /usr/local/go/bin/go "$go_cached/bin/go"; do
        if [ -z "$candidate" ] || [ ! -x "$candidate" ]; then
            continue
        fi
        go_have=$(go_version_of "$candidate")
        if go_is_enough "$go_have" "$go_want"; then
            go_program=$candidate
            return 0
        fi
        go_seen="$candidate ($go_have)"
    done
    go_download "$2"
    go_program=$go_cached/bin/go
}

go_help() {
    ui_die "$1" \
        "what simulates vSphere and Kubernetes needs Go $go_want or newer; found: $go_seen" \
        "install one so that 'go version' shows it, or set GOPROXY to a Go module proxy that this machine reaches, and run this again"
}

# go_download CACHE_DIR
go_download() {
    case $(uname -m) in
    x86_64) go_arch=amd64 go_sum=$go_pin_amd64 ;;
    aarch64) go_arch=arm64 go_sum=$go_pin_arm64 ;;
    *) go_help "no Go toolchain is pinned for this machine ($(uname -m))" ;;
    esac
    go_is_enough "$go_pin_version" "$go_want" ||
        go_help "the pinned Go $go_pin_version is older than go.mod asks for"
    if ! command -v go >/dev/null 2>&1; then
        packages_install golang-go
    fi
    go_name=golang.org/toolchain@v0.0.1-go$go_pin_version.linux-$go_arch
    ui_say "      fetching Go $go_pin_version (62 MiB) into $go_cached; found before: $go_seen"
    mkdir -p "$1/go"
    go_tmp=$(mktemp -d "$1/go/fetch.XXXXXX")
    # A GOPATH of its own, writable, so that the tree can be moved to its place.
    if ! (cd "$go_tmp" && GOPATH="$go_tmp" GOFLAGS=-modcacherw GO111MODULE=on GOTOOLCHAIN=local \
        timeout 480 go mod download -json "$go_name") >"$go_tmp/answer" 2>>"$ui_log_file"; then
        cat "$go_tmp/answer" >>"$ui_log_file"
        rm -rf "$go_tmp"
        go_help "cannot fetch the module $go_name (see $ui_log_file)"
    fi
    if ! grep -q "\"Sum\": \"$go_sum\"" "$go_tmp/answer"; then
        rm -rf "$go_tmp"
        go_help "the module $go_name is not the one that was pinned: its sum differs"
    fi
    go_root=$go_tmp/pkg/mod/$go_name
    # As cmd/go does for a toolchain module: a module may not hold the go.mod of another one, and
    # its files come without execute permission.
    find "$go_root/src" -name _go.mod -execdir mv _go.mod go.mod \;
    chmod a+x "$go_root"/bin/* "$go_root"/pkg/tool/*/*
    rm -rf "$go_cached"
    mv "$go_root" "$go_cached"
    rm -rf "$go_tmp"
}
