#!/bin/sh
# See vmferry work, on a fresh Debian 12, without a vSphere: build it, start a simulated vCenter with
# a running VM of two disks, import that VM, verify the result. Run it again any time.
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=lib/ui.sh
. "$top/deploy/lib/ui.sh"
# shellcheck source=lib/packages.sh
. "$top/deploy/lib/packages.sh"
# shellcheck source=lib/go.sh
. "$top/deploy/lib/go.sh"
# shellcheck source=lib/simulator.sh
. "$top/deploy/lib/simulator.sh"

case ${1:-} in
'') ;;
*)
    echo "usage: sh deploy/quickstart.sh"
    echo "Builds vmferry and imports a running VM of a simulated vCenter. Takes no options."
    case $1 in -h | --help) exit 0 ;; *) exit 2 ;; esac
    ;;
esac

ui_steps=6
umask 022
cache=$(ui_cache_dir)
mkdir -p "$cache/log"
ui_log_file=$cache/log/quickstart.log
: >"$ui_log_file"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/vmferry-quickstart.XXXXXX")
simulator_pid=
clean_up() {
    trap '' HUP INT TERM
    simulator_stop
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# The result goes below the current folder, and replaces only what an earlier run left there.
mark=.made-by-vmferry-quickstart
result=$PWD/vmferry-quickstart
if [ -e "$result" ] && [ ! -f "$result/$mark" ]; then
    ui_die "$result exists, and is not from an earlier quickstart" \
        "move it away, or run this from another folder"
fi
if ! mkdir -p "$result" 2>/dev/null || ! : 2>/dev/null >"$result/$mark"; then
    result=$(mktemp -d "${TMPDIR:-/tmp}/vmferry-quickstart-result.XXXXXX")
    : >"$result/$mark"
fi

cat <<EOT
vmferry quickstart: $ui_steps steps; about 5 minutes the first time, half a minute after that.
It installs Debian packages that are missing, builds vmferry, starts a simulated vCenter on this
machine (on 127.0.0.1 only, stopped at the end), and imports a running VM of two disks into
  $result
Downloads and simulator are kept in $cache; the log is $ui_log_file

EOT
started=$(ui_now)

ui_step "packages"
packages_install "$packages_run"
ui_done "all there"

ui_step "build vmferry"
ui_run "cmake" cmake -S "$top" --preset release
ui_run "the build" cmake --build "$top/build/release" --target vmferry
vmferry=$top/build/release/jobs/vmferry
ui_done "$vmferry"

ui_step "simulated vCenter"
simulator_build "$top/tests/peers/vsphere" "$cache"
# Each stream about as fast as an ESXi host deflates one, so that there is a progress to be seen.
simulator_start "$scratch/simulator" --demo --nfc-rate 25000000 --cache "$cache/simulator-disks"
ready=$scratch/simulator/ready.json
url=$(jq -r .url "$ready")
user=$(jq -r .user "$ready")
ca_file=$(jq -r .ca_file "$ready")
(umask 077 && jq -j .password "$ready" >"$scratch/password")
vm=$(jq -r '.vms[0].name' "$ready")
ui_done "listening on $url"

# with_source COMMAND ARGUMENTS...: run vmferry against the simulator, from where no file of the user
# is in the way.
with_source() {
    "$vmferry" "$@" --source "$url" --user "$user" --password-file "$scratch/password" \
        --ca-file "$ca_file"
}

ui_step "vmferry inventory"
with_source inventory
ui_done "one query"

ui_step "vmferry import: \"$vm\" is running, and stays so"
rm -rf "${result:?}/$vm"
with_source import --vm "$vm" --to "dir:$result/$vm"
ui_done "both disks copied in one pass, as they were at the snapshot"

ui_step "vmferry verify"
"$vmferry" verify "$result/$vm"
ui_done "disks and record agree"

cat <<EOT

Done in $(($(ui_now) - started)) s. The result, with what it occupies:
EOT
find "$result/$vm" -type f -exec du -h {} + | sort -k 2 | sed 's/^/  /'
cat <<EOT
The .img files are raw disks (sparse), vmferry.json records their digests, and manifests.yaml has
the DataVolume and VirtualMachine objects for KubeVirt.

The same against a real vCenter or ESXi host; the VM stays as it is, but for a snapshot that is
taken for the copy and removed after it:
  export VMFERRY_SOURCE=https://vcenter.example.org VMFERRY_USER=administrator@vsphere.local
  "$vmferry" inventory --ca-file vcenter-ca.pem
  "$vmferry" import --ca-file vcenter-ca.pem --vm NAME --to dir:./NAME
It asks for the password, or takes --password-file FILE. Instead of --ca-file, --thumbprint HEX
trusts one certificate; another one is refused, and its thumbprint is shown.
EOT
