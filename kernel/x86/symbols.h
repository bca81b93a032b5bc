/* Names for addresses of the kernel's code: for backtraces. */
#pragma once

#include "runtime/types.h"

/* The function that holds `address` and how far into it; NULL when it is none of ours. */
const char *symbol_find(u64 address, u64 *offset);

/* Writes a backtrace to the log, from a frame pointer; `rip` is where it begins. */
void backtrace_log(u64 rip, u64 frame_pointer);

/* The same into an array: how many they are, at most `most` (1 or more). */
u32 backtrace_collect(u64 rip, u64 frame_pointer, u64 *rips, u32 most);
