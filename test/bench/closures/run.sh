#!/usr/bin/env bash
# What closures cost, beside plain C, the C library's coroutines and Go: one table, appended to
# $BUILD/bench/table.md.  Nanoseconds are medians of three runs by turns, each a median of many.
# Instructions: hosted by valgrind, in the kernel by -icount.
set -euo pipefail
build=$(realpath "$1")
closures=$build/bench/closures
table=$build/bench/table.md
work=$(mktemp -d "${TMPDIR:-/tmp}/thunk-closures.XXXXXX")
trap 'rm -rf "$work"' EXIT

for _ in 1 2 3; do
    "$closures/closures"
    "$closures/closures_go"
done >"$work/times"
sort -k1,1 -k2,2n "$work/times" | awk '{ v[$1, ++n[$1]] = $2 } END { for (k in n) print k, v[k, int((n[k] + 1) / 2)] }' >"$work/ns"

collected() { # collected OPERATION ROUNDS
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$closures/closures" "$1" "$2" 2>&1 |
        awk '/Collected/ { print $NF }'
}
hosted() { # instructions of one operation: what 10,000 rounds more cost
    awk -v a="$(collected "$1" 1000)" -v b="$(collected "$1" 11000)" 'BEGIN { printf "%.0f\n", (b - a) / 10000 }'
}

timeout 60 qemu-system-x86_64 -M microvm,acpi=off,pit=off,pic=off,rtc=on -accel tcg -cpu max,erms=off,fsrm=off -m 64M \
    -icount shift=0,sleep=off -nodefaults -no-user-config -display none -serial stdio -no-reboot \
    -device isa-debug-exit,iobase=0xf4,iosize=4 -kernel "$closures/kernel.elf" -append exit_port=0xf4 \
    </dev/null >"$work/kernel" || [ $? -eq 1 ] # how the exit port says 0

ns() { awk -v k="$1" '$1 == k { print $2 }' "$work/ns"; }
kernel() { awk -v k="$1" '$1 == k { f = $2 } END { print (f == "" ? "-" : f) }' "$work/kernel"; }
met() { awk -v a="$1" -v b="$2" 'BEGIN { print (a + 0 <= b + 0 ? "yes" : "NO") }'; }

row() { # row NAME OPERATION OTHERS AIM LIMIT: LIMIT in nanoseconds; '' when there is no aim
    local ours counted=-
    ours=$(ns "$2")
    case $2 in *cpus) ;; *) counted=$(hosted "$2") ;; esac
    printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$ours" "$counted" "$(kernel "$2")" "$3" "${4:--}" \
        "$([ -n "${5:-}" ] && met "$ours" "$5" || echo -)"
}
times() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f\n", a * b }'; }

{
    printf '\n| closures: one operation | ns | insn, hosted | insn, kernel | against, ns | aim | met |\n|---|---|---|---|---|---|---|\n'
    row "embedded: init_method + apply" embedded_made \
        "plain callback $(ns callback_made) ($(kernel callback_made) insn), Go not escaping $(ns go_not_escaping)" \
        "1.2 x the callback" "$(times 1.2 "$(ns callback_made)")"
    row "embedded: apply alone" embedded_only \
        "plain callback $(ns callback_only) ($(kernel callback_only) insn), Go $(ns go_applied)" \
        "1.2 x the callback" "$(times 1.2 "$(ns callback_only)")"
    row "on the stack: made and applied" stack_made "Go not escaping $(ns go_not_escaping)"
    row "on a heap: made, applied and finished" heap_made "Go escaping $(ns go_escaping)" "Go escaping" "$(ns go_escaping)"
    row "merge of 8 branches, embedded" merge_embedded "Go WaitGroup of 8 $(ns go_wait_group)"
    row "merge of 8 branches, on a heap" merge_allocated "Go WaitGroup of 8 goroutines $(ns go_wait_group_goroutines)"
    same="Go channel $(ns go_ping_pong), Gosched $(ns go_gosched); swapcontext $(ns ucontext_switch), bare switch $(ns bare_switch)"
    row "thunk queued and run, same CPU, closure_queue" hand_over "$same" "Go Gosched, swapcontext" \
        "$(printf '%s\n' "$(ns go_gosched)" "$(ns go_ping_pong)" "$(ns ucontext_switch)" | sort -n | head -1)"
    row "the same, 32 at a time" hand_over_batch "the same"
    row "the same, thunk_queue (many consumers)" hand_over_shared "the same"
    row "thunk queued on another CPU and run there" hand_over_cpus "Go channel, two threads $(ns go_ping_pong_cpus)" \
        "Go's" "$(ns go_ping_pong_cpus)"
    printf '| run_later: through the run loop | - | - | %s | - | - | - |\n' "$(kernel run_later)"
    echo
    echo "The heap is the kernel's slabs with a CPU's cache in front, hosted. swapcontext includes its system call; the bare switch" \
        "saves six registers and has no scheduler. Between CPUs: the least of 100 runs. $("$(command -v go)" version | awk '{ print $3 }'), gcc $(gcc -dumpfullversion)."
} | tee -a "$table"
