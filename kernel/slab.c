/* Slabs.  See kernel/slab.h. */
#include "kernel/slab.h"

#include "runtime/assert.h"
#include "runtime/memory.h"

#define UNIT_BYTES 16u

const u8 slab_classes[SLAB_BYTES_MOST / UNIT_BYTES + 1] = {
    [0 ... 1] = 0,    [2] = 1,          [3] = 2,          [4] = 3,          [5 ... 6] = 4,
    [7 ... 8] = 5,    [9 ... 12] = 6,   [13 ... 16] = 7,  [17 ... 24] = 8,  [25 ... 32] = 9,
    [33 ... 48] = 10, [49 ... 64] = 11, [65 ... 96] = 12, [97 ... 128] = 13};

/* 1536 leaves a quarter of one page unused, and a sixteenth of two. */
static u32 class_order(u32 class)
{
    return slab_class_bytes(class) == 1536 ? 1 : 0;
}

void slab_init(struct slab_heap *s, struct buddy *b, struct slab *slabs)
{
    s->buddy = b;
    s->slabs = slabs;
    memset(s->partial, 0, sizeof(s->partial));
}

static char *slab_memory(const struct slab_heap *s, u32 page)
{
    return (char *)(s->buddy->base + ((u64)page << BUDDY_PAGE_ORDER));
}

static u32 slab_limit_units(u32 class)
{
    u32 bytes = (1u << BUDDY_PAGE_ORDER) << class_order(class);
    return (bytes - slab_class_bytes(class)) /
           UNIT_BYTES; /* the last object begins there or before */
}

static bool slab_has_room(const struct slab *slab)
{
    return slab->free || slab->fresh <= slab_limit_units(slab->class);
}

static void partial_insert(struct slab_heap *s, u32 page)
{
    struct slab *slab = &s->slabs[page];
    u32 *head = &s->partial[slab->class];
    slab->previous = 0;
    slab->next = *head;
    if (*head)
        s->slabs[*head].previous = page;
    *head = page;
}

static void partial_remove(struct slab_heap *s, u32 page)
{
    struct slab *slab = &s->slabs[page];
    if (slab->previous)
        s->slabs[slab->previous].next = slab->next;
    else
        s->partial[slab->class] = slab->next;
    if (slab->next)
        s->slabs[slab->next].previous = slab->previous;
}

/* The page number of a new, empty slab on the class's list; 0 when there is no memory. */
static u32 slab_create(struct slab_heap *s, u32 class)
{
    void *memory = buddy_allocate(s->buddy, class_order(class));
    if (!memory)
        return 0;
    u32 page = (u32)(((u64)memory - s->buddy->base) >> BUDDY_PAGE_ORDER);
    s->slabs[page] = (struct slab){.class = (u16) class};
    partial_insert(s, page);
    return page;
}

void *slab_allocate(struct slab_heap *s, u64 bytes)
{
    u32 class = slab_class_of(bytes);
    u32 page = s->partial[class];
    if (!page && !(page = slab_create(s, class)))
        return NULL;
    struct slab *slab = &s->slabs[page];
    char *object;
    if (slab->free) {
        object = slab_memory(s, page) + (slab->free - 1u) * UNIT_BYTES;
        slab->free = *(u16 *)(void *)object;
    } else {
        object = slab_memory(s, page) + slab->fresh * UNIT_BYTES;
        slab->fresh = (u16)(slab->fresh + slab_class_bytes(class) / UNIT_BYTES);
    }
    slab->used++;
    if (!slab_has_room(slab))
        partial_remove(s, page);
    return object;
}

void slab_free(struct slab_heap *s, void *object, u64 bytes)
{
    u32 class = slab_class_of(bytes);
    u64 offset = (u64)object - s->buddy->base;
    u32 page = (u32)(offset >> BUDDY_PAGE_ORDER) & ~((1u << class_order(class)) - 1);
    struct slab *slab = &s->slabs[page];
    assert(slab->class == class && slab->used > 0);
    bool was_full = !slab_has_room(slab);
    *(u16 *)object = slab->free;
    slab->free = (u16)((offset - ((u64)page << BUDDY_PAGE_ORDER)) / UNIT_BYTES + 1);
    slab->used--;
    if (was_full)
        partial_insert(s, page);
    /* One empty slab of a class stays, so that taking and giving one object is no page's work. */
    if (!slab->used && (slab->next || slab->previous)) {
        partial_remove(s, page);
        buddy_free(s->buddy, slab_memory(s, page), class_order(class));
    }
}
