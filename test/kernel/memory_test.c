/* Heaps, pages, and what happens when there is no more. */
#include "kernel/page_table.h"
#include "runtime/list.h"
#include "runtime/memory.h"
#include "test/kernel/kernel_test.h"

static const u64 sizes[] = {1,   16,   17,   48,   100,  192,   512,
                            640, 1024, 1500, 2048, 2049, 12288, 40000};

static void heap_sizes(void)
{
    void *made[countof(sizes)];
    for (u32 i = 0; i < countof(sizes); i++) {
        made[i] = allocate(general_heap, sizes[i]);
        u64 alignment = min(max(sizes[i] & -sizes[i], 16ull), PAGE_BYTES);
        expect(made[i] && (u64)made[i] % alignment == 0);
        memset(made[i], (int)i, sizes[i]);
    }
    for (u32 i = 0; i < countof(sizes); i++) {
        const u8 *p = made[i];
        expect(p[0] == i && p[sizes[i] / 2] == i && p[sizes[i] - 1] == i);
        deallocate(general_heap, made[i], sizes[i]);
    }
    test_pass();
}

static void heap_gives_back(void)
{
    u64 before = memory_statistics().free_bytes;
    for (u32 round = 0; round < 3; round++) {
        void *made[64];
        for (u32 i = 0; i < countof(made); i++)
            expect((made[i] = allocate(general_heap, 2048)));
        for (u32 i = 0; i < countof(made); i++)
            deallocate(general_heap, made[i], 2048);
    }
    /* One slab of the class may stay. */
    expect(memory_statistics().free_bytes + 2 * PAGE_BYTES >= before);
    test_pass();
}

static void pages_are_aligned(void)
{
    for (u64 bytes = PAGE_BYTES; bytes <= 64 * PAGE_BYTES; bytes *= 2) {
        void *p = allocate(page_heap, bytes);
        expect(p && physical_of(p).bits % bytes == 0);
        expect(direct_map(physical_of(p)) == p);
        deallocate(page_heap, p, bytes);
    }
    test_pass();
}

static struct list hoard;
static u32 reclaims;

closure_function(memory_reclaim, give_up_hoard, (), u64 pages)
{
    u64 given = 0;
    reclaims++;
    for (struct list *p; given < pages && (p = list_pop_front(&hoard)); given++)
        deallocate(page_heap, p, PAGE_BYTES);
    return given;
}

static void out_of_memory(void)
{
    static struct memory_reclaim reclaim;
    u64 before = memory_statistics().free_bytes;
    list_init(&hoard);
    memory_set_reclaim(NULL);
    for (struct list *p; (p = allocate(page_heap, PAGE_BYTES));)
        list_push_front(&hoard, p);
    expect(!allocate(general_heap, 5000));
    reclaim = *stack_closure(give_up_hoard);
    memory_set_reclaim(&reclaim);
    void *got = allocate(general_heap, 5000);
    expect(got && reclaims);
    deallocate(general_heap, got, 5000);
    apply(&reclaim, ~0ull);
    memory_set_reclaim(NULL);
    /* Or more: what the CPU had kept for itself was given back before anything was reclaimed. */
    expect(memory_statistics().free_bytes >= before);
    test_pass();
}

#define TEST_ADDRESS 0x40000000ull

static void page_tables(void)
{
    struct page_space space;
    physical found;
    u32 flags;
    expect(is_ok(page_space_create(&space)));
    void *p = allocate(page_heap, 2 * PAGE_BYTES);
    expect(p);
    expect(is_ok(
        page_map(&space, TEST_ADDRESS, physical_of(p), 2 * PAGE_BYTES, PAGE_USER | PAGE_WRITE)));
    expect(page_lookup(&space, TEST_ADDRESS + PAGE_BYTES, &found, &flags));
    expect(found.bits == physical_of(p).bits + PAGE_BYTES && flags == (PAGE_USER | PAGE_WRITE));
    page_protect(&space, TEST_ADDRESS, PAGE_BYTES, PAGE_USER);
    expect(page_lookup(&space, TEST_ADDRESS, &found, &flags) && flags == PAGE_USER);
    page_unmap(&space, TEST_ADDRESS, PAGE_BYTES);
    expect(!page_lookup(&space, TEST_ADDRESS, &found, &flags));
    page_space_destroy(&space);
    deallocate(page_heap, p, 2 * PAGE_BYTES);
    test_pass();
}

static void write_xor_execute(void)
{
    physical p = physical_of(&hoard);
    p.bits = align_down(p.bits, PAGE_BYTES);
    u64 address = align_down((u64)&hoard, PAGE_BYTES);
    expect(status_errno(page_map(&kernel_space, address, p, PAGE_BYTES,
                                 PAGE_WRITE | PAGE_EXECUTE)) == EACCES);
    test_pass();
}

const struct kernel_test memory_tests[] = {
    {"a heap gives objects of every size, aligned and apart", heap_sizes},
    {"a heap gives empty slabs back", heap_gives_back},
    {"pages are aligned to their size", pages_are_aligned},
    {"out of memory is NULL, after reclaiming", out_of_memory},
    {"page tables map, protect and unmap", page_tables},
    {"the kernel maps nothing writable and executable", write_xor_execute},
    {NULL, NULL},
};
