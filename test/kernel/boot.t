#!/usr/bin/env bash
# Every way to start the kernel: QEMU's -kernel (PVH) on microvm, pc and q35, and GRUB (multiboot2,
# BIOS) from an ISO; on a full and on a plain CPU; with its devices on MMIO (both versions) and PCI.
# No `thunk run` in between: the program's output comes over the serial line, its status through
# isa-debug-exit.
set -u
. test/guest/lib.sh
hello=$(realpath "$BUILD/guest/hello")
kernel=$(realpath "$BUILD/kernel.elf")
iso=$(realpath "$BUILD/kernel.iso")
"$THUNK" build -o "$WORK/image" "$hello" || exit 1

# boots NAME QEMU-OPTIONS...: the machine prints hello, and ends with the program's status 0.
boots() {
    local name=$1 status=0
    shift
    timeout 300 qemu-system-x86_64 -accel tcg -m 64M -nodefaults -no-user-config -display none -serial stdio -no-reboot \
        -device isa-debug-exit,iobase=0x501,iosize=4 \
        -drive "id=disk,file=$WORK/image,format=raw,if=none,readonly=on" "$@" \
        </dev/null >"$WORK/out" 2>"$WORK/err" || status=$?
    [ "$status" -eq 1 ] && tr -d '\r' <"$WORK/out" | grep -qx hello && ! grep -qi panic "$WORK/out"
    ok $? "$name" || { echo "# QEMU's status $status"; diagnose "$WORK/out"; diagnose "$WORK/err"; }
}

direct=(-kernel "$kernel" -append "exit_port=0x501")
for cpu in max qemu64; do
    boots "microvm, MMIO version 1, -cpu $cpu" -M microvm,rtc=on -cpu $cpu "${direct[@]}" -device virtio-blk-device,drive=disk
    boots "microvm, MMIO version 2, -cpu $cpu" -M microvm,rtc=on -cpu $cpu "${direct[@]}" \
        -global virtio-mmio.force-legacy=false -device virtio-blk-device,drive=disk
    boots "pc, transitional PCI, -cpu $cpu" -M pc -vga none -cpu $cpu "${direct[@]}" -device virtio-blk-pci,drive=disk
    boots "q35, modern PCI, -cpu $cpu" -M q35 -vga none -cpu $cpu "${direct[@]}" \
        -device virtio-blk-pci,drive=disk,disable-legacy=on
    boots "pc, GRUB from an ISO, -cpu $cpu" -M pc -vga none -cpu $cpu -cdrom "$iso" -boot d -device virtio-blk-pci,drive=disk
done
boots "q35, GRUB from an ISO" -M q35 -vga none -cpu max -cdrom "$iso" -boot d -device virtio-blk-pci,drive=disk
boots "q35, a disk behind a bridge" -M q35 -vga none -cpu max "${direct[@]}" -device pcie-root-port,id=root1,chassis=1 \
    -device virtio-blk-pci,drive=disk,bus=root1
boots "pc, interrupts by line: no MSI-X" -M pc -vga none -cpu max "${direct[@]}" -device virtio-blk-pci,drive=disk,vectors=0

finish
