/* The buddy allocator.  See kernel/buddy.h. */
#include "kernel/buddy.h"

#include "runtime/assert.h"
#include "runtime/memory.h"

static u64 pair_words(u64 pages, u32 order)
{
    return (pages >> (order + 1)) / 64 + 1;
}

static u64 bits_bytes(u64 pages)
{
    u64 words = 0;
    for (u32 order = 0; order < BUDDY_ORDERS; order++)
        words += pair_words(pages, order);
    return words * sizeof(u64);
}

u64 buddy_metadata_bytes(u64 pages)
{
    return bits_bytes(pages) + pages * sizeof(struct list);
}

void buddy_init(struct buddy *b, u64 base, u64 pages, void *metadata)
{
    u64 *words = metadata;
    memset(metadata, 0, bits_bytes(pages)); /* a link is written when its block becomes free */
    b->base = base;
    b->pages = pages;
    b->total_pages = b->free_pages = 0;
    b->orders_free = 0;
    for (u32 order = 0; order < BUDDY_ORDERS; order++) {
        list_init(&b->free[order]);
        b->one_free[order] = words;
        words += pair_words(pages, order);
    }
    b->links = (struct list *)words;
}

static u64 page_of(const struct buddy *b, const void *block)
{
    return ((u64)block - b->base) >> BUDDY_PAGE_ORDER;
}

/* Turns the bit of the pair over that `page` belongs to; true when exactly one is free now. */
static bool pair_flip(struct buddy *b, u64 page, u32 order)
{
    u64 pair = page >> (order + 1);
    u64 *word = &b->one_free[order][pair / 64];
    *word ^= 1ull << pair % 64;
    return *word >> pair % 64 & 1;
}

static void block_put(struct buddy *b, u64 page, u32 order)
{
    list_push_front(&b->free[order], &b->links[page]);
    b->orders_free |= 1u << order;
}

static void block_take(struct buddy *b, struct list *link, u32 order)
{
    list_remove(link);
    if (list_empty(&b->free[order]))
        b->orders_free &= ~(1u << order);
}

static void block_free(struct buddy *b, u64 page, u32 order)
{
    assert(page + (1ull << order) <= b->pages);
    assert((page & ((1ull << order) - 1)) == 0);
    b->free_pages += 1ull << order;
    while (!pair_flip(b, page, order) && order < BUDDY_ORDERS - 1) {
        u64 buddy = page ^ (1ull << order);
        block_take(b, &b->links[buddy], order);
        page &= buddy;
        order++;
    }
    block_put(b, page, order);
}

void *buddy_allocate(struct buddy *b, u32 order)
{
    if (order >= BUDDY_ORDERS || !(b->orders_free >> order))
        return NULL;
    u32 from = order + (u32)__builtin_ctz(b->orders_free >> order);
    struct list *link = b->free[from].next;
    u64 page = (u64)(link - b->links);
    block_take(b, link, from);
    pair_flip(b, page, from);
    while (from > order) {
        from--;
        pair_flip(b, page, from);
        block_put(b, page + (1ull << from), from);
    }
    b->free_pages -= 1ull << order;
    return (void *)(b->base + (page << BUDDY_PAGE_ORDER));
}

void buddy_free(struct buddy *b, void *block, u32 order)
{
    block_free(b, page_of(b, block), order);
}

static void range_free(struct buddy *b, range pages)
{
    while (!range_empty(pages)) {
        u32 aligned = (u32)__builtin_ctzll(pages.start | 1ull << (BUDDY_ORDERS - 1));
        u32 fits = 63 - (u32)__builtin_clzll(range_length(pages));
        u32 order = min(aligned, fits);
        block_free(b, pages.start, order);
        pages.start += 1ull << order;
    }
}

void buddy_add(struct buddy *b, range pages)
{
    assert(pages.end <= b->pages);
    if (range_empty(pages))
        return;
    b->total_pages += range_length(pages);
    range_free(b, pages);
}

void buddy_free_pages(struct buddy *b, void *first, u64 pages)
{
    u64 page = page_of(b, first);
    range_free(b, range_of(page, page + pages));
}
