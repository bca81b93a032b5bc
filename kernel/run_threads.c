/* Threads: where one that is ready goes, who takes it, and when it may be run there.  See
   kernel/run_loop.h and kernel/run_queues.h.

   One goes to the CPU where it ran last, unless that one is busy and another idles.  A thread may
   be ready while the CPU that it ran on still holds its registers; whoever takes it waits until
   on_cpu is 0.  That CPU waits for nobody in between, so the wait is short. */
#include "kernel/clock.h"
#include "kernel/run_queues.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/run_loop.h"
#include "kernel/x86/user.h"
#include "runtime/assert.h"
#include "runtime/lock.h"

#define SLICE_NS      (10 * NS_PER_MS)
#define SLICE_REST_NS (1 * NS_PER_MS) /* when others became ready meanwhile */
#define LEAVE_NS_MOST (10 * NS_PER_SECOND)
#define STEAL_TRIES   8u /* threads of one CPU that a thief looks at: those that it may not run */

void runnable_init(struct runnable *r)
{
    r->cpus = ~0ull;
    r->cpu = 0;
    r->on_cpu = 0;
}

static bool runnable_allows(const struct runnable *r, u32 cpu)
{
    return __atomic_load_n(&r->cpus, __ATOMIC_RELAXED) >> cpu & 1;
}

/* --- the time slice --------------------------------------------------------------------------- */

static __attribute__((noinline)) void slice_arm(struct cpu_queues *q, u64 ns)
{
    q->slice_turn = q->turn;
    __atomic_store_n(&q->slice_armed, true, __ATOMIC_RELAXED);
    timer_set(&q->slice, clock_monotonic_ns() + ns, &q->slice_ended);
}

void slice_begin(struct cpu_queues *q)
{
    if (!q->slice_armed)
        slice_arm(q, SLICE_NS);
}

void slice_shorten(struct cpu_queues *q)
{
    if (q->short_turn == q->turn)
        return;
    q->short_turn = q->turn;
    slice_arm(q, SLICE_REST_NS);
}

/* The timer is not set anew for each turn; so a turn that began after it was set has a slice from
   now on: two at most. */
closure_method(thunk, slice_end, struct cpu_queues, slice_ended)
{
    struct cpu_queues *q = owner();
    __atomic_store_n(&q->slice_armed, false, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* thread_tell adds, and then looks whether it is */
    if (q->slice_turn == q->turn)
        q->turn_over = true;
    else if (!thunk_queue_empty(&q->threads))
        slice_arm(q, SLICE_NS);
}

void slice_init(struct cpu_queues *q)
{
    init_method(&q->slice_ended, slice_end);
}

/* --- ready ------------------------------------------------------------------------------------ */

static void thread_add(struct cpu_queues *q, struct runnable *r)
{
    thunk_queue_add(&q->threads, thunk_deferred(&r->run));
}

/* One that runs there gets to the end of its slice; the interrupt is for that to be armed. */
static void thread_tell(struct cpu_queues *q)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    u32 mode = __atomic_load_n(&q->mode, __ATOMIC_SEQ_CST);
    if (q->cpu == this_cpu()) {
        if (mode == CPU_IN_USER)
            slice_begin(q);
    } else if (mode == CPU_IDLE ||
               (mode == CPU_IN_USER && !__atomic_load_n(&q->slice_armed, __ATOMIC_SEQ_CST))) {
        cpu_wake(q->cpu->id);
    }
}

static bool cpu_is_free(const struct cpu_queues *q)
{
    return __atomic_load_n(&q->mode, __ATOMIC_RELAXED) != CPU_IN_USER && !q->running &&
           thunk_queue_empty(&q->threads);
}

/* One that idles, of these; nobody else finds it until it has looked at its queues. */
static struct cpu_queues *idle_claim(u64 among)
{
    u64 idle = __atomic_load_n(&cpus_idle, __ATOMIC_SEQ_CST) & among;
    for (; idle; idle &= idle - 1) {
        u64 one = idle & -idle;
        if (__atomic_fetch_and(&cpus_idle, ~one, __ATOMIC_SEQ_CST) & one)
            return queues_of((u32)__builtin_ctzll(one));
    }
    return NULL;
}

bool idle_wake(u64 among)
{
    struct cpu_queues *q = idle_claim(among);
    if (q)
        cpu_wake(q->cpu->id);
    return q != NULL;
}

/* To the CPU where it ran last if that is free, to one that idles, or else to wait at a busy one.
   A CPU that begins to idle between the look and the addition has not seen the thread, so there is
   a second look. */
static void thread_place(struct runnable *r)
{
    u64 allowed = __atomic_load_n(&r->cpus, __ATOMIC_RELAXED) &
                  __atomic_load_n(&cpus_serving, __ATOMIC_RELAXED);
    assert(allowed != 0);
    u64 last = 1ull << r->cpu & allowed;
    struct cpu_queues *q = last ? queues_of(r->cpu) : NULL;
    bool waits = false;
    if (!q || !cpu_is_free(q)) {
        struct cpu_queues *idle = idle_claim(allowed);
        waits = !idle;
        if (idle)
            q = idle;
        else if (!q)
            q = queues_of((u32)__builtin_ctzll(allowed));
    }
    thread_add(q, r);
    thread_tell(q); /* r may be running, or gone, by now */
    if (waits)
        idle_wake(allowed & ~(1ull << q->cpu->id));
}

void run_thread(struct runnable *r)
{
    struct cpu_queues *q = queues_here();
    if (likely(!cpus_shared)) {
        if (q->mode == CPU_IN_USER)
            slice_begin(q);
        thread_add(q, r);
    } else if (q->running == r && runnable_allows(r, q->cpu->id)) {
        thread_add(q, r); /* it has been interrupted, and is on its way to this run loop */
    } else {
        thread_place(r);
    }
}

void runnable_set_cpus(struct runnable *r, u64 cpus)
{
    cpus &= __atomic_load_n(&cpus_serving, __ATOMIC_RELAXED);
    assert(cpus != 0);
    __atomic_store_n(&r->cpus, cpus, __ATOMIC_RELAXED);
}

void run_thread_interrupt(struct runnable *r)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    u32 on_cpu = __atomic_load_n(&r->on_cpu, __ATOMIC_SEQ_CST);
    if (on_cpu)
        queues_tell(queues_of(on_cpu - 1));
}

bool run_threads_wait(void)
{
    return !thunk_queue_empty(&queues_here()->threads);
}

/* --- taken ------------------------------------------------------------------------------------ */

static struct runnable *runnable_of(struct closure_header *header)
{
    struct thunk *run = container_of(header, struct thunk, header);
    return container_of(run, struct runnable, run);
}

static bool registers_held(const struct runnable *r)
{
    return __atomic_load_n(&r->on_cpu, __ATOMIC_ACQUIRE);
}

static __attribute__((noinline)) void registers_wait(const struct runnable *r)
{
    u64 since_ns = 0;
    while (registers_held(r)) {
        cpu_pause();
        if (lock_waiting)
            lock_waiting();
        u64 now = clock_monotonic_ns();
        since_ns = since_ns ? since_ns : now;
        if (now - since_ns > LEAVE_NS_MOST)
            panic("a thread that is ready does not leave CPU %u", r->on_cpu - 1);
    }
}

static struct runnable *thread_begin(struct cpu_queues *q, struct runnable *r)
{
    u32 here = q->cpu->id;
    if (unlikely(registers_held(r)))
        registers_wait(r);
    r->cpu = here;
    __atomic_store_n(&r->on_cpu, here + 1, __ATOMIC_SEQ_CST);
    q->running = r;
    return r;
}

static void running_leave(struct cpu_queues *q)
{
    struct runnable *r = q->running;
    q->running = NULL;
    __atomic_store_n(&r->on_cpu, 0, __ATOMIC_RELEASE);
}

static __attribute__((noinline)) void thread_leave_shared(struct cpu_queues *q)
{
    user_leave();
    running_leave(q);
}

void thread_leave(struct cpu_queues *q)
{
    if (!q->running)
        return;
    if (unlikely(cpus_shared))
        thread_leave_shared(q);
    else
        running_leave(q);
}

static struct runnable *thread_take(struct cpu_queues *q)
{
    struct closure_header *header = thunk_queue_take(&q->threads);
    return header ? runnable_of(header) : NULL;
}

/* One whose CPUs were changed while it waited goes to one of them. */
struct runnable *thread_next(struct cpu_queues *q)
{
    struct runnable *r = thread_take(q);
    if (!r)
        return NULL;
    if (likely(!cpus_shared) || runnable_allows(r, q->cpu->id))
        return thread_begin(q, r);
    thread_place(r);
    return NULL;
}

bool thread_may_stay(const struct cpu_queues *q)
{
    return likely(!cpus_shared) || runnable_allows(q->running, q->cpu->id);
}

/* Those that this CPU may not run go back to the end of their queue. */
static struct runnable *steal_from(struct cpu_queues *q, struct cpu_queues *victim)
{
    for (u32 tries = 0; tries < STEAL_TRIES; tries++) {
        struct runnable *r = thread_take(victim);
        if (!r)
            return NULL;
        if (runnable_allows(r, q->cpu->id))
            return r;
        if (runnable_allows(r, victim->cpu->id)) {
            thread_add(victim, r);
            thread_tell(victim);
        } else {
            thread_place(r);
        }
    }
    return NULL;
}

struct runnable *thread_steal(struct cpu_queues *q)
{
    u32 here = q->cpu->id;
    u64 others = __atomic_load_n(&cpus_serving, __ATOMIC_RELAXED) & ~(1ull << here);
    /* From the next one on, so that thieves do not all begin with the same. */
    u64 after = here == CPUS_MOST - 1 ? 0 : others & (~0ull << (here + 1));
    for (u64 left = others; left;) {
        u64 from = left & after ? left & after : left;
        struct runnable *r = steal_from(q, queues_of((u32)__builtin_ctzll(from)));
        if (r)
            return thread_begin(q, r);
        left &= ~(from & -from);
    }
    return NULL;
}
