/* Scatter-gather lists: pieces of memory that together are the bytes of one transfer.

   A list is embedded in the operation that owns it, with room for a few pieces of its own; more
   come from its heap.  The pieces are borrowed: whoever owns the memory keeps it alive until the
   transfer's completion.  Not locked: one owner at a time. */
#pragma once

#include "runtime/heap.h"
#include "runtime/types.h"

struct sg_piece {
    void *address;
    u64 bytes;
};

#define SG_EMBEDDED_PIECES 8

struct sg_list {
    heap heap;               /* NULL: never more than the embedded pieces */
    struct sg_piece *pieces; /* embedded, or on the heap when there are more */
    u32 count;
    u32 capacity;
    u64 bytes; /* of all pieces */
    struct sg_piece embedded[SG_EMBEDDED_PIECES];
};

void sg_init(struct sg_list *sg, heap h);

/* Gives back what came from the heap and empties the list. */
void sg_clear(struct sg_list *sg);

/* Adds a piece at the end; joins it to the last one when they touch.  False when out of memory. */
bool sg_add(struct sg_list *sg, void *address, u64 bytes);

/* Adds the bytes [offset, offset + bytes) of `from`.  False when out of memory; `from` must hold
   them all. */
bool sg_add_range(struct sg_list *sg, const struct sg_list *from, u64 offset, u64 bytes);

/* Copies to or from flat memory, starting `offset` bytes into the list; returns how many bytes
   there were to copy, at most `bytes`. */
u64 sg_copy_in(struct sg_list *sg, u64 offset, const void *from, u64 bytes);
u64 sg_copy_out(const struct sg_list *sg, u64 offset, void *to, u64 bytes);
void sg_zero(struct sg_list *sg, u64 offset, u64 bytes);

#define sg_for_each(sg, piece)                                                                     \
    for (struct sg_piece *piece = (sg)->pieces; piece < (sg)->pieces + (sg)->count; piece++)
