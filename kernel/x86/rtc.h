/* The PC's real-time clock (MC146818A). */
#pragma once

#include "runtime/types.h"

/* Seconds since 1970, taking the clock to run in UTC; 0: there is none, or what it says is no date.
 */
u64 rtc_seconds(void);
