/* Lock-free queues.

   closure_queue: thunks and completions to apply later; any number of producers, interrupt
   handlers included, and one consumer.  The link is in the closure, so adding never fails, never
   allocates and never drops.  Producers push onto a stack; the consumer takes the whole stack at
   once and turns it round, so closures come out in the order in which they were added.  The
   consumer never compares and swaps, so an address that comes back (ABA) does no harm.

   thunk_queue: the same for any number of producers and consumers: a ring of fixed places for
   speed, and a stack of those that found it full (the spill), which consumers bring back into the
   ring.

   Adding to either never waits for anybody, never fails, never allocates and never drops, so
   interrupt handlers and holders of locks may.  Taking never waits either.  test/model/ holds the
   proofs: models of both, and of a CPU that goes to sleep beside one, for a model checker. */
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

/* --- many consumers ------------------------------------------------------------------------------

   Order: if adding e returned before adding f began (one producer's, or one told the other), then e
   is taken before f, spilled or not.

   Sleeping: what was added is visible to thunk_queue_empty until a consumer has taken it, also
   while it is on its way from the spill to the ring.  So no wake-up is lost when

       a producer adds, passes a full fence, then looks who sleeps, and wakes one of those;
       a consumer says that it sleeps, passes a full fence, then sleeps only if the queue is empty.

   thunk_queue_take can find nothing although the queue is not empty: the oldest place is still
   being filled, or another consumer moves the spill or was quicker.  That lasts a few instructions
   of a CPU that waits for nothing; the caller comes back, and must not sleep.  A consumer that
   takes one of several need not wake another: each add looked for a sleeper on its own. */

#define THUNK_QUEUE_ORDER  6
#define THUNK_QUEUE_PLACES (1u << THUNK_QUEUE_ORDER)

/* A place knows whose turn it is: `turn` == position means that the producer of that position may
   fill it, position + 1 that its consumer may empty it; the next producer's is a whole ring later.
   So a producer and a consumer agree through the place alone, and positions are only reserved. */
struct queue_place {
    u64 turn;                      /* [a] */
    struct closure_header *header; /* whose turn it is */
};

/* Producers, consumers and the spill each have cache lines of their own. */
struct thunk_queue {
    alignas(64) u64 add_position;   /* [a] */
    alignas(64) u64 take_position;  /* [a] */
    alignas(64) u64 spill_count;    /* [a] not yet in the ring; while not 0, all spill */
    struct closure_header *spilled; /* [a] newest first */
    struct closure_header *oldest;  /* the mover's: oldest first */
    bool moving;                    /* [a] somebody is the mover */
    u32 mask;                       /* [I] */
    alignas(64) struct queue_place places[THUNK_QUEUE_PLACES];
};

void thunk_queue_init(struct thunk_queue *q);
/* With 1 << order places; order is 1 to THUNK_QUEUE_ORDER.  Tests spill sooner with fewer. */
void thunk_queue_init_order(struct thunk_queue *q, u32 order);

/* Takes thunk_deferred(t) or status_deferred(done, s), which must not be in a queue.  True when
   nothing else was seen waiting: a hint, not enough to leave out the look for a sleeper. */
bool thunk_queue_add(struct thunk_queue *q, struct closure_header *header);

/* The oldest; NULL when none can be had now.  Hand it to closure_run_deferred.  Most calls cost one
   compare and swap; one that finds the ring empty moves up to a ring of spilled closures, and turns
   the spill round if nobody had (as long as the spill is). */
struct closure_header *thunk_queue_take(struct thunk_queue *q);

/* False while anything that was added is not taken (see above).  True: at one moment during the
   call nothing was waiting. */
bool thunk_queue_empty(const struct thunk_queue *q);

/* How many were added so far: whoever asks twice learns whether there were more meanwhile.  A hint
   while others add. */
static inline u64 thunk_queue_added(const struct thunk_queue *q)
{
    return __atomic_load_n(&q->add_position, __ATOMIC_RELAXED) +
           __atomic_load_n(&q->spill_count, __ATOMIC_RELAXED);
}
