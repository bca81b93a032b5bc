/* Merges: see runtime/merge.h.

   Every branch is closed by the same embedded completion, so a branch costs one atomic addition
   and no memory.  Who brings `pending` to zero owns the merge and completes it. */
#include "runtime/merge.h"

static void merge_complete(merge m)
{
    status_handler done = m->done;
    status s = m->first_failure;
    heap h = m->heap;
    if (m->failures_told)
        *m->failures_told = m->failures;
    closure_freed(&m->branch.header);
    if (h)
        deallocate(h, m, sizeof(*m));
    apply(done, s);
}

static void merge_close(merge m)
{
    /* Released so that a failure recorded by this branch is seen by the last one, acquired so that
       the last one sees them all. */
    u32 before = __atomic_fetch_sub(&m->pending, 1, __ATOMIC_ACQ_REL);
    assert(before != 0);
    if (before == 1)
        merge_complete(m);
}

closure_method_shared(status_handler, merge_branch_done, struct merge, branch, status s)
{
    merge m = owner();
    if (!is_ok(s))
        merge_fail(m, s);
    merge_close(m);
}

void init_merge(struct merge *m, status_handler done)
{
    m->done = done;
    m->heap = NULL;
    m->pending = 1; /* the guard */
    m->failures = 0;
    m->failures_told = NULL;
    m->first_failure = STATUS_OK;
    init_method(&m->branch, merge_branch_done);
    closure_shared(&m->branch.header, &done->header, &m->pending);
}

merge allocate_merge(heap h, status_handler done)
{
    merge m = allocate(h, sizeof(*m));
    if (!m)
        return NULL;
    init_merge(m, done);
    m->heap = h;
    return m;
}

status_handler apply_merge(merge m)
{
    /* A closed guard would mean that the merge may complete, and be gone, at any moment. */
    u32 before = __atomic_fetch_add(&m->pending, 1, __ATOMIC_RELAXED);
    assert(before != 0);
    return &m->branch;
}

/* Whoever fails holds a branch, or the guard, open; closing that hands first_failure to the last
   one. */
void merge_fail(merge m, status s)
{
    assert(!is_ok(s));
    if (__atomic_fetch_add(&m->failures, 1, __ATOMIC_RELAXED) == 0)
        m->first_failure = s;
}

void merge_finish(merge m)
{
    merge_close(m);
}

u32 merge_failures(merge m)
{
    return __atomic_load_n(&m->failures, __ATOMIC_RELAXED);
}

void merge_count_failures(merge m, u32 *failures)
{
    m->failures_told = failures;
}
