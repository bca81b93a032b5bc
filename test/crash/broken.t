#!/usr/bin/env bash
# A disk that fails, or is read-only, or is gone, from some write on (QEMU's blkdebug), or that is taken
# out of the running machine (QEMU's drive_del, or the whole device): programs get EIO or EROFS, the
# kernel says what happened, in few lines, and everything ends in bounded time; and what was synced
# before is there.
set -u
LIMIT=${LIMIT:-100} # seconds: more than all that the kernel itself waits for, on a loaded host
. test/crash/lib.sh
program=$(realpath "$BUILD/crash/broken")
mkdir "$WORK/empty"
head -c 3000000 /dev/urandom >"$WORK/unread"
emulator_wrap "driver=raw,node-name=disk,file.driver=blkdebug,file.config=$WORK/rules,file.image.driver=file,file.image.filename=$WORK/disk.img"

# says COUNT WORDS...: grep with these words finds so many lines in what the machine said.
says() { [ "$(grep -cE "${@:2}" "$WORK/err")" -eq "$1" ]; }

# disk_make: a new disk with the program, a folder to write to and a file that nobody has read.
disk_make() {
    rm -f "$WORK/disk.img"
    "$THUNK" build -o "$WORK/disk.img" --size 48M --add "$WORK/empty:/w" --add "$WORK/unread:/unread" \
        "$program" /w /unread 2>"$WORK/err"
}

# judge NAME STATUS UNREAD: what the program and the machine said is as it should be, and so is the
# disk; UNREAD is how reading what is not in memory ends.
judge() {
    local name=$1 status=$2 unread=$3 n synced bytes
    synced=$(awk '$1 == "synced" { n = $2 } END { print n + 0 }' "$WORK/out")
    grep -q '^end$' "$WORK/out" && [ "$status" -lt 124 ]
    ok $? "$name: the program and the machine end" || { echo "# status $status"; diagnose "$WORK/err"; tail -5 "$WORK/out" | sed 's/^/# /'; }
    [ "$synced" -gt 0 ] && grep -q '^first E' "$WORK/out" && grep -q '^then EIO or EROFS, last E' "$WORK/out" &&
        grep -q '^cached good$' "$WORK/out" && grep -q "^unread $unread\$" "$WORK/out"
    ok $? "$name: every call says EIO or EROFS, and what is in memory can be read" || { diagnose "$WORK/err"; tail -5 "$WORK/out" | sed 's/^/# /'; }
    n=$(wc -l <"$WORK/err")
    [ "$n" -le 12 ] && says 1 '^thunk: fs: the filesystem can no longer be written and is read-only now: .' &&
        says 1 '^thunk: virtio-blk .*: not all that was written is durable: .' &&
        says 0 -v '^thunk: (fs|virtio-blk)[ :]' && says 0 -e '--timeout'
    ok $? "$name: the kernel says so once, in few lines, and nothing else is said" || { echo "# $n lines"; diagnose "$WORK/err"; }
    "$THUNK" check "$WORK/disk.img" >"$WORK/check" 2>&1
    ok $? "$name: thunk check finds nothing wrong" || diagnose "$WORK/check"
    bytes=$("$THUNK" cat "$WORK/disk.img" /w/log 2>"$WORK/err" | wc -c)
    [ "$synced" -gt 0 ] && [ "$bytes" -ge $((synced * 512)) ]
    ok $? "$name: what was synced is there" || { echo "# $synced synced, $bytes bytes"; diagnose "$WORK/err"; }
}

# broken NAME ERRNO UNREAD KIND...: from the WRITES-th write on, requests of these kinds fail with
# ERRNO.
WRITES=120
broken() {
    local name=$1 errno=$2 unread=$3 kind n
    shift 3
    for n in $(seq "$WRITES"); do
        printf '[set-state]\nevent = "pwritev"\nstate = "%d"\nnew_state = "%d"\n\n' "$n" $((n + 1))
    done >"$WORK/rules"
    for kind in "$@"; do
        printf '[inject-error]\nevent = "pwritev"\niotype = "%s"\nstate = "%d"\nerrno = "%d"\nonce = "off"\n\n' \
            "$kind" $((WRITES + 1)) "$errno"
    done >>"$WORK/rules"
    disk_make
    PATH=$WORK/bin:$PATH "$THUNK" run --timeout "$LIMIT" --keep "$WORK/disk.img" "$program" /w /unread \
        >"$WORK/out" 2>"$WORK/err" </dev/null
    judge "$name" $? "$unread"
}

# monitor SOCKET COMMAND...: has QEMU's monitor do it; each is a command of QMP.
monitor() {
    python3 -c 'import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
s.connect(sys.argv[1])
f = s.makefile("rw")
f.readline()
for c in ["{\"execute\": \"qmp_capabilities\"}"] + sys.argv[2:]:
    f.write(c + "\n")
    f.flush()
    while "return" not in (answer := json.loads(f.readline())):
        if "error" in answer:
            sys.exit(str(answer))
if answer["return"]:
    sys.exit(answer["return"])' "$@"
}

# What QEMU is to do.  The first leaves the device, with nothing behind it, so that requests fail;
# after the second there is no device, and nothing answers; the third asks the guest to let go of
# it, which a machine that runs from this disk does not.
DRIVE_GONE='{"execute": "human-monitor-command", "arguments": {"command-line": "drive_del disk"}}'
DEVICE_GONE='{"execute": "qom-set", "arguments": {"path": "/machine/peripheral-anon/device[0]", "property": "realized", "value": false}}'
DEVICE_ASKED='{"execute": "device_del", "arguments": {"id": "/machine/peripheral-anon/device[0]"}}'

# taken NAME MACHINE COMMAND: the disk is taken out of the running machine while the program writes to
# it, with whatever is on its way then.
taken() {
    local name="$1, $2" status
    disk_make
    rm -f "$WORK/monitor"
    machine_start "$WORK/out" --machine "$2" --keep "$WORK/disk.img" --qemu-arg -qmp \
        --qemu-arg "unix:$WORK/monitor,server=on,wait=off" "$program" /w /unread
    lines_wait 20 "$WORK/out"
    monitor "$WORK/monitor" "$3" >"$WORK/taken" 2>&1
    ok $? "$name: QEMU does so" || diagnose "$WORK/taken"
    wait "$machine"
    status=$?
    mv "$WORK/machine.err" "$WORK/err"
    judge "$name" "$status" EIO
}

# asked: the machine is asked for its disk, and works on undisturbed.
asked() {
    local before
    disk_make
    rm -f "$WORK/monitor"
    machine_start "$WORK/out" --machine pc --keep "$WORK/disk.img" --qemu-arg -qmp \
        --qemu-arg "unix:$WORK/monitor,server=on,wait=off" "$program" /w /unread
    lines_wait 20 "$WORK/out"
    monitor "$WORK/monitor" "$DEVICE_ASKED" >"$WORK/taken" 2>&1
    ok $? "asked for its disk: QEMU does so" || diagnose "$WORK/taken"
    before=$(wc -l <"$WORK/out")
    lines_wait $((before + 100)) "$WORK/out"
    running && ! grep -qv '^synced' "$WORK/out" && [ ! -s "$WORK/machine.err" ]
    ok $? "asked for its disk: the program works on" || diagnose "$WORK/machine.err"
    power_off
}

broken "writes fail" 5 good write
broken "the disk turns read-only" 30 good write discard
broken "flushes fail" 5 good flush
broken "the disk is gone" 5 EIO read write flush discard
for machine in microvm q35 pc; do
    taken "the drive is taken out" $machine "$DRIVE_GONE"
done
# The kernel waits half a minute for a device that says nothing.
for machine in q35 ${SOAK:+microvm pc}; do
    taken "the device is taken out" $machine "$DEVICE_GONE"
done
asked
finish
