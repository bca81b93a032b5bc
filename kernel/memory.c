/* The kernel's heaps over the buddy allocator and the slabs.  See kernel/memory.h.

   The allocator's own data (a bit for each pair of pages, 16 bytes for each page's slab) comes out
   of the largest range, at its end.  Only the bits are cleared: the time to start does not grow
   with the memory that nobody uses. */
#include "kernel/memory.h"

#include "kernel/boot_info.h"
#include "kernel/buddy.h"
#include "kernel/cpus.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/slab_cache.h"
#include "runtime/assert.h"
#include "runtime/failing_heap.h"
#include "runtime/lock.h"

_Static_assert(PAGE_ORDER == BUDDY_PAGE_ORDER, "the buddy allocator hands out our pages");

#define RECLAIM_ROUNDS_MOST 16 /* reclaimed pages need not lie together; then it fails */

static struct spinlock memory_lock = {0, RANK_HEAP, "memory"};
static struct buddy buddy;                  /* [memory_lock] */
static struct slab_heap slabs;              /* [memory_lock] */
static struct slab_cache caches[CPUS_MOST]; /* each its CPU's */
static memory_reclaim reclaim_pages;        /* set once */

static u64 pages_of(u64 bytes)
{
    return (bytes + PAGE_BYTES - 1) >> PAGE_ORDER;
}

static u32 order_of(u64 bytes)
{
    return ceil_log2(pages_of(bytes));
}

/* --- out of memory ---------------------------------------------------------------------------- */

closure_type(memory_attempt, void *, u64 bytes);

/* What this CPU's cache holds may be all that keeps a page from being free. */
static void cache_give_back(void)
{
    spin_lock(&memory_lock);
    slab_cache_empty(&caches[cpu_number()], &slabs);
    spin_unlock(&memory_lock);
}

/* Attempts again for as long as the reclaimer finds something to give up. */
static void *attempt_reclaiming(memory_attempt attempt, u64 bytes)
{
    for (u32 round = 0; reclaim_pages && round < RECLAIM_ROUNDS_MOST; round++) {
        cache_give_back();
        if (!apply(reclaim_pages, max(pages_of(bytes), 32ull)))
            return NULL;
        void *p = apply(attempt, bytes);
        if (p)
            return p;
    }
    return NULL;
}

void memory_set_reclaim(memory_reclaim reclaim)
{
    reclaim_pages = reclaim;
}

/* --- whole pages ------------------------------------------------------------------------------ */

static void *block_allocate(u64 bytes)
{
    spin_lock(&memory_lock);
    void *p = buddy_allocate(&buddy, order_of(bytes));
    spin_unlock(&memory_lock);
    return p;
}

closure_function(memory_attempt, block_attempt, (), u64 bytes)
{
    return block_allocate(bytes);
}

static void *block_allocate_reclaiming(u64 bytes)
{
    void *p = block_allocate(bytes);
    return likely(p) ? p : attempt_reclaiming(stack_closure(block_attempt), bytes);
}

static void *page_heap_allocate(struct heap *h, u64 bytes)
{
    (void)h;
    return block_allocate_reclaiming(bytes);
}

static void page_heap_deallocate(struct heap *h, void *p, u64 bytes)
{
    (void)h;
    spin_lock(&memory_lock);
    buddy_free(&buddy, p, order_of(bytes));
    spin_unlock(&memory_lock);
}

/* --- any size --------------------------------------------------------------------------------- */

/* From the slabs; the cache gets some too, so that the next ones cost less. */
static __attribute__((noinline)) void *slab_object_allocate(u64 bytes)
{
    spin_lock(&memory_lock);
    void *p = slab_allocate(&slabs, bytes);
    if (p)
        slab_cache_fill(&caches[cpu_number()], &slabs, bytes);
    spin_unlock(&memory_lock);
    return p;
}

static inline void *object_allocate(u64 bytes)
{
    void *p = slab_cache_take(&caches[cpu_number()], bytes);
    return likely(p) ? p : slab_object_allocate(bytes);
}

/* The cache is full. */
static __attribute__((noinline)) void slab_object_free(void *p, u64 bytes)
{
    spin_lock(&memory_lock);
    slab_cache_drain(&caches[cpu_number()], &slabs, bytes);
    slab_free(&slabs, p, bytes);
    spin_unlock(&memory_lock);
}

closure_function(memory_attempt, object_attempt, (), u64 bytes)
{
    return object_allocate(bytes);
}

/* A block of 2^n pages of which the pages behind `bytes` are given back at once. */
static void *large_allocate(u64 bytes)
{
    char *p = block_allocate_reclaiming(bytes);
    u64 spare = (1ull << order_of(bytes)) - pages_of(bytes);
    if (p && spare) {
        spin_lock(&memory_lock);
        buddy_free_pages(&buddy, p + (pages_of(bytes) << PAGE_ORDER), spare);
        spin_unlock(&memory_lock);
    }
    return p;
}

static __attribute__((noinline)) void *object_allocate_reclaiming(u64 bytes)
{
    return attempt_reclaiming(stack_closure(object_attempt), bytes);
}

static void *general_allocate(struct heap *h, u64 bytes)
{
    (void)h;
    if (unlikely(bytes > SLAB_BYTES_MOST))
        return large_allocate(bytes);
    void *p = object_allocate(bytes);
    return likely(p) ? p : object_allocate_reclaiming(bytes);
}

static void large_deallocate(void *p, u64 bytes)
{
    spin_lock(&memory_lock);
    buddy_free_pages(&buddy, p, pages_of(bytes));
    spin_unlock(&memory_lock);
}

static void general_deallocate(struct heap *h, void *p, u64 bytes)
{
    (void)h;
    if (unlikely(bytes > SLAB_BYTES_MOST))
        large_deallocate(p, bytes);
    else if (!slab_cache_give(&caches[cpu_number()], p, bytes))
        slab_object_free(p, bytes);
}

static struct heap page_heap_object = {page_heap_allocate, page_heap_deallocate, "pages"};
static struct heap general_heap_object = {general_allocate, general_deallocate, "general"};
heap page_heap = &page_heap_object;
heap general_heap = &general_heap_object;

/* --- what there is ---------------------------------------------------------------------------- */

physical physical_of(const void *address)
{
    u64 at = (u64)address;
    if (range_contains(kernel_image, at))
        return physical_at(kernel_image_at.bits + (at - kernel_image.start));
    assert(at - direct_map_base < buddy.pages << PAGE_ORDER);
    return physical_at(at - direct_map_base);
}

struct memory_statistics memory_statistics(void)
{
    return (struct memory_statistics){
        .total_bytes = buddy.total_pages << PAGE_ORDER,
        .free_bytes = buddy.free_pages << PAGE_ORDER,
    };
}

/* For tests: the options fail_general=N and fail_pages=N let the N-th allocation of that heap fail,
   and say so; fail_general_each=N and fail_pages_each=N every N-th. */
struct heap_to_fail {
    struct failing_heap failing;
    struct thunk tell;
};

closure_method(thunk, heap_fails, struct heap_to_fail, tell)
{
    log_warning("memory: allocation %llu of the heap %s fails, as asked",
                (unsigned long long)owner()->failing.fail_at, owner()->failing.h.name);
}

static void heap_let_fail(heap *h, struct heap_to_fail *f, const char *at, const char *each)
{
    if (!boot_option(at) && !boot_option(each))
        return;
    failing_heap_init(&f->failing, *h, boot_option_number(at), boot_option_number(each));
    init_method(&f->tell, heap_fails);
    f->failing.failing = &f->tell;
    *h = &f->failing.h;
}

static void heaps_let_fail(void)
{
    static struct heap_to_fail general, pages;
    heap_let_fail(&general_heap, &general, "fail_general", "fail_general_each");
    heap_let_fail(&page_heap, &pages, "fail_pages", "fail_pages_each");
}

static range pages_usable(const struct boot_info *boot, u32 i)
{
    /* Page 0 stays out: it ends the lists of slabs. */
    return range_of(max(pages_of(boot->memory[i].start), 1ull),
                    max(boot->memory[i].end >> PAGE_ORDER, 1ull));
}

void memory_init(const struct boot_info *boot)
{
    range largest = {0, 0};
    u64 pages = 0;
    for (u32 i = 0; i < boot->memory_count; i++) {
        range r = pages_usable(boot, i);
        pages = max(pages, r.end);
        if (range_length(r) > range_length(largest))
            largest = r;
    }
    u64 bits = align_up(buddy_metadata_bytes(pages), alignof(struct slab));
    u64 metadata_pages = pages_of(bits + pages * sizeof(struct slab));
    if (metadata_pages >= range_length(largest)) {
        log_error("memory: %u KiB in the largest of %u ranges is too little to start with",
                  (u32)(range_length(largest) << 2), boot->memory_count);
        machine_exit(1);
    }

    range metadata = range_of(largest.end - metadata_pages, largest.end);
    char *at = (char *)direct_map(physical_at(metadata.start << PAGE_ORDER));
    buddy_init(&buddy, direct_map_base, pages, at);
    slab_init(&slabs, &buddy, (struct slab *)(void *)(at + bits));
    for (u32 i = 0; i < boot->memory_count; i++) {
        range r = pages_usable(boot, i);
        if (r.end == metadata.end)
            r.end = metadata.start;
        buddy_add(&buddy, r);
    }
    heaps_let_fail();
    if (boot->memory_dropped)
        log_warning("memory: %u ranges of the loader's map were left out", boot->memory_dropped);
}
