/* Bringing the machine up, in the one order that works.  See kernel/x86/bring_up.h. */
#include "kernel/x86/bring_up.h"

#include "kernel/census.h"
#include "kernel/clock.h"
#include "kernel/machine.h"
#include "kernel/timer.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/apic_timer.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/interrupts.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/run_loop.h"
#include "kernel/x86/smp.h"
#include "kernel/x86/user.h"

void machine_bring_up(const struct boot_info *boot)
{
    cpu_init_boot();
    traps_init();
    cpu_protect();
    paging_init(boot);
    machine_init(boot);
    smp_take_page(boot);
    memory_init(boot);
    run_loop_init();
    apic_init();
    boot_cpu.apic_id = apic_id();
    clock_init(boot->entry_tsc);
    apic_timer_init();
    timers_init();
    census_init();
    user_init();
}
