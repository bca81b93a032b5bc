/* The watchdog.  See kernel/watchdog.h.

   Each tick compares every CPU's count of what it has applied and entered (cpu->progress) with the
   one before.  Time is counted in ticks: the clock may not be measured yet, and measuring is not
   for an NMI.  Ticks that come late make it patient, never hasty. */
#include "kernel/watchdog.h"

#include "kernel/census.h"
#include "kernel/cpus.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/run_loop.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/nmi.h"
#include "runtime/closure.h"

#define SECONDS_DEFAULT 10
#define SECONDS_MOST    86400
#define SECONDS_TO_END  5

/* What the tick has seen of a CPU; the boot CPU's alone. */
struct watched {
    u64 progress;
    u32 ticks; /* since it changed */
    bool reported;
};

static struct {
    u32 limit_ticks; /* [I] 0: off */
    u32 ending;      /* [a] ticks that the machine has to end, 0: it is not ending */
    u8 exit_status;
    bool running; /* [a] a tick is on its way */
    struct watched cpus[CPUS_MOST];
} watchdog;

void watchdog_start(void)
{
    u64 seconds = boot_option("watchdog") ? boot_option_number("watchdog") : (u64)SECONDS_DEFAULT;
    if (seconds == 0)
        return;
    watchdog.limit_ticks = (u32)min(seconds, (u64)SECONDS_MOST) * NMI_TICKS_A_SECOND;
    /* Before the way is open: a machine that is held up in between gets a tick that is expected. */
    __atomic_store_n(&watchdog.running, true, __ATOMIC_SEQ_CST);
    if (nmi_tick_init()) {
        nmi_tick_start();
        return;
    }
    watchdog.running = false;
    watchdog.limit_ticks = 0;
    log_info("watchdog: no 8254 behind an IO-APIC; a thunk that never returns is not named");
}

bool watchdog_is_on(void)
{
    return watchdog.limit_ticks != 0;
}

static void tick_run(void)
{
    if (!__atomic_exchange_n(&watchdog.running, true, __ATOMIC_SEQ_CST))
        nmi_tick_start();
}

/* The halt ends before the look at `running`, and the tick stops before it looks at the halts: one
   of the two sees the other. */
void watchdog_woken(void)
{
    __atomic_store_n(&this_cpu()->halted, false, __ATOMIC_SEQ_CST);
    if (watchdog.limit_ticks && !__atomic_load_n(&watchdog.running, __ATOMIC_SEQ_CST))
        tick_run();
}

void watchdog_expect_end(u8 exit_status)
{
    if (!watchdog.limit_ticks)
        return;
    watchdog.exit_status = exit_status;
    __atomic_store_n(&watchdog.ending, SECONDS_TO_END * NMI_TICKS_A_SECOND, __ATOMIC_SEQ_CST);
    tick_run();
}

/* --- a tick ----------------------------------------------------------------------------------- */

static void watched_renew(struct watched *w, u64 progress)
{
    *w = (struct watched){.progress = progress};
}

static void report(u32 number, const struct cpu *cpu, u32 ticks)
{
    u32 seconds = ticks / NMI_TICKS_A_SECOND;
    const struct closure_info *c = cpu->closure;
    if (run_loop_serves_user(number))
        census_log("watchdog: CPU %u has served a system call or a fault for %u s", number,
                   seconds);
    else if (c)
        census_log("watchdog: thunk %s (%s:%u) has run for %u s on CPU %u", c->name, c->file,
                   c->line, seconds, number);
    else
        census_log("watchdog: CPU %u has not come to its run loop for %u s", number, seconds);
}

/* True when another CPU that shows no progress is in user mode, or does not say. */
static bool computes(u32 number)
{
    struct cpu_seen seen;
    if (!census_begin())
        return true;
    cpu_look(number, &seen);
    census_end();
    return seen.user || seen.halted;
}

/* True when it is worth another tick. */
static bool cpu_check(u32 number, bool user)
{
    const struct cpu *cpu = cpu_of(number);
    struct watched *w = &watchdog.cpus[number];
    u64 progress = cpu->progress;
    bool halted = __atomic_load_n(&cpu->halted, __ATOMIC_SEQ_CST);
    if (halted || user || progress != w->progress) {
        watched_renew(w, progress);
        return !halted;
    }
    if (++w->ticks < watchdog.limit_ticks || w->reported)
        return true;
    if (number != cpu_number() && computes(number)) {
        watched_renew(w, progress);
        return true;
    }
    w->reported = true;
    report(number, cpu, w->ticks);
    return true;
}

static bool cpus_check(bool user)
{
    bool busy = false;
    for (u32 i = 0; i < cpus_online(); i++)
        busy |= cpu_check(i, user && i == cpu_number());
    return busy;
}

static bool cpus_busy(void)
{
    for (u32 i = 0; i < cpus_online(); i++)
        if (!__atomic_load_n(&cpu_of(i)->halted, __ATOMIC_SEQ_CST))
            return true;
    return false;
}

static void ending_check(void)
{
    u32 left = __atomic_load_n(&watchdog.ending, __ATOMIC_SEQ_CST);
    if (left == 0 || __atomic_sub_fetch(&watchdog.ending, 1, __ATOMIC_SEQ_CST) > 0)
        return;
    census_log("watchdog: the machine has not ended after %u s", SECONDS_TO_END);
    machine_exit(watchdog.exit_status);
}

bool watchdog_tick(bool user)
{
    if (!__atomic_load_n(&watchdog.running, __ATOMIC_SEQ_CST) || !nmi_tick_came())
        return false;
    ending_check();
    if (cpus_check(user) || watchdog.ending) {
        nmi_tick_start();
        return true;
    }
    __atomic_store_n(&watchdog.running, false, __ATOMIC_SEQ_CST);
    if (cpus_busy())
        tick_run();
    return true;
}
