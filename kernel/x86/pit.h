/* The 8254's second counter, as a stopwatch for machines that say nothing about their clocks. */
#pragma once

#include "runtime/types.h"

/* Waits for about `ns`, at most 50 ms; how long it was.  0: there is no 8254. */
u64 pit_wait(u64 ns);
