/* Bitmaps: a fixed number of bits, and looking for runs of clear ones.  Not locked. */
#pragma once

#include "runtime/heap.h"
#include "runtime/types.h"

struct bitmap {
    heap heap; /* NULL when the words are the caller's */
    u64 bits;
    u64 *words;
};

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)
#define BITMAP_NONE        (~0ull)

/* All clear.  False: out of memory. */
bool bitmap_create(struct bitmap *b, heap h, u64 bits);
/* The same in BITMAP_WORDS(bits) words of the caller's, which are cleared. */
void bitmap_init(struct bitmap *b, u64 *words, u64 bits);
void bitmap_destroy(struct bitmap *b);

bool bitmap_get(const struct bitmap *b, u64 bit);
void bitmap_set(struct bitmap *b, range r);
void bitmap_clear(struct bitmap *b, range r);
/* How many bits of r are set. */
u64 bitmap_count(const struct bitmap *b, range r);
/* The first set (clear) bit at or after `from`; BITMAP_NONE when there is none. */
u64 bitmap_next_set(const struct bitmap *b, u64 from);
u64 bitmap_next_clear(const struct bitmap *b, u64 from);
/* The lowest run of `length` clear bits within `within` that begins at a multiple of `alignment`
   (a power of two), made set; BITMAP_NONE when there is none. */
u64 bitmap_allocate(struct bitmap *b, range within, u64 length, u64 alignment);
