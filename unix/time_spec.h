/* struct timespec of the kernel's interface, and nanoseconds. */
#pragma once

#include "runtime/types.h"

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
