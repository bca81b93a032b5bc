/* Trace points: places in the code that say what happens, always compiled.

       TRACE(THUNK_BEGIN, header->info);

   Off, a point is a test of one byte and a branch that is not taken; its values are worked out
   only when it is on.  On, it calls the recorder (the kernel's: kernel/trace.c), which may run in
   any context: under any lock, in an interrupt handler.  What points there are and what their
   values mean is in runtime/trace_events.def; what `thunk` is sent, in runtime/trace_stream.h. */
#pragma once

#include "runtime/types.h"

enum trace_event {
#define TRACE_EVENT(name, values) TRACE_##name,
#include "runtime/trace_events.def"
#undef TRACE_EVENT
    TRACE_EVENTS
};

#define TRACE_BLOCK_SHIFT 56 /* in BLOCK_BEGIN's third value */

extern bool trace_on;

/* Set before trace_on. */
typedef void trace_recorder(enum trace_event event, u64 a, u64 b, u64 c);
extern trace_recorder *trace_record_with;

/* Not called as C calls: it finds its values on the stack and keeps every register, so that the
   compiler has nothing to save or to move beforehand for a call that is hardly ever made.  The 128
   bytes are the red zone that a hosted function may use below its stack pointer. */
void trace_record(void);

static inline __attribute__((always_inline)) void trace_call(u64 event, u64 a, u64 b, u64 c)
{
    asm volatile("leaq -128(%%rsp), %%rsp\n\t"
                 "pushq %3\n\t"
                 "pushq %2\n\t"
                 "pushq %1\n\t"
                 "pushq %0\n\t"
                 "call trace_record\n\t"
                 "leaq 160(%%rsp), %%rsp"
                 :
                 : "er"(event), "er"(a), "er"(b), "er"(c)
                 : "memory", "cc");
}

/* Missing values are zero; a pointer is a value. */
#define TRACE(name, ...) TRACE_WITH(TRACE_##name __VA_OPT__(, ) __VA_ARGS__, 0, 0, 0, 0)
#define TRACE_WITH(event, a, b, c, ...)                                                            \
    do {                                                                                           \
        if (unlikely(trace_on))                                                                    \
            trace_call((event), (u64)(a), (u64)(b), (u64)(c));                                     \
    } while (0)
