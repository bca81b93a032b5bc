/* Hand-overs between flows of control: coroutines of C, and thunks between two CPUs. */
#pragma once

#include "test/bench/closures/operations.h"

/* Ends with an entry without a name. */
extern const struct bench_operation bench_switches[];

/* Hands a thunk to and fro between CPU 0 and CPU 1, `rounds` times; how long that took. */
u64 hand_over_cpus(u64 rounds);

/* closures.c's. */
u64 now_ns(void);
