/* See switches.h.  A hand-over is one way: half of a round trip. */
#include "test/bench/closures/switches.h"
#include "runtime/queue.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#define STACK_BYTES (64 * 1024)

/* --- a coroutine, as the C library makes them --------------------------------------------------
 */

static ucontext_t caller, coroutine;

static void coroutine_run(void)
{
    for (;;)
        swapcontext(&coroutine, &caller);
}

/* A round goes there or back; swapcontext also sets the signal mask, which is a system call. */
static void ucontext_switch(u64 rounds)
{
    static char stack[STACK_BYTES];
    getcontext(&coroutine);
    coroutine.uc_stack.ss_sp = stack;
    coroutine.uc_stack.ss_size = sizeof(stack);
    makecontext(&coroutine, coroutine_run, 0);
    for (u64 i = 0; i < rounds; i += 2)
        swapcontext(&caller, &coroutine);
}

/* --- a coroutine that saves what a call must keep, and nothing else -----------------------------
 */

void bare_switch_to(void **save, void *load); /* switch.asm */

static void *bare_caller, *bare_coroutine;

static void bare_run(void)
{
    for (;;)
        bare_switch_to(&bare_coroutine, bare_caller);
}

static void bare_switch(u64 rounds)
{
    static _Alignas(16) void *stack[STACK_BYTES / sizeof(void *)];
    enum { TOP = STACK_BYTES / sizeof(void *) };
    stack[TOP - 2] = (void *)bare_run; /* where the first switch returns to */
    bare_coroutine = &stack[TOP - 8];  /* six registers below */
    for (u64 i = 0; i < rounds; i += 2)
        bare_switch_to(&bare_caller, bare_coroutine);
}

/* --- thunks between two CPUs -------------------------------------------------------------------
 */

struct cpu_side {
    struct closure_queue queue;
    struct thunk here; /* what is queued on this side */
    u64 left;          /* hand-overs that it still has to send */
    struct cpu_side *other;
} __attribute__((aligned(256)));

static struct cpu_side sides[2];

static void side_send(struct cpu_side *from)
{
    closure_queue_add(&from->other->queue, thunk_deferred(&from->other->here));
}

closure_method(thunk, side_here, struct cpu_side, here)
{
    struct cpu_side *side = owner();
    if (side->left > 0) {
        side->left--;
        side_send(side);
    }
}

/* Applies what comes until it has been handed `count` thunks. */
static void side_serve(struct cpu_side *side, u64 count)
{
    while (count > 0) {
        struct closure_header *h = closure_queue_take(&side->queue);
        if (h) {
            closure_run_deferred(h);
            count--;
        } else {
            __builtin_ia32_pause();
        }
    }
}

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0) {
        fprintf(stderr, "closures: two CPUs are needed\n");
        exit(1);
    }
}

struct side_span {
    u64 count;
    bool ready; /* [a] */
};

static void *side_thread(void *argument)
{
    struct side_span *span = argument;
    pin(1);
    __atomic_store_n(&span->ready, true, __ATOMIC_RELEASE);
    side_serve(&sides[1], span->count);
    return NULL;
}

u64 hand_over_cpus(u64 rounds)
{
    pthread_t thread;
    struct side_span span = {rounds / 2, false};
    for (u32 i = 0; i < 2; i++) {
        closure_queue_init(&sides[i].queue);
        init_method(&sides[i].here, side_here);
        sides[i].other = &sides[!i];
    }
    sides[0].left = span.count - 1;
    sides[1].left = span.count;
    pin(0);
    if (pthread_create(&thread, NULL, side_thread, &span) != 0)
        exit(1);
    while (!__atomic_load_n(&span.ready, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
    u64 before = now_ns();
    side_send(&sides[0]);
    side_serve(&sides[0], span.count);
    u64 took = now_ns() - before;
    pthread_join(thread, NULL);
    return took;
}

const struct bench_operation bench_switches[] = {
    {"ucontext_switch", ucontext_switch},
    {"bare_switch", bare_switch},
    {NULL, NULL},
};
