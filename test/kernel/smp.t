#!/usr/bin/env bash
# Machines with several CPUs: how many come up on which machine (told by ACPI's MADT on q35 and on
# microvm with ACPI, by the MP table without), a CPU that does not start, and a panic on all at once.
# What the CPUs do with each other is in test/kernel/smp_test.c and cpus_test.c.
set -u
. test/guest/lib.sh
hello=$(realpath "$BUILD/guest/hello")
kernel_test=$(realpath "$BUILD/kernel-test.elf")
export THUNK_KERNEL=${THUNK_KERNEL:-$(realpath "$BUILD/kernel.elf")}

# comes_up CPUS SECONDS OPTIONS...: so many run, and the program does; the log is in $WORK/err.
comes_up() {
    local cpus=$1 limit=$2 status=0
    shift 2
    "$THUNK" run --timeout "$limit" --accel tcg -v "$@" "$hello" </dev/null >"$WORK/out" 2>"$WORK/err" || status=$?
    [ "$status" -eq 0 ] && [ "$(cat "$WORK/out")" = hello ] && ! grep -qi panic "$WORK/err" || return 1
    if [ "$cpus" -eq 1 ]; then
        ! grep -Eq 'thunk: [0-9]+ CPUs$' "$WORK/err"
    else
        grep -q "thunk: $cpus CPUs\$" "$WORK/err"
    fi
}

check() { # check NAME CPUS SECONDS OPTIONS...
    local name=$1
    shift
    comes_up "$@"
    ok $? "$name" || diagnose "$WORK/err"
}

for machine in microvm q35; do
    for cpus in 1 2 8; do
        check "$machine, $cpus CPUs" $cpus 60 --machine $machine -c $cpus
    done
done
check "microvm, 64 CPUs" 64 60 -c 64
check "cpus=3 leaves the rest out" 3 60 -c 8 --kernel-arg cpus=3
check "cpus=1 leaves all out" 1 60 -c 8 --kernel-arg cpus=1
check "64 CPUs and little memory" 64 60 -c 64 -m 16M

# A CPU that does not start: one line, and the others run, with numbers that have no gap.
for lost in 1 2 3; do
    comes_up 3 300 -c 4 --kernel-arg cpu_fail=$lost &&
        [ "$(grep -c 'does not start; it is left out$' "$WORK/err")" -eq 1 ]
    ok $? "CPU $lost of 4 does not start" || diagnose "$WORK/err"
done
comes_up 1 300 -c 2 --kernel-arg cpu_fail=1 && [ "$(grep -c 'does not start' "$WORK/err")" -eq 1 ]
ok $? "the only other CPU does not start" || diagnose "$WORK/err"

# microvm without ACPI names its CPUs in the MP table.
machine_test() { # machine_test CPUS OPTIONS...
    local cpus=$1 status=0
    shift
    timeout 300 qemu-system-x86_64 -accel tcg,thread=multi -M microvm,acpi=off,pit=off,pic=off,rtc=on \
        -cpu max -m 64M -smp "$cpus" -nodefaults -no-user-config -display none -serial stdio -no-reboot \
        -device isa-debug-exit,iobase=0xf4,iosize=4 -kernel "$kernel_test" \
        -append "exit_port=0xf4 only_cpus cpus_expected=$cpus $*" </dev/null 2>&1 | tr -d '\r' >"$WORK/out"
    return "${PIPESTATUS[0]}"
}

# All CPUs panic at once: one is heard, whole, and the machine ends with its status.
machine_test 4 panic_race
status=$?
[ "$status" -eq 255 ] && [ "$(grep -c 'panic:' "$WORK/out")" -eq 1 ] &&
    ! grep -q 'inside a panic' "$WORK/out" && grep -q 'panic_here' "$WORK/out"
ok $? "a panic on every CPU at once is reported once" || { echo "# status $status"; diagnose "$WORK/out"; }

finish
