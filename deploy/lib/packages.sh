# shellcheck shell=sh disable=SC2034 # results are globals
# Debian packages: install what is missing, touch nothing when nothing is. Needs ui.sh.

packages_run="build-essential cmake ninja-build pkg-config"
packages_run="$packages_run libcurl4-openssl-dev libxml2-dev libcjson-dev libarchive-dev"
packages_run="$packages_run libdeflate-dev libyaml-dev libssl-dev zlib1g-dev libzstd-dev libnbd-dev"
packages_run="$packages_run qemu-utils e2fsprogs ca-certificates jq"

packages_test="$packages_run libcmocka-dev clang clang-format clang-tidy cppcheck shellcheck"
packages_test="$packages_test libclang-rt-14-dev ccache git python3 python3-pytest"
packages_test="$packages_test python3-pytest-xdist python3-yaml"
packages_test="$packages_test python3-jsonschema zstd iproute2 nbdkit nbdkit-plugin-dev libnbd-bin"

packages_missing() {
    for package in $1; do
        status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=absent
        [ "$status" = installed ] || printf '%s ' "$package"
    done
}

# packages_install "NAMES": 0 when all are there at the end, else the script ends with what to do.
packages_install() {
    command -v dpkg-query >/dev/null 2>&1 ||
        ui_die "this machine has no dpkg, so it is not a Debian" "vmferry is built on Debian 12"
    missing=$(packages_missing "$1")
    if [ -z "$missing" ]; then
        return 0
    fi
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1; then
        as_root=sudo
    else
        ui_die "packages are missing, and you are neither root nor have sudo: $missing" \
            "as root: apt-get update && apt-get install $missing"
    fi
    ui_say "      installing: $missing"
    # sudo may have to ask for a password, on the terminal; ui_run gives no standard input.
    if [ -n "$as_root" ]; then
        sudo -v || ui_die "sudo was refused" "as root: apt-get install $missing"
    fi
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # empty when root
    ui_run "apt-get update" $as_root apt-get -q -o DPkg::Lock::Timeout=300 update
    # shellcheck disable=SC2086 # a list of names
    ui_run "apt-get install" $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install $missing
}
