/* A fast 64-bit hash of bytes, for checksums of data and for hash tables: the XXH64 function, as
   its published specification describes it (https://github.com/Cyan4973/xxHash,
   doc/xxhash_spec.md). Not a defence against somebody who chooses the bytes.  Any context. */
#pragma once

#include "runtime/types.h"

/* hash64(0, "", 0) == 0xef46db3751d8e999. */
u64 hash64(u64 seed, const void *data, u64 bytes);

/* A number spread over all 64 bits. */
static inline u64 hash64_of(u64 number)
{
    number = (number ^ number >> 33) * 0xff51afd7ed558ccdull;
    number = (number ^ number >> 33) * 0xc4ceb9fe1a85ec53ull;
    return number ^ number >> 33;
}
