/* Closures: giving their memory back, applying what queues held, and refusing what was applied
   already.  See runtime/closure.h. */
#include "runtime/closure.h"

/* A header lies at the same place in every closure type, so that it leads back to its closure. */
_Static_assert(offsetof(struct thunk, header) == offsetof(struct status_handler, header),
               "closure types differ in their header's place");

void closure_release(struct closure_header *header)
{
    heap h = header->heap;
    u32 bytes = header->info->bytes;
    thunk t = container_of(header, struct thunk, header);
    closure_freed(header);
    /* Applied too late, while its memory is as it was, it is refused. */
    if (header->info->spent)
        t->entry = (typeof(t->entry))header->info->spent;
    if (h)
        deallocate(h, t, bytes);
}

/* --- refusals --------------------------------------------------------------------------------- */

#define REFUSED_SITES_MOST 16 /* functions that are reported; what others do is only counted */

u64 closure_refusals;
static const struct closure_info *refused_sites[REFUSED_SITES_MOST]; /* [a] */
static closure_refusal_reporter *refusal_reporter;                   /* [a] */

void closure_set_refusal_reporter(closure_refusal_reporter *reporter)
{
    __atomic_store_n(&refusal_reporter, reporter, __ATOMIC_RELEASE);
}

/* True for the first one who says so. */
static bool refused_first_time(const struct closure_info *info)
{
    for (u32 i = 0; i < REFUSED_SITES_MOST; i++) {
        const struct closure_info *there = NULL;
        if (__atomic_compare_exchange_n(&refused_sites[i], &there, info, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return true;
        if (there == info)
            return false;
    }
    return false;
}

void closure_refused(struct closure_header *header)
{
    __atomic_fetch_add(&closure_refusals, 1, __ATOMIC_RELAXED);
    closure_refusal_reporter *reporter = __atomic_load_n(&refusal_reporter, __ATOMIC_ACQUIRE);
    if (reporter && refused_first_time(header->info))
        reporter(header->info);
}

/* --- queues ----------------------------------------------------------------------------------- */

void closure_run_deferred(struct closure_header *header)
{
    header->next = NULL;
    /* thunk_deferred and status_deferred are the only ways into a queue, so a completion here is
       a status_handler. */
    if (header->info->once) {
        status_handler done = container_of(header, struct status_handler, header);
        apply(done, done->deferred);
    } else {
        apply(container_of(header, struct thunk, header));
    }
}
