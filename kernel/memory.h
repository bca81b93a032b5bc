/* Physical memory: the direct map, the buddy allocator and the kernel's heaps.

   All RAM is mapped once, writable and not executable, at direct_map_base, which is chosen at
   boot.  So memory of the heaps has a physical address that is one subtraction away; the kernel's
   image (text, static data) lies elsewhere, and physical_of accepts it too. */
#pragma once

#include "runtime/closure.h"
#include "runtime/heap.h"
#include "runtime/types.h"

struct boot_info;

#define PAGE_ORDER 12
#define PAGE_BYTES (1ull << PAGE_ORDER)

/* Distinct types, so that one cannot be used as the other. */
typedef struct {
    u64 bits;
} physical;

static inline physical physical_at(u64 bits)
{
    return (physical){bits};
}

/* These three belong to the page tables, which set them before memory_init: the kernel's image as
   it is mapped, and the physical address of its first byte. */
extern u64 direct_map_base;
extern range kernel_image;
extern physical kernel_image_at;

/* Of memory from general_heap or page_heap, or of the kernel's static data.  Asserts others away.
 */
physical physical_of(const void *address);

static inline void *direct_map(physical p)
{
    return (void *)(direct_map_base + p.bits);
}

/* Objects of any size: slabs to 2 KiB, pages beyond.  Physically contiguous. */
extern heap general_heap;

/* Whole pages: sizes are rounded up to 2^n pages and aligned to their size; contiguous.  A block
   may be given back in parts, each of 2^n pages and aligned to its size. */
extern heap page_heap;

struct memory_statistics {
    u64 total_bytes;
    u64 free_bytes;
};

struct memory_statistics memory_statistics(void);

/* Makes the heaps from the ranges of boot_info, which must be in the direct map by now.  Called
   once, by kernel/init.c, right after the direct map stands. */
void memory_init(const struct boot_info *boot);

/* What to try before an allocation fails: gives pages back to the heaps and returns how many they
   were, 0 when there is nothing left to give.  Applied with no lock of the heaps held; NULL (the
   beginning): nothing can be given back. */
closure_type(memory_reclaim, u64, u64 pages);
void memory_set_reclaim(memory_reclaim reclaim);
