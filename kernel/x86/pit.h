/* The 8254: its third counter as a stopwatch for machines that say nothing about their clocks, its
   first as the watchdog's alarm. */
#pragma once

#include "runtime/types.h"

/* Waits for about `ns`, at most 50 ms; how long it was.  0: there is no 8254. */
u64 pit_wait(u64 ns);

/* The first counter answers.  The alarm is started: what the counter was doing since the machine
   began is over, and it rings no earlier than after 55 ms. */
bool pit_alarm_is_there(void);

/* Raises the counter's line once, 55 ms from now. */
void pit_alarm_start(void);

/* It was raised, and not started again. */
bool pit_alarm_rang(void);
