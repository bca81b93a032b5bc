/* Pseudo-random numbers from a seed: xoshiro256** (Blackman and Vigna).  The same seed gives the
   same numbers, which is what tests and simulations want; nothing here is fit for secrets. */
#pragma once

#include "runtime/types.h"

struct random {
    u64 state[4];
};

void random_init(struct random *r, u64 seed);
u64 random_next(struct random *r);
/* Less than `limit`, each equally likely; limit is not 0. */
u64 random_below(struct random *r, u64 limit);
void random_fill(struct random *r, void *to, u64 bytes);
