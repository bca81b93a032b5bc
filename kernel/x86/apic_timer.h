/* The timer's hardware: the TSC deadline where there is one, else the local APIC's counter. */
#pragma once

#include "runtime/types.h"

/* Once for each CPU, after apic_init and clock_init. */
void apic_timer_init(void);

/* Raises VECTOR_TIMER at or soon after that time of the monotonic clock, or once before when it is
   further away than the counter reaches. */
void apic_timer_arm(u64 expires_ns);
