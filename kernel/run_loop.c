/* The run loop.  See kernel/run_loop.h.

   cpu->work_pending tells the ways back to user mode (kernel/x86/entry.asm) that something was
   queued; it is cleared when the queues have been found empty. */
#include "kernel/run_loop.h"

#include "kernel/clock.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/idle.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/run_loop.h"
#include "runtime/queue.h"

/* Closures in one pass before a thread has its turn, and interrupts theirs. */
#define PASS_MOST 256

#define SLICE_NS (10 * NS_PER_MS)

struct cpu_queues {
    struct closure_queue own, bottom_halves, threads;
    struct timer slice;
    struct thunk slice_ended;
};

static struct cpu_queues boot_queues;
static struct closure_queue shared; /* for any CPU; filled when there is more than one */

/* The interrupt alone does it: it makes work pending, and the running thread goes to the end of
   the queue. */
closure_method(thunk, slice_end, struct cpu_queues, slice_ended)
{
    (void)owner();
}

void run_loop_init(void)
{
    struct cpu_queues *q = &boot_queues;
    closure_queue_init(&q->own);
    closure_queue_init(&q->bottom_halves);
    closure_queue_init(&q->threads);
    init_method(&q->slice_ended, slice_end);
    this_cpu()->queues = q;
}

static void queue_add(struct closure_queue *q, struct closure_header *header)
{
    closure_queue_add(q, header);
    this_cpu()->work_pending = 1;
}

void run_later(thunk t)
{
    queue_add(&this_cpu()->queues->own, thunk_deferred(t));
}

void run_later_status(status_handler done, status s)
{
    queue_add(&this_cpu()->queues->own, status_deferred(done, s));
}

void run_bottom_half(thunk t)
{
    queue_add(&this_cpu()->queues->bottom_halves, thunk_deferred(t));
}

/* Somebody waits while a thread runs: its time is limited from now on. */
static void slice_begin(struct cpu_queues *q)
{
    if (!q->slice.pending)
        timer_set(&q->slice, clock_monotonic_ns() + SLICE_NS, &q->slice_ended);
}

void runnable_init(struct runnable *r)
{
    r->cpus = ~0ull;
    r->cpu = 0;
    r->on_cpu = 0;
}

void run_thread(struct runnable *r)
{
    struct cpu_queues *q = this_cpu()->queues;
    closure_queue_add(&q->threads, thunk_deferred(&r->run));
    if (this_cpu()->in_user)
        slice_begin(q);
}

/* In the order that run_loop.h promises; what a closure queues for this CPU comes before the next
   bottom half. */
static struct closure_header *closure_next(struct cpu_queues *q)
{
    struct closure_header *next = closure_queue_take(&q->own);
    if (!next)
        next = closure_queue_take(&q->bottom_halves);
    if (!next)
        next = closure_queue_take(&shared);
    return next;
}

/* What the watchdog (kernel/watchdog.h) and a census read. */
static void closure_run(struct closure_header *next)
{
    struct cpu *cpu = this_cpu();
    cpu->closure = next->info;
    cpu->progress++;
    closure_run_deferred(next);
}

/* True when there is nothing left. */
static bool closures_serve(struct cpu_queues *q)
{
    for (u32 i = 0; i < PASS_MOST; i++) {
        struct closure_header *next = closure_next(q);
        if (!next)
            return true;
        closure_run(next);
    }
    return false;
}

void run_loop_serve(void)
{
    struct cpu *cpu = this_cpu();
    struct cpu_queues *q = cpu->queues;
    cpu->in_user = false;
    for (;;) {
        bool served = closures_serve(q);
        cpu->work_pending = !served;
        struct closure_header *thread = closure_queue_take(&q->threads);
        if (thread) {
            if (!closure_queue_empty(&q->threads))
                slice_begin(q);
            closure_run(thread);
        } else if (served) {
            cpu_idle(); /* interrupts come in here, and here only */
        } else {
            cpu_interrupts_admit();
        }
    }
}

static void kernel_later(__attribute__((unused)) const struct executor *e,
                         struct closure_header *deferred)
{
    queue_add(&this_cpu()->queues->own, deferred);
}

static u64 kernel_now(__attribute__((unused)) const struct executor *e)
{
    return clock_monotonic_ns();
}

static void kernel_timer_set(__attribute__((unused)) const struct executor *e, struct timer *t,
                             u64 expires_ns, thunk expired)
{
    timer_set(t, expires_ns, expired);
}

static bool kernel_timer_cancel(__attribute__((unused)) const struct executor *e, struct timer *t)
{
    return timer_cancel(t);
}

const struct executor kernel_executor = {kernel_later, kernel_now, kernel_timer_set,
                                         kernel_timer_cancel};
