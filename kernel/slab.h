/* Slabs: objects of 16 bytes to 2 KiB, cut from blocks of pages.

   A slab has no header inside, so an object is aligned to what divides its class, as
   runtime/heap.h promises.  What is known of a slab lies in an array with one entry for each page
   of RAM; an entry is written only when its page becomes a slab.

   Nothing here is locked: kernel/memory.c holds its lock.  Freestanding and hosted (tests). */
#pragma once

#include "kernel/buddy.h"

#define SLAB_CLASSES    14
#define SLAB_BYTES_MOST 2048ull

/* Of one slab, at its first page.  Page 0 is never RAM of ours, so it ends lists. */
struct slab {
    u32 next, previous; /* slabs of the class that have free objects; page numbers */
    u16 free;           /* offset / 16 + 1 of the first object given back; 0: none */
    u16 fresh;          /* offset / 16 of the first object never handed out */
    u16 used;           /* objects handed out */
    u16 class;
};

struct slab_heap {
    struct buddy *buddy;       /* [I] */
    struct slab *slabs;        /* [I] by page number */
    u32 partial[SLAB_CLASSES]; /* [memory lock] first slab with room */
};

/* Powers of two and their halves between: whatever size is asked for, its class is aligned at
   least as well, because it is the next multiple of a power of two that the size lies below. */
extern const u8 slab_classes[SLAB_BYTES_MOST / 16 + 1]; /* by size in units of 16 bytes */
static inline u32 slab_class_of(u64 bytes)
{
    return slab_classes[(bytes + 15) / 16];
}

/* The size of the objects of a class: 16, 32, 48, 64, 96 ... 2048. */
static inline u32 slab_class_bytes(u32 class)
{
    return class < 2 ? 16u << class : (class & 1 ? 64u : 48u) << ((class - 2) / 2);
}

/* `slabs` has an entry for each of the buddy's page numbers; it need not be cleared. */
void slab_init(struct slab_heap *s, struct buddy *b, struct slab *slabs);

/* `bytes` at most SLAB_BYTES_MOST.  NULL when no page could be had. */
void *slab_allocate(struct slab_heap *s, u64 bytes);
void slab_free(struct slab_heap *s, void *object, u64 bytes);
