/* Lock-free queues.

   closure_queue: thunks and completions to apply later; any number of producers, interrupt
   handlers included, and one consumer.  The link is in the closure, so adding never fails, never
   allocates and never drops.  Producers push onto a stack; the consumer takes the whole stack at
   once and turns it round, so closures come out in the order in which they were added.  The
   consumer never compares and swaps, so an address that comes back (ABA) does no harm.

   pointer_ring: a bounded queue of pointers; any number of producers and consumers.  A full ring
   says so, and its producer keeps what it has: nothing is dropped. */
#pragma once

#include "runtime/closure.h"

struct closure_queue {
    struct closure_header *added; /* [a] newest first */
    struct closure_header *ready; /* the consumer's: oldest first */
};

/* All zero is an empty queue too. */
void closure_queue_init(struct closure_queue *q);
/* Takes thunk_deferred(t) or status_deferred(done, s), which must not be in a queue.  True when
   nothing was waiting to be taken: then a sleeping consumer has to be woken. */
bool closure_queue_add(struct closure_queue *q, struct closure_header *header);
/* The consumer's: the oldest; NULL when there is none.  Hand it to closure_run_deferred. */
struct closure_header *closure_queue_take(struct closure_queue *q);
/* The consumer's. */
bool closure_queue_empty(const struct closure_queue *q);

struct pointer_ring;

/* With 1 << order places; order is 1 to 31.  NULL: out of memory. */
struct pointer_ring *pointer_ring_create(heap h, u32 order);
void pointer_ring_destroy(struct pointer_ring *ring);
/* False when the ring is full. */
bool pointer_ring_add(struct pointer_ring *ring, void *p);
/* NULL when it is empty.  NULL itself cannot be added. */
void *pointer_ring_take(struct pointer_ring *ring);
