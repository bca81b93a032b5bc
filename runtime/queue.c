/* Lock-free queues: see runtime/queue.h. */
#include "runtime/queue.h"

#include "runtime/assert.h"

/* --- stacks ----------------------------------------------------------------------------------- */

/* True when it was empty. */
static bool stack_push(struct closure_header **top, struct closure_header *header)
{
    struct closure_header *newest = __atomic_load_n(top, __ATOMIC_RELAXED);
    do {
        header->next = newest;
        /* Released so that the consumer sees the link and all that the closure refers to. */
    } while (!__atomic_compare_exchange_n(top, &newest, header, true, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
    return newest == NULL;
}

/* Newest first becomes oldest first. */
static struct closure_header *chain_turn(struct closure_header *newest)
{
    struct closure_header *turned = NULL;
    while (newest) {
        struct closure_header *older = newest->next;
        newest->next = turned;
        turned = newest;
        newest = older;
    }
    return turned;
}

/* --- one consumer ----------------------------------------------------------------------------- */

void closure_queue_init(struct closure_queue *q)
{
    *q = (struct closure_queue){NULL, NULL};
}

bool closure_queue_add(struct closure_queue *q, struct closure_header *header)
{
    return stack_push(&q->added, header);
}

struct closure_header *closure_queue_take(struct closure_queue *q)
{
    if (!q->ready) {
        if (!__atomic_load_n(&q->added, __ATOMIC_RELAXED))
            return NULL;
        q->ready = chain_turn(__atomic_exchange_n(&q->added, NULL, __ATOMIC_ACQUIRE));
    }
    struct closure_header *taken = q->ready;
    q->ready = taken->next;
    taken->next = NULL;
    return taken;
}

bool closure_queue_empty(const struct closure_queue *q)
{
    return !q->ready && !__atomic_load_n(&q->added, __ATOMIC_RELAXED);
}

/* --- many consumers: the ring ----------------------------------------------------------------- */

/* Reserves the position whose place shows `position + lag`; false when that place is a round
   behind: the ring is full (for producers), empty or still being filled (for consumers). */
static inline bool ring_reserve(struct thunk_queue *q, u64 *position, u64 lag, u64 *reserved)
{
    u64 at = __atomic_load_n(position, __ATOMIC_RELAXED);
    for (;;) {
        u64 turn = __atomic_load_n(&q->places[at & q->mask].turn, __ATOMIC_ACQUIRE);
        s64 ahead = (s64)(turn - (at + lag));
        if (ahead < 0)
            return false;
        if (ahead > 0) /* somebody else was quicker */
            at = __atomic_load_n(position, __ATOMIC_RELAXED);
        else if (__atomic_compare_exchange_n(position, &at, at + 1, true, __ATOMIC_RELAXED,
                                             __ATOMIC_RELAXED))
            break;
    }
    *reserved = at;
    return true;
}

static inline bool ring_add(struct thunk_queue *q, struct closure_header *header, u64 *at)
{
    if (!ring_reserve(q, &q->add_position, 0, at))
        return false;
    struct queue_place *place = &q->places[*at & q->mask];
    place->header = header;
    __atomic_store_n(&place->turn, *at + 1, __ATOMIC_RELEASE);
    return true;
}

static inline struct closure_header *ring_take(struct thunk_queue *q)
{
    u64 at;
    if (!ring_reserve(q, &q->take_position, 1, &at))
        return NULL;
    struct queue_place *place = &q->places[at & q->mask];
    struct closure_header *header = place->header;
    __atomic_store_n(&place->turn, at + q->mask + 1, __ATOMIC_RELEASE);
    return header;
}

/* --- many consumers: the spill ----------------------------------------------------------------

   Why the order holds: spill_count counts a closure before it is on the stack and until it is in
   the ring.  A producer that reads 0 therefore comes after all that was spilled before has its
   place in the ring; one that reads more goes to the stack, behind it.  There is one mover at a
   time, it moves the oldest first, and consumers take from the ring only. */

static void spill_add(struct thunk_queue *q, struct closure_header *header)
{
    __atomic_fetch_add(&q->spill_count, 1, __ATOMIC_RELAXED);
    stack_push(&q->spilled, header);
}

static struct closure_header *spill_oldest(struct thunk_queue *q)
{
    if (!q->oldest)
        q->oldest = chain_turn(__atomic_exchange_n(&q->spilled, NULL, __ATOMIC_ACQUIRE));
    return q->oldest;
}

/* At most a ring.  Whoever finds a mover at work leaves it the work. */
static void spill_move(struct thunk_queue *q)
{
    u64 moved = 0, at;
    struct closure_header *oldest;
    if (__atomic_exchange_n(&q->moving, true, __ATOMIC_ACQUIRE))
        return;
    while (moved <= q->mask && (oldest = spill_oldest(q))) {
        struct closure_header *next = oldest->next; /* in the ring it is the consumer's */
        if (!ring_add(q, oldest, &at))
            break;
        q->oldest = next;
        moved++;
    }
    /* Released: who sees the lower count sees the places in the ring. */
    __atomic_fetch_sub(&q->spill_count, moved, __ATOMIC_RELEASE);
    __atomic_store_n(&q->moving, false, __ATOMIC_RELEASE);
}

/* --- many consumers --------------------------------------------------------------------------- */

void thunk_queue_init_order(struct thunk_queue *q, u32 order)
{
    /* With one place, the turns of both sides would be equal. */
    assert(order >= 1 && order <= THUNK_QUEUE_ORDER);
    *q = (struct thunk_queue){.mask = (1u << order) - 1};
    for (u64 i = 0; i <= q->mask; i++)
        q->places[i].turn = i;
}

void thunk_queue_init(struct thunk_queue *q)
{
    thunk_queue_init_order(q, THUNK_QUEUE_ORDER);
}

bool thunk_queue_add(struct thunk_queue *q, struct closure_header *header)
{
    u64 at;
    if (unlikely(__atomic_load_n(&q->spill_count, __ATOMIC_ACQUIRE)) ||
        unlikely(!ring_add(q, header, &at))) {
        spill_add(q, header);
        return false;
    }
    return at == __atomic_load_n(&q->take_position, __ATOMIC_RELAXED);
}

static __attribute__((noinline)) struct closure_header *spill_take(struct thunk_queue *q)
{
    spill_move(q);
    return ring_take(q);
}

struct closure_header *thunk_queue_take(struct thunk_queue *q)
{
    struct closure_header *taken = ring_take(q);
    if (!taken && unlikely(__atomic_load_n(&q->spill_count, __ATOMIC_RELAXED)))
        taken = spill_take(q);
    if (taken)
        taken->next = NULL;
    return taken;
}

/* In the direction in which closures move, so that none slips past: the spill before the ring; and
   of the ring first how many were taken.  If that many had been added only later, some were
   waiting. */
bool thunk_queue_empty(const struct thunk_queue *q)
{
    if (__atomic_load_n(&q->spill_count, __ATOMIC_ACQUIRE))
        return false;
    u64 taken = __atomic_load_n(&q->take_position, __ATOMIC_ACQUIRE);
    return __atomic_load_n(&q->add_position, __ATOMIC_ACQUIRE) == taken;
}
