#!/usr/bin/env bash
# Every shape of virtio-net device that QEMU can show: each machine comes to an address by DHCP,
# which takes frames both ways, before its program starts.
set -u
. test/guest/lib.sh

# bound NAME MACHINE PROPERTY...: a machine whose devices have these properties
bound() {
    local name=$1 machine=$2
    shift 2
    local options=()
    for property in "$@"; do
        options+=(--qemu-arg -global --qemu-arg "$property")
    done
    "$THUNK" run -v --accel tcg --timeout "$LIMIT" --machine "$machine" --net user \
        --kernel-arg net_wait=20 "${options[@]}" /bin/true </dev/null >"$WORK/out" 2>"$WORK/err"
    [ $? -eq 0 ] && grep -q 'eth0: address 10\.0\.2\.15/24' "$WORK/err" &&
        ! grep -Eq 'reset|given up|panic|not started' "$WORK/err"
    ok $? "$name" || diagnose "$WORK/err"
}

bound "MMIO, legacy" microvm
bound "MMIO, modern" microvm virtio-mmio.force-legacy=off
bound "no buffers that join" microvm virtio-net-device.mrg_rxbuf=off
bound "legacy, and headers apart" microvm virtio-net-device.mrg_rxbuf=off virtio-net-device.any_layout=off
bound "no event index" microvm virtio-net-device.event_idx=off
bound "no descriptor tables" microvm virtio-net-device.indirect_desc=off
bound "PCI, transitional" pc virtio-net-pci.disable-legacy=off
bound "PCI, modern" q35 virtio-net-pci.disable-legacy=on
bound "PCI, legacy" q35 virtio-net-pci.disable-modern=on virtio-net-pci.disable-legacy=off
bound "PCI, legacy, without MSI-X" q35 virtio-net-pci.disable-modern=on virtio-net-pci.disable-legacy=off \
    virtio-net-pci.vectors=0
bound "PCI, modern, without MSI-X" q35 virtio-net-pci.vectors=0
bound "PCI, one vector for all" q35 virtio-net-pci.vectors=1
bound "a legacy disk, too" q35 virtio-blk-pci.disable-modern=on virtio-blk-pci.disable-legacy=off
finish
