# shellcheck shell=sh disable=SC2034 # results are globals
# A Go that can build the simulated vCenter. Debian 12 has 1.19, the simulator needs what its go.mod
# says, so one may have to be fetched: as a toolchain archive from the Go module proxy, checked
# against the digest below. Needs ui.sh. Result of go_find: $go_program.

go_pin_version=1.25.14
# SHA-256 of golang.org/toolchain/@v/v0.0.1-go$go_pin_version.linux-ARCH.zip
go_pin_amd64=1bb543a7745d4c6e045a1bfdb4c4d5a0b05b71ee8b8ff72c0a351598b26991a4
go_pin_arm64=eee0803776a2a3d42f0620d7b0156277350debb5d39c99a9b61c8b12108fd92c

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
        "the simulated vCenter needs Go $go_want or newer; found: $go_seen" \
        "install one (https://go.dev/dl/) so that 'go version' shows it, or set GOPROXY to a Go module proxy that this machine reaches, and run this again"
}

go_proxy() {
    proxy=${GOPROXY:-https://proxy.golang.org}
    proxy=${proxy%%[,|]*}
    case $proxy in
    direct | off) proxy=https://proxy.golang.org ;;
    esac
    printf '%s\n' "${proxy%/}"
}

# go_download CACHE_DIR
go_download() {
    case $(uname -m) in
    x86_64) go_arch=amd64 go_digest=$go_pin_amd64 ;;
    aarch64) go_arch=arm64 go_digest=$go_pin_arm64 ;;
    *) go_help "no Go toolchain is pinned for this machine ($(uname -m))" ;;
    esac
    go_is_enough "$go_pin_version" "$go_want" ||
        go_help "the pinned Go $go_pin_version is older than go.mod asks for"
    go_name=v0.0.1-go$go_pin_version.linux-$go_arch
    go_url=$(go_proxy)/golang.org/toolchain/@v/$go_name.zip
    ui_say "      fetching Go $go_pin_version (62 MiB) into $go_cached; found before: $go_seen"
    mkdir -p "$1/go"
    go_tmp=$(mktemp -d "$1/go/fetch.XXXXXX")
    if ! curl --fail --silent --show-error --location --retry 3 --connect-timeout 20 \
        --max-time 480 --output "$go_tmp/go.zip" "$go_url" >>"$ui_log_file" 2>&1; then
        rm -rf "$go_tmp"
        go_help "cannot fetch $go_url (see $ui_log_file)"
    fi
    if ! printf '%s  %s\n' "$go_digest" "$go_tmp/go.zip" | sha256sum --check --quiet - \
        >>"$ui_log_file" 2>&1; then
        rm -rf "$go_tmp"
        go_help "what $go_url gave is not Go $go_pin_version: its SHA-256 differs"
    fi
    ui_run "unpacking Go" unzip -q "$go_tmp/go.zip" -d "$go_tmp"
    go_root=$go_tmp/golang.org/toolchain@$go_name
    # As cmd/go does for a toolchain module: a module may not hold the go.mod of another one.
    find "$go_root/src" -name _go.mod -execdir mv _go.mod go.mod \;
    chmod -R u+w,a+rX "$go_root"
    chmod a+x "$go_root"/bin/* "$go_root"/pkg/tool/*/*
    rm -rf "$go_cached"
    mv "$go_root" "$go_cached"
    rm -rf "$go_tmp"
}
