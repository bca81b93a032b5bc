/* Closures: giving their memory back, and applying what queues held.  See runtime/closure.h. */
#include "runtime/closure.h"

/* A header lies at the same place in every closure type, so that it leads back to its closure. */
_Static_assert(offsetof(struct thunk, header) == offsetof(struct status_handler, header),
               "closure types differ in their header's place");

void closure_release(struct closure_header *header)
{
    heap h = header->heap;
    u32 bytes = header->info->bytes;
    closure_freed(header);
    if (h)
        deallocate(h, container_of(header, struct thunk, header), bytes);
}

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
