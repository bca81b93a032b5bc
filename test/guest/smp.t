#!/usr/bin/env bash
# Threads on several CPUs: what they compute, hand to each other and map is what it is on the host,
# with one CPU, two and eight (more than most hosts of the tests have).
set -u
. test/guest/lib.sh
program=$(realpath "$BUILD/guest/smp")
mkdir "$WORK/data"

parts() { # parts CPUS PART...
    OPTIONS=(--accel tcg -c "$1")
    local cpus=$1
    shift
    for part in "$@"; do
        same "$cpus CPUs: $part" "$WORK/data" /dev/null "$program" "$part"
    done
}

parts 1 affinity registers futex end
parts 2 affinity registers words futex mutex compute pipes memory end
parts 8 affinity registers mutex compute end

"$THUNK" run --accel tcg -c 2 --timeout "$LIMIT" --add "$WORK/data:/data" /bin/cat /proc/cpuinfo /proc/stat \
    /sys/devices/system/cpu/online /sys/devices/system/cpu/possible /sys/devices/system/cpu/present \
    >"$WORK/out" 2>"$WORK/err" </dev/null
[ "$(grep -c '^processor' "$WORK/out")" = 2 ] && [ "$(grep -c '^cpu[0-9]' "$WORK/out")" = 2 ] &&
    [ "$(grep -cx '0-1' "$WORK/out")" = 3 ]
ok $? "/proc and /sys show two CPUs" || diagnose "$WORK/out"

finish
