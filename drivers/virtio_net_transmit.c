/* virtio-net: frames out.

   A frame takes a slot, which holds a descriptor table, and virtio's header where the frame has no
   room for that in front.  Short frames lie in the ring itself, which is less work for the device;
   the others, and all of them when the ring is more than half full, take one descriptor and the
   slot's table.

   The device's interrupts for this ring are off while there is room: what it is done with is taken
   when the network flushes, when something was received, and by a timer (drivers/virtio_net.c), so
   `sent` is late by no more than that.  `sent` is never applied inside `transmit`. */
#include "drivers/virtio_net.h"

#include "kernel/memory.h"
#include "kernel/run_loop.h"
#include "runtime/trace.h"

#define FRAME_DESCRIPTORS (NET_FRAME_PIECES + 1) /* the header is one more */
#define IN_RING_MOST      3                      /* descriptors of a frame that needs no table */
#define DOORBELL_AFTER    32 /* frames of one pass before the device is told of the first */

/* --- slots ------------------------------------------------------------------------------------ */

static u64 slots_bytes(const struct vnet_pair *p)
{
    return p->slot_count * sizeof(struct vnet_slot);
}

static void slot_free(struct vnet_pair *p, struct vnet_slot *slot)
{
    slot->next = p->free_slot;
    p->free_slot = slot;
    p->slots_free++;
}

status virtio_net_slots_make(struct vnet_pair *p)
{
    p->slot_count = min(p->transmit.size, (u16)VNET_SLOTS_MOST);
    p->slots = allocate(general_heap, slots_bytes(p));
    if (!p->slots)
        return status_error(ENOMEM, "virtio-net: no memory for frames", p->slot_count);
    for (u32 i = p->slot_count; i-- > 0;) {
        virtqueue_chain_init(&p->slots[i].chain, p->slots[i].table, FRAME_DESCRIPTORS);
        slot_free(p, &p->slots[i]);
    }
    return STATUS_OK;
}

void virtio_net_slots_free(struct vnet_pair *p)
{
    deallocate(general_heap, p->slots, slots_bytes(p));
    p->slots = NULL;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Frames of one connection keep their order: they all have the same ports. */
static struct vnet_pair *pair_for(struct vnet *n, const struct net_frame_out *f)
{
    if (likely(n->pairs_active == 1))
        return &n->pairs[0];
    u32 ports = 0;
    if (f->checksum && f->checksum_start + sizeof(ports) <= f->pieces[0].bytes)
        memcpy(&ports, (const u8 *)f->pieces[0].data + f->checksum_start, sizeof(ports));
    return &n->pairs[(ports * 0x9e3779b1u >> 16) % n->pairs_active];
}

static void header_write(struct vnet_header *h, const struct net_frame_out *f)
{
    *h = (struct vnet_header){0};
    if (f->checksum) {
        h->flags = VNET_NEEDS_CHECKSUM;
        h->checksum_start = f->checksum_start;
        h->checksum_offset = f->checksum_offset;
    }
    if (f->segmenting != NET_SEGMENT_NONE) {
        h->segmenting = f->segmenting == NET_SEGMENT_TCP4 ? VNET_SEGMENT_TCP4 : VNET_SEGMENT_TCP6;
        h->segment_bytes = f->segment_bytes;
        h->header_bytes = f->header_bytes;
    }
}

static void frame_check(const struct vnet *n, const struct net_frame_out *f)
{
    static const u32 needed[] = {
        [NET_SEGMENT_NONE] = 0,
        [NET_SEGMENT_TCP4] = NET_SEGMENT_V4,
        [NET_SEGMENT_TCP6] = NET_SEGMENT_V6,
    };
    assert(f->count > 0 && f->count <= NET_FRAME_PIECES);
    assert(f->bytes <= NET_FRAME_BYTES);
    assert(!f->checksum || n->device.offloads & NET_CHECKSUM_OUT);
    assert((needed[f->segmenting] & ~n->device.offloads) == 0);
}

/* Whether a frame of `count` pieces fits, and how: with the slot's table or without. */
static bool chain_choose(const struct virtqueue *q, struct vnet_slot *slot, u32 count)
{
    bool in_ring = !q->indirect || (count < IN_RING_MOST && q->free_count > q->size / 2);
    slot->chain.table = in_ring ? NULL : slot->table;
    return virtqueue_room(q, &slot->chain) > count;
}

/* Whether virtio's header may lie directly in front of the frame, which spares a descriptor. */
static bool header_fits(const struct vnet *n, const struct net_frame_out *f)
{
    return f->headroom >= sizeof(struct vnet_header) && n->any_layout &&
           n->header_bytes == sizeof(struct vnet_header);
}

static void headed_piece_add(struct vnet_pair *p, struct vnet_slot *slot,
                             const struct net_piece *first)
{
    u8 *header = (u8 *)(u64)first->data - sizeof(struct vnet_header);
    header_write((struct vnet_header *)(void *)header, slot->frame);
    virtqueue_chain_readable(&p->transmit, &slot->chain, physical_of(header).bits,
                             first->bytes + (u32)sizeof(struct vnet_header));
}

static void header_and_piece_add(struct vnet_pair *p, struct vnet_slot *slot,
                                 const struct net_piece *first)
{
    u64 header = slot->chain.table_physical + offsetof(struct vnet_slot, header);
    header_write(&slot->header, slot->frame);
    virtqueue_chain_readable(&p->transmit, &slot->chain, header, p->net->header_bytes);
    virtqueue_chain_readable(&p->transmit, &slot->chain, physical_of(first->data).bits,
                             first->bytes);
}

static void frame_submit(struct vnet_pair *p, struct vnet_slot *slot, struct net_frame_out *f)
{
    struct virtqueue *q = &p->transmit;
    p->free_slot = slot->next;
    p->slots_free--;
    slot->frame = f;
    virtqueue_chain_begin(q, &slot->chain);
    if (likely(header_fits(p->net, f)))
        headed_piece_add(p, slot, &f->pieces[0]);
    else
        header_and_piece_add(p, slot, &f->pieces[0]);
    for (u32 i = 1; i < f->count; i++)
        virtqueue_chain_readable(q, &slot->chain, physical_of(f->pieces[i].data).bits,
                                 f->pieces[i].bytes);
    virtqueue_chain_submit(q, &slot->chain);
}

/* The network waits: an interrupt when most of the ring has been taken. */
static void room_want(struct vnet_pair *p)
{
    struct virtqueue *q = &p->transmit;
    p->net->room_wanted = true;
    virtqueue_notify(q);
    if (q->flying == 0 || virtqueue_interrupt_after(q, max((u16)(q->flying * 3u / 4), (u16)1)))
        virtio_service_later(p->net->virtio);
    virtio_net_timer_start(p->net);
}

closure_method(net_transmit, vnet_transmit, struct vnet, transmit, struct net_frame_out *f)
{
    struct vnet *n = owner();
    if (unlikely(n->dead))
        return false;
    frame_check(n, f);
    struct vnet_pair *p = pair_for(n, f);
    struct vnet_slot *slot = p->free_slot;
    if (unlikely(!slot || !chain_choose(&p->transmit, slot, f->count))) {
        room_want(p);
        return false;
    }
    TRACE(NET_OUT_BEGIN, f, f->bytes, f->segment_bytes);
    frame_submit(p, slot, f);
    n->device.statistics.frames_out++;
    n->device.statistics.bytes_out += f->bytes;
    if (virtqueue_unnotified(&p->transmit) >= DOORBELL_AFTER)
        virtqueue_notify(&p->transmit);
    return true;
}

void virtio_net_timer_start(struct vnet *n)
{
    if (n->timer.pending || n->dead)
        return;
    n->tick_ns = clock_monotonic_ns();
    timer_set(&n->timer, n->tick_ns + n->tick_interval_ns, &n->tick);
}

closure_method(net_flush, vnet_flush, struct vnet, flush)
{
    struct vnet *n = owner();
    if (unlikely(n->dead))
        return;
    for (u32 i = 0; i < n->pairs_active; i++) {
        struct vnet_pair *p = &n->pairs[i];
        virtqueue_notify(&p->transmit);
        virtio_net_reap(p);
        if (p->transmit.flying > 0)
            virtio_net_timer_start(n);
    }
    if (n->room_wanted)
        virtio_service_later(n->virtio);
}

/* --- what comes back -------------------------------------------------------------------------- */

static void slot_end(struct vnet_pair *p, struct vnet_slot *slot)
{
    struct net_frame_out *f = slot->frame;
    TRACE(NET_OUT_END, f);
    slot_free(p, slot);
    p->sent++;
    apply(&f->sent);
}

/* Bounded, although `sent` may lead to further frames. */
void virtio_net_reap(struct vnet_pair *p)
{
    struct virtqueue_chain *c;
    if (!virtqueue_answered(&p->transmit))
        return;
    for (u32 left = p->slot_count; left > 0 && (c = virtqueue_take(&p->transmit)); left--)
        slot_end(p, container_of(c, struct vnet_slot, chain));
    if (unlikely(!is_ok(p->transmit.failure)))
        virtio_service_later(p->net->virtio);
}

static bool pair_has_room(const struct vnet_pair *p)
{
    const struct virtqueue *q = &p->transmit;
    if (q->flying == 0)
        return true;
    u32 free = q->indirect ? p->slots_free : q->free_count;
    u32 all = q->indirect ? p->slot_count : q->size;
    return free >= all / 4 && (q->indirect || free >= FRAME_DESCRIPTORS) && p->slots_free > 0;
}

void virtio_net_room_offer(struct vnet *n)
{
    if (!n->room_wanted || n->dead)
        return;
    for (u32 i = 0; i < n->pairs_active; i++)
        if (!pair_has_room(&n->pairs[i]))
            return;
    n->room_wanted = false;
    for (u32 i = 0; i < n->pairs_active; i++)
        virtqueue_interrupts_off(&n->pairs[i].transmit);
    if (n->device.room)
        apply(n->device.room);
}

/* --- after a reset ---------------------------------------------------------------------------- */

struct vnet_slot *virtio_net_slots_reclaim(struct vnet_pair *p)
{
    struct vnet_slot *lost = NULL;
    struct virtqueue_chain *c;
    while ((c = virtqueue_reclaim(&p->transmit))) {
        struct vnet_slot *slot = container_of(c, struct vnet_slot, chain);
        slot->next = lost;
        lost = slot;
    }
    return lost;
}

void virtio_net_slots_lose(struct vnet_pair *p, struct vnet_slot *lost)
{
    while (lost) {
        struct vnet_slot *slot = lost;
        lost = slot->next;
        slot_end(p, slot);
    }
}

void virtio_net_transmit_init(struct vnet *n)
{
    init_method(&n->transmit, vnet_transmit);
    init_method(&n->flush, vnet_flush);
    n->device.transmit = &n->transmit;
    n->device.flush = &n->flush;
}
