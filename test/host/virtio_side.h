/* The device's side of a virtqueue, for tests: it reads chains when they are announced and writes
   answers; an honest one writes what is right, and ring_mutate is for those that are not.

   Included once by such a test, behind drivers/virtqueue.c. */
#pragma once

#include "drivers/virtio.h"
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

/* --- a device of several queues --------------------------------------------------------------- */

#define SIDE_QUEUES_MOST 9

struct side_device {
    struct virtio_device device;
    u64 offered;
    u8 status;
    bool reset_stuck; /* never says that it is reset */
    u16 queue_count;
    u16 queue_most; /* descriptors of each */
    u32 resets;
    u32 config_bytes;
    const void *config; /* read whenever the driver asks */
    struct side sides[SIDE_QUEUES_MOST];
};

static struct side_device *side_device_of(struct virtio_device *d)
{
    return container_of(d, struct side_device, device);
}

static u64 side_features(struct virtio_device *d)
{
    return side_device_of(d)->offered;
}

static void side_accept(struct virtio_device *d, u64 features)
{
    must((features & ~side_device_of(d)->offered) == 0);
}

static u8 side_status_read(struct virtio_device *d)
{
    return side_device_of(d)->reset_stuck ? 1 : side_device_of(d)->status;
}

static void side_status_write(struct virtio_device *d, u8 value)
{
    struct side_device *s = side_device_of(d);
    s->status = value;
    if (value != 0)
        return;
    for (u32 i = 0; i < s->queue_count; i++)
        side_reset(&s->sides[i]);
    s->resets++;
}

static u16 side_queue_most(struct virtio_device *d, u16 index)
{
    return index < side_device_of(d)->queue_count ? side_device_of(d)->queue_most : 0;
}

static status side_queue_start(struct virtio_device *d, struct virtqueue *q)
{
    side_device_of(d)->sides[q->index].queue = q;
    return STATUS_OK;
}

static void side_notify(struct virtqueue *q)
{
    side_look(&side_device_of(q->device)->sides[q->index]);
}

static void side_config_read(struct virtio_device *d, u32 offset, void *to, u32 bytes)
{
    const struct side_device *s = side_device_of(d);
    must(offset + bytes <= s->config_bytes);
    memcpy(to, (const u8 *)s->config + offset, bytes);
}

static u32 side_config_generation(__attribute__((unused)) struct virtio_device *d)
{
    return 7;
}

static const struct virtio_transport side_transport = {
    .features = side_features,
    .accept = side_accept,
    .status_read = side_status_read,
    .status_write = side_status_write,
    .queue_most = side_queue_most,
    .queue_start = side_queue_start,
    .notify = side_notify,
    .config_read = side_config_read,
    .config_generation = side_config_generation,
};

/* All zero but for this; before each use. */
static void side_device_init(struct side_device *s, enum virtio_id id, u16 queues)
{
    s->device.transport = &side_transport;
    s->device.id = id;
    s->device.ring_alignment = 4;
    s->queue_count = queues;
    s->queue_most = 256;
}

/* --- devices that no driver takes -------------------------------------------------------------
   `starts` makes the device anew, spoils it, and says whether its driver started it. */

typedef void side_spoil(struct side_device *s);

static void spoil_version(struct side_device *s)
{
    s->offered &= ~VIRTIO_F_VERSION_1;
}

static void spoil_reset(struct side_device *s)
{
    s->reset_stuck = true;
}

static void spoil_queues(struct side_device *s)
{
    s->queue_most = 0;
}

static void test_spoilt(bool (*starts)(side_spoil *spoil))
{
    ok(!starts(spoil_version), "a modern device without VERSION_1 is refused");
    ok(!starts(spoil_reset), "so is one that does not reset");
    ok(!starts(spoil_queues), "and one without queues");
}
