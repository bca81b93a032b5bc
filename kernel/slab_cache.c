/* A CPU's free objects.  See kernel/slab_cache.h. */
#include "kernel/slab_cache.h"

#define MOST(bytes)                                                                                \
    (SLAB_CACHE_BYTES / (bytes) < 2                    ? 2                                         \
     : SLAB_CACHE_BYTES / (bytes) < SLAB_CACHE_OBJECTS ? SLAB_CACHE_BYTES / (bytes)                \
                                                       : SLAB_CACHE_OBJECTS)

/* By class: a table, because giving an object back would have to divide. */
static const u8 objects_most[SLAB_CLASSES] = {
    MOST(16),  MOST(32),  MOST(48),  MOST(64),  MOST(96),   MOST(128),  MOST(192),
    MOST(256), MOST(384), MOST(512), MOST(768), MOST(1024), MOST(1536), MOST(2048)};

static void *object_take(struct cached_objects *objects)
{
    void *object = objects->first;
    if (object) {
        objects->first = *(void **)object;
        objects->count--;
    }
    return object;
}

static void object_add(struct cached_objects *objects, void *object)
{
    *(void **)object = objects->first;
    objects->first = object;
    objects->count++;
}

void *slab_cache_take(struct slab_cache *c, u64 bytes)
{
    return object_take(&c->classes[slab_class_of(bytes)]);
}

bool slab_cache_give(struct slab_cache *c, void *object, u64 bytes)
{
    u32 class = slab_class_of(bytes);
    struct cached_objects *objects = &c->classes[class];
    if (objects->count >= objects_most[class])
        return false;
    object_add(objects, object);
    return true;
}

void slab_cache_fill(struct slab_cache *c, struct slab_heap *s, u64 bytes)
{
    u32 class = slab_class_of(bytes);
    for (u32 i = 0; i < objects_most[class] / 2; i++) {
        void *object = slab_allocate(s, bytes);
        if (!object)
            return;
        object_add(&c->classes[class], object);
    }
}

static void drain_to(struct slab_cache *c, struct slab_heap *s, u32 class, u32 left)
{
    struct cached_objects *objects = &c->classes[class];
    while (objects->count > left)
        slab_free(s, object_take(objects), slab_class_bytes(class));
}

void slab_cache_drain(struct slab_cache *c, struct slab_heap *s, u64 bytes)
{
    u32 class = slab_class_of(bytes);
    drain_to(c, s, class, objects_most[class] / 2);
}

void slab_cache_empty(struct slab_cache *c, struct slab_heap *s)
{
    for (u32 class = 0; class < SLAB_CLASSES; class ++)
        drain_to(c, s, class, 0);
}
