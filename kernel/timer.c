/* Timers: a queue for each CPU, in order of expiry.  The hardware is set for the earliest one when
   that becomes earlier; a timer that is cancelled leaves the hardware alone, and its interrupt then
   finds nothing to do.  So there is no tick, and an idle machine sleeps.

   A CPU adds to its own queue alone; any CPU removes.  t->cpu says in whose queue t is, and changes
   only while that queue and then the next one are locked in turn, by whoever sets the timer. */
#include "kernel/timer.h"

#include "kernel/census.h"
#include "kernel/cpus.h"
#include "kernel/run_loop.h"
#include "kernel/x86/apic_timer.h"
#include "kernel/x86/cpu.h"
#include "runtime/lock.h"
#include "runtime/timer_queue.h"
#include "runtime/trace.h"

#define NOT_ARMED (~0ull)

struct cpu_timers {
    struct spinlock lock; /* rank TIMER */
    bool bottom_half_queued;
    u64 armed_ns; /* when the hardware will interrupt; NOT_ARMED: it will not.  This CPU's */
    struct timer_queue queue; /* [lock] */
    struct thunk bottom_half;
} __attribute__((aligned(64)));

static struct cpu_timers all_timers[CPUS_MOST];

static void timers_arm(struct cpu_timers *timers, u64 expires_ns)
{
    if (expires_ns >= timers->armed_ns)
        return;
    timers->armed_ns = expires_ns;
    apic_timer_arm(expires_ns);
}

/* Not applied under the lock: it may set timers. */
static thunk expired_take(struct cpu_timers *timers, u64 now_ns)
{
    spin_lock(&timers->lock);
    struct timer *t = timer_queue_expired(&timers->queue, now_ns);
    thunk expired = t ? t->expired : NULL;
    spin_unlock(&timers->lock);
    return expired;
}

/* What is set anew by what expires, to a time that has passed, waits for the next pass: the time is
   read once, and the number that were there bounds the loop. */
closure_method(thunk, timers_expire, struct cpu_timers, bottom_half)
{
    struct cpu_timers *timers = owner();
    timers->bottom_half_queued = false;
    u64 now = clock_monotonic_ns();
    for (u64 n = timer_queue_count(&timers->queue); n > 0; n--) {
        thunk expired = expired_take(timers, now);
        if (!expired)
            break;
        TRACE(TIMER_BEGIN, expired->header.info);
        this_cpu()->closure = expired->header.info; /* what a census and the watchdog name */
        this_cpu()->progress++;
        apply(expired);
        TRACE(TIMER_END);
    }
    spin_lock(&timers->lock);
    u64 earliest = timer_queue_earliest(&timers->queue);
    spin_unlock(&timers->lock);
    timers_arm(timers, earliest);
}

void timers_init(void)
{
    struct cpu_timers *timers = &all_timers[this_cpu()->id];
    timers->lock = SPINLOCK(RANK_TIMER, "timers");
    init_method(&timers->bottom_half, timers_expire);
    timer_queue_init(&timers->queue);
    timers->armed_ns = NOT_ARMED;
    this_cpu()->timers = timers;
}

void timer_interrupt(void)
{
    struct cpu_timers *timers = this_cpu()->timers;
    timers->armed_ns = NOT_ARMED;
    if (timers->bottom_half_queued)
        return;
    timers->bottom_half_queued = true;
    run_bottom_half(&timers->bottom_half);
}

/* The queue that t is in, or was in last, locked. */
static struct cpu_timers *timers_lock(const struct timer *t)
{
    for (;;) {
        u32 cpu = __atomic_load_n(&t->cpu, __ATOMIC_RELAXED);
        struct cpu_timers *timers = &all_timers[cpu];
        spin_lock(&timers->lock);
        if (likely(__atomic_load_n(&t->cpu, __ATOMIC_RELAXED) == cpu))
            return timers;
        spin_unlock(&timers->lock);
    }
}

/* In this CPU's queue, which is locked. */
static bool timer_insert(struct cpu_timers *timers, struct timer *t, u64 expires_ns, thunk expired)
{
    t->expired = expired;
    return timer_queue_insert(&timers->queue, t, expires_ns);
}

void timer_set(struct timer *t, u64 expires_ns, thunk expired)
{
    struct cpu_timers *here = this_cpu()->timers;
    struct cpu_timers *timers = timers_lock(t);
    if (t->pending)
        timer_queue_remove(&timers->queue, t);
    if (unlikely(timers != here)) {
        __atomic_store_n(&t->cpu, this_cpu()->id, __ATOMIC_RELAXED);
        spin_unlock(&timers->lock);
        spin_lock(&here->lock);
    }
    bool first = timer_insert(here, t, expires_ns, expired);
    spin_unlock(&here->lock);
    if (first)
        timers_arm(here, expires_ns);
}

bool timer_cancel(struct timer *t)
{
    struct cpu_timers *timers = timers_lock(t);
    bool pending = t->pending;
    if (pending)
        timer_queue_remove(&timers->queue, t);
    spin_unlock(&timers->lock);
    return pending;
}

/* --- the census ------------------------------------------------------------------------------- */

static void timers_write(u32 number, struct cpu_timers *timers)
{
    char age[CENSUS_AGE_BYTES];
    if (!spin_try(&timers->lock)) {
        census_line("  CPU %u: its timers are just being changed", number);
        return;
    }
    u64 count = timer_queue_count(&timers->queue), now = clock_monotonic_ns();
    u64 earliest = timer_queue_earliest(&timers->queue);
    if (count)
        census_line("  CPU %u: %llu timers, the next %s %s", number, (unsigned long long)count,
                    census_age(age, earliest > now ? earliest - now : now - earliest),
                    earliest > now ? "from now" : "ago");
    spin_unlock(&timers->lock);
}

void timers_census(void)
{
    for (u32 i = 0; i < cpus_online(); i++)
        timers_write(i, &all_timers[i]);
}
