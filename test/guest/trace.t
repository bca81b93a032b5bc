#!/usr/bin/env bash
# Traces and flame graphs: what they hold, that they are well-formed however the machine ends, and
# what a trace point costs that is off.
set -u
. test/guest/lib.sh
check=test/guest/trace_check.py
work=$(realpath "$BUILD/guest/trace_work")
run() { "$THUNK" run --accel tcg --timeout "$LIMIT" "$@" </dev/null >"$WORK/out" 2>"$WORK/err"; }
counted() { awk -v what="$1" 'index($0, what " ") == 1 { n = $NF } END { print n + 0 }' "$WORK/summary"; }
well_formed() { python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$1"; }

# --- a program that reads a file --------------------------------------------------------------------
seq 1 60000 >"$WORK/numbers"
for cpus in 1 2; do
    # How often threads wait for each other is chance, so calls are compared within one run.
    run -c $cpus --strace --trace "$WORK/trace" --add "$WORK/numbers:/numbers" "$work" /numbers
    python3 $check "$WORK/trace" "$WORK/err" >"$WORK/summary" 2>&1
    ok $? "the calls of a trace are those that strace shows, on $cpus CPUs" || { grep complaint "$WORK/summary" | sed 's/^/# /'; }
    run -c $cpus --trace "$WORK/trace" --flame "$WORK/flame.svg" --add "$WORK/numbers:/numbers" "$work" /numbers
    ok $? "a traced program runs on $cpus CPUs" || diagnose "$WORK/err"
    [ "$(cat "$WORK/out")" = "$(wc -c <"$WORK/numbers") bytes" ] && [ ! -s "$WORK/err" ]
    ok $? "and says what it says otherwise, and nothing else" || diagnose "$WORK/err"
    python3 $check "$WORK/trace" >"$WORK/summary" 2>&1
    ok $? "spans end, and times rise" || { grep complaint "$WORK/summary" | sed 's/^/# /'; }
    [ "$(counted "thread-call getppid")" -eq 7 ] && [ "$(counted "thread-call getuid")" -eq 3 ] &&
        [ "$(counted "thread-call nanosleep")" -eq 1 ]
    ok $? "each call is there as often as it was made" || diagnose "$WORK/summary"
    [ "$(counted disk)" -gt 3 ] && [ "$(counted lost)" -eq 0 ] && grep -q '^whole True$' "$WORK/summary"
    ok $? "block requests are there, and nothing was lost" || diagnose "$WORK/summary"
    for what in "thunk thread_run" "thunk blk_service" "idle idle" "interrupt virtio-mmio" "interrupt timer" \
        "fault page fault" "thread thread 2" "call read"; do
        grep -q "^$what " "$WORK/summary"
        ok $? "a CPU's track shows: $what" || diagnose "$WORK/summary"
    done
    well_formed "$WORK/flame.svg" && grep -q '<title>CPU 0: ' "$WORK/flame.svg" &&
        grep -q '<title>run loop: ' "$WORK/flame.svg" && grep -q '<title>blk_service (drivers/virtio_blk.c:' "$WORK/flame.svg" &&
        grep -q '<title>thread [0-9]*: ' "$WORK/flame.svg" && grep -q '<title>read: ' "$WORK/flame.svg"
    ok $? "the flame graph is XML, with closures by name and calls" || diagnose "$WORK/flame.svg"
done
[ "$(python3 -c 'import json,sys; print(len({e["tid"] for e in json.load(open(sys.argv[1]))["traceEvents"] if e["pid"] == 1 and e["ph"] == "B"}))' "$WORK/trace")" -eq 2 ]
ok $? "two CPUs have two tracks"
python3 - "$WORK/trace" <<'P'
import json, sys
spans = [e for e in json.load(open(sys.argv[1]))["traceEvents"] if e["pid"] == 2 and e["ph"] in "BE"]
begin = [i for i, e in enumerate(spans) if e.get("name") == "nanosleep"][0]
end = [e for e in spans[begin + 1:] if e["tid"] == spans[begin]["tid"]][0]
sys.exit(0 if end["ph"] == "E" and end["ts"] - spans[begin]["ts"] >= 20000 and end["args"]["result"] == 0 else 1)
P
ok $? "a call that waits lasts from its entry to its return"

# --- however it ends ----------------------------------------------------------------------------------
# shows_sleep STATUS WANTED: the run ended so, and its trace is whole and has the call that hangs.
shows_sleep() {
    [ "$1" -eq "$2" ] && python3 $check "$WORK/trace" >"$WORK/summary" &&
        [ "$(counted "thread-call clock_nanosleep")" -eq 1 ] && well_formed "$WORK/flame.svg"
}
# On a loaded host the machine may not have come so far; then it has longer.
for seconds in 2 10 60; do
    "$THUNK" run --accel tcg --timeout $seconds --trace "$WORK/trace" --flame "$WORK/flame.svg" /bin/busybox sleep 1000 </dev/null >"$WORK/out" 2>"$WORK/err"
    shows_sleep $? 124 && break
done
ok $? "--timeout leaves a whole trace, with the call that hangs" || diagnose "$WORK/summary"
for seconds in 2 10 60; do
    "$THUNK" run --accel tcg --trace "$WORK/trace" --flame "$WORK/flame.svg" /bin/busybox sleep 1000 </dev/null >"$WORK/out" 2>"$WORK/err" &
    pid=$!
    sleep $seconds
    kill -INT $pid
    wait $pid
    shows_sleep $? 130 && break
done
ok $? "so does Ctrl-C" || diagnose "$WORK/summary"
run --trace "$WORK/trace" /bin/busybox sh -c 'exit 7'
[ $? -eq 7 ] && python3 $check "$WORK/trace" >"$WORK/summary"
ok $? "the exit status is the program's" || diagnose "$WORK/err"
run --kernel-arg trace=64 --trace "$WORK/trace" /bin/busybox sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done'
[ $? -eq 0 ] && python3 $check "$WORK/trace" >"$WORK/summary"
ok $? "small rings do" || diagnose "$WORK/summary"
run --kernel-arg trace /bin/busybox sleep 6
[ $? -eq 0 ] && [ "$(grep -c . "$WORK/err")" -eq 1 ] && grep -q '^thunk: the option trace: nobody takes the trace' "$WORK/err"
ok $? "a trace that nobody takes is said, once" || diagnose "$WORK/err"
run --trace /dev/full /bin/busybox true
[ $? -eq 1 ] && grep -q '^thunk: /dev/full: cannot be written: No space left' "$WORK/err"
ok $? "a trace that cannot be written is a failure" || diagnose "$WORK/err"

# --- the boot -------------------------------------------------------------------------------------------
run --timeline /bin/busybox true
awk '/%/ { sum += $4; lines++; } /100.0 %/ { whole = $4 } END { exit !(lines >= 5 && whole == 100 && sum > 199 && sum < 201) }' "$WORK/err"
ok $? "--timeline: stages whose shares are the whole" || diagnose "$WORK/err"
grep -q "us  *[0-9.]* %  QEMU's start, to the kernel's first instruction$" "$WORK/err" && grep -q "% *filesystem mounted" "$WORK/err"
ok $? "from QEMU's start on" || diagnose "$WORK/err"

# --- what it costs when it is off -------------------------------------------------------------------------
# The same function with and without a point, as the kernel is compiled: what stays in its hot part.
hot() { # hot SOURCE-LINES: instructions of f and its cold part's not
    printf '#include "runtime/trace.h"\nu64 f(u64 a, u64 b);\nu64 f(u64 a, u64 b)\n{\n%s\nreturn a + b;\n}\n' "$1" >"$WORK/f.c"
    "${CC:-gcc}" -std=gnu2x -I. -O2 -ffreestanding -fPIE -fvisibility=hidden -mgeneral-regs-only -fno-omit-frame-pointer \
        -fcf-protection=none -c -o "$WORK/f.o" "$WORK/f.c" || return 1
    objdump -d --no-show-raw-insn "$WORK/f.o" | awk '/^[0-9a-f]+ <f>:/ { on = 1; next } /^$/ { on = 0 } on && !/nop/ { n++; if (/ret/) exit } END { print n }'
}
without=$(hot "") with=$(hot "TRACE(TIMER_BEGIN, a * 3);")
echo "# a point adds $((with - without)) instructions to a function of $without"
[ $((with - without)) -le 3 ] && [ "$with" -gt "$without" ]
ok $? "a point that is off is at most 3 instructions"
# In the kernel: every look at the switch is one compare with a branch right behind it.
objdump -d --no-show-raw-insn "$BUILD/thunk-kernel.elf" |
    awk '/^[0-9a-f]+ </ { where = $2; if (pending) print where; pending = 0 }
         /<trace_on>/ && /cmpb/ { pending = 6; points++; next }
         pending && /\tj(ne|e) / { pending = 0; next }
         pending && --pending == 0 && where !~ /console_init|trace/ { print "no branch behind the look at the switch in " where }
         END { print points + 0 }' >"$WORK/points"
points=$(tail -n 1 "$WORK/points")
[ "$(wc -l <"$WORK/points")" -eq 1 ] && [ "$points" -ge 15 ]
ok $? "the kernel's $points points are a compare and a branch each" || diagnose "$WORK/points"

finish
