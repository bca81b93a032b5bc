/* The operations on closures that are measured: the same source hosted (closures.c, nanoseconds)
   and in a kernel of its own (kernel.c, instructions).

   Every callee is out of line and every pointer passes through hide(), so no compiler can see who
   is called or that nothing escapes: what is measured is what the kernel's code pays. */
#pragma once

#include "runtime/closure.h"

struct bench_operation {
    const char *name;
    void (*run)(u64 rounds);
};

/* Ends with an entry without a name. */
extern const struct bench_operation bench_operations[];

/* Where heap closures and merges come from; before the first operation. */
void bench_operations_init(heap h);

/* The compiler forgets what it knows of p and of all memory. */
#define hide(p)                                                                                    \
    ({                                                                                             \
        typeof(p) hidden_ = (p);                                                                   \
        __asm__ volatile("" : "+r"(hidden_) : : "memory");                                         \
        hidden_;                                                                                   \
    })
