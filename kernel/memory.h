/* Physical memory: the direct map, the buddy allocator and the kernel's heaps.

   All RAM is mapped once, writable and not executable, at direct_map_base, which is chosen at
   boot.  So memory of the heaps has a physical address that is one subtraction away; the kernel's
   image (text, static data) lies elsewhere, and physical_of accepts it too. */
#pragma once

#include "runtime/heap.h"
#include "runtime/types.h"

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

extern u64 direct_map_base;

/* Of memory from general_heap or page_heap, or of the kernel's static data.  Asserts others away. */
physical physical_of(const void *address);

static inline void *direct_map(physical p)
{
    return (void *)(direct_map_base + p.bits);
}

/* Objects of any size: slabs to 2 KiB, pages beyond.  Physically contiguous. */
extern heap general_heap;

/* Whole pages: sizes are rounded up to 2^n pages and aligned to their size; contiguous. */
extern heap page_heap;

struct memory_statistics {
    u64 total_bytes;
    u64 free_bytes;
};

struct memory_statistics memory_statistics(void);
