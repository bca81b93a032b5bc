#!/usr/bin/env bash
# How waits end: the same program here and in the guest, with one and with two processors, the same
# output; and how a process ends whose threads wait in every way, for a slow disk too.
set -u
. test/guest/lib.sh
program=$(realpath "$BUILD/guest")/waits

timeout "$LIMIT" "$program" >"$WORK/host.out" 2>/dev/null </dev/null
host=$?
for cpus in 1 2; do
    "$THUNK" run -c $cpus --timeout "$LIMIT" "$program" >"$WORK/guest.out" 2>"$WORK/err" </dev/null
    guest=$?
    [ "$host" -eq "$guest" ] && [ ! -s "$WORK/err" ] && cmp -s "$WORK/host.out" "$WORK/guest.out"
    ok $? "waits end on $cpus processors as on the host" || {
        echo "# status $guest, on the host $host"
        diff "$WORK/host.out" "$WORK/guest.out" | sed 's/^/# /'
        diagnose "$WORK/err"
    }
done

ends() { # ends NAME STATUS ARG... (of thunk run): that status, its line of output, and no hang
    local name=$1 wanted=$2 status
    shift 2
    "$THUNK" run --timeout "$LIMIT" "$@" >"$WORK/guest.out" 2>"$WORK/err" </dev/null
    status=$?
    [ "$status" -eq "$wanted" ] && grep -q '^ends by' "$WORK/guest.out" &&
        ! grep -q 'in flight' "$WORK/err"
    ok $? "$name: status $wanted" || { echo "# status $status"; diagnose "$WORK/err"; }
}

for cpus in 1 2; do
    ends "exit while threads wait, $cpus processors" 3 -c $cpus "$program" end exit
    ends "the last thread's end, $cpus processors" 0 -c $cpus "$program" end last
    ends "SIGKILL, $cpus processors" 137 -c $cpus "$program" end kill
    ends "an alarm, $cpus processors" 142 -c $cpus "$program" end alarm
    ends "abort, $cpus processors" 134 -c $cpus "$program" end abort
done

# The disk answers quickly as long as the start takes, then twice a second.
head -c 64M /dev/urandom >"$WORK/file"
slow=(-c 2 --add "$WORK/file:/file"
    --qemu-arg -set --qemu-arg drive.disk.throttling.iops-read=2
    --qemu-arg -set --qemu-arg drive.disk.throttling.iops-read-max=60)
ends "exit while threads wait for a slow disk" 3 "${slow[@]}" "$program" slow /file exit
ends "SIGKILL then" 137 "${slow[@]}" "$program" slow /file kill
ends "an alarm then" 142 "${slow[@]}" "$program" slow /file alarm

finish
