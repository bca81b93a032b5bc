/* The timers of a CPU, as the rest of the kernel sees them; users see kernel/clock.h. */
#pragma once

#include "kernel/clock.h"

/* Makes this CPU's timers; the run loop's queues are there. */
void timers_init(void);

/* The timer's interrupt: leaves a bottom half that runs what has expired. */
void timer_interrupt(void);

/* For dumps, in any context: what is pending, a census line for each CPU. */
void timers_census(void);
