# shellcheck shell=sh disable=SC2034 # results are globals
# The programs of the test cluster (tests/peers/kube), each built once for each state of its sources.
# Sourced after ui.sh and go.sh, from a script that has set ui_log_file; needs jq and flock.

# kube_build MODULES_DIR CACHE_DIR: leaves the folder of all programs in $kube_bin.
kube_build() {
    kube_modules=$1
    kube_cache=$2/kube
    mkdir -p "$kube_cache"
    go_find "$kube_modules/kubevirt" "$2"
    # Without a home directory Go has no place of its own.
    if [ -z "${HOME:-}" ]; then
        export GOCACHE="$2/go-build" GOPATH="$2/go-path"
    fi
    kube_all=
    for kube_name in controlplane kubevirt cdi rig; do
        kube_all="$kube_all $kube_name-$(kube_key "$kube_modules/$kube_name")"
    done
    kube_bin=$kube_cache/all-$(printf '%s' "$kube_all" | sha256sum | cut -c 1-16)
    if [ -d "$kube_bin" ]; then
        touch "$kube_bin"
        return 0
    fi
    # Two at once would build the same for minutes; the second one finds it done.
    (
        flock 9
        kube_build_all
    ) 9>"$kube_cache/lock" || exit 1
}

# kube_key MODULE_DIR: of its files, this script and the Go version.
kube_key() {
    (cd "$1" && {
        find . -type f ! -name '*_test.go' ! -name '*.md' | LC_ALL=C sort
        find . -type f ! -name '*_test.go' ! -name '*.md' -print0 | LC_ALL=C sort -z | xargs -0 cat
        go_version_of "$go_program"
    } | sha256sum | cut -c 1-16)
}

kube_build_all() {
    [ ! -d "$kube_bin" ] || return 0
    rm -rf "$kube_bin.new"
    mkdir -p "$kube_bin.new/crds"
    for kube_name in $kube_all; do
        case $kube_name in
        controlplane-*)
            # The version that the API server and its clients see; a module's build does not know it.
            kube_version=$(sed -n 's,^.*k8s.io/kubernetes \(v1[0-9.]*\)$,\1,p' "$kube_modules/controlplane/go.mod")
            kube_minor=${kube_version#v1.}
            kube_at=k8s.io/component-base/version
            kube_flags="-X $kube_at.gitVersion=$kube_version -X $kube_at.gitMajor=1"
            kube_flags="$kube_flags -X $kube_at.gitMinor=${kube_minor%%.*} -X $kube_at.gitTreeState=clean"
            kube_one controlplane "etcd and Kubernetes $kube_version, 4 to 10 minutes" controlplane "$kube_flags" .
            ;;
        kubevirt-*) kube_one kubevirt "KubeVirt's servers, 2 to 4 minutes" kubevirt-peer '' . ;;
        cdi-*) kube_one cdi "CDI's programs, 3 to 5 minutes" '' '' ./cdi-crds tool ;;
        rig-*) kube_one rig "the test cluster's own program, 1 minute" kube-rig '' . ;;
        esac
        cp -al "$kube_cache/$kube_name/." "$kube_bin.new/"
    done
    kube_print kubevirt-peer crds >"$kube_bin.new/crds/kubevirt.json"
    kube_print kubevirt-peer objects >"$kube_bin.new/kubevirt-objects.json"
    kube_print cdi-crds crds >"$kube_bin.new/crds/cdi.json"
    kube_crds github.com/kubernetes-csi/external-snapshotter/client/v8 config/crd/snapshot.storage.k8s.io_
    kube_crds github.com/k8snetworkplumbingwg/network-attachment-definition-client artifacts/networks-crd.yaml
    find "$kube_cache" -mindepth 1 -maxdepth 1 -type d ! -name '*.new' -mtime +7 -exec rm -rf {} +
    mv "$kube_bin.new" "$kube_bin"
}

# kube_one MODULE WHAT OUTPUT LDFLAGS PACKAGE...: build it unless that is done; no OUTPUT: the
# packages' own names.
kube_one() {
    kube_dir=$kube_cache/$kube_name
    kube_module=$1
    kube_what=$2
    kube_output=$3
    kube_ldflags=$4
    shift 4
    if [ -d "$kube_dir" ]; then
        touch "$kube_dir"
        return 0
    fi
    ui_say "      building $kube_what"
    kube_began=$(ui_now)
    rm -rf "$kube_dir.new"
    mkdir -p "$kube_dir.new"
    # All without cgo and with the same flags, so that the modules share Go's build cache.
    ui_run "building $kube_module" env GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 \
        timeout 2400 nice "$go_program" build -C "$kube_modules/$kube_module" -trimpath -buildvcs=false \
        -ldflags "-s -w $kube_ldflags" -o "$kube_dir.new/$kube_output" "$@"
    mv "$kube_dir.new" "$kube_dir"
    ui_say "      $kube_module: $(($(ui_now) - kube_began)) s"
}

# kube_print PROGRAM COMMAND: what one of the built programs prints.
kube_print() {
    "$kube_bin.new/$1" "$2" 2>>"$ui_log_file" ||
        ui_die "$1 $2 failed" "the whole log is in $ui_log_file"
}

# kube_crds MODULE FILES: custom resource definitions that a module of rig's go.mod has as files.
kube_crds() {
    kube_answer=$(cd "$kube_modules/rig" && GOTOOLCHAIN=local GOFLAGS='' "$go_program" \
        mod download -json "$1" 2>>"$ui_log_file") ||
        ui_die "cannot fetch the module $1" "the whole log is in $ui_log_file"
    kube_folder=$(printf '%s' "$kube_answer" | jq -r .Dir)
    for kube_file in "$kube_folder/$2"*; do
        [ -f "$kube_file" ] || ui_die "the module $1 has no $2"
        cp "$kube_file" "$kube_bin.new/crds/"
    done
    chmod u+w "$kube_bin.new/crds/"*
}
