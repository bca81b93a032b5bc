#!/usr/bin/env bash
# Signals, memory, threads and time: the same program here and in the guest, the same output; and
# how a program's end by a signal, by its own hand or for want of memory is reported.
set -u
. test/guest/lib.sh
program=$(realpath "$BUILD/guest")/process

"$program" >"$WORK/host.out" 2>/dev/null
host=$?
"$THUNK" run --timeout "$LIMIT" "$program" >"$WORK/guest.out" 2>"$WORK/err" </dev/null
guest=$?
[ "$host" -eq "$guest" ] && cmp -s "$WORK/host.out" "$WORK/guest.out"
ok $? "signals, memory, threads and time as on the host" || {
    echo "# status $guest, on the host $host"
    diff "$WORK/host.out" "$WORK/guest.out" | sed 's/^/# /'
    diagnose "$WORK/err"
}
[ ! -s "$WORK/err" ]
ok $? "and not a word from the kernel" || diagnose "$WORK/err"

"$THUNK" run --timeout "$LIMIT" --kernel-arg noaslr "$program" >"$WORK/fixed.out" 2>"$WORK/err" </dev/null
cmp -s "$WORK/host.out" "$WORK/fixed.out"
ok $? "the same at fixed addresses" || diagnose "$WORK/err"

"$THUNK" run --timeout "$LIMIT" "$program" abort >"$WORK/guest.out" 2>"$WORK/err" </dev/null
[ $? -eq 134 ] && grep -q SIGABRT "$WORK/err"
ok $? "abort ends with status 134" || diagnose "$WORK/err"

finish
