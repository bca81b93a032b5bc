#!/usr/bin/env bash
# Every write and flush of a guest that writes and syncs is recorded (QEMU's blklogwrites), and the
# disk as it was at each flush, and as a power cut just before could have left it, is checked, mounted
# and held against what the guest knew to be durable then.
# STEPS says how much the guest does (600, in `make soak` 10000).
set -u
. test/crash/lib.sh
steps=$(realpath "$BUILD/crash/steps")
check=$(realpath "$BUILD/crash/steps_check")
count=${STEPS:-$([ -n "${SOAK:-}" ] && echo 10000 || echo 600)}
mkdir "$WORK/empty"

"$THUNK" build -o "$WORK/disk.img" --size 24M --add "$WORK/empty:/crash" "$steps" /crash "$count" 2>"$WORK/err"
ok $? "an image is built" || diagnose "$WORK/err"
cp "$WORK/disk.img" "$WORK/before.img"
: >"$WORK/writes.log"
# An emulator that puts the recording driver under the disk which it is told to use.
emulator_wrap "driver=blklogwrites,node-name=disk,file.driver=file,file.filename=$WORK/disk.img,log.driver=file,log.filename=$WORK/writes.log,log-sector-size=512"
PATH=$WORK/bin:$PATH "$THUNK" run --timeout "$LIMIT" --keep "$WORK/disk.img" "$steps" /crash "$count" \
    >"$WORK/acks" 2>"$WORK/machine.err" </dev/null
last=$(acked "$WORK/acks")
[ "$last" -eq "$count" ]
ok $? "the guest did $count steps" || { echo "# $last"; diagnose "$WORK/machine.err"; }
"$check" log "$WORK/before.img" "$WORK/writes.log" >"$WORK/check" 2>&1
ok $? "the disk at every flush holds what was acknowledged" || diagnose "$WORK/check"
sed 's/^/# /' "$WORK/check" | tail -1
"$THUNK" check "$WORK/disk.img" >"$WORK/check" 2>&1
ok $? "thunk check finds nothing wrong at the end" || diagnose "$WORK/check"
finish
