/* The watchdog and the census, from a thunk that does not return in time.  kernel.t boots with
   watchdog=2 and looks for the lines that this makes. */
#include "kernel/census.h"
#include "kernel/clock.h"
#include "kernel/cpus.h"
#include "kernel/machine.h"
#include "kernel/watchdog.h"
#include "kernel/x86/msr.h"
#include "test/kernel/kernel_test.h"

#define PATIENCE_NS (20 * NS_PER_SECOND)

static struct {
    struct thunk spin, go_on;
    struct census_writer seen;
    u32 censuses; /* [a] */
    u32 beside;   /* other CPUs that may be kept waiting for it */
    bool registered;
} spinner;

closure_function(census_writer, spinner_seen, ())
{
    __atomic_add_fetch(&spinner.censuses, 1, __ATOMIC_RELAXED);
    census_line("  the spinner was seen");
}

closure_function(thunk, spinner_go_on, ())
{
    /* Once, not each tick; and once for the boot CPU when an interrupt of its own has it wait, on a
       slow host, for the surface lock that the spinner holds. */
    u32 censuses = __atomic_load_n(&spinner.censuses, __ATOMIC_RELAXED);
    expect(censuses >= 1 && censuses <= 1 + spinner.beside);
    test_pass();
}

/* Interrupts are off all the time, as in every closure. */
closure_function(thunk, spinner_spin, ())
{
    u64 begin = clock_monotonic_ns(), named = 0;
    while (clock_monotonic_ns() - begin < PATIENCE_NS) {
        cpu_pause();
        if (!named && __atomic_load_n(&spinner.censuses, __ATOMIC_RELAXED))
            named = clock_monotonic_ns();
        if (named && clock_monotonic_ns() - named > NS_PER_SECOND / 2)
            break;
    }
    test_note("named after %u ms", named ? (u32)((named - begin) / NS_PER_MS) : 0);
    run_on(0, &spinner.go_on);
}

static void spin_on(u32 number)
{
    if (!watchdog_is_on()) {
        test_skip("there is no 8254 here");
        return;
    }
    spinner.spin = *stack_closure(spinner_spin);
    spinner.go_on = *stack_closure(spinner_go_on);
    spinner.seen = *stack_closure(spinner_seen);
    if (!spinner.registered)
        census_register("the spinner", &spinner.seen);
    spinner.registered = true;
    spinner.censuses = 0;
    spinner.beside = number != 0;
    run_on(number, &spinner.spin);
}

static void thunk_that_spins_is_named(void)
{
    spin_on(0);
}

static void thunk_that_spins_on_another_cpu_is_named(void)
{
    if (cpus_online() < 2)
        test_skip("one CPU");
    else
        spin_on(1);
}

const struct kernel_test watchdog_tests[] = {
    {"a thunk that does not return is named", thunk_that_spins_is_named},
    {"the same on another CPU", thunk_that_spins_on_another_cpu_is_named},
    {},
};
