/* The run loop.  See kernel/run_loop.h, and kernel/run_queues.h for how nothing is missed.

   cpu->work_pending tells the ways back to user mode (kernel/x86/entry.asm) that something was
   queued; it is cleared before the queues are looked at. */
#include "kernel/x86/run_loop.h"
#include "kernel/clock.h"
#include "kernel/memory.h"
#include "kernel/run_queues.h"
#include "kernel/watchdog.h"
#include "kernel/x86/idle.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/user.h"
#include "runtime/assert.h"
#include "runtime/lock.h"
#include "runtime/trace.h"

/* Closures in one pass before a thread has its turn, and interrupts theirs. */
#define PASS_MOST 256
/* So often one from the other queues comes first, whatever this CPU's own closures queue. */
#define TURN_OF_OTHERS 64

#define POLL_NS (20 * NS_PER_US) /* what a halt and a wake-up cost, about */

bool cpus_shared;
u64 cpus_serving, cpus_idle;

static struct cpu_queues boot_queues;
static struct cpu_queues *more_queues; /* [I] of CPU 1 and up; made before there is a second one */
struct thunk_queue queue_shared;

struct cpu_queues *queues_of(u32 number)
{
    return number ? &more_queues[number - 1] : &boot_queues;
}

static u64 bit_of(const struct cpu_queues *q)
{
    return 1ull << q->cpu->id;
}

void run_loop_init(void)
{
    struct cpu_queues *q = queues_of(this_cpu()->id);
    assert(q == &boot_queues || cpus_shared);
    closure_queue_init(&q->own);
    closure_queue_init(&q->bottom_halves);
    thunk_queue_init(&q->threads);
    slice_init(q);
    q->cpu = this_cpu();
    this_cpu()->queues = q;
    __atomic_fetch_or(&cpus_serving, bit_of(q), __ATOMIC_SEQ_CST);
}

bool run_loop_share(u32 cpus)
{
    assert(!cpus_shared && cpus <= CPUS_MOST);
    if (cpus > 1)
        more_queues = allocate_zero(general_heap, (cpus - 1) * sizeof(*more_queues));
    if (!more_queues)
        return false;
    thunk_queue_init(&queue_shared);
    clock_settle();
    surface_share();
    cpus_shared = true;
    user_share();
    return true;
}

/* --- queueing --------------------------------------------------------------------------------- */

static void queue_add_here(struct closure_queue *queue, struct closure_header *header)
{
    closure_queue_add(queue, header);
    this_cpu()->work_pending = 1;
}

void run_later(thunk t)
{
    queue_add_here(&queues_here()->own, thunk_deferred(t));
}

void run_later_status(status_handler done, status s)
{
    queue_add_here(&queues_here()->own, status_deferred(done, s));
}

void run_bottom_half(thunk t)
{
    queue_add_here(&queues_here()->bottom_halves, thunk_deferred(t));
}

void queues_tell(struct cpu_queues *q)
{
    if (__atomic_exchange_n(&q->cpu->work_pending, 1, __ATOMIC_SEQ_CST) || q->cpu == this_cpu())
        return;
    if (__atomic_load_n(&q->mode, __ATOMIC_SEQ_CST) != CPU_SERVING)
        cpu_wake(q->cpu->id);
}

void run_on(u32 number, thunk t)
{
    struct cpu_queues *q = queues_of(number);
    assert(__atomic_load_n(&cpus_serving, __ATOMIC_RELAXED) >> number & 1);
    closure_queue_add(&q->own, thunk_deferred(t));
    queues_tell(q);
}

/* When nobody idles, this CPU comes by here soon, unless another one does before. */
void run_anywhere(thunk t)
{
    if (!cpus_shared) {
        run_later(t);
        return;
    }
    thunk_queue_add(&queue_shared, thunk_deferred(t));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!idle_wake(~bit_of(queues_here())))
        this_cpu()->work_pending = 1;
}

/* --- serving ---------------------------------------------------------------------------------- */

/* What somebody else left: interrupt handlers, and who does not mind which CPU. */
static struct closure_header *others_next(struct cpu_queues *q)
{
    struct closure_header *next = closure_queue_take(&q->bottom_halves);
    if (!next && cpus_shared)
        next = thunk_queue_take(&queue_shared);
    return next;
}

/* In the order that run_loop.h promises; what a closure queues for this CPU comes before the next
   bottom half. */
static struct closure_header *closure_next(struct cpu_queues *q, u32 turn)
{
    struct closure_header *next = NULL;
    if (unlikely(turn % TURN_OF_OTHERS == TURN_OF_OTHERS - 1))
        next = others_next(q);
    if (!next)
        next = closure_queue_take(&q->own);
    if (!next)
        next = others_next(q);
    return next;
}

/* What the watchdog (kernel/watchdog.h) and a census read. */
static void closure_run(struct closure_header *next)
{
    struct cpu *cpu = this_cpu();
    cpu->closure = next->info;
    cpu->progress++;
    surface_lock();
    TRACE(THUNK_BEGIN, next->info);
    closure_run_deferred(next);
    TRACE(THUNK_END);
}

/* Whether something was queued since the last call. */
static bool pending_take(struct cpu *cpu)
{
    bool pending = __atomic_load_n(&cpu->work_pending, __ATOMIC_RELAXED);
    if (pending && unlikely(cpus_shared))
        __atomic_exchange_n(&cpu->work_pending, 0, __ATOMIC_SEQ_CST);
    else if (pending)
        cpu->work_pending = 0;
    return pending;
}

static __attribute__((noinline)) bool queues_serve(struct cpu *cpu, struct cpu_queues *q)
{
    for (u32 turn = 0; turn < PASS_MOST; turn++) {
        struct closure_header *next = closure_next(q, turn);
        if (next) {
            closure_run(next);
            surface_leave();
        } else if (!pending_take(cpu)) {
            q->behind = false;
            return true;
        }
    }
    q->behind = true;
    return false;
}

/* True when there is nothing left.  A CPU alone sees at once when nothing was queued since it found
   its queues empty. */
static inline bool closures_serve(struct cpu *cpu, struct cpu_queues *q)
{
    if (likely(!cpus_shared) && !cpu->work_pending && !q->behind)
        return true;
    return queues_serve(cpu, q);
}

bool run_loop_serve_closures(void)
{
    struct cpu *cpu = this_cpu();
    surface_leave();
    return queues_serve(cpu, cpu->queues) && thread_may_stay(cpu->queues) &&
           !cpu->queues->turn_over;
}

bool run_loop_others_ready(void)
{
    const struct cpu_queues *q = queues_here();
    return thunk_queue_added(&q->threads) != q->turn_added;
}

void run_loop_interrupt_served(void)
{
    if (run_loop_others_ready())
        slice_shorten(queues_here());
}

/* A pass that found closures without end is followed by a slice at most. */
static void runnable_run(struct cpu_queues *q, struct runnable *r)
{
    q->turn++;
    q->turn_over = false;
    q->turn_added = thunk_queue_added(&q->threads);
    if (q->behind || !thunk_queue_empty(&q->threads))
        slice_begin(q);
    closure_run(thunk_deferred(&r->run));
    thread_leave(q);
    surface_leave();
}

static void mode_set(struct cpu_queues *q, enum cpu_mode mode)
{
    if (likely(!cpus_shared))
        q->mode = mode;
    else
        __atomic_store_n(&q->mode, mode, __ATOMIC_SEQ_CST);
}

/* --- idling ----------------------------------------------------------------------------------- */

static bool closures_wait(const struct cpu_queues *q)
{
    return __atomic_load_n(&q->cpu->work_pending, __ATOMIC_SEQ_CST) ||
           !thunk_queue_empty(&queue_shared) || !thunk_queue_empty(&q->threads);
}

/* A short while before it halts: who is handed work by another CPU and answers at once is met again
   without an interrupt, which costs both more than that. */
static bool work_comes(const struct cpu_queues *q)
{
    u64 end = clock_monotonic_ns() + POLL_NS;
    do {
        if (closures_wait(q))
            return true;
        cpu_pause();
        if (lock_waiting)
            lock_waiting();
    } while (clock_monotonic_ns() < end);
    return false;
}

/* Until an interrupt comes.  An NMI, the watchdog's last tick above all, hands nobody work; and a
   CPU that went round for it would have the ticks begin again. */
static void halt(const struct cpu_queues *q)
{
    do
        cpu_idle();
    while (__atomic_load_n(&q->cpu->halted, __ATOMIC_RELAXED));
}

/* Looks everywhere once more after it has said that it idles.  A thread that it found; NULL: there
   was none, and an interrupt came. */
static struct runnable *idle_shared(struct cpu_queues *q)
{
    struct runnable *found = NULL;
    if (work_comes(q))
        return NULL;
    mode_set(q, CPU_IDLE);
    __atomic_fetch_or(&cpus_idle, bit_of(q), __ATOMIC_SEQ_CST);
    if (!closures_wait(q) && !(found = thread_steal(q))) {
        space_idle_begin();
        halt(q);
        space_idle_end();
    }
    __atomic_fetch_and(&cpus_idle, ~bit_of(q), __ATOMIC_SEQ_CST);
    mode_set(q, CPU_SERVING);
    return found;
}

/* Interrupts come in here, and here only. */
static struct runnable *idle(struct cpu_queues *q)
{
    struct runnable *found = NULL;
    TRACE(IDLE_BEGIN);
    q->cpu->halted = true;
    if (cpus_shared)
        found = idle_shared(q);
    else
        halt(q);
    TRACE(IDLE_END);
    watchdog_woken();
    return found;
}

void run_loop_serve(void)
{
    struct cpu *cpu = this_cpu();
    struct cpu_queues *q = cpu->queues;
    TRACE(LOOP);
    mode_set(q, CPU_SERVING);
    thread_leave(q);
    surface_leave();
    for (;;) {
        bool served = closures_serve(cpu, q);
        struct runnable *r = thread_next(q);
        if (!r && served)
            r = idle(q);
        else if (!r)
            cpu_interrupts_admit();
        if (r)
            runnable_run(q, r);
    }
}

bool run_loop_admit(void)
{
    cpu_interrupts_admit();
    return __atomic_load_n(&this_cpu()->work_pending, __ATOMIC_RELAXED);
}

/* --- user mode -------------------------------------------------------------------------------- */

/* A CPU that is behind with its closures has a slice to end this. */
static __attribute__((noinline)) bool enter_user_shared(struct cpu_queues *q)
{
    mode_set(q, CPU_IN_USER);
    if (!thunk_queue_empty(&q->threads))
        slice_begin(q);
    return !q->behind && __atomic_load_n(&q->cpu->work_pending, __ATOMIC_SEQ_CST);
}

bool run_loop_enter_user(void)
{
    struct cpu_queues *q = queues_here();
    if (unlikely(cpus_shared))
        return enter_user_shared(q);
    q->mode = CPU_IN_USER;
    return false;
}

void run_loop_interrupted(void)
{
    struct cpu_queues *q = queues_here();
    if (cpus_shared && !thunk_queue_empty(&q->threads))
        slice_begin(q);
}

/* --- for runtime/ and fs/ --------------------------------------------------------------------- */

static void kernel_later(__attribute__((unused)) const struct executor *e,
                         struct closure_header *deferred)
{
    queue_add_here(&queues_here()->own, deferred);
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
