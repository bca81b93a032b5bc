/* Timers: a red-black tree for each CPU, ordered by expiry.  The hardware is set for the earliest
   one when that becomes earlier; a timer that is cancelled leaves the hardware alone, and its
   interrupt then finds nothing to do.  So there is no tick, and an idle machine sleeps. */
#include "kernel/timer.h"

#include "kernel/run_loop.h"
#include "kernel/x86/apic_timer.h"
#include "kernel/x86/cpu.h"

#define NOT_ARMED (~0ull)

struct cpu_timers {
    struct rbtree tree;
    struct rb_key_compare compare;
    struct thunk bottom_half;
    bool bottom_half_queued;
    u64 armed_ns; /* when the hardware will interrupt; NOT_ARMED: it will not */
};

static struct cpu_timers boot_timers;

static struct timer *timer_of(rbnode n)
{
    return container_of(n, struct timer, node);
}

closure_method(rb_key_compare, timers_compare, struct cpu_timers, compare, rbnode a, rbnode b)
{
    u64 at_a = timer_of(a)->expires_ns, at_b = timer_of(b)->expires_ns;
    return (at_a > at_b) - (at_a < at_b);
}

static void timers_arm(struct cpu_timers *timers, u64 expires_ns)
{
    if (expires_ns >= timers->armed_ns)
        return;
    timers->armed_ns = expires_ns;
    apic_timer_arm(expires_ns);
}

/* A timer that its own thunk sets again to a time that has passed waits for the next pass, so the
   number that were there bounds the loop. */
closure_method(thunk, timers_expire, struct cpu_timers, bottom_half)
{
    struct cpu_timers *timers = owner();
    timers->bottom_half_queued = false;
    u64 now = clock_monotonic_ns();
    for (u64 n = timers->tree.count; n > 0 && timers->tree.count; n--) {
        struct timer *t = timer_of(rbtree_first(&timers->tree));
        if (t->expires_ns > now)
            break;
        rbtree_remove(&timers->tree, &t->node);
        t->pending = false;
        apply(t->expired);
    }
    if (timers->tree.count)
        timers_arm(timers, timer_of(rbtree_first(&timers->tree))->expires_ns);
}

void timers_init(void)
{
    struct cpu_timers *timers = &boot_timers;
    init_method(&timers->compare, timers_compare);
    init_method(&timers->bottom_half, timers_expire);
    rbtree_init(&timers->tree, &timers->compare);
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

void timer_set(struct timer *t, u64 expires_ns, thunk expired)
{
    struct cpu_timers *timers = this_cpu()->timers;
    if (t->pending)
        rbtree_remove(&timers->tree, &t->node);
    t->expires_ns = expires_ns;
    t->expired = expired;
    t->pending = true;
    rbtree_insert(&timers->tree, &t->node);
    timers_arm(timers, expires_ns);
}

bool timer_cancel(struct timer *t)
{
    if (!t->pending)
        return false;
    rbtree_remove(&this_cpu()->timers->tree, &t->node);
    t->pending = false;
    return true;
}
