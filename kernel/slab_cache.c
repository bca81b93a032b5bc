/* A CPU's free objects.  See kernel/slab_cache.h. */
#include "kernel/slab_cache.h"

#define MOST(bytes)                                                                                \
    (SLAB_CACHE_BYTES / (bytes) < 2                    ? 2                                         \
     : SLAB_CACHE_BYTES / (bytes) < SLAB_CACHE_OBJECTS ? SLAB_CACHE_BYTES / (bytes)                \
                                                       : SLAB_CACHE_OBJECTS)

const u8 slab_cache_most[SLAB_CLASSES] = {MOST(16),  MOST(32),   MOST(48),   MOST(64),  MOST(96),
                                          MOST(128), MOST(192),  MOST(256),  MOST(384), MOST(512),
                                          MOST(768), MOST(1024), MOST(1536), MOST(2048)};

void slab_cache_fill(struct slab_cache *c, struct slab_heap *s, u64 bytes)
{
    u32 class = slab_class_of(bytes);
    void *object;
    for (u32 i = 0; i < slab_cache_most[class] / 8 && (object = slab_allocate(s, bytes)); i++)
        slab_cache_give(c, object, bytes);
}

static void drain_to(struct slab_cache *c, struct slab_heap *s, u32 class, u32 left)
{
    u64 bytes = slab_class_bytes(class);
    while (c->classes[class].count > left)
        slab_free(s, slab_cache_take(c, bytes), bytes);
}

void slab_cache_drain(struct slab_cache *c, struct slab_heap *s, u64 bytes)
{
    u32 class = slab_class_of(bytes);
    drain_to(c, s, class, slab_cache_most[class] / 2);
}

void slab_cache_empty(struct slab_cache *c, struct slab_heap *s)
{
    for (u32 class = 0; class < SLAB_CLASSES; class ++)
        drain_to(c, s, class, 0);
}
