/* The surface lock: a ticket lock, so that CPUs get it in the order in which they asked.  See
   kernel/run_loop.h.

   With one CPU there is nothing to take: `cpus_shared` is false.  Whoever waits answers TLB
   shoot-downs (lock_waiting), so a holder may wait for all CPUs. */
#include "kernel/run_queues.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/run_loop.h"
#include "runtime/assert.h"
#include "runtime/lock.h"

static struct {
    alignas(64) u32 next;    /* [a] the ticket of who asks next */
    alignas(64) u32 serving; /* [a] whose turn it is; the holder writes it */
} surface;

void surface_share(void)
{
    surface.next = surface.serving + 1;
    this_cpu()->surface_held = true;
}

static void turn_wait(u32 ticket)
{
    while (__atomic_load_n(&surface.serving, __ATOMIC_ACQUIRE) != ticket) {
        cpu_pause();
        if (lock_waiting)
            lock_waiting();
    }
}

void surface_lock(void)
{
    if (likely(!cpus_shared))
        return;
    struct cpu *cpu = this_cpu();
    assert(!cpu->surface_held);
    turn_wait(__atomic_fetch_add(&surface.next, 1, __ATOMIC_RELAXED));
    cpu->surface_held = true;
}

void surface_unlock(void)
{
    if (likely(!cpus_shared))
        return;
    struct cpu *cpu = this_cpu();
    assert(cpu->surface_held);
    cpu->surface_held = false;
    __atomic_store_n(&surface.serving, surface.serving + 1, __ATOMIC_RELEASE);
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
