/* Regions of user memory against a model with one entry a page: seeded random mappings, unmappings
   and changes of protection, with page tables that are an array and allocations that sometimes
   fail.  At the end nothing may be left. */
#include "unix/memory.c" /* the kernel's; what it calls of kernel/ and fs/ is below */

#include "runtime/random.h"
#include "test/host/harness.h"

#define BASE  0x100000ull
#define PAGES 128
#define END   (BASE + PAGES * PAGE_BYTES)

/* --- what stands in for the kernel -------------------------------------------------------------
 */

u64 direct_map_base; /* 0: a physical address is the pointer's bits */
heap general_heap, page_heap;
static physical table[PAGES]; /* 0: not mapped */

physical physical_of(const void *address)
{
    return physical_at((u64)address);
}

status page_space_create(struct page_space *space)
{
    space->root = physical_at(1);
    return STATUS_OK;
}

void page_space_destroy(struct page_space *space)
{
    space->root = physical_at(0);
}

void page_unmap(struct page_space *space, u64 address, u64 bytes)
{
    (void)space;
    must(address >= BASE && address + bytes <= END);
    memset(&table[(address - BASE) / PAGE_BYTES], 0, bytes / PAGE_BYTES * sizeof(table[0]));
}

u32 page_list(const struct page_space *space, u64 *address, u64 end, struct page_found *found,
              u32 most)
{
    (void)space;
    u32 count = 0;
    u64 at = max(*address, BASE);
    for (; at < min(end, END) && count < most; at += PAGE_BYTES) {
        physical page = table[(at - BASE) / PAGE_BYTES];
        if (page.bits)
            found[count++] = (struct page_found){at, page, PAGE_USER};
    }
    *address = at;
    return count;
}

struct page *page_find(struct inode *i, u64 index)
{
    (void)i, (void)index;
    return NULL;
}

void *page_memory(struct page *p)
{
    return p;
}

void page_release(struct page *p)
{
    (void)p;
}

/* Each region is told of once when it comes and once when it goes. */
static u64 regions_entered, regions_left, memories;

void memory_files_init(struct user_memory *m)
{
    (void)m;
}

void memory_files_enter(struct user_memory *m)
{
    (void)m;
    memories++;
}

void memory_files_leave(struct user_memory *m)
{
    (void)m;
    memories--;
}

void region_file_enter(struct user_memory *m, struct region *r)
{
    (void)m, (void)r;
    regions_entered++;
}

void region_file_leave(struct region *r)
{
    (void)r;
    regions_left++;
}

/* --- the model ---------------------------------------------------------------------------------
 */

static struct user_memory memory;
static u32 model[PAGES]; /* flags; 0: no region */
static struct random source;

static range random_range(void)
{
    u64 first = random_below(&source, PAGES), count = 1 + random_below(&source, 24);
    return range_of(BASE + first * PAGE_BYTES, BASE + min(first + count, (u64)PAGES) * PAGE_BYTES);
}

static u32 *model_at(u64 address)
{
    return &model[(address - BASE) / PAGE_BYTES];
}

static bool model_free(range r)
{
    for (u64 at = r.start; at < r.end; at += PAGE_BYTES)
        if (*model_at(at))
            return false;
    return true;
}

static void model_set(range r, u32 flags)
{
    for (u64 at = r.start; at < r.end; at += PAGE_BYTES)
        *model_at(at) = flags;
}

static void touch_some(range r)
{
    for (u64 at = r.start; at < r.end; at += PAGE_BYTES) {
        physical *entry = &table[(at - BASE) / PAGE_BYTES];
        void *page =
            entry->bits || random_below(&source, 2) ? NULL : allocate(page_heap, PAGE_BYTES);
        if (!page)
            continue;
        *entry = physical_of(page);
        memory.pages_own++;
    }
}

/* Every page is in a region with its flags, or in none; neighbours that are alike are one. */
static void compare(void)
{
    u64 pages = 0, present = 0;
    const struct region *before = NULL;
    for (struct region *r = region_at_or_next(&memory, 0); r; r = region_next(r)) {
        must(!before || before->range.r.end < r->range.r.start || before->flags != r->flags);
        must(r->range.r.start >= BASE && r->range.r.end <= END);
        for (u64 at = r->range.r.start; at < r->range.r.end; at += PAGE_BYTES, pages++)
            must(*model_at(at) == r->flags);
        before = r;
    }
    for (u32 i = 0; i < PAGES; i++) {
        pages -= model[i] != 0;
        present += table[i].bits != 0;
        must(model[i] || !table[i].bits);
    }
    must(pages == 0);
    must(present == memory.pages_own);
}

/* --- operations --------------------------------------------------------------------------------
 */

static void random_add(void)
{
    range r = random_range();
    struct region wanted = {.flags = 1 + (u32)random_below(&source, 3), .zero_from = ~0ull};
    bool was_free = model_free(r);
    if (region_add(&memory, r, &wanted) != 0)
        return;
    must(was_free);
    model_set(r, wanted.flags);
    touch_some(r);
}

static void random_place(void)
{
    u64 bytes = (1 + random_below(&source, 8)) * PAGE_BYTES, address;
    struct region wanted = {.flags = 1 + (u32)random_below(&source, 3), .zero_from = ~0ull};
    if (!region_place(&memory, bytes, PAGE_BYTES, &address) || address < BASE)
        return; /* below the model's window it is as good as full */
    must(model_free(range_of(address, address + bytes)));
    if (region_add(&memory, range_of(address, address + bytes), &wanted) == 0)
        model_set(range_of(address, address + bytes), wanted.flags);
}

static void random_remove(void)
{
    range r = random_range();
    if (region_remove(&memory, r) == 0)
        model_set(r, 0);
}

static void random_protect(void)
{
    range r = random_range();
    u32 flags = 1 + (u32)random_below(&source, 3);
    if (!region_covered(&memory, r) || region_isolate(&memory, r) != 0) {
        region_rejoin(&memory, r);
        return;
    }
    for (struct region *n = region_at_or_next(&memory, r.start); n && n->range.r.start < r.end;
         n = region_next(n))
        n->flags = flags;
    model_set(r, flags);
    region_rejoin(&memory, r);
}

static void random_discard(void)
{
    range r = random_range();
    memory_discard(&memory, r);
    for (u64 at = r.start; at < r.end; at += PAGE_BYTES)
        must(!table[(at - BASE) / PAGE_BYTES].bits);
}

int main(void)
{
    static void (*const operations[])(void) = {random_add,    random_add,     random_place,
                                               random_remove, random_protect, random_discard};
    struct counting_heap general, pages;
    random_init(&source, test_seed());
    counting_heap_init(&general, "general");
    counting_heap_init(&pages, "pages");
    general_heap = &general.h;
    page_heap = &pages.h;
    memory_create(&memory, NULL);
    memory.map_top = memory.map_hint = END;
    for (u32 round = 0; round < 100000; round++) {
        if (random_below(&source, 8) == 0)
            general.fail_at = general.calls + 1 + random_below(&source, 2);
        operations[random_below(&source, countof(operations))]();
        compare();
    }
    ok(true, "100,000 random operations agree with the model");
    memory_destroy(&memory);
    is(memory.pages_own, 0, "no page is left");
    is(regions_entered - regions_left, 0, "no file is told of a region that is gone");
    is(memories, 0, "nor of the memory");
    is(memory.region_count, 0, "and no region");
    is(memory.bytes_mapped, 0, "and no byte is counted");
    counting_heap_close(&general);
    counting_heap_close(&pages);
    return done_testing();
}
