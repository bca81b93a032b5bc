/* Pseudo-random numbers: see runtime/random.h. */
#include "runtime/random.h"

#include "runtime/memory.h"

static u64 rotate(u64 value, u32 bits)
{
    return value << bits | value >> (64 - bits);
}

/* The seed is spread by SplitMix64, so that the state is never all zero. */
void random_init(struct random *r, u64 seed)
{
    for (u32 i = 0; i < countof(r->state); i++) {
        seed += 0x9e3779b97f4a7c15ull;
        u64 z = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        r->state[i] = z ^ z >> 31;
    }
}

u64 random_next(struct random *r)
{
    u64 *s = r->state;
    u64 result = rotate(s[1] * 5, 7) * 9;
    u64 shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

/* The high half of a 128-bit product; values that would come up too often are thrown again. */
u64 random_below(struct random *r, u64 limit)
{
    u64 uneven = -limit % limit;
    u128 product;
    do {
        product = (u128)random_next(r) * limit;
    } while ((u64)product < uneven);
    return (u64)(product >> 64);
}

void random_fill(struct random *r, void *to, u64 bytes)
{
    u8 *at = to;
    for (u64 part; bytes; at += part, bytes -= part) {
        u64 value = random_next(r);
        part = min(bytes, (u64)sizeof(value));
        memcpy(at, &value, part);
    }
}
