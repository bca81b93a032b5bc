/* The local APIC: x2APIC where the CPU has it, memory-mapped where not.  Intel SDM 3A, 11. */
#pragma once

#include "runtime/types.h"

#define VECTOR_TIMER    0xf0
#define VECTOR_SPURIOUS 0xff

#define VECTOR_WAKE      0xf1 /* look at your queues: kernel/cpus.h */
#define VECTOR_SHOOTDOWN 0xf2 /* flush: kernel/x86/shootdown.h */

/* Turns the boot CPU's APIC on, and masks the 8259s.  After the page tables stand. */
void apic_init(void);

/* The same for another CPU, on it. */
void apic_init_cpu(void);

/* To the CPU with that APIC number: an interrupt, an NMI, or the two steps that start a processor
   (at a page below 1 MiB).  What was written before is seen by who gets it.  Without x2APIC a
   number above APIC_ID_LAST_SHORT cannot be reached. */
#define APIC_ID_LAST_SHORT 254u
void apic_send(u32 apic_id, u8 vector);
void apic_send_nmi(u32 apic_id);
void apic_send_init(u32 apic_id);
void apic_send_startup(u32 apic_id, u64 page);
bool apic_reaches(u32 apic_id);

u32 apic_id(void);
void apic_end_of_interrupt(void);

/* The timer raises VECTOR_TIMER once.  In ticks of the APIC's counter, at most 2^32 - 1; 0 stops.
 */
void apic_timer_start(u32 ticks);
u32 apic_timer_now(void);

/* Or by the time-stamp counter, where cpu_features.tsc_deadline; 0 stops. */
void apic_deadline_init(void);
void apic_deadline_start(u64 tsc);
