/* 4-level page tables.  See kernel/page_table.h; the entries are of Intel SDM 3A, 4.5.

   boot/tables.c made the kernel's half; its top-level entries never change, so every space shares
   the tables below them.  All mappings made here are of 4 KiB pages; the larger ones that boot made
   for the direct map stay for ever.  Tables of a user space are given back when it is destroyed.

   An entry that becomes present needs no flush; one that changes is flushed page by page, or all at
   once when they are many, on every CPU that may have it (kernel/x86/shootdown.c): once for an
   operation, with paging_lock held, before the operation returns. */
#include "kernel/x86/paging.h"

#include "kernel/x86/cpu.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/shootdown.h"
#include "runtime/assert.h"
#include "runtime/lock.h"

#define ENTRY_PRESENT    (1ull << 0)
#define ENTRY_WRITABLE   (1ull << 1)
#define ENTRY_USER       (1ull << 2)
#define ENTRY_UNCACHED   (3ull << 3)
#define ENTRY_ACCESSED   (3ull << 5) /* and dirty; set at once, the CPU need not write them */
#define ENTRY_LARGE      (1ull << 7)
#define ENTRY_GLOBAL     (1ull << 8)
#define ENTRY_NO_EXECUTE (1ull << 63)
#define ENTRY_ADDRESS    0x000ffffffffff000ull

#define LEVELS           4
#define TABLE_ENTRIES    512
#define KERNEL_HALF      256 /* first top-level entry of the kernel's */
#define KERNEL_START     0xffff800000000000ull
#define DEVICE_MAP_BYTES (512 * GiB)

u64 direct_map_base;
range kernel_image;
physical kernel_image_at;
struct page_space kernel_space;

static struct spinlock paging_lock = {0, RANK_PAGE_TABLE, "page tables"};
static range device_room; /* [paging_lock] addresses for device_map */
static u64 no_execute;    /* [I] ENTRY_NO_EXECUTE where the CPU has it */

/* --- walking ---------------------------------------------------------------------------------- */

static u64 *table_of(u64 entry)
{
    return direct_map(physical_at(entry & ENTRY_ADDRESS));
}

static u64 level_bytes(u32 level)
{
    return 1ull << (PAGE_ORDER + 9 * level);
}

static u32 index_at(u64 address, u32 level)
{
    return address >> (PAGE_ORDER + 9 * level) & (TABLE_ENTRIES - 1);
}

/* The entry that decides about `address`: at level 0, or higher when it is absent or large there.
 */
static u64 *entry_find(const struct page_space *space, u64 address, u32 *level)
{
    u64 *table = direct_map(space->root);
    for (u32 at = LEVELS - 1;; at--) {
        u64 *entry = &table[index_at(address, at)];
        if (at == 0 || !(*entry & ENTRY_PRESENT) || (*entry & ENTRY_LARGE)) {
            *level = at;
            return entry;
        }
        table = table_of(*entry);
    }
}

/* The level-0 entry of `address`; missing tables are made.  NULL: out of memory. */
static u64 *entry_make(struct page_space *space, u64 address)
{
    u64 above = ENTRY_PRESENT | ENTRY_WRITABLE | (address < KERNEL_START ? ENTRY_USER : 0);
    u64 *table = direct_map(space->root);
    for (u32 at = LEVELS - 1; at > 0; at--) {
        u64 *entry = &table[index_at(address, at)];
        assert(!(*entry & ENTRY_LARGE));
        if (!*entry) {
            u64 *made = allocate_zero(page_heap, PAGE_BYTES);
            if (!made)
                return NULL;
            *entry = physical_of(made).bits | above;
        }
        table = table_of(*entry);
    }
    return &table[index_at(address, 0)];
}

static u64 entry_flags(u32 flags)
{
    u64 bits = ENTRY_PRESENT | ENTRY_ACCESSED;
    bits |= flags & PAGE_WRITE ? ENTRY_WRITABLE : 0;
    bits |= flags & PAGE_EXECUTE ? 0 : no_execute;
    bits |= flags & PAGE_USER ? ENTRY_USER : ENTRY_GLOBAL;
    bits |= flags & PAGE_UNCACHED ? ENTRY_UNCACHED : 0;
    return bits;
}

static u32 flags_of(u64 entry)
{
    u32 flags = 0;
    flags |= entry & ENTRY_WRITABLE ? PAGE_WRITE : 0;
    flags |= entry & ENTRY_NO_EXECUTE ? 0 : PAGE_EXECUTE;
    flags |= entry & ENTRY_USER ? PAGE_USER : 0;
    flags |= entry & ENTRY_UNCACHED ? PAGE_UNCACHED : 0;
    return flags;
}

/* --- mapping ---------------------------------------------------------------------------------- */

static void entry_write(struct flush *f, u64 *entry, u64 address, u64 value)
{
    u64 before = *entry;
    *entry = value;
    if (before & ENTRY_PRESENT && before != value)
        flush_add(f, address);
}

static void range_check(u64 address, u64 bytes)
{
    assert(!((address | bytes) & (PAGE_BYTES - 1)));
    assert(address + bytes >= address);
}

/* All tables first: afterwards nothing can fail.  The first page's entry; NULL: out of memory. */
static u64 *tables_make(struct page_space *space, u64 address, u64 end)
{
    u64 *first = entry_make(space, address);
    u64 step = level_bytes(1);
    for (u64 at = align_down(address, step) + step; first && at < end; at += step)
        if (!entry_make(space, at))
            return NULL;
    return first;
}

static status map_locked(struct page_space *space, u64 address, physical to, u64 bytes, u64 flags)
{
    struct flush f;
    flush_begin(&f, space);
    u64 end = address + bytes;
    u64 *entry = tables_make(space, address, end);
    if (!entry)
        return status_error(ENOMEM, "page table: out of memory", address);
    for (u64 at = address; at < end; at += PAGE_BYTES, to.bits += PAGE_BYTES, entry++) {
        if (index_at(at, 0) == 0)
            entry = entry_make(space, at);
        entry_write(&f, entry, at, to.bits | flags);
    }
    flush_finish(&f);
    return STATUS_OK;
}

status page_map(struct page_space *space, u64 address, physical to, u64 bytes, u32 flags)
{
    range_check(address, bytes);
    if ((flags & PAGE_WRITE) && (flags & PAGE_EXECUTE) && !(flags & PAGE_USER))
        return status_error(EACCES, "page table: writable and executable", address);
    assert((address < KERNEL_START) == !!(flags & PAGE_USER));
    spin_lock(&paging_lock);
    status s = map_locked(space, address, to, bytes, entry_flags(flags));
    spin_unlock(&paging_lock);
    return s;
}

/* Every present entry of the range gets (entry & keep) | set; absent parts are stepped over. */
static void range_change(struct page_space *space, u64 address, u64 bytes, u64 keep, u64 set)
{
    range_check(address, bytes);
    struct flush f;
    flush_begin(&f, space);
    u64 end = address + bytes;
    spin_lock(&paging_lock);
    while (address < end) {
        u32 level;
        u64 *entry = entry_find(space, address, &level);
        if (level) {
            assert(!(*entry & ENTRY_LARGE));
            address = align_down(address, level_bytes(level)) + level_bytes(level);
            if (!address)
                break;
            continue;
        }
        u64 stop = min(end, align_down(address, level_bytes(1)) + level_bytes(1));
        for (; address < stop; address += PAGE_BYTES, entry++)
            if (*entry & ENTRY_PRESENT)
                entry_write(&f, entry, address, (*entry & keep) | set);
    }
    flush_finish(&f);
    spin_unlock(&paging_lock);
}

void page_unmap(struct page_space *space, u64 address, u64 bytes)
{
    range_change(space, address, bytes, 0, 0);
}

void page_protect(struct page_space *space, u64 address, u64 bytes, u32 flags)
{
    assert(!(flags & PAGE_WRITE) || !(flags & PAGE_EXECUTE) || (flags & PAGE_USER));
    range_change(space, address, bytes, ENTRY_ADDRESS, entry_flags(flags));
}

bool page_lookup(const struct page_space *space, u64 address, physical *page, u32 *flags)
{
    u32 level;
    u64 entry = *entry_find(space, address, &level);
    if (!(entry & ENTRY_PRESENT))
        return false;
    u64 within = align_down(address & (level_bytes(level) - 1), PAGE_BYTES);
    *page = physical_at((entry & ENTRY_ADDRESS & ~(level_bytes(level) - 1)) + within);
    *flags = flags_of(entry);
    return true;
}

/* Each table is walked to once. */
u32 page_list(const struct page_space *space, u64 *address, u64 end, struct page_found *found,
              u32 most)
{
    u64 at = align_up(*address, PAGE_BYTES);
    u32 count = 0;
    end = min(end, USER_END);
    while (at < end && count < most) {
        u32 level;
        const u64 *entry = entry_find(space, at, &level);
        if (level) {
            at = align_down(at, level_bytes(level)) + level_bytes(level);
            continue;
        }
        u64 stop = min(end, align_down(at, level_bytes(1)) + level_bytes(1));
        for (; at < stop && count < most; at += PAGE_BYTES, entry++)
            if (*entry & ENTRY_PRESENT)
                found[count++] =
                    (struct page_found){at, physical_at(*entry & ENTRY_ADDRESS), flags_of(*entry)};
    }
    *address = at;
    return count;
}

bool page_next(const struct page_space *space, u64 *address, u64 end, physical *page, u32 *flags)
{
    struct page_found found;
    u64 at = *address;
    if (!page_list(space, &at, end, &found, 1))
        return false;
    *address = found.address;
    *page = found.page;
    *flags = found.flags;
    return true;
}

/* --- spaces ----------------------------------------------------------------------------------- */

status page_space_create(struct page_space *space)
{
    u64 *root = allocate(page_heap, PAGE_BYTES);
    if (!root)
        return status_error(ENOMEM, "page table: out of memory for a new space", 0);
    const u64 *shared = direct_map(kernel_space.root);
    u64 half = KERNEL_HALF * sizeof(u64);
    memset(root, 0, half);
    memcpy(root + KERNEL_HALF, shared + KERNEL_HALF, half);
    space->root = physical_of(root);
    return STATUS_OK;
}

/* The tables at `level` and below; three levels deep at most. */
static void tables_free(u64 *table, u32 level, u32 entries)
{
    for (u32 i = 0; level > 0 && i < entries; i++)
        if (table[i] & ENTRY_PRESENT)
            tables_free(table_of(table[i]), level - 1, TABLE_ENTRIES);
    deallocate(page_heap, table, PAGE_BYTES);
}

void page_space_destroy(struct page_space *space)
{
    spin_lock(&paging_lock);
    shootdown_leave(space);
    spin_unlock(&paging_lock);
    tables_free(direct_map(space->root), LEVELS - 1, KERNEL_HALF);
    space->root = physical_at(0);
}

/* In the order that kernel/x86/shootdown.c relies on. */
void page_space_switch(const struct page_space *space)
{
    struct cpu *cpu = this_cpu();
    const struct page_space *entered = space == &kernel_space ? NULL : space;
    __atomic_store_n(&cpu->space_next, entered, __ATOMIC_SEQ_CST);
    if ((read_cr3() & ENTRY_ADDRESS) != space->root.bits)
        write_cr3(space->root.bits);
    __atomic_store_n(&cpu->space, entered, __ATOMIC_RELEASE);
}

/* --- the kernel's ----------------------------------------------------------------------------- */

static u64 room_take_locked(u64 bytes)
{
    u64 at = device_room.start;
    if (!bytes || bytes >= range_length(device_room))
        return 0;
    device_room.start += bytes + PAGE_BYTES; /* a page between two mappings stays empty */
    return at;
}

u64 kernel_room_take(u64 bytes)
{
    spin_lock(&paging_lock);
    u64 at = room_take_locked(align_up(bytes, PAGE_BYTES));
    spin_unlock(&paging_lock);
    return at;
}

volatile void *device_map(physical registers, u64 bytes)
{
    u64 offset = registers.bits & (PAGE_BYTES - 1);
    u64 length = align_up(offset + bytes, PAGE_BYTES);
    spin_lock(&paging_lock);
    u64 at = room_take_locked(length);
    status s = STATUS_OK;
    if (at)
        s = map_locked(&kernel_space, at, physical_at(registers.bits - offset), length,
                       entry_flags(PAGE_WRITE | PAGE_UNCACHED));
    spin_unlock(&paging_lock);
    return at && is_ok(s) ? (volatile void *)(at + offset) : NULL;
}

void paging_init(const struct boot_info *boot)
{
    direct_map_base = boot->direct_map_base;
    kernel_image = boot->image;
    kernel_image_at = physical_at(boot->image_at);
    kernel_space.root = physical_at(boot->page_root);
    no_execute = cpu_features.nx ? ENTRY_NO_EXECUTE : 0;
    device_room = range_of(boot->device_map_base, boot->device_map_base + DEVICE_MAP_BYTES);
    stack_guards_remove();
}
