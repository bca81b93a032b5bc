/* The buddy allocator: whole pages in blocks of 2^order, each aligned to its size.

   What it keeps lies beside the pages: a link for each page, which is in a free list when a free
   block begins there, and one bit for each pair of buddies, which says whether exactly one of them
   is free.  The links are written when they are used, so a machine starts fast; and no page is
   touched before its owner does: memory that a device fills is not brought in by the processor.

   Nothing here is locked: kernel/memory.c holds its lock.  Freestanding and hosted (tests). */
#pragma once

#include "runtime/list.h"
#include "runtime/types.h"

#define BUDDY_PAGE_ORDER 12
#define BUDDY_ORDERS     19 /* the largest block: 2^18 pages, 1 GiB */

struct buddy {
    u64 base;                       /* [I] address of page 0 */
    u64 pages;                      /* [I] page numbers are below that */
    u64 total_pages, free_pages;    /* [memory lock] */
    u32 orders_free;                /* [memory lock] bit n: free[n] is not empty */
    struct list free[BUDDY_ORDERS]; /* [memory lock] */
    u64 *one_free[BUDDY_ORDERS];    /* [memory lock] a bit for each pair of that order */
    struct list *links;             /* [memory lock] one for each page */
};

/* The room that buddy_init wants for its bits and links. */
u64 buddy_metadata_bytes(u64 pages);

/* Begins with no page free.  `metadata` is aligned to 8 bytes and stays the allocator's. */
void buddy_init(struct buddy *b, u64 base, u64 pages, void *metadata);

/* Adds pages that the allocator may hand out; page numbers. */
void buddy_add(struct buddy *b, range pages);

/* NULL when there is no block of that order. */
void *buddy_allocate(struct buddy *b, u32 order);

/* A block that buddy_allocate returned, with its order. */
void buddy_free(struct buddy *b, void *block, u32 order);

/* Any number of whole pages, as the largest aligned blocks that fit. */
void buddy_free_pages(struct buddy *b, void *first, u64 pages);
