#!/usr/bin/env bash
# Prepares the Linux guest that figures are compared with, in $BUILD/bench/linux: Debian's cloud
# kernel (its package is fetched and unpacked, not installed) and the initial file systems.
#   linux.sh BUILD
set -euo pipefail
build=$(realpath "$1")
linux=$build/bench/linux
. test/bench/linux_lib.sh
linux_fetch "$linux"

for program in hello calls threads; do
    rm -rf "${linux:?}/$program" && mkdir -p "$linux/$program"
    cp "$build/bench/guest/$program" "$linux/$program/init"
    linux_pack "$linux/$program" "$linux/$program.cpio"
done

rm -rf "$linux/disk" && mkdir -p "$linux/disk"
cp "$build/bench/guest/linux_init" "$linux/disk/init"
cp "$build/bench/guest/coldread" "$linux/disk/coldread"
cp "$build/bench/guest/disk" "$linux/disk/disk"
# shellcheck disable=SC2086
linux_modules "$linux" "$linux/disk" modules $LINUX_DISK
linux_pack "$linux/disk" "$linux/disk.cpio"
