/* The switch of the trace points, and the way to the recorder.  See runtime/trace.h. */
#include "runtime/trace.h"

bool trace_on;
trace_recorder *trace_record_with;

__attribute__((used)) static void trace_record_values(enum trace_event event, u64 a, u64 b, u64 c)
{
    trace_record_with(event, a, b, c);
}

/* The vector unit's registers are not kept: a kernel has none, and hosted nothing is traced. */
__attribute__((naked, cold)) void trace_record(void)
{
    asm("pushq %rbp\n\t"
        "movq %rsp, %rbp\n\t"
        "pushq %rax\n\t"
        "pushq %rcx\n\t"
        "pushq %rdx\n\t"
        "pushq %rsi\n\t"
        "pushq %rdi\n\t"
        "pushq %r8\n\t"
        "pushq %r9\n\t"
        "pushq %r10\n\t"
        "pushq %r11\n\t"
        "movq 16(%rbp), %rdi\n\t"
        "movq 24(%rbp), %rsi\n\t"
        "movq 32(%rbp), %rdx\n\t"
        "movq 40(%rbp), %rcx\n\t"
        "andq $-16, %rsp\n\t"
        "call trace_record_values\n\t"
        "leaq -72(%rbp), %rsp\n\t"
        "popq %r11\n\t"
        "popq %r10\n\t"
        "popq %r9\n\t"
        "popq %r8\n\t"
        "popq %rdi\n\t"
        "popq %rsi\n\t"
        "popq %rdx\n\t"
        "popq %rcx\n\t"
        "popq %rax\n\t"
        "popq %rbp\n\t"
        "ret");
}
