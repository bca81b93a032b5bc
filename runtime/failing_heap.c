/* A heap that fails on purpose: see runtime/failing_heap.h. */
#include "runtime/failing_heap.h"

static void *failing_allocate(heap h, u64 bytes)
{
    struct failing_heap *f = container_of(h, struct failing_heap, h);
    u64 call = __atomic_add_fetch(&f->calls, 1, __ATOMIC_RELAXED);
    if (call == f->fail_at && f->failing)
        apply(f->failing);
    if (call == f->fail_at || (f->fail_each && call % f->fail_each == 0))
        return NULL;
    return allocate(f->below, bytes);
}

static void failing_deallocate(heap h, void *p, u64 bytes)
{
    deallocate(container_of(h, struct failing_heap, h)->below, p, bytes);
}

void failing_heap_init(struct failing_heap *f, heap below, u64 fail_at, u64 fail_each)
{
    *f = (struct failing_heap){.h = {failing_allocate, failing_deallocate, below->name},
                               .below = below,
                               .fail_at = fail_at,
                               .fail_each = fail_each};
}
