/* The XXH64 hash: see runtime/hash64.h.  Written from the specification's description. */
#include "runtime/hash64.h"

#include "runtime/memory.h"

#define PRIME_1 0x9e3779b185ebca87ull
#define PRIME_2 0xc2b2ae3d27d4eb4full
#define PRIME_3 0x165667b19e3779f9ull
#define PRIME_4 0x85ebca77c2b2ae63ull
#define PRIME_5 0x27d4eb2f165667c5ull

static u64 rotate(u64 value, u32 bits)
{
    return value << bits | value >> (64 - bits);
}

static u64 load64(const u8 *p)
{
    u64 value;
    memcpy(&value, p, sizeof(value));
    return value;
}

static u64 load32(const u8 *p)
{
    u32 value;
    memcpy(&value, p, sizeof(value));
    return value;
}

static u64 lane_round(u64 lane, u64 input)
{
    return rotate(lane + input * PRIME_2, 31) * PRIME_1;
}

static u64 lane_merge(u64 sum, u64 lane)
{
    return (sum ^ lane_round(0, lane)) * PRIME_1 + PRIME_4;
}

/* Whole stripes of 32 bytes, in four lanes; *p and *bytes move on to what is left. */
static u64 hash_stripes(u64 seed, const u8 **p, u64 *bytes)
{
    u64 a = seed + PRIME_1 + PRIME_2, b = seed + PRIME_2, c = seed, d = seed - PRIME_1;
    const u8 *at = *p;
    u64 left = *bytes;
    for (; left >= 32; at += 32, left -= 32) {
        a = lane_round(a, load64(at));
        b = lane_round(b, load64(at + 8));
        c = lane_round(c, load64(at + 16));
        d = lane_round(d, load64(at + 24));
    }
    *p = at;
    *bytes = left;
    u64 sum = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    return lane_merge(lane_merge(lane_merge(lane_merge(sum, a), b), c), d);
}

/* The last 31 bytes at most. */
static u64 hash_tail(u64 sum, const u8 *p, u64 bytes)
{
    for (; bytes >= 8; p += 8, bytes -= 8)
        sum = rotate(sum ^ lane_round(0, load64(p)), 27) * PRIME_1 + PRIME_4;
    if (bytes >= 4) {
        sum = rotate(sum ^ load32(p) * PRIME_1, 23) * PRIME_2 + PRIME_3;
        p += 4;
        bytes -= 4;
    }
    for (; bytes; p++, bytes--)
        sum = rotate(sum ^ *p * PRIME_5, 11) * PRIME_1;
    return sum;
}

/* Aligned so that its loop never lies across a page's end: an emulator does not link its translated
   blocks there, and that costs half the speed of a cold read. */
__attribute__((aligned(1024))) u64 hash64(u64 seed, const void *data, u64 bytes)
{
    const u8 *p = data;
    u64 left = bytes;
    u64 sum = left >= 32 ? hash_stripes(seed, &p, &left) : seed + PRIME_5;
    sum = hash_tail(sum + bytes, p, left);
    sum = (sum ^ sum >> 33) * PRIME_2;
    sum = (sum ^ sum >> 29) * PRIME_3;
    return sum ^ sum >> 32;
}
