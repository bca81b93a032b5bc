/* The only ways to reach user memory.  SMAP is lifted only inside; a page that is not there goes
   through user_hooks.copy_fault.  Any thread context of the run loop with its space current.

   All return the number of bytes NOT copied: 0 is success. */
#pragma once

#include "runtime/types.h"

u64 copy_in(void *to, u64 user_from, u64 bytes);
u64 copy_out(u64 user_to, const void *from, u64 bytes);
u64 zero_out(u64 user_to, u64 bytes);

/* Copies a string with its terminator; returns its length, -1 when memory ended before it did,
   -2 when it is longer than most - 1. */
s64 copy_in_string(char *to, u64 user_from, u64 most);

/* A word that other CPUs may write at the same time; `address` is a multiple of 4.  0, or -1 when
   the memory cannot be had. */
s64 word_load(u64 address, u32 *value);

/* Makes it `value` if it is *expected: 0.  1: it is not, and *expected is what it is.  -1 as above.
 */
s64 word_swap(u64 address, u32 *expected, u32 value);

/* Makes it ((word & keep) ^ flip) + add, in one step.  0, and *old is what it was; 1: other CPUs
   changed it at every try, of which there are 1024; -1 as above. */
struct word_change {
    u32 keep, flip, add;
};
s64 word_change(u64 address, struct word_change change, u32 *old);
