/* heap: where memory comes from is a parameter.

   Rules.  allocate returns NULL when there is none left, and callers check; nothing asserts on it.
   The caller remembers the size and gives it back to deallocate.  Memory is aligned to the largest
   power of two that divides the size, up to 4 KiB, and to at least 16 bytes.  Any context may
   allocate, interrupt handlers excepted. */
#pragma once

#include "runtime/memory.h"
#include "runtime/types.h"

struct heap {
    void *(*allocate)(struct heap *h, u64 bytes);
    void (*deallocate)(struct heap *h, void *p, u64 bytes);
    const char *name; /* "general", "pages": in messages, and for failing the n-th allocation */
};

typedef struct heap *heap;

/* NULL when the heap is out of memory; the bytes are not cleared. */
static inline void *allocate(heap h, u64 bytes)
{
    return h->allocate(h, bytes);
}

static inline void *allocate_zero(heap h, u64 bytes)
{
    void *p = h->allocate(h, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

/* `bytes` is what was asked for; p may be NULL, and then nothing happens. */
static inline void deallocate(heap h, void *p, u64 bytes)
{
    if (p)
        h->deallocate(h, p, bytes);
}
