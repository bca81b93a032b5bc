#!/usr/bin/env bash
# Prepares the Linux guest that figures are compared with, in $BUILD/bench/linux: Debian's cloud
# kernel (its package is fetched and unpacked, not installed) and the initial file systems.
#   linux.sh BUILD
set -euo pipefail
build=$(realpath "$1")
linux=$build/bench/linux
mkdir -p "$linux"

if [ ! -f "$linux/vmlinuz" ]; then
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
    [ -n "$package" ] || { echo "bench: apt knows no linux-image-cloud-amd64; run apt-get update" >&2; exit 1; }
    (cd "$linux" && apt-get download -q=2 "$package" 2>/dev/null)
    dpkg-deb -x "$linux/$package"_*.deb "$linux/tree"
    cp "$linux"/tree/boot/vmlinuz-* "$linux/vmlinuz"
    echo "${package#linux-image-}" >"$linux/release"
fi

# pack NAME: the directory $linux/NAME as an initial file system.
pack() {
    (cd "$linux/$1" && find . | busybox cpio -o -H newc 2>/dev/null) >"$linux/$1.cpio"
}

for program in hello calls threads; do
    rm -rf "${linux:?}/$program" && mkdir -p "$linux/$program/dev"
    cp "$build/bench/guest/$program" "$linux/$program/init"
    mknod "$linux/$program/dev/console" c 5 1 2>/dev/null || true
    pack "$program"
done

rm -rf "$linux/disk" && mkdir -p "$linux/disk/dev"
mknod "$linux/disk/dev/console" c 5 1 2>/dev/null || true
cp "$build/bench/guest/linux_init" "$linux/disk/init"
cp "$build/bench/guest/coldread" "$linux/disk/coldread"
cp "$build/bench/guest/disk" "$linux/disk/disk"
modules=$(find "$linux/tree/lib/modules" -name '*.ko' -o -name '*.ko.xz')
: >"$linux/disk/modules"
for name in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk \
    crc32c_generic libcrc32c crc16 mbcache jbd2 ext4; do
    path=$(printf '%s\n' "$modules" | grep -E "/$name\.ko" | head -1 || true)
    [ -n "$path" ] || continue # built in
    cp "$path" "$linux/disk/"
    case $path in *.xz) xz -d "$linux/disk/$(basename "$path")" ;; esac
    echo "/$name.ko" >>"$linux/disk/modules"
done
pack disk
