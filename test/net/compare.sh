#!/usr/bin/env bash
# How fast streams go over a path with faults, from and to the machine and a Linux guest, with the same
# relay and the same seed: a table of Mbit/s.  Run from the repository's root, as root, after
# `make net-programs`.
#   test/net/compare.sh [BUILD]
set -euo pipefail
build=$(realpath "${1:-build}")
work=$(mktemp -d "${TMPDIR:-/tmp}/thunk-compare.XXXXXX")
space=thunk-compare-$$
trap 'rm -rf "$work"; ip netns del $space 2>/dev/null' EXIT
tmp_linux=$build/net/linux
mkdir -p "$tmp_linux"

linux_make() {
    local package modules name path
    [ ! -f "$tmp_linux/net.cpio" ] || return 0
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
    [ -n "$package" ] || { echo "compare: apt knows no linux-image-cloud-amd64; run apt-get update" >&2; exit 1; }
    (cd "$tmp_linux" && apt-get download -q=2 "$package" 2>/dev/null)
    dpkg-deb -x "$tmp_linux/$package"_*.deb "$tmp_linux/tree"
    cp "$tmp_linux"/tree/boot/vmlinuz-* "$tmp_linux/vmlinuz"
    mkdir -p "$tmp_linux/root/dev"
    mknod "$tmp_linux/root/dev/console" c 5 1 2>/dev/null || true
    cp "$build/net/linux_init" "$tmp_linux/root/init"
    cp "$build/net/stream_guest" "$tmp_linux/root/stream"
    modules=$(find "$tmp_linux/tree/lib/modules" -name '*.ko' -o -name '*.ko.xz')
    : >"$tmp_linux/root/modules"
    for name in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net; do
        path=$(printf '%s\n' "$modules" | grep -E "/$name\.ko" | head -1 || true)
        [ -n "$path" ] || continue # built in
        cp "$path" "$tmp_linux/root/"
        case $path in *.xz) xz -d "$tmp_linux/root/$(basename "$path")" ;; esac
        echo "/$name.ko" >>"$tmp_linux/root/modules"
    done
    (cd "$tmp_linux/root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$tmp_linux/net.cpio"
    rm -rf "$tmp_linux/tree"
}

inside=(ip netns exec "$space")
dgram="dgram,id=n,local.type=unix,local.path=$work/q,remote.type=unix,remote.path=$work/r"

guest_start() { # guest_start linux|thunk
    if [ "$1" = linux ]; then
        "${inside[@]}" timeout 300 qemu-system-x86_64 -M pc -accel tcg -cpu max -m 512 -nographic -no-reboot -nodefaults \
            -serial file:"$work/guest" -kernel "$tmp_linux/vmlinuz" -initrd "$tmp_linux/net.cpio" \
            -append "console=ttyS0 net.ifnames=0 quiet" -netdev "$dgram" -device virtio-net-pci,netdev=n,romfile= >/dev/null &
    else
        "${inside[@]}" timeout 300 "$build/thunk" run --timeout 290 --net none --qemu-arg -netdev --qemu-arg "$dgram" \
            --qemu-arg -device --qemu-arg virtio-net-device,netdev=n --kernel-arg net=10.77.0.2/24 \
            "$build/net/stream_guest" serve 7 >"$work/guest" 2>&1 &
    fi
    guest=$!
}

measure() { # measure GUEST BYTES FAULTS...: "send receive"
    local kind=$1 bytes=$2 way
    shift 2
    rm -f "$work"/q "$work"/r
    : >"$work/guest"
    "${inside[@]}" "$build/net/relay" --qemu "$work/r:$work/q" --tap tap0 --seed 7 --queue 4000 "$@" >"$work/relay" &
    relay=$!
    guest_start "$kind"
    for ((i = 0; i < 600; i++)); do grep -q serving "$work/guest" && break; sleep 0.1; done
    sleep 1
    for way in send receive; do
        "${inside[@]}" timeout 120 "$build/net/stream" $way 10.77.0.2 7 "$bytes" >"$work/client" 2>&1 || true
        sed -n 's/.* \([0-9.]*\) Mbit.*/\1/p' "$work/client" | grep . || echo none
    done | tr '\n' ' '
    kill $guest $relay 2>/dev/null || true
    wait $guest $relay 2>/dev/null || true
}

linux_make
ip netns add $space
ip -n $space link set lo up
"${inside[@]}" ip tuntap add dev tap0 mode tap
ip -n $space addr add 10.77.0.1/24 dev tap0
ip -n $space link set tap0 up
printf '%-24s %10s %10s %10s %10s\n' "Mbit/s" "to linux" "from" "to thunk" "from"
for delay in 0 10 50; do
    for loss in 0 0.1 1; do
        bytes=10000000
        [ $delay-$loss = 50-1 ] && bytes=4000000
        # shellcheck disable=SC2046
        printf '%-24s %10s %10s %10s %10s\n' "$loss % loss, $((2 * delay)) ms" \
            $(measure linux $bytes --loss $loss --delay $delay) $(measure thunk $bytes --loss $loss --delay $delay)
    done
done
