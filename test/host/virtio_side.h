/* The device's side of a virtqueue, for tests: it reads chains when they are announced and writes
   answers; an honest one writes what is right, and ring_mutate is for those that are not.

   Included once by such a test, behind drivers/virtqueue.c. */
#pragma once

#include "drivers/virtqueue.h"
#include "runtime/random.h"
#include "test/host/harness.h"

#define SIDE_CHAIN_MOST   300
#define SIDE_PENDING_MOST 256

struct side_chain {
    u16 head;
    u32 count;
    struct virtio_descriptor descriptors[SIDE_CHAIN_MOST];
};

struct side {
    struct virtqueue *queue; /* NULL: the driver has not started it */
    u16 seen;                /* of what was announced */
    u32 kicks;
    bool lied; /* a driver that was told lies gives what the device still has */
    u32 pending_count;
    u16 order[SIDE_PENDING_MOST]; /* of the chains: those pending, then those free */
    struct side_chain chains[SIDE_PENDING_MOST];
};

/* The device was reset; also before its first use. */
static void side_reset(struct side *s)
{
    s->queue = NULL;
    s->seen = 0;
    s->pending_count = 0;
    for (u16 i = 0; i < SIDE_PENDING_MOST; i++)
        s->order[i] = i;
}

/* A chain is read when it is announced, so that hostility cannot mislead the device itself. */
static void side_chain_read(const struct virtqueue *q, u16 head, struct side_chain *c)
{
    const struct virtio_descriptor *table = q->descriptors;
    u16 at = head;
    c->head = head;
    c->count = 0;
    if (table[at].flags & DESCRIPTOR_INDIRECT) {
        must(table[at].bytes % sizeof(*table) == 0);
        table = (const struct virtio_descriptor *)table[at].address;
        at = 0;
    }
    for (;;) {
        must(c->count < SIDE_CHAIN_MOST);
        c->descriptors[c->count++] = table[at];
        if (!(table[at].flags & DESCRIPTOR_NEXT))
            return;
        at = table[at].next;
    }
}

/* The doorbell. */
static void side_look(struct side *s)
{
    struct virtqueue *q = s->queue;
    s->kicks++;
    while (s->seen != q->available->index) {
        u16 head = q->available->ring[s->seen++ & (q->size - 1)];
        must(s->pending_count < SIDE_PENDING_MOST || s->lied);
        if (s->pending_count == SIDE_PENDING_MOST)
            continue;
        side_chain_read(q, head, &s->chains[s->order[s->pending_count++]]);
    }
    u16 *event = (u16 *)&q->used->ring[q->size];
    *event = s->seen;
}

/* Takes one of the pending chains; the others keep their order.  Valid until the next doorbell. */
static const struct side_chain *side_take(struct side *s, u32 which)
{
    must(which < s->pending_count);
    u16 taken = s->order[which];
    s->pending_count--;
    memmove(&s->order[which], &s->order[which + 1],
            (s->pending_count - which) * sizeof(s->order[0]));
    s->order[s->pending_count] = taken;
    return &s->chains[taken];
}

/* Writes an answer `ahead` of those that the driver may see. */
static void side_answer_ahead(struct side *s, u16 ahead, u16 head, u32 written)
{
    struct virtqueue *q = s->queue;
    q->used->ring[(u16)(q->used->index + ahead) & (q->size - 1)] =
        (struct virtio_used_element){head, written};
}

/* Shows `count` answers.  True: the driver wants an interrupt for one of them. */
static bool side_publish(struct side *s, u16 count)
{
    struct virtqueue *q = s->queue;
    u16 before = q->used->index;
    q->used->index += count;
    if (q->event_index)
        return (u16)(q->used->index - q->available->ring[q->size] - 1) < count;
    return before != q->used->index && !(q->available->flags & AVAILABLE_NO_INTERRUPT);
}

static void ring_mutate(struct random *chance, struct side *s)
{
    struct virtqueue *q = s->queue;
    s->lied = true;
    switch (random_below(chance, 6)) {
    case 0:
        q->used->ring[random_below(chance, q->size)].id = (u32)random_next(chance);
        break;
    case 1:
        q->used->ring[random_below(chance, q->size)].id = (u32)random_below(chance, q->size);
        break;
    case 2:
        q->used->ring[random_below(chance, q->size)].bytes = (u32)random_next(chance);
        break;
    case 3:
        q->used->index += (u16)random_below(chance, 5);
        break;
    case 4:
        random_fill(chance, q->descriptors, q->size * sizeof(*q->descriptors));
        break;
    default:
        random_fill(chance, q->used, 4 + q->size * sizeof(struct virtio_used_element));
    }
}
