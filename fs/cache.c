/* The page cache: clean pages of files, found through a radix tree in each inode, evicted by a
   clock with a second chance.

   A page is in its inode's tree from the moment it is asked for; while it is being read it belongs
   to that read (read.c), and page_find does not show it.  Held pages are never evicted.  The limit
   of pages is kept by evicting before adding; pages that are held or being read may exceed it. */
#include "fs/internal.h"

#define TREE_ORDER 6
#define TREE_SLOTS (1u << TREE_ORDER)
/* File blocks have 51 bits and the device's 48: nine levels reach them all. */
#define TREE_HEIGHT_MOST 9

#define SWEEP_STEPS_AT_LIMIT   64 /* pages looked at when one is added at the limit */
#define RECLAIM_WHEN_EXHAUSTED 32 /* pages given back when the heap has none left */

struct page_node {
    void *slots[TREE_SLOTS]; /* struct page_node, at the lowest level struct page */
};

static u32 slot_of(u64 index, u32 level)
{
    return (u32)(index >> (TREE_ORDER * level)) & (TREE_SLOTS - 1);
}

struct page *cache_lookup(struct inode *i, u64 index)
{
    const struct inode_live *l = i->live;
    u32 level = l ? l->tree_height : 0;
    if (level == 0 || index >> (TREE_ORDER * level))
        return NULL;
    struct page_node *n = l->pages;
    while (--level) {
        n = n->slots[slot_of(index, level)];
        if (!n)
            return NULL;
    }
    return n->slots[index & (TREE_SLOTS - 1)];
}

struct page *page_find(struct inode *i, u64 index)
{
    struct page *p = cache_lookup(i, index);
    if (!p || !(p->flags & PAGE_VALID))
        return NULL;
    p->flags |= PAGE_REFERENCED;
    p->holds++;
    return p;
}

void *page_memory(struct page *p)
{
    return p->memory;
}

void page_hold(struct page *p)
{
    p->holds++;
}

void page_release(struct page *p)
{
    assert(p->holds > 0);
    p->holds--;
}

u64 file_pages(const struct inode *i)
{
    return i->bytes / BLOCK_BYTES + (i->bytes % BLOCK_BYTES != 0);
}

/* --- the tree --------------------------------------------------------------------------------- */

static struct page_node *tree_node(struct inode *i)
{
    return allocate_zero(i->fs->environment.heap, sizeof(struct page_node));
}

/* The slot for a page, with all nodes above it; NULL when out of memory. */
static void **tree_slot(struct inode *i, u64 index)
{
    struct inode_live *l = inode_live(i);
    if (!l)
        return NULL;
    while (l->tree_height == 0 || index >> (TREE_ORDER * l->tree_height)) {
        struct page_node *top = tree_node(i);
        if (!top)
            return NULL;
        top->slots[0] = l->pages;
        l->pages = top;
        l->tree_height++;
        assert(l->tree_height <= TREE_HEIGHT_MOST);
    }
    struct page_node *n = l->pages;
    for (u32 level = l->tree_height - 1; level > 0; level--) {
        void **slot = &n->slots[slot_of(index, level)];
        if (!*slot)
            *slot = tree_node(i);
        if (!*slot)
            return NULL;
        n = *slot;
    }
    return &n->slots[index & (TREE_SLOTS - 1)];
}

static void page_free(struct filesystem *fs, struct page *p)
{
    deallocate(fs->environment.pages, p->memory, BLOCK_BYTES);
    deallocate(fs->environment.heap, p, sizeof(*p));
    fs->pages--;
}

/* `level` counts down to 0, the nodes that hold pages; the depth is TREE_HEIGHT_MOST at most. */
static void tree_free(struct filesystem *fs, struct page_node *n, u32 level)
{
    for (u32 s = 0; s < TREE_SLOTS; s++) {
        if (!n->slots[s])
            continue;
        if (level) {
            tree_free(fs, n->slots[s], level - 1);
        } else {
            struct page *p = n->slots[s];
            assert(p->holds == 0 && p->flags & PAGE_VALID);
            list_remove(&p->link);
            page_free(fs, p);
        }
    }
    deallocate(fs->environment.heap, n, sizeof(*n));
}

void cache_drop_inode(struct inode *i)
{
    struct inode_live *l = i->live;
    if (!l)
        return;
    if (l->pages)
        tree_free(i->fs, l->pages, l->tree_height - 1u);
    l->pages = NULL;
    l->tree_height = 0;
    l->pages_cached = 0;
}

void cache_drop(struct page *p)
{
    struct inode *i = p->inode;
    void **slot = tree_slot(i, p->index); /* it is there, so nothing is allocated */
    assert(p->holds == 0 && slot && *slot == p);
    *slot = NULL;
    list_remove(&p->link);
    page_free(i->fs, p);
    if (--i->live->pages_cached == 0)
        cache_drop_inode(i);
}

/* --- adding and evicting ---------------------------------------------------------------------- */

/* The clock's hand: looks at `steps` pages at most. */
static u64 clock_sweep(struct filesystem *fs, u64 pages, u64 steps)
{
    u64 freed = 0;
    while (freed < pages && steps--) {
        struct list *first = list_pop_front(&fs->clock);
        if (!first)
            break;
        struct page *p = container_of(first, struct page, link);
        if (p->holds || p->flags & PAGE_REFERENCED) {
            p->flags &= ~(u32)PAGE_REFERENCED;
            list_push_back(&fs->clock, &p->link);
        } else {
            cache_drop(p);
            freed++;
        }
    }
    return freed;
}

/* Twice around: the first time takes the second chances away. */
u64 page_cache_reclaim(struct filesystem *fs, u64 pages)
{
    return clock_sweep(fs, pages, fs->pages * 2);
}

static struct page *page_make(struct filesystem *fs, void *memory)
{
    struct page *p = allocate(fs->environment.heap, sizeof(*p));
    if (p && !memory)
        memory = allocate(fs->environment.pages, BLOCK_BYTES);
    if (!p || !memory) {
        deallocate(fs->environment.heap, p, sizeof(*p));
        return NULL;
    }
    p->memory = memory;
    return p;
}

struct page *cache_add(struct inode *i, u64 index, void *memory)
{
    struct filesystem *fs = i->fs;
    if (fs->pages >= fs->environment.cache_pages_most)
        clock_sweep(fs, fs->pages - fs->environment.cache_pages_most + 1, SWEEP_STEPS_AT_LIMIT);
    struct page *p = page_make(fs, memory);
    if (!p && page_cache_reclaim(fs, RECLAIM_WHEN_EXHAUSTED))
        p = page_make(fs, memory);
    if (!p)
        return NULL;
    fs->pages++;
    void **slot = tree_slot(i, index);
    if (!slot) {
        if (memory)
            p->memory = NULL; /* it stays the caller's */
        page_free(fs, p);
        if (i->live && i->live->pages_cached == 0)
            cache_drop_inode(i);
        return NULL;
    }
    *slot = p;
    i->live->pages_cached++;
    p->inode = i;
    p->index = index;
    p->holds = 1;
    p->flags = 0;
    p->read = NULL;
    list_init(&p->link);
    return p;
}

/* New pages get their second chance at once, so that who asked for them has time to look. */
void cache_page_valid(struct page *p)
{
    p->read = NULL;
    p->flags = PAGE_VALID | PAGE_REFERENCED;
    list_push_back(&p->inode->fs->clock, &p->link);
}
