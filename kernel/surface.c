/* The surface lock.  See kernel/run_loop.h.

   Whoever finds it free takes it, because the one who would be next may not be running at all: a
   hypervisor with fewer processors than CPUs stops them anywhere, and passing the lock round then
   costs a time slice for each hand-over.  Who has waited for long takes a ticket; as long as there
   are tickets the lock goes to them alone, in their order.  So the wait is bounded.

   With one CPU there is nothing to take: `cpus_shared` is false.  Whoever waits answers TLB
   shoot-downs (lock_waiting), so a holder may wait for all CPUs. */
#include "kernel/run_queues.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/run_loop.h"
#include "runtime/assert.h"
#include "runtime/lock.h"
#include "runtime/trace.h"

#define PATIENCE_SPINS 200000u /* some 10 ms on a processor of its own */

static struct {
    alignas(64) u32 held;              /* [a] */
    alignas(64) u32 ticket_next, turn; /* [a] differ while somebody's patience is at its end */
} surface;

void surface_share(void)
{
    surface.held = 1;
    this_cpu()->surface_held = true;
}

static bool surface_try(void)
{
    return !__atomic_load_n(&surface.held, __ATOMIC_RELAXED) &&
           !__atomic_exchange_n(&surface.held, 1, __ATOMIC_ACQUIRE);
}

static bool nobody_has_ticket(void)
{
    return __atomic_load_n(&surface.turn, __ATOMIC_RELAXED) ==
           __atomic_load_n(&surface.ticket_next, __ATOMIC_RELAXED);
}

static void surface_spin(void)
{
    cpu_pause();
    if (lock_waiting)
        lock_waiting();
}

static void surface_spin_until_held(void)
{
    for (u32 spins = 0; spins < PATIENCE_SPINS; spins++) {
        if (nobody_has_ticket() && surface_try())
            return;
        surface_spin();
    }
    u32 ticket = __atomic_fetch_add(&surface.ticket_next, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&surface.turn, __ATOMIC_RELAXED) != ticket || !surface_try())
        surface_spin();
    __atomic_store_n(&surface.turn, ticket + 1, __ATOMIC_RELAXED);
}

/* Who waits touches no user memory: the holder, who changes page tables, need not wait for it. */
static void surface_wait(void)
{
    TRACE(SURFACE_BEGIN);
    space_idle_begin();
    surface_spin_until_held();
    space_idle_end();
    TRACE(SURFACE_END);
}

void surface_lock(void)
{
    if (likely(!cpus_shared))
        return;
    struct cpu *cpu = this_cpu();
    assert(!cpu->surface_held);
    if (!nobody_has_ticket() || !surface_try())
        surface_wait();
    cpu->surface_held = true;
}

void surface_unlock(void)
{
    if (likely(!cpus_shared))
        return;
    struct cpu *cpu = this_cpu();
    assert(cpu->surface_held);
    cpu->surface_held = false;
    __atomic_store_n(&surface.held, 0, __ATOMIC_RELEASE);
}

void surface_leave(void)
{
    if (unlikely(cpus_shared) && this_cpu()->surface_held)
        surface_unlock();
}

bool surface_lock_held(void)
{
    return !cpus_shared || this_cpu()->surface_held;
}
