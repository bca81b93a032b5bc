/* Ratios as fixed-point numbers: a division of 128 bits by 64, for which C would call a library. */
#pragma once

#include "runtime/types.h"

/* a / b with 32 bits of fraction; all ones when it does not fit. */
static inline u64 ratio_32(u64 a, u64 b)
{
    u64 high = a >> 32, low = a << 32;
    if (high >= b)
        return ~0ull;
    asm("divq %2" : "+a"(low), "+d"(high) : "r"(b) : "cc");
    return low;
}

/* n times a number with 32 bits of fraction. */
static inline u64 scale_32(u64 n, u64 fraction)
{
    return (u64)(((u128)n * fraction) >> 32);
}
