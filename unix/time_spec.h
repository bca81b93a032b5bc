/* Clocks by number, struct timespec of the kernel's interface, and nanoseconds.  For the system
   calls and the vDSO. */
#pragma once

#include "runtime/types.h"

#define CLOCK_REALTIME         0
#define CLOCK_MONOTONIC        1
#define CLOCK_PROCESS_CPU      2
#define CLOCK_THREAD_CPU       3
#define CLOCK_MONOTONIC_RAW    4
#define CLOCK_REALTIME_COARSE  5
#define CLOCK_MONOTONIC_COARSE 6
#define CLOCK_BOOTTIME         7
#define CLOCK_REALTIME_ALARM   8
#define CLOCK_BOOTTIME_ALARM   9
#define CLOCK_TAI              11

/* A clock's bit in the sets below, which are of those that are the same clock; 0: in none. */
static inline u32 clock_bit(s32 clock)
{
    return clock >= 0 && clock < 32 ? 1u << clock : 0;
}

#define CLOCKS_REALTIME                                                                            \
    (1u << CLOCK_REALTIME | 1u << CLOCK_REALTIME_COARSE | 1u << CLOCK_REALTIME_ALARM |             \
     1u << CLOCK_TAI)
#define CLOCKS_MONOTONIC                                                                           \
    (1u << CLOCK_MONOTONIC | 1u << CLOCK_MONOTONIC_RAW | 1u << CLOCK_MONOTONIC_COARSE |            \
     1u << CLOCK_BOOTTIME | 1u << CLOCK_BOOTTIME_ALARM)
#define CLOCKS_COARSE (1u << CLOCK_REALTIME_COARSE | 1u << CLOCK_MONOTONIC_COARSE)

#define CLOCK_COARSE_NS 4000000ull /* the resolution Linux gives them at 250 Hz */

struct time_spec {
    s64 seconds;
    s64 ns;
};

#define TIME_SECONDS_MOST 9000000000ll /* further away is never; keeps sums within 64 bits */

/* False when it is not a time: negative, or a second's worth of nanoseconds and more. */
static inline bool time_spec_ns(const struct time_spec *spec, u64 *ns)
{
    if (spec->seconds < 0 || spec->ns < 0 || spec->ns >= (s64)NS_PER_SECOND)
        return false;
    *ns = (u64)min(spec->seconds, TIME_SECONDS_MOST) * NS_PER_SECOND + (u64)spec->ns;
    return true;
}

static inline struct time_spec time_spec_of(u64 ns)
{
    return (struct time_spec){(s64)(ns / NS_PER_SECOND), (s64)(ns % NS_PER_SECOND)};
}
