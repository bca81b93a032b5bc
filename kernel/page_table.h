/* 4-level page tables.  All page-table writes go through here.

   The kernel's half is shared by every space.  User spaces cover [USER_START, USER_END). */
#pragma once

#include "kernel/memory.h"
#include "runtime/status.h"

#define USER_START 0x10000ull /* Linux's mmap_min_addr */
#define USER_END   0x00007ffffffff000ull

struct page_space {
    physical root;
};

enum page_flags {
    PAGE_WRITE = 1,
    PAGE_EXECUTE = 2,
    PAGE_USER = 4,
    PAGE_UNCACHED = 8,
};

/* The current space of the kernel's half. */
extern struct page_space kernel_space;

/* ENOMEM.  The new space shares the kernel's half. */
status page_space_create(struct page_space *space);

/* Frees the tables of the user half; the pages they mapped are the caller's affair. */
void page_space_destroy(struct page_space *space);

/* Makes `space` the current one of this CPU. */
void page_space_switch(const struct page_space *space);

/* Maps pages [address, address + bytes) to consecutive physical pages.  Both aligned to PAGE_BYTES.
   An existing mapping is replaced.  W^X: PAGE_WRITE with PAGE_EXECUTE is refused (EACCES) unless
   PAGE_USER is set (a program may ask for it, as on Linux).  ENOMEM leaves nothing half mapped
   beyond tables. */
status page_map(struct page_space *space, u64 address, physical to, u64 bytes, u32 flags);

/* Unmaps; absent pages are fine.  The TLB of this CPU is flushed for the range. */
void page_unmap(struct page_space *space, u64 address, u64 bytes);

/* Changes the flags of the pages present in the range. */
void page_protect(struct page_space *space, u64 address, u64 bytes, u32 flags);

/* False when nothing is mapped there. */
bool page_lookup(const struct page_space *space, u64 address, physical *page, u32 *flags);

/* The mapped pages of the user half from *address on and below `end`, in their order, `most` of
   them at the most: how many it was.  *address goes behind the last one, or to the end.  Absent
   tables are stepped over whole, so a walk costs what is mapped, not what is covered. */
struct page_found {
    u64 address;
    physical page;
    u32 flags;
};
u32 page_list(const struct page_space *space, u64 *address, u64 end, struct page_found *found,
              u32 most);

/* The first mapped page of the user half at or after *address and below `end`, which becomes
 *address; false when there is none. */
bool page_next(const struct page_space *space, u64 *address, u64 end, physical *page, u32 *flags);

/* Device registers: mapped uncached into the kernel's half, for ever.  NULL: out of memory. */
volatile void *device_map(physical registers, u64 bytes);
