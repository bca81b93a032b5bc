/* The time-stamp counter: how fast it counts, from whoever knows. */
#pragma once

#include "runtime/types.h"

/* Nanoseconds for a tick, fixed point with 32 bits of fraction, as KVM's clock or CPUID say it;
   0 when neither does. */
u64 tsc_rate_known(void);

/* The same, measured since tsc_measure_begin against the APIC of a hypervisor known to count
   nanoseconds, or else against the PIT.  Waits only for as long as it must to be right to about a
   thousandth. */
void tsc_measure_begin(void);
u64 tsc_measure_end(void);

/* Ticks of the APIC's timer in a second; 0: nobody says. */
u64 apic_hz_known(void);

/* kernel/clock.c: the counter's value when the monotonic clock shows that time. */
u64 clock_tsc_at(u64 monotonic_ns);
