#!/bin/sh
# Runs the kernel's own tests in QEMU; TAP.  `make test` calls it with no argument: every accelerator
# that can run a guest here, each as one subtest list with its name in front.  `make test-kernel`
# passes tcg, kvm or auto; auto is KVM where that runs a guest, else TCG.
#
# KVM is tried by running the tests themselves with a short limit, because the device's presence says
# little.  Some of what calls itself KVM emulates: it needs a plain CPU without newer instructions
# and cannot enter user mode; the tests keep within that.

BUILD=${BUILD:-build}
KERNEL=$BUILD/kernel-test.elf
LIMIT=${KERNEL_TEST_SECONDS:-240}
WORK=$(mktemp -d) || exit 1
trap 'rm -rf "$WORK"' EXIT
trap 'exit 1' INT TERM

# What the guest is given: a scratch disk, and an image with a known file in it.
disks_make() {
    truncate -s 8M "$WORK/scratch"
    mkdir "$WORK/root"
    # 10,000 bytes, byte n being n % 251.
    awk 'BEGIN { for (n = 0; n < 10000; n++) printf "\\%03o", n % 251 }' >"$WORK/octal"
    printf "$(cat "$WORK/octal")" >"$WORK/root/mark"
    cp "$KERNEL" "$WORK/root/program"
    "$BUILD/thunk" build -o "$WORK/image" --root "$WORK/root" /program >"$WORK/build.log" 2>&1 ||
        rm -f "$WORK/image"
}

# $1: machine, $2: accelerator, $3: the guest's options; output in $WORK/$1-$2
guest_run() {
    cp "$WORK/scratch" "$WORK/disk"
    set -- "$1" "$2" "$3" -drive "if=none,id=d0,format=raw,file=$WORK/disk"
    [ -f "$WORK/image" ] &&
        set -- "$@" -drive "if=none,id=d1,format=raw,readonly=on,file=$WORK/image"
    machine=$1 accel=$2 options=$3
    shift 3
    case $machine in
    # Without ACPI tables QEMU names the devices on the command line.
    microvm) device=virtio-blk-device machine_is=microvm,acpi=off,pic=off,rtc=on ;;
    *) device=virtio-blk-pci machine_is=$machine ;;
    esac
    case $machine-$accel in # the watchdog ticks by the PIT
    microvm-kvm) machine_is=$machine_is,pit=off ;;
    microvm-*) machine_is=$machine_is,pit=on ;;
    esac
    case $accel in
    kvm) set -- "$@" -M "$machine_is,accel=kvm" -cpu qemu64,level=4 -m 8M ;;
    tcg-smp) set -- "$@" -M "$machine_is" -accel tcg,thread=multi -smp 2 -cpu max -m 64M ;;
    *) set -- "$@" -M "$machine_is,accel=tcg" -cpu max -m 64M ;;
    esac
    set -- "$@" -device "$device,drive=d0"
    [ -f "$WORK/image" ] && set -- "$@" -device "$device,drive=d1"
    timeout "$LIMIT" qemu-system-x86_64 -nodefaults -no-user-config -display none -serial stdio \
        -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4 -kernel "$KERNEL" \
        -append "exit_port=0xf4 watchdog=2 $options" "$@" \
        >"$WORK/$machine-$accel" 2>"$WORK/$machine-$accel.errors" </dev/null
    echo $? >"$WORK/$machine-$accel.status"
}

# Could that accelerator run the guest at all?
guest_began() {
    grep -q '^# booted' "$WORK/$1-$2"
}

# Prints the results of one run, numbered on, and checks that it ended as it should.
results_show() {
    sed -n "s/^\(#.*\)/\1/p; s/^ok [0-9]* - /ok - $1, $2: /p; s/^not ok [0-9]* - /not ok - $1, $2: /p" \
        "$WORK/$1-$2" | tr -d '\r'
    if [ "$(cat "$WORK/$1-$2.status")" = 1 ]; then
        echo "ok - $1, $2: the machine ended with status 0"
    else
        echo "not ok - $1, $2: the machine ended with status 0"
        echo "# QEMU's status is $(cat "$WORK/$1-$2.status"); its last lines:"
        tail -n 5 "$WORK/$1-$2" "$WORK/$1-$2.errors" | sed 's/^/# /'
    fi
}

run_tcg() {
    for machine in ${MACHINES:-microvm q35}; do
        guest_run "$machine" tcg ""
        results_show "$machine" tcg
    done
    guest_run q35 tcg-smp "cpus_expected=2 rounds=2000"
    results_show q35 tcg-smp
}

# An emulator of KVM runs 3 million instructions a second, and firmware takes long: microvm alone.
run_kvm() {
    if [ ! -w /dev/kvm ]; then
        echo "ok - kvm # SKIP /dev/kvm is not here or not writable"
        return 1
    fi
    guest_run microvm kvm no_user
    if ! guest_began microvm kvm; then
        echo "ok - kvm # SKIP KVM does not run a guest here"
        return 1
    fi
    results_show microvm kvm
}

disks_make
case ${1:-both} in
tcg) run_tcg ;;
kvm) run_kvm ;;
auto) run_kvm >"$WORK/kvm" && cat "$WORK/kvm" || run_tcg ;;
both)
    run_tcg
    run_kvm
    ;;
*)
    echo "usage: $0 [tcg|kvm|auto]" >&2
    exit 2
    ;;
esac >"$WORK/results"
awk '/^(not )?ok / { n++; sub(/ok -/, "ok " n " -") } { print } END { print "1.." n }' "$WORK/results"
! grep -q '^not ok' "$WORK/results"
