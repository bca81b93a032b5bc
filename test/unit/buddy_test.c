/* The buddy allocator, the slabs and two CPUs' caches of objects: random work against what is known
   of every block, and what is left when all of it came back. */
#include "kernel/buddy.c"
#include "kernel/slab.c"
#include "kernel/slab_cache.c"

#include "runtime/random.h"
#include "test/host/harness.h"

#include <stdlib.h>

#define PAGE         4096ull
#define PAGES        3000ull
#define BLOCKS       2000
#define STEPS        400000
#define ORDERS_ASKED 6

enum kind { OBJECT, BLOCK, PAGE_RUN };

struct piece {
    u8 *memory; /* NULL: none now */
    u64 bytes;
    enum kind kind;
    u8 mark;
};

static struct buddy buddy_tested;
static struct slab_heap slabs_tested;
static struct slab_cache caches_tested[2];
static struct piece pieces[BLOCKS];

/* The first and the last bytes say whether somebody else has it too. */
static void piece_mark(struct piece *p)
{
    u64 ends = min(p->bytes, 64ull);
    memset(p->memory, p->mark, ends);
    memset(p->memory + p->bytes - ends, p->mark, ends);
}

static void piece_check(const struct piece *p)
{
    u64 ends = min(p->bytes, 64ull);
    for (u64 i = 0; i < ends; i++)
        must(p->memory[i] == p->mark && p->memory[p->bytes - 1 - i] == p->mark);
}

/* As the kernel does it, on one of two CPUs. */
static void *object_allocate(struct slab_cache *cache, u64 bytes)
{
    void *object = slab_cache_take(cache, bytes);
    if (!object && (object = slab_allocate(&slabs_tested, bytes)))
        slab_cache_fill(cache, &slabs_tested, bytes);
    return object;
}

static void object_free(struct slab_cache *cache, void *object, u64 bytes)
{
    if (slab_cache_give(cache, object, bytes))
        return;
    slab_cache_drain(cache, &slabs_tested, bytes);
    slab_free(&slabs_tested, object, bytes);
}

static void piece_take(struct piece *p, struct random *r)
{
    u64 chance = random_below(r, 20);
    p->kind = chance == 0 ? BLOCK : chance == 1 ? PAGE_RUN : OBJECT;
    p->mark = (u8)random_next(r);
    u32 order = (u32)random_below(r, ORDERS_ASKED);
    u64 alignment = PAGE << order;
    if (p->kind == OBJECT) {
        p->bytes = 1 + random_below(r, SLAB_BYTES_MOST);
        p->memory = object_allocate(&caches_tested[random_below(r, 2)], p->bytes);
        alignment = max(p->bytes & -p->bytes, 16ull);
    } else {
        p->bytes = PAGE << order;
        p->memory = buddy_allocate(&buddy_tested, order);
    }
    if (!p->memory)
        return;
    u64 offset = (u64)p->memory - buddy_tested.base;
    must(offset % alignment == 0 && offset + p->bytes <= PAGES * PAGE);
    if (p->kind == PAGE_RUN) {
        u64 kept = 1 + random_below(r, 1ull << order);
        buddy_free_pages(&buddy_tested, p->memory + kept * PAGE, (1ull << order) - kept);
        p->bytes = kept * PAGE;
    }
    piece_mark(p);
}

static void piece_give(struct piece *p, struct random *r)
{
    piece_check(p);
    if (p->kind == OBJECT)
        object_free(&caches_tested[random_below(r, 2)], p->memory, p->bytes);
    else if (p->kind == BLOCK)
        buddy_free(&buddy_tested, p->memory, ceil_log2(p->bytes / PAGE));
    else
        buddy_free_pages(&buddy_tested, p->memory, p->bytes / PAGE);
    p->memory = NULL;
}

static u64 free_pages_counted(void)
{
    u64 pages = 0;
    for (u32 order = 0; order < BUDDY_ORDERS; order++) {
        u64 blocks = 0;
        list_for_each (&buddy_tested.free[order], block)
            blocks++;
        must(!!blocks == (buddy_tested.orders_free >> order & 1));
        pages += blocks << order;
    }
    return pages;
}

static void test_random(struct random *r, u64 total)
{
    u64 refused = 0;
    for (u32 step = 0; step < STEPS; step++) {
        struct piece *p = &pieces[random_below(r, BLOCKS)];
        if (p->memory)
            piece_give(p, r);
        else
            piece_take(p, r);
        refused += !p->memory && p->kind == BLOCK;
    }
    is(free_pages_counted(), buddy_tested.free_pages, "the lists hold the pages that are free");
    for (u32 i = 0; i < BLOCKS; i++)
        if (pieces[i].memory)
            piece_give(&pieces[i], r);
    for (u32 class = 0; class < SLAB_CLASSES; class ++) {
        u32 most = max(min(SLAB_CACHE_BYTES / slab_class_bytes(class), SLAB_CACHE_OBJECTS), 2u);
        must(caches_tested[0].classes[class].count <= most);
    }
    for (u32 i = 0; i < 2; i++)
        slab_cache_empty(&caches_tested[i], &slabs_tested);
    ok(buddy_tested.free_pages + SLAB_CLASSES + 1 >= total,
       "all comes back, but for one empty slab of each class");
    is(free_pages_counted(), buddy_tested.free_pages, "and the lists agree again");
}

/* Every block of a wiped allocator joins its buddy: the same lists as in the beginning. */
static void test_joining(u64 total)
{
    u32 orders_before = buddy_tested.orders_free;
    u64 count = 0;
    static void *taken[PAGES];
    while ((taken[count] = buddy_allocate(&buddy_tested, 0)))
        count++;
    is(count, total, "every page can be taken alone");
    ok(!buddy_tested.free_pages && !buddy_tested.orders_free, "and then there is none left");
    for (u64 i = 0; i < count; i++)
        buddy_free(&buddy_tested, taken[i * 7 % count], 0);
    is(buddy_tested.orders_free, orders_before, "given back in another order, they join again");
}

/* Each size has the smallest class that holds it. */
static void test_classes(void)
{
    u32 wrong = 0;
    for (u32 bytes = 1; bytes <= SLAB_BYTES_MOST; bytes++) {
        u32 class = slab_class_of(bytes);
        wrong += class >= SLAB_CLASSES || slab_class_bytes(class) < bytes ||
                 (class > 0 && slab_class_bytes(class - 1) >= bytes);
    }
    is(wrong, 0, "each size lies in the smallest class that holds it");
}

int main(void)
{
    struct random r;
    random_init(&r, test_seed());
    void *memory = aligned_alloc(PAGE, PAGES * PAGE);
    void *metadata = malloc(buddy_metadata_bytes(PAGES));
    struct slab *slabs = malloc(PAGES * sizeof(*slabs));
    must(memory && metadata && slabs);
    buddy_init(&buddy_tested, (u64)memory, PAGES, metadata);
    slab_init(&slabs_tested, &buddy_tested, slabs);
    buddy_add(&buddy_tested, range_of(3, 700));
    buddy_add(&buddy_tested, range_of(801, PAGES));
    u64 total = buddy_tested.free_pages;
    is(total, 697 + PAGES - 801, "pages of two ranges");
    test_classes();
    test_joining(total);
    test_random(&r, total);
    free(slabs);
    free(metadata);
    free(memory);
    return done_testing();
}
