#!/usr/bin/env bash
# The emulator is killed while the guest writes and syncs, again and again on the same disk: after
# each time everything that was acknowledged must be there, and the next start goes on from it.
# KILLS says how often (100, in `make soak` 400).
set -u
. test/crash/lib.sh
steps=$(realpath "$BUILD/crash/steps")
check=$(realpath "$BUILD/crash/steps_check")
kills=${KILLS:-$([ -n "${SOAK:-}" ] && echo 400 || echo 100)}
image=$WORK/disk.img
mkdir "$WORK/empty"
ends=0 # machines that got so far as to acknowledge something new

: >"$WORK/wrong"
before=0
for n in $(seq "$kills"); do
    machine_start "$WORK/acks" --keep "$image" --size 64M --add "$WORK/empty:/crash" "$steps" /crash 1000000
    # At a random moment while it writes; or, every tenth time, after it was started.
    [ $((n % 10)) -eq 0 ] || lines_wait 2 "$WORK/acks"
    sleep "$(random_ms 200)"
    power_off
    now=$(acked "$WORK/acks")
    [ -s "$WORK/acks" ] || now=$before
    [ "$now" -gt "$before" ] && ends=$((ends + 1))
    # The newest step is done again after a start, and until it was, the one before it is the last.
    [ "$now" -lt $((before - 1)) ] && echo "kill $n: step $now is the last after a start, $before was acknowledged before" >>"$WORK/wrong"
    before=$now
    "$check" image "$image" "$now" >"$WORK/check" 2>&1 || { echo "kill $n:"; cat "$WORK/check"; } >>"$WORK/wrong"
    [ -s "$WORK/wrong" ] && break
done
echo "# $n kills, $before steps acknowledged"
[ ! -s "$WORK/wrong" ]
ok $? "everything acknowledged is there after each of $kills kills" || { diagnose "$WORK/wrong"; diagnose "$WORK/machine.err"; }
[ "$ends" -ge $((kills * 85 / 100)) ]
ok $? "nearly every machine had done something new when it was killed" || echo "# $ends of $kills"
"$THUNK" check "$image" >"$WORK/check" 2>&1
ok $? "thunk check finds nothing wrong" || diagnose "$WORK/check"
finish
