/* A CPU's own store of free objects, in front of the slabs: taking one and giving it back is a few
   instructions and no lock.

   Each class has a list of up to SLAB_CACHE_OBJECTS objects, and about SLAB_CACHE_BYTES: what some
   dozens of connections take and give back in turn.  An empty list is filled from the slabs by an
   eighth of that, and a full one drained into them by half.

   One CPU's, used by kernel code there: nothing of that is interrupted (kernel/run_loop.h).
   Freestanding and hosted (tests). */
#pragma once

#include "kernel/slab.h"

#define SLAB_CACHE_OBJECTS 64u
#define SLAB_CACHE_BYTES   (16u << 10)

struct slab_cache {
    alignas(64) struct cached_objects {
        void *first; /* each object holds the address of the next */
        u32 count;
    } classes[SLAB_CLASSES];
};

/* All zero is an empty cache.  `bytes` is at most SLAB_BYTES_MOST. */

/* How many of a class there may be: a table, because giving an object back would have to divide. */
extern const u8 slab_cache_most[SLAB_CLASSES];

/* NULL when the cache has none of that size. */
static inline void *slab_cache_take(struct slab_cache *c, u64 bytes)
{
    struct cached_objects *objects = &c->classes[slab_class_of(bytes)];
    void *object = objects->first;
    if (likely(object)) {
        objects->first = *(void **)object;
        objects->count--;
    }
    return object;
}

/* False when there is no room. */
static inline bool slab_cache_give(struct slab_cache *c, void *object, u64 bytes)
{
    u32 class = slab_class_of(bytes);
    struct cached_objects *objects = &c->classes[class];
    if (unlikely(objects->count >= slab_cache_most[class]))
        return false;
    *(void **)object = objects->first;
    objects->first = object;
    objects->count++;
    return true;
}

/* Caller holds the slabs' lock.  From the slabs into the cache, fewer when they have no more; and
   back. */
void slab_cache_fill(struct slab_cache *c, struct slab_heap *s, u64 bytes);
void slab_cache_drain(struct slab_cache *c, struct slab_heap *s, u64 bytes);
/* All of it, of every class. */
void slab_cache_empty(struct slab_cache *c, struct slab_heap *s);
