/* A split virtqueue (virtio 1.2, 2.7): a ring of descriptor chains shared with a device.

   A driver keeps one struct virtqueue_chain per transfer that it can have in flight; it owns that
   memory and the buffers from virtqueue_chain_begin() until virtqueue_take() hands the chain back
   or the device has been reset.  A chain with a table of its own takes one descriptor of the ring
   (when the device offers indirect descriptors), one without takes a descriptor per buffer.

   What the device writes is never trusted: free lists and chain lengths are kept in memory that it
   does not see, and an answer that cannot be right (an id that is not in flight, more bytes than
   there was room for) stops the queue.  virtqueue_take() then returns nothing any more, `failure`
   says why, and the driver resets the device.

   Not locked: the driver's lock covers its queues.  Callers: the virtio drivers and their tests. */
#pragma once

#include "runtime/heap.h"
#include "runtime/status.h"
#include "runtime/types.h"

struct virtio_device;

/* virtio 1.2, 2.7.5, 2.7.6 and 2.7.8.  Little-endian, and legacy devices' native order is ours. */
struct virtio_descriptor {
    u64 address;
    u32 bytes;
    u16 flags;
    u16 next;
};

struct virtio_available {
    u16 flags;
    u16 index;
    u16 ring[]; /* followed by used_event */
};

struct virtio_used_element {
    u32 id;
    u32 bytes;
};

struct virtio_used {
    u16 flags;
    u16 index;
    struct virtio_used_element ring[]; /* followed by avail_event */
};

_Static_assert(sizeof(struct virtio_descriptor) == 16, "virtio 1.2, 2.7.5");
_Static_assert(sizeof(struct virtio_used_element) == 8, "virtio 1.2, 2.7.8");

struct virtqueue_chain {
    struct virtio_descriptor *table; /* [I] NULL: the chain lies in the ring itself */
    u64 table_physical;              /* [I] */
    u16 table_size;                  /* [I] */
    u16 head;                        /* the ring's descriptor that starts it */
    u16 last;                        /* the one that ends it so far */
    u16 count;                       /* descriptors in the table, or in the ring */
    u32 writable_bytes;              /* what the device may write at most */
    u32 written_bytes;               /* what it says it wrote; valid after virtqueue_take() */
};

struct virtqueue {
    struct virtio_device *device; /* [I] */
    u16 index;                    /* [I] */
    u16 size;                     /* [I] descriptors, a power of two */
    bool indirect;                /* [I] */
    bool event_index;             /* [I] */
    u64 ring_bytes;               /* [I] */
    struct virtio_descriptor *descriptors;
    struct virtio_available *available;
    struct virtio_used *used;
    volatile void *doorbell; /* the transport's */

    u16 free_head;
    u16 free_count;
    u16 available_next;             /* where the next chain goes */
    u16 available_notified;         /* the index at the last notification */
    u16 used_next;                  /* the next answer to look at */
    u16 flying;                     /* chains with the device */
    u16 *next;                      /* [size] of the free list and of chains in the ring */
    struct virtqueue_chain **owner; /* [size] by head; NULL: not in flight */
    status failure;                 /* set: the device broke its promises */
};

/* Finds queue `index` of the device, sizes it to at most `most` descriptors (a power of two; where
   the transport leaves no choice, as many as the device has), gives it memory and shows that to
   the device.  May be called again after a reset: the memory is
   used again, and no chain is in flight then.  ENODEV: no such queue; ENOMEM. */
status virtqueue_start(struct virtqueue *q, struct virtio_device *device, u16 index, u16 most);

/* The part of it that knows no device; `alignment` is that of the used ring.  For tests too. */
status virtqueue_allocate(struct virtqueue *q, u16 size, u64 alignment);
void virtqueue_clear(struct virtqueue *q);
/* Gives its memory back, if it has any; the device was reset. */
void virtqueue_free(struct virtqueue *q);

/* `table` NULL: a chain that lies in the ring. */
void virtqueue_chain_init(struct virtqueue_chain *c, struct virtio_descriptor *table, u16 size);

/* Buffers that one chain may have right now; 0: the ring is full. */
u16 virtqueue_room(const struct virtqueue *q, const struct virtqueue_chain *c);

/* Begins a chain, adds its buffers (those the device reads first, then those it writes) and hands
   it over.  The caller asked virtqueue_room().  The device may not look before
   virtqueue_notify().*/
void virtqueue_chain_begin(struct virtqueue *q, struct virtqueue_chain *c);
void virtqueue_chain_readable(struct virtqueue *q, struct virtqueue_chain *c, u64 address,
                              u32 bytes);
void virtqueue_chain_writable(struct virtqueue *q, struct virtqueue_chain *c, u64 address,
                              u32 bytes);
void virtqueue_chain_submit(struct virtqueue *q, struct virtqueue_chain *c);

/* All of that for a chain of one buffer that the device writes, which lies in the ring. */
void virtqueue_chain_give(struct virtqueue *q, struct virtqueue_chain *c, u64 address, u32 bytes);

/* True when the device wants to be told of what was submitted since it was last asked. */
bool virtqueue_must_notify(struct virtqueue *q);
void virtqueue_notify(struct virtqueue *q);

/* Submitted, but not shown to the device yet. */
static inline u16 virtqueue_unnotified(const struct virtqueue *q)
{
    return (u16)(q->available_next - q->available_notified);
}

/* Whether virtqueue_take has something to look at. */
static inline bool virtqueue_answered(const struct virtqueue *q)
{
    return __atomic_load_n(&q->used->index, __ATOMIC_ACQUIRE) != q->used_next;
}

/* The next chain that the device is done with; NULL: none, or q->failure is set. */
struct virtqueue_chain *virtqueue_take(struct virtqueue *q);

/* Asks for an interrupt at the next answer.  True: an answer is there already, look again. */
bool virtqueue_interrupts_on(struct virtqueue *q);
void virtqueue_interrupts_off(struct virtqueue *q);
/* Asks for one when there are `answers` more, from 1 to as many as are in flight; a device without
   the event index interrupts at the next one.  True: they are there already. */
bool virtqueue_interrupt_after(struct virtqueue *q, u16 answers);

/* After the device was reset: the chains that it still had, one by one; NULL: that was all. */
struct virtqueue_chain *virtqueue_reclaim(struct virtqueue *q);
