/* The local APIC: x2APIC where the CPU has it, memory-mapped where not.  Intel SDM 3A, 11. */
#pragma once

#include "runtime/types.h"

#define VECTOR_TIMER    0xf0
#define VECTOR_SPURIOUS 0xff

/* Turns this CPU's APIC on, and masks the 8259s.  After the page tables stand. */
void apic_init(void);

u32 apic_id(void);
void apic_end_of_interrupt(void);

/* The timer raises VECTOR_TIMER once.  In ticks of the APIC's counter, at most 2^32 - 1; 0 stops.
 */
void apic_timer_start(u32 ticks);
u32 apic_timer_now(void);

/* Or by the time-stamp counter, where cpu_features.tsc_deadline; 0 stops. */
void apic_deadline_init(void);
void apic_deadline_start(u64 tsc);
