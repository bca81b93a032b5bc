/* The page cache: pages of files, found through a radix tree in each inode, evicted by a clock with
   a second chance.

   A page is in its inode's tree from the moment it is asked for; while it is being read it belongs
   to that read (read.c), and page_find does not show it.  Held pages are never evicted, and those
   that are dirty or on their way to the disk are not on the clock.  The limit of pages is kept by
   evicting before adding; pages that are held, dirty or being read may exceed it.

   Each node of a tree says which of its pages, or of the nodes below, are dirty; so the dirty pages
   of a range are found in order without looking at the others.

   Who drops pages that somebody holds detaches them: they are no longer the file's, and the last
   hold frees them. */
#include "fs/writeback.h"

#define TREE_ORDER 6
#define TREE_SLOTS (1u << TREE_ORDER)
/* File blocks have 51 bits and the device's 48: nine levels reach them all. */
#define TREE_HEIGHT_MOST 9

#define SWEEP_STEPS_AT_LIMIT   64 /* pages looked at when one is added at the limit */
#define RECLAIM_WHEN_EXHAUSTED 32 /* pages given back when the heap has none left */

struct page_node {
    u64 dirty;               /* one bit for each slot with a dirty page in or below it */
    void *slots[TREE_SLOTS]; /* struct page_node, at the lowest level struct page */
};

static u32 slot_of(u64 index, u32 level)
{
    return (u32)(index >> (TREE_ORDER * level)) & (TREE_SLOTS - 1);
}

/* The lowest node with the slot of that page; NULL: there is none. */
static inline struct page_node *leaf_find(const struct inode *i, u64 index)
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
    return n;
}

struct page *cache_lookup(struct inode *i, u64 index)
{
    const struct page_node *n = leaf_find(i, index);
    return n ? n->slots[index & (TREE_SLOTS - 1)] : NULL;
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

u32 pages_find(struct inode *i, u64 first, u64 most, struct page_run *run)
{
    const struct page_node *n = leaf_find(i, first);
    u32 slot = first & (TREE_SLOTS - 1), count = 0;
    struct page *p = n ? n->slots[slot] : NULL;
    run->count = 0;
    if (!p || !(p->flags & PAGE_VALID))
        return 0;
    u64 end = min(most, (u64)PAGE_RUN_MOST);
    end = min(end, (u64)(TREE_SLOTS - slot));
    u8 *memory = run->memory = p->memory;
    do {
        p->flags |= PAGE_REFERENCED;
        p->holds++;
        run->pages[count++] = p;
        if (count == end)
            break;
        p = n->slots[slot + count];
        memory += BLOCK_BYTES;
    } while (p && p->flags & PAGE_VALID && p->memory == memory);
    run->count = count;
    return count;
}

void *page_memory(struct page *p)
{
    return p->memory;
}

void page_hold(struct page *p)
{
    p->holds++;
}

static void page_free(struct filesystem *fs, struct page *p)
{
    deallocate(fs->environment.pages, p->memory, BLOCK_BYTES);
    deallocate(fs->environment.heap, p, sizeof(*p));
    fs->pages--;
}

void page_release(struct page *p)
{
    assert(p->holds > 0);
    if (unlikely(--p->holds == 0 && p->flags & PAGE_DETACHED))
        page_free(p->fs, p);
}

void page_run_release(struct page_run *run)
{
    u32 n = 0;
    do
        page_release(run->pages[n]);
    while (++n < run->count);
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

/* One more level on top. */
static bool tree_grow(struct inode *i)
{
    struct inode_live *l = i->live;
    struct page_node *top = tree_node(i);
    if (!top)
        return false;
    top->slots[0] = l->pages;
    top->dirty = l->pages && l->pages->dirty;
    l->pages = top;
    l->tree_height++;
    assert(l->tree_height <= TREE_HEIGHT_MOST);
    return true;
}

/* The slot for a page, with all nodes above it; NULL when out of memory. */
static void **tree_slot(struct inode *i, u64 index)
{
    struct inode_live *l = i->live;
    while (l->tree_height == 0 || index >> (TREE_ORDER * l->tree_height))
        if (!tree_grow(i))
            return NULL;
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

/* Takes a page out of its tree, and the tree away with its last page. */
static void tree_remove(struct page *p)
{
    struct inode *i = p->inode;
    void **slot = tree_slot(i, p->index); /* it is there, so nothing is allocated */
    assert(slot && *slot == p && !(p->flags & PAGE_DIRTY));
    *slot = NULL;
    list_remove(&p->link);
    if (--i->live->pages_cached == 0)
        cache_drop_inode(i);
}

void cache_drop(struct page *p)
{
    assert(p->holds == 0 && p->writes == 0);
    tree_remove(p);
    page_free(p->inode->fs, p);
}

void cache_detach(struct page *p)
{
    struct filesystem *fs = p->inode->fs;
    tree_remove(p);
    if (p->holds == 0) {
        page_free(fs, p);
        return;
    }
    p->flags = (p->flags & PAGE_WRITING) | PAGE_DETACHED;
    p->fs = fs;
}

/* The first slot from `from` on that counts; TREE_SLOTS: none. */
static u32 slot_first(const struct page_node *n, u32 from, bool dirty)
{
    if (dirty) {
        u64 left = n->dirty & (~0ull << from);
        return left ? (u32)__builtin_ctzll(left) : TREE_SLOTS;
    }
    while (from < TREE_SLOTS && !n->slots[from])
        from++;
    return from;
}

/* The first page from `index` on, of which only the bits of this level and those below count. */
static struct page *tree_first(struct page_node *n, u32 level, u64 index, bool dirty)
{
    u32 from = slot_of(index, level), slot = from;
    while (slot < TREE_SLOTS && (slot = slot_first(n, slot, dirty)) < TREE_SLOTS) {
        if (level == 0)
            return n->slots[slot];
        struct page *p = tree_first(n->slots[slot], level - 1, slot == from ? index : 0, dirty);
        if (p)
            return p;
        slot++;
    }
    return NULL;
}

static struct page *cache_first(struct inode *i, u64 index, bool dirty)
{
    const struct inode_live *l = i->live;
    u32 level = l ? l->tree_height : 0;
    if (level == 0 || index >> (TREE_ORDER * level))
        return NULL;
    return tree_first(l->pages, level - 1, index, dirty);
}

struct page *cache_first_page(struct inode *i, u64 index)
{
    return cache_first(i, index, false);
}

struct page *cache_first_dirty(struct inode *i, u64 index)
{
    return i->live && i->live->dirty_pages ? cache_first(i, index, true) : NULL;
}

/* --- dirty and clean -------------------------------------------------------------------------- */

void cache_page_dirty(struct page *p)
{
    struct inode *i = p->inode;
    struct inode_live *l = i->live;
    struct data *d = i->fs->data;
    struct page_node *n = l->pages;
    assert(p->flags & PAGE_VALID && !(p->flags & PAGE_DIRTY));
    for (u32 level = l->tree_height - 1u; level > 0; level--) {
        u32 slot = slot_of(p->index, level);
        n->dirty |= 1ull << slot;
        n = n->slots[slot];
    }
    n->dirty |= 1ull << slot_of(p->index, 0);
    p->flags |= PAGE_DIRTY;
    list_remove(&p->link);
    d->dirty++;
    if (l->dirty_pages++ == 0) {
        l->data_stamp = d->stamp;
        list_push_back(&d->files, &l->data);
    }
}

/* Bits go from the lowest level up, as far as nothing else is dirty there. */
static void tree_clean(struct inode_live *l, u64 index)
{
    struct page_node *path[TREE_HEIGHT_MOST];
    struct page_node *n = l->pages;
    for (u32 level = l->tree_height - 1u; level > 0; level--) {
        path[level] = n;
        n = n->slots[slot_of(index, level)];
    }
    path[0] = n;
    for (u32 level = 0; level < l->tree_height; level++) {
        path[level]->dirty &= ~(1ull << slot_of(index, level));
        if (path[level]->dirty)
            return;
    }
}

void cache_page_clean(struct page *p)
{
    struct inode_live *l = p->inode->live;
    assert(p->flags & PAGE_DIRTY);
    tree_clean(l, p->index);
    p->flags &= ~(u32)PAGE_DIRTY;
    p->inode->fs->data->dirty--;
    if (--l->dirty_pages == 0)
        list_remove(&l->data);
}

void cache_page_settled(struct page *p)
{
    if (p->writes == 0 && !(p->flags & PAGE_DIRTY))
        list_push_back(&p->inode->fs->clock, &p->link);
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

void pages_drop(struct inode *i, u64 first, u64 end)
{
    for (struct page *p; (p = cache_first_page(i, first)) && p->index < end;) {
        first = p->index + 1;
        bool clean = p->flags & PAGE_VALID && !(p->flags & (PAGE_DIRTY | PAGE_WRITING));
        if (!clean || p->holds || p->writes)
            continue;
        list_remove(&p->link);
        cache_drop(p);
    }
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
    void **slot = NULL;
    if (inode_live(i)) {
        i->live->pages_cached++; /* first, so that giving pages back leaves the tree alone */
        slot = tree_slot(i, index);
    }
    if (!slot) {
        if (memory)
            p->memory = NULL; /* it stays the caller's */
        page_free(fs, p);
        if (i->live && --i->live->pages_cached == 0)
            cache_drop_inode(i);
        return NULL;
    }
    *slot = p;
    *p = (struct page){.memory = p->memory, .inode = i, .index = index, .holds = 1};
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
