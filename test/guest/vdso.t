#!/usr/bin/env bash
# The clocks in the vDSO: they agree with the system calls, and both C libraries find them.
set -u
. test/guest/lib.sh
programs=$(realpath "$BUILD/guest")

for program in clocks clocks_dynamic; do
    case $program in
    clocks) library="static, musl" ;;
    *) library="dynamic, glibc" ;;
    esac
    "$THUNK" run --timeout "$LIMIT" "$programs/$program" compare </dev/null >"$WORK/out" 2>"$WORK/err"
    [ $? -eq 0 ] && grep -qx "the clocks agree" "$WORK/out" && [ ! -s "$WORK/err" ]
    ok $? "$library: library and system call agree" || {
        diagnose "$WORK/out"
        diagnose "$WORK/err"
    }

    "$THUNK" run --timeout "$LIMIT" --strace "$programs/$program" library </dev/null >"$WORK/out" 2>"$WORK/err"
    [ $? -eq 0 ] && grep -qx "the clocks were read" "$WORK/out" && grep -q write "$WORK/err" &&
        ! grep -E '(clock_gettime|gettimeofday|time|getcpu)\(' "$WORK/err" >"$WORK/calls"
    ok $? "$library: the library makes no system call to read a clock" || {
        diagnose "$WORK/out"
        diagnose "$WORK/calls"
    }
done

finish
