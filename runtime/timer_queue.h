/* timer_queue: timers in order of expiry, equal times in order of insertion.  The timers of one CPU
   (kernel/timer.c), which locks it: nothing here does.  Any context.

   The links are in the timers, so nothing is allocated and nothing fails, be there a million.
   Insertion, removal and expiry are O(log n) in the worst case, because they run with interrupts
   off; the earliest time is at hand, and a timer that becomes the earliest or the latest (what most
   time-outs do) is inserted without a search. */
#pragma once

#include "runtime/timer.h"

struct timer_queue {
    struct rbtree tree;
    rbnode earliest, latest; /* NULL when there is none */
};

#define TIMER_QUEUE_NONE (~0ull)

void timer_queue_init(struct timer_queue *q);

/* t is not pending; it is then.  True when it became the earliest. */
bool timer_queue_insert(struct timer_queue *q, struct timer *t, u64 expires_ns);

/* t is pending, in this queue. */
void timer_queue_remove(struct timer_queue *q, struct timer *t);

/* Takes the earliest timer out if its time is not after now_ns; NULL when there is none. */
struct timer *timer_queue_expired(struct timer_queue *q, u64 now_ns);

/* When the earliest expires; TIMER_QUEUE_NONE when there is none. */
u64 timer_queue_earliest(const struct timer_queue *q);

/* How many are pending. */
u64 timer_queue_count(const struct timer_queue *q);
