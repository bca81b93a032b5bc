#!/usr/bin/env bash
# Out of memory, everywhere: the n-th allocation of a heap fails, for n through the whole boot and a
# workload.  Each run must end by itself: as if nothing had happened, or with a failing status and a
# message.  Never a panic, a hang, or output that is wrong and does not say so.
#
# `make test` takes a sample within a minute or so; `make soak` (SOAK=1) takes every n.
set -u
. test/guest/lib.sh
programs=$(realpath "$BUILD/guest")
LIMIT=20 # seconds; a run takes a tenth of one
MISSES=5 # runs in a row in which nothing failed end a walk; threads do not always ask in one order
MOST=3000 # allocations that a workload may make before the walk gives up

seq 1 20000 >"$WORK/numbers"
image() { # image NAME PROGRAM: an image whose program works on /numbers, and what it prints
    "$THUNK" build -o "$WORK/$1.img" --add "$WORK/numbers:/numbers" "$programs/$2" /numbers
    "$THUNK" run --accel tcg --timeout "$LIMIT" --disk "$WORK/$1.img" >"$WORK/$1.wanted" 2>"$WORK/err" </dev/null &&
        [ "$(tail -n 1 "$WORK/$1.wanted")" = end ] && [ ! -s "$WORK/err" ]
    ok $? "the workload of the $1 program, with all of its memory" || diagnose "$WORK/err"
}

# attempt IMAGE OPTIONS...: one run, its exit status in $status, its messages without the one that
# announces the failure in $WORK/said.
attempt() {
    local image=$1
    shift
    status=0
    "$THUNK" run --accel tcg --timeout "$LIMIT" --disk "$WORK/$image.img" "$@" \
        >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
    grep -v '^thunk: memory: allocation .* fails, as asked$' "$WORK/err" >"$WORK/said"
}

# What is wrong with the attempt, in one line; nothing when it ended as it may.
verdict() {
    case $status in
    0) # The whole output; a message besides it does no harm.
        cmp -s "$WORK/out" "$WORK/$1.wanted" || echo "status 0 with other output"
        ;;
    1 | 126 | 127 | 134 | 135 | 137 | 139) # its own failure, not startable, or a signal
        if [ ! -s "$WORK/said" ]; then
            echo "status $status without a message"
        elif grep -Eqi 'panic|assert|backtrace' "$WORK/said"; then
            echo "a panic"
        fi
        ;;
    124) echo "a hang" ;;
    *) echo "status $status" ;;
    esac
}

# walk NAME IMAGE HEAP FIRST STRIDE OPTIONS...
walk() {
    local name=$1 image=$2 heap=$3 n=$4 stride=$5 missed=0 failures=0 runs=0 survived=0 wrong
    shift 5
    : >"$WORK/wrong"
    while [ "$missed" -lt "$MISSES" ] && [ "$n" -le "$MOST" ]; do
        attempt "$image" --kernel-arg "fail_$heap=$n" "$@"
        if grep -q 'fails, as asked$' "$WORK/err"; then missed=0; else missed=$((missed + 1)); fi
        wrong=$(verdict "$image")
        if [ -n "$wrong" ]; then
            failures=$((failures + 1))
            { echo "fail_$heap=$n: $wrong"; head -n 6 "$WORK/said"; } >>"$WORK/wrong"
        fi
        [ "$status" -ne 0 ] || survived=$((survived + 1))
        runs=$((runs + 1))
        n=$((n + stride))
    done
    [ "$failures" -eq 0 ] && [ "$n" -le "$MOST" ] && [ "$runs" -gt $((2 * MISSES)) ]
    ok $? "$name: $runs runs to allocation $n, $survived survived" || diagnose "$WORK/wrong"
}

# again NAME IMAGE HEAP INTERVALS OPTIONS...: every n-th fails, to the end.
again() {
    local name=$1 image=$2 heap=$3 intervals=$4 n wrong
    shift 4
    : >"$WORK/wrong"
    for n in $intervals; do
        attempt "$image" --kernel-arg "fail_${heap}_each=$n" "$@"
        wrong=$(verdict "$image")
        [ -z "$wrong" ] || { echo "fail_${heap}_each=$n: $wrong"; head -n 6 "$WORK/said"; } >>"$WORK/wrong"
    done
    [ ! -s "$WORK/wrong" ]
    ok $? "$name" || diagnose "$WORK/wrong"
}

# --- the judge ------------------------------------------------------------------------------------------
# judged NAME STATUS OUTPUT MESSAGE PATTERN: the verdict matches; '' is no verdict.
judged() {
    status=$2
    printf '%s' "$3" >"$WORK/out"
    printf '%s' "$4" >"$WORK/said"
    printf 'right' >"$WORK/judged.wanted"
    case $(verdict judged) in
    '') [ -z "$5" ] ;;
    *"${5:-nothing}"*) true ;;
    *) false ;;
    esac
    ok $? "the judge: $1"
}
judged "the whole output" 0 right '' ''
judged "a failure that says so" 1 '' 'thunk: no memory' ''
judged "success with less output" 0 righ 'thunk: no memory' other
judged "a failure without a word" 126 '' '' 'without a message'
judged "a panic" 1 '' 'thunk: panic: kernel/x.c:1: no' panic
judged "a hang" 124 '' 'thunk: ended' hang
judged "any other end" 33 '' 'thunk: no' 'status 33'

# --- the walks ------------------------------------------------------------------------------------------
image static memory_work
image dynamic memory_work_dynamic
image sockets socket_work

two=(-c 2)
if [ -n "${SOAK:-}" ]; then
    dynamic=1 pair=1 rounds=3 sockets=1
    every=$(seq 1 200)
else
    dynamic=11 pair=17 rounds=1 sockets=7
    every="1 2 3 5 10 20 30 50 70 100"
fi
for heap in general pages; do
    walk "static, each allocation of the heap $heap" static "$heap" 1 1
    walk "dynamic, each ${dynamic}th of the heap $heap" dynamic "$heap" 2 "$dynamic"
    walk "sockets, each ${sockets}th of the heap $heap" sockets "$heap" 1 "$sockets"
    again "sockets, the heap $heap fails again and again" sockets "$heap" "$every"
    again "static, the heap $heap fails again and again" static "$heap" "$every"
    again "dynamic, the heap $heap fails again and again" dynamic "$heap" "$every"
    for round in $(seq 1 "$rounds"); do
        walk "static on two processors, the heap $heap, round $round" static "$heap" "$round" "$pair" "${two[@]}"
        walk "dynamic on two processors, the heap $heap, round $round" dynamic "$heap" "$round" "$pair" "${two[@]}"
    done
done

# A machine that is too small, rather than a heap that fails.
for megabytes in 2 3 4 5 6 8 10; do
    attempt dynamic -m "${megabytes}M"
    wrong=$(verdict dynamic)
    [ -z "$wrong" ]
    ok $? "dynamic in $megabytes MiB, status $status${wrong:+: $wrong}" || diagnose "$WORK/said"
done

finish
