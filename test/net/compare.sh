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
linux=$build/bench/linux
. test/bench/linux_lib.sh

linux_make() {
    linux_fetch "$linux"
    rm -rf "$work/root" && mkdir -p "$work/root"
    cp "$build/net/stream_guest" "$work/root/stream"
    linux_net_root "$linux" "$work/root"
    linux_pack "$work/root" "$work/net.cpio"
}

inside=(ip netns exec "$space")
dgram="dgram,id=n,local.type=unix,local.path=$work/q,remote.type=unix,remote.path=$work/r"

guest_start() { # guest_start linux|thunk
    if [ "$1" = linux ]; then
        "${inside[@]}" timeout 300 qemu-system-x86_64 -M pc -accel tcg -cpu max -m 512 -nographic -no-reboot -nodefaults \
            -serial file:"$work/guest" -kernel "$linux/vmlinuz" -initrd "$work/net.cpio" \
            -append "console=ttyS0 net.ifnames=0 quiet -- /stream serve 7" -netdev "$dgram" -device virtio-net-pci,netdev=n,romfile= >/dev/null &
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
# What one run learned of the path is not for the next.
"${inside[@]}" sysctl -qw net.ipv4.tcp_no_metrics_save=1
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
