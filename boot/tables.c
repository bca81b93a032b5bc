/* The kernel's page tables: the image page by page with its protections, and the direct map of all
   memory in the largest pages there are.

   The tables' pages come from behind the image.  Called by boot_main, which runs with everything
   mapped one to one, so a table's physical address is a pointer. */
#include "boot/boot.h"

#include "runtime/memory.h"

#define PAGE       4096ull
#define LARGE_PAGE (2 * MiB)
#define HUGE_PAGE  GiB

#define PRESENT    (1ull << 0)
#define WRITABLE   (1ull << 1)
#define ACCESSED   (3ull << 5) /* and dirty: no write of the CPU's is wanted later */
#define LARGE      (1ull << 7)
#define GLOBAL     (1ull << 8)
#define NO_EXECUTE (1ull << 63)
#define ADDRESS    0x000ffffffffff000ull

struct tables {
    struct boot_info *info;
    u64 *root;
    u64 no_execute; /* NO_EXECUTE where the CPU has it */
    u64 large_most; /* LARGE_PAGE or HUGE_PAGE */
    range pages;    /* where tables come from */
};

static u64 *table_allocate(struct tables *t)
{
    if (!t->pages.start || t->pages.start + PAGE > t->pages.end)
        return NULL;
    u64 at = t->pages.start;
    t->pages.start += PAGE;
    return memset((void *)at, 0, PAGE);
}

/* The entry for `address` in the table of the given level (3: root .. 0: pages of 4 KiB), or above
   it where a larger page is already; tables on the way are made.  NULL: no memory. */
static u64 *entry_at(struct tables *t, u64 address, u32 level)
{
    u64 *table = t->root;
    for (u32 at = 3; table && at > level; at--) {
        u64 *entry = &table[address >> (12 + 9 * at) & 511];
        if (!*entry) {
            u64 *made = table_allocate(t);
            if (!made)
                return NULL;
            *entry = (u64)made | PRESENT | WRITABLE;
        }
        if (*entry & LARGE)
            return entry;
        table = (u64 *)(*entry & ADDRESS);
    }
    return table ? &table[address >> (12 + 9 * level) & 511] : NULL;
}

static bool image_map(struct tables *t)
{
    struct boot_info *info = t->info;
    u64 physical = info->image_at;
    for (u64 at = info->image.start; at < info->image.end; at += PAGE, physical += PAGE) {
        u64 flags = PRESENT | ACCESSED | GLOBAL;
        if (at >= info->text_end)
            flags |= t->no_execute;
        if (at >= info->rodata_end)
            flags |= WRITABLE;
        u64 *entry = entry_at(t, at, 0);
        if (!entry)
            return false;
        *entry = physical | flags;
    }
    return true;
}

/* Maps a large page at `at` unless something is there; returns how many bytes are mapped now, 0
   without memory for tables. */
static u64 direct_map_page(struct tables *t, u64 at, u64 end)
{
    u64 flags = PRESENT | WRITABLE | ACCESSED | LARGE | GLOBAL | t->no_execute;
    u64 address = t->info->direct_map_base + at;
    if (t->large_most == HUGE_PAGE && !(at & (HUGE_PAGE - 1)) && at + HUGE_PAGE <= end) {
        u64 *entry = entry_at(t, address, 2);
        if (!entry)
            return 0;
        if (!*entry)
            *entry = at | flags;
        if (*entry & LARGE)
            return HUGE_PAGE;
    }
    u64 *entry = entry_at(t, address, 1);
    if (entry && !*entry)
        *entry = at | flags;
    return entry ? LARGE_PAGE : 0;
}

/* All of the range's memory; the large pages at its ends may reach beyond it. */
static bool direct_map_add(struct tables *t, range r)
{
    for (u64 at = align_down(r.start, LARGE_PAGE); at < r.end;) {
        u64 mapped = direct_map_page(t, at, r.end);
        if (!mapped)
            return false;
        at += mapped;
    }
    return true;
}

/* Where the tables' pages come from: the memory that follows the image's kept part, or else the
   largest range that the one-to-one mapping reaches. */
static range tables_place(const struct boot_info *info)
{
    range best = {0, 0};
    for (u32 i = 0; i < info->memory_count; i++) {
        range r = range_intersection(info->memory[i], range_of(0, BOOT_MAPPED_BYTES));
        if (r.start <= (u64)boot_scratch_end && (u64)boot_scratch_end < r.end)
            return range_of((u64)boot_scratch_end, r.end);
        if (!range_empty(r) && range_length(r) > range_length(best))
            best = r;
    }
    return best;
}

bool tables_build(struct boot_info *info, bool no_execute, bool gigabyte_pages)
{
    struct tables t = {
        .info = info,
        .no_execute = no_execute ? NO_EXECUTE : 0,
        .large_most = gigabyte_pages ? HUGE_PAGE : LARGE_PAGE,
        .pages = tables_place(info),
    };
    range taken = t.pages;
    t.root = table_allocate(&t);
    if (!t.root || !image_map(&t) || !entry_at(&t, info->device_map_base, 2))
        return false;
    for (u32 i = 0; i < info->memory_count; i++)
        if (!direct_map_add(&t, info->memory[i]))
            return false;
    /* The image itself lies in memory, and so do the tables. */
    if (!direct_map_add(&t, range_of(info->image_at, (u64)boot_scratch_end)))
        return false;
    info->page_root = (u64)t.root;
    memory_map_remove(info, range_of(taken.start, t.pages.start));
    return true;
}
