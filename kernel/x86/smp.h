/* Between smp.c, smp_trampoline.asm and the handlers of exceptions.  See kernel/cpus.h. */
#pragma once

#include "runtime/types.h"

/* smp_trampoline.asm: what is copied to where a CPU starts, and what it takes from smp.c. */
extern const u8 smp_trampoline[], smp_trampoline_parameters[], smp_trampoline_end[];
extern u32 smp_slots_taken;
extern u32 smp_slots_offered;
extern u64 smp_slot_stacks[];
void smp_entry(void);

/* Called by smp_trampoline.asm on the slot's stack. */
__attribute__((noreturn)) void smp_arrive(u32 slot);

/* Keeps in mind where CPUs may start. */
struct boot_info;
void smp_take_page(const struct boot_info *boot);

/* An NMI came.  Does not return when it asks this CPU to stop. */
void smp_stop_if_asked(void);
