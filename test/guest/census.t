#!/usr/bin/env bash
# What is said when somebody asks, when a thunk does not return, and when a checked kernel stops:
# SIGQUIT (Ctrl-\ on a terminal) prints a census, and the program goes on.
set -u
. test/guest/lib.sh

# Runs `thunk run ARG...` in the background with its standard input from a FIFO that this shell
# writes as descriptor 9.  $machine is its process.
machine_begin() {
    rm -f "$WORK/in"
    mkfifo "$WORK/in"
    "$THUNK" run --timeout "$LIMIT" "$@" <"$WORK/in" >"$WORK/out" 2>"$WORK/err" &
    machine=$!
    exec 9>"$WORK/in"
}

# until_says FILE PATTERN: waits for a line, half a minute at most.
until_says() {
    local try
    for try in $(seq 300); do
        grep -q -- "$2" "$1" && return 0
        sleep 0.1
    done
    return 1
}

ends() { grep -c 'census ends$' "$WORK/err"; }

# asked_until_says PATTERN: asks for a census, again and again, until a whole one says that.
asked_until_says() {
    local try before
    for try in $(seq 30); do
        before=$(ends)
        kill -QUIT "$machine"
        for _ in $(seq 100); do
            [ "$(ends)" -gt "$before" ] && break
            sleep 0.1
        done
        grep -q -- "$1" "$WORK/err" && return 0
        sleep 0.3
    done
    return 1
}

has() { # has FILE PATTERN NAME
    grep -q -- "$2" "$1"
    ok $? "$3" || diagnose "$1"
}

machine_begin sqlite3 -batch :memory:
echo 'select 6 * 7;' >&9
until_says "$WORK/out" 42 # before that it may not be there to be asked
asked_until_says ' read()'
ok $? "SIGQUIT prints a census of a waiting program" || diagnose "$WORK/err"
has "$WORK/err" '^thunk:   CPU 0 is idle' "with the state of its CPU"
has "$WORK/err" '^thunk:   process [0-9]* /.*sqlite3: 1 threads' "its process"
has "$WORK/err" '^thunk:     thread [0-9]* .* read()' "the system call that its thread is in"
has "$WORK/err" '^thunk:   virtio-blk .*: nothing in flight' "its disk"
has "$WORK/err" '^thunk:   memory: ' "and its memory"
echo 'select 7 * 7;' >&9
exec 9>&-
wait "$machine"
status=$?
[ $status -eq 0 ] && [ "$(cat "$WORK/out")" = "42
49" ]
ok $? "the program goes on and ends as it would have" || echo "# status $status"

machine_begin -c 2 "$(realpath "$BUILD/guest")/spin"
until_says "$WORK/out" spinning
# Asked again: at first a CPU may still be about the line that was written.
asked_until_says '^thunk:   CPU [01] is in user mode at 0x'
ok $? "a program that computes is seen in user mode" || diagnose "$WORK/err"
asked_until_says '^thunk:   CPU [01] is idle'
ok $? "beside a CPU that idles" || diagnose "$WORK/err"
exec 9>&-
kill -INT "$machine"
wait "$machine"
[ $? -eq 130 ]
ok $? "SIGINT still ends it, with status 130"

# Exceptions as the emulator logs them: vector 2 is the NMI, 18 a second while a CPU is at work.
"$THUNK" run --timeout "$LIMIT" --accel tcg --net none --qemu-arg -d --qemu-arg int --qemu-arg -D --qemu-arg "$WORK/interrupts" \
    busybox sleep 5 >"$WORK/out" 2>"$WORK/err" </dev/null
ticks=$(grep -c 'v=02 ' "$WORK/interrupts")
echo "# $ticks NMIs"
[ "$ticks" -gt 0 ] && [ "$ticks" -lt 45 ]
ok $? "the watchdog's ticks end while the machine idles" || diagnose "$WORK/err"

export THUNK_KERNEL=$BUILD/kernel-debug.elf
machine_begin sqlite3 -batch :memory:
echo 'select 6 * 7;' >&9
until_says "$WORK/out" 42
asked_until_says ' read()'
has "$WORK/err" '(made at [a-z/0-9_]*\.c:[0-9]*).* oldest' \
    "a checked kernel lists completions by the place that made them"
exec 9>&-
wait "$machine"
ok $? "and the program goes on"

# The test kernel looks at no image, so any program will do.
export THUNK_KERNEL=$BUILD/kernel-test.elf
machine_begin --kernel-arg watchdog=1 --kernel-arg provoke=hang /bin/true
until_says "$WORK/err" '^thunk: census ends'
has "$WORK/err" 'watchdog: thunk provoked_hang (test/kernel/provoke.c:[0-9]*) has run for 1 s on CPU 0' \
    "a thunk that never returns is named"
has "$WORK/err" '#0 provoked_hang+' "with its backtrace"
: >"$WORK/err"
# Asked again: an NMI that comes while the watchdog's own is pending is one with it.
asked_until_says 'somebody outside asks'
ok $? "and a kernel that is stuck answers SIGQUIT" || diagnose "$WORK/err"
exec 9>&-
kill -INT "$machine"
wait "$machine"

"$THUNK" run --timeout "$LIMIT" --kernel-arg provoke=twice /bin/true >"$WORK/out" 2>"$WORK/err" </dev/null
[ $? -eq 255 ]
ok $? "a completion that is applied twice stops a checked kernel"
has "$WORK/err" 'provoked_done (made at test/kernel/provoke.c:[0-9]*) was applied at test/kernel/provoke.c:[0-9]* and again at test/kernel/provoke.c:[0-9]*' \
    "with both places"
has "$WORK/err" '^thunk: census ends' "and a census"

finish
