/* Bitmaps: see runtime/bitmap.h.  Bits beyond the last are always clear. */
#include "runtime/bitmap.h"

#include "runtime/assert.h"

bool bitmap_create(struct bitmap *b, heap h, u64 bits)
{
    u64 *words = bits ? allocate(h, BITMAP_WORDS(bits) * sizeof(u64)) : NULL;
    if (bits && !words)
        return false;
    bitmap_init(b, words, bits);
    b->heap = h;
    return true;
}

void bitmap_init(struct bitmap *b, u64 *words, u64 bits)
{
    *b = (struct bitmap){.bits = bits, .words = words};
    if (bits)
        memset(words, 0, BITMAP_WORDS(bits) * sizeof(u64));
}

void bitmap_destroy(struct bitmap *b)
{
    if (b->heap)
        deallocate(b->heap, b->words, BITMAP_WORDS(b->bits) * sizeof(u64));
    *b = (struct bitmap){0};
}

bool bitmap_get(const struct bitmap *b, u64 bit)
{
    assert(bit < b->bits);
    return b->words[bit / 64] >> bit % 64 & 1;
}

/* The bits of word `word` that lie in r. */
static u64 word_mask(range r, u64 word)
{
    u64 first = max(r.start, word * 64) - word * 64;
    u64 last = min(r.end, word * 64 + 64) - word * 64; /* 1 to 64 */
    return ~0ull << first & ~0ull >> (64 - last);
}

void bitmap_set(struct bitmap *b, range r)
{
    assert(r.start <= r.end && r.end <= b->bits);
    for (u64 word = r.start / 64; word * 64 < r.end && !range_empty(r); word++)
        b->words[word] |= word_mask(r, word);
}

void bitmap_clear(struct bitmap *b, range r)
{
    assert(r.start <= r.end && r.end <= b->bits);
    for (u64 word = r.start / 64; word * 64 < r.end && !range_empty(r); word++)
        b->words[word] &= ~word_mask(r, word);
}

/* Without popcnt, which not every machine has; the compiler's own would call a library. */
static u64 count_ones(u64 v)
{
    v -= v >> 1 & 0x5555555555555555ull;
    v = (v & 0x3333333333333333ull) + (v >> 2 & 0x3333333333333333ull);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0full;
    return v * 0x0101010101010101ull >> 56;
}

u64 bitmap_count(const struct bitmap *b, range r)
{
    u64 count = 0;
    assert(r.start <= r.end && r.end <= b->bits);
    for (u64 word = r.start / 64; word * 64 < r.end && !range_empty(r); word++)
        count += count_ones(b->words[word] & word_mask(r, word));
    return count;
}

/* `inverted` is all ones to look for a clear bit. */
static u64 next_bit(const struct bitmap *b, u64 from, u64 inverted)
{
    if (from >= b->bits)
        return BITMAP_NONE;
    u64 word = from / 64;
    u64 found = (b->words[word] ^ inverted) & ~0ull << from % 64;
    while (!found && ++word < BITMAP_WORDS(b->bits))
        found = b->words[word] ^ inverted;
    u64 bit = found ? word * 64 + (u64)__builtin_ctzll(found) : BITMAP_NONE;
    return bit < b->bits ? bit : BITMAP_NONE;
}

u64 bitmap_next_set(const struct bitmap *b, u64 from)
{
    return next_bit(b, from, 0);
}

u64 bitmap_next_clear(const struct bitmap *b, u64 from)
{
    return next_bit(b, from, ~0ull);
}

u64 bitmap_allocate(struct bitmap *b, range within, u64 length, u64 alignment)
{
    u64 end = min(within.end, b->bits);
    u64 start = within.start;
    for (;;) {
        start = bitmap_next_clear(b, start);
        if (start == BITMAP_NONE)
            return BITMAP_NONE;
        start = align_up(start, alignment);
        if (length == 0 || start >= end || end - start < length)
            return BITMAP_NONE;
        u64 taken = bitmap_next_set(b, start);
        if (taken == BITMAP_NONE || taken - start >= length)
            break;
        start = taken;
    }
    bitmap_set(b, range_of(start, start + length));
    return start;
}
