/* SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): a hash under a
   secret key, for tables whose keys somebody outside chooses, and for numbers that nobody outside
   may foretell.  Any context. */
#pragma once

#include "runtime/types.h"

struct siphash_key {
    u64 words[2];
};

u64 siphash(const struct siphash_key *key, const void *data, u64 bytes);
