#!/bin/sh
# The ping-pong of a thunk between two CPUs, again and again: no run may hang (make soak).
# Usage: pingpong.sh [RUNS [ROUNDS]]; a line for each run, and at the end how many were good.

BUILD=${BUILD:-build}
RUNS=${1:-50}
ROUNDS=${2:-1000000}
LIMIT=${LIMIT:-1800} # seconds that a run may take
WORK=$(mktemp -d) || exit 1
trap 'rm -rf "$WORK"' EXIT
trap 'exit 1' INT TERM

good=0
run=0
while [ "$run" -lt "$RUNS" ]; do
    run=$((run + 1))
    timeout "$LIMIT" qemu-system-x86_64 -nodefaults -no-user-config -display none -serial stdio \
        -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4 -kernel "$BUILD/kernel-test.elf" \
        -append "exit_port=0xf4 only_ping_pong rounds=$ROUNDS limit=$LIMIT" -M microvm,acpi=on,pit=off,pic=off \
        -accel tcg,thread=multi -cpu max -m 64M -smp 2 </dev/null >"$WORK/out" 2>&1
    status=$?
    ended=$(grep -c '^ok .*to and fro' "$WORK/out")
    if [ "$status" -eq 1 ] && [ "$ended" -eq 1 ] && ! grep -q '^not ok\|SKIP' "$WORK/out"; then
        good=$((good + 1))
        echo "run $run: $(sed -n 's/^# ping-pong: //p' "$WORK/out" | tr -d '\r' | paste -s -d ';')"
    else
        echo "run $run: FAILED, status $status"
        sed 's/^/# /' "$WORK/out"
    fi
done
echo "$good of $RUNS runs ended well"
[ "$good" -eq "$RUNS" ]
