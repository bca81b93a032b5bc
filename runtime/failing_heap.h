/* A heap that fails on purpose, over another one: the n-th allocation, or each n-th.  The kernel
   puts it over a heap that a boot option names; hosted tests have a stricter one of their own. */
#pragma once

#include "runtime/closure.h"
#include "runtime/heap.h"

struct failing_heap {
    struct heap h; /* pass &f->h on; it has the name of the one below */
    heap below;    /* [I] */
    u64 calls;     /* [a] allocations asked for so far */
    u64 fail_at;   /* [I] the call that fails, counted from 1; 0: none */
    u64 fail_each; /* [I] and every call whose number this divides; 0: none */
    thunk failing; /* [I] applied before the call fail_at fails; NULL: nobody is told */
};

void failing_heap_init(struct failing_heap *f, heap below, u64 fail_at, u64 fail_each);
