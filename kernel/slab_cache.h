/* A CPU's own store of free objects, in front of the slabs: taking one and giving it back is a few
   instructions and no lock.

   Each class has a list of up to SLAB_CACHE_OBJECTS objects, and about SLAB_CACHE_BYTES.  An empty
   list is filled from the slabs, and a full one drained into them, by half of that at once.

   One CPU's, used by kernel code there: nothing of that is interrupted (kernel/run_loop.h).
   Freestanding and hosted (tests). */
#pragma once

#include "kernel/slab.h"

#define SLAB_CACHE_OBJECTS 32u
#define SLAB_CACHE_BYTES   2048u

struct slab_cache {
    alignas(64) struct cached_objects {
        void *first; /* each object holds the address of the next */
        u32 count;
    } classes[SLAB_CLASSES];
};

/* All zero is an empty cache.  `bytes` is at most SLAB_BYTES_MOST. */

/* NULL when the cache has none of that size. */
void *slab_cache_take(struct slab_cache *c, u64 bytes);
/* False when there is no room. */
bool slab_cache_give(struct slab_cache *c, void *object, u64 bytes);

/* Caller holds the slabs' lock.  From the slabs into the cache, and back: what the size has room
   for, by half; fewer when the slabs have no more. */
void slab_cache_fill(struct slab_cache *c, struct slab_heap *s, u64 bytes);
void slab_cache_drain(struct slab_cache *c, struct slab_heap *s, u64 bytes);
/* All of it, of every class. */
void slab_cache_empty(struct slab_cache *c, struct slab_heap *s);
