/* Lock-free queues: see runtime/queue.h. */
#include "runtime/queue.h"

#include "runtime/assert.h"

/* --- closures --------------------------------------------------------------------------------- */

void closure_queue_init(struct closure_queue *q)
{
    *q = (struct closure_queue){NULL, NULL};
}

bool closure_queue_add(struct closure_queue *q, struct closure_header *header)
{
    struct closure_header *newest = __atomic_load_n(&q->added, __ATOMIC_RELAXED);
    do {
        header->next = newest;
        /* Released so that the consumer sees the link and all that the closure refers to. */
    } while (!__atomic_compare_exchange_n(&q->added, &newest, header, true, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
    return newest == NULL;
}

struct closure_header *closure_queue_take(struct closure_queue *q)
{
    if (!q->ready) {
        if (!__atomic_load_n(&q->added, __ATOMIC_RELAXED))
            return NULL;
        struct closure_header *newest = __atomic_exchange_n(&q->added, NULL, __ATOMIC_ACQUIRE);
        while (newest) {
            struct closure_header *older = newest->next;
            newest->next = q->ready;
            q->ready = newest;
            newest = older;
        }
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

/* --- pointers --------------------------------------------------------------------------------- */

/* A place knows whose turn it is: `turn` == position means that the producer of that position may
   fill it, position + 1 that its consumer may empty it; the next producer's is a whole ring later.
   So a producer and a consumer agree through the place alone, and positions are only reserved. */
struct ring_place {
    u64 turn; /* [a] */
    void *p;  /* whose turn it is */
};

struct pointer_ring {
    heap heap; /* [I] */
    u64 mask;  /* [I] */
    /* Producers and consumers each have a cache line of their own. */
    alignas(64) u64 add_position;  /* [a] */
    alignas(64) u64 take_position; /* [a] */
    alignas(64) struct ring_place places[];
};

static u64 ring_bytes(u64 places)
{
    return sizeof(struct pointer_ring) + align_up(places * sizeof(struct ring_place), 64);
}

struct pointer_ring *pointer_ring_create(heap h, u32 order)
{
    assert(order >= 1 && order < 32); /* with one place, the turns of both sides would be equal */
    u64 places = 1ull << order;
    struct pointer_ring *ring = allocate_zero(h, ring_bytes(places));
    if (!ring)
        return NULL;
    ring->heap = h;
    ring->mask = places - 1;
    for (u64 i = 0; i < places; i++)
        ring->places[i].turn = i;
    return ring;
}

void pointer_ring_destroy(struct pointer_ring *ring)
{
    deallocate(ring->heap, ring, ring_bytes(ring->mask + 1));
}

/* Reserves the position whose place shows `position + lag`; false when that place is a round
   behind: the ring is full (for producers), empty (for consumers). */
static bool ring_reserve(struct pointer_ring *ring, u64 *position, u64 lag, u64 *reserved)
{
    u64 at = __atomic_load_n(position, __ATOMIC_RELAXED);
    for (;;) {
        u64 turn = __atomic_load_n(&ring->places[at & ring->mask].turn, __ATOMIC_ACQUIRE);
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

bool pointer_ring_add(struct pointer_ring *ring, void *p)
{
    u64 at;
    assert(p != NULL);
    if (!ring_reserve(ring, &ring->add_position, 0, &at))
        return false;
    struct ring_place *place = &ring->places[at & ring->mask];
    place->p = p;
    __atomic_store_n(&place->turn, at + 1, __ATOMIC_RELEASE);
    return true;
}

void *pointer_ring_take(struct pointer_ring *ring)
{
    u64 at;
    if (!ring_reserve(ring, &ring->take_position, 1, &at))
        return NULL;
    struct ring_place *place = &ring->places[at & ring->mask];
    void *p = place->p;
    __atomic_store_n(&place->turn, at + ring->mask + 1, __ATOMIC_RELEASE);
    return p;
}
