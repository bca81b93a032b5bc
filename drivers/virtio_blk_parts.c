/* The parts of virtio-blk's requests: cutting them, issuing them, and what their answers mean.  See
   drivers/virtio_blk.h. */
#include "drivers/virtio_blk.h"

#include "kernel/memory.h"

/* How many sectors of a list, from the cursor on, `room` descriptors can hold. */
static u64 part_sectors(const struct virtio_blk *b, const struct block_request *r, u32 room)
{
    u64 left = r->sectors - b->cursor.sectors, fits = 0;
    u32 piece = b->cursor.piece;
    u64 offset = b->cursor.piece_offset;
    while (fits < left && room > 0 && piece < r->sg->count) {
        u64 bytes = min(r->sg->pieces[piece].bytes - offset, (u64)b->segment_bytes);
        fits += bytes / SECTOR_BYTES;
        offset += bytes;
        if (offset == r->sg->pieces[piece].bytes) {
            piece++;
            offset = 0;
        }
        room--;
    }
    return min(fits, left);
}

/* Adds `bytes` of the request's memory to the chain and moves the cursor behind them. */
static void part_add_data(struct virtio_blk *b, struct blk_slot *slot, u64 bytes)
{
    struct block_request *r = slot->request;
    struct blk_cursor *c = &b->cursor;
    while (bytes > 0) {
        const struct sg_piece *p = &r->sg->pieces[c->piece];
        u64 segment = min(p->bytes - c->piece_offset, (u64)b->segment_bytes);
        u32 length = (u32)min(segment, bytes);
        u64 address = physical_of((u8 *)p->address + c->piece_offset).bits;
        if (r->operation == BLOCK_READ)
            virtqueue_chain_writable(&b->queue, &slot->chain, address, length);
        else
            virtqueue_chain_readable(&b->queue, &slot->chain, address, length);
        bytes -= length;
        c->piece_offset += length;
        if (c->piece_offset == p->bytes) {
            c->piece++;
            c->piece_offset = 0;
        }
    }
}

static u64 slot_physical(struct blk_slot *slot, void *field)
{
    return slot->chain.table_physical + (u64)((u8 *)field - (u8 *)slot->table);
}

static void part_add_header(struct virtio_blk *b, struct blk_slot *slot, u32 type)
{
    slot->header = (struct blk_header){.type = type};
    if (type == BLK_IN || type == BLK_OUT)
        slot->header.sector = slot->request->sector + b->cursor.sectors;
    virtqueue_chain_readable(&b->queue, &slot->chain, slot_physical(slot, slot->header_bytes),
                             sizeof(slot->header));
}

static void part_add_body(struct virtio_blk *b, struct blk_slot *slot, u64 sectors)
{
    static const u32 types[] = {[BLOCK_READ] = BLK_IN,
                                [BLOCK_WRITE] = BLK_OUT,
                                [BLOCK_FLUSH] = BLK_FLUSH_CACHE,
                                [BLOCK_DISCARD] = BLK_DISCARD_RANGE};
    struct block_request *r = slot->request;
    part_add_header(b, slot, types[r->operation]);
    slot->data_bytes = 0;
    if (r->operation == BLOCK_READ || r->operation == BLOCK_WRITE) {
        slot->data_bytes = (u32)(sectors * SECTOR_BYTES);
        part_add_data(b, slot, slot->data_bytes);
    } else if (r->operation == BLOCK_DISCARD) {
        slot->range = (struct blk_range){r->sector + b->cursor.sectors, (u32)sectors, 0};
        virtqueue_chain_readable(&b->queue, &slot->chain, slot_physical(slot, &slot->range),
                                 sizeof(slot->range));
    }
    slot->answer = BLK_UNANSWERED;
    virtqueue_chain_writable(&b->queue, &slot->chain, slot_physical(slot, &slot->answer), 1);
}

/* The sectors that the next part of r takes; a flush has none. */
static u64 part_size(const struct virtio_blk *b, const struct block_request *r, u16 room)
{
    if (r->operation == BLOCK_FLUSH)
        return 0;
    if (r->operation == BLOCK_DISCARD)
        return min(r->sectors - b->cursor.sectors, (u64)b->discard_most);
    /* The answer's u32 length bounds a part, too. */
    u64 most = (u64)BLK_SEGMENT / SECTOR_BYTES;
    u32 segments = min((u32)room - BLK_EXTRA, b->segment_most);
    u64 sectors = part_sectors(b, r, segments);
    assert(sectors > 0);
    return min(sectors, most);
}

/* Issues the next part of the first waiting request.  False: the ring or the slots are full. */
static bool part_issue_locked(struct virtio_blk *b)
{
    struct block_request *r = request_of(b->waiting.next);
    struct blk_slot *slot = b->free_slot;
    u16 room = slot ? virtqueue_room(&b->queue, &slot->chain) : 0;
    if (room <= BLK_EXTRA)
        return false;
    if (b->cursor.request != r) {
        b->cursor = (struct blk_cursor){.request = r};
        r->issued_ns = clock_monotonic_ns();
        if (!b->deadline.pending)
            timer_set(&b->deadline, r->issued_ns + BLK_DEADLINE_NS, &b->expired);
    }
    u64 sectors = part_size(b, r, room);
    b->free_slot = slot->next_free;
    slot->request = r;
    virtqueue_chain_begin(&b->queue, &slot->chain);
    part_add_body(b, slot, sectors);
    virtqueue_chain_submit(&b->queue, &slot->chain);
    r->parts++;
    b->cursor.sectors += sectors;
    if (b->cursor.sectors == r->sectors) {
        b->cursor.request = NULL;
        list_remove(&r->link);
        list_push_back(&b->flying, &r->link);
    }
    return true;
}

void blk_issue_locked(struct virtio_blk *b)
{
    while (!list_empty(&b->waiting) && part_issue_locked(b))
        ;
    virtqueue_notify(&b->queue);
}

static status part_answer(const struct virtio_blk *b, const struct blk_slot *slot)
{
    switch (__atomic_load_n(&slot->answer, __ATOMIC_RELAXED)) {
    case BLK_OK:
        break;
    case BLK_UNSUPP:
        return status_error(EOPNOTSUPP, "virtio-blk: the device does not know the operation",
                            slot->request->operation);
    default:
        return status_error(EIO, "virtio-blk: the device reports an error", slot->request->sector);
    }
    /* What lies beyond the bytes it wrote is not the disk's (virtio 1.2, 2.7.8.2). */
    if (slot->request->operation == BLOCK_READ && !b->virtio->legacy &&
        slot->chain.written_bytes < slot->data_bytes)
        return status_error(EIO, "virtio-blk: the device read less than was asked",
                            slot->request->sector);
    return STATUS_OK;
}

static void slot_free_locked(struct virtio_blk *b, struct blk_slot *slot)
{
    slot->request = NULL;
    slot->next_free = b->free_slot;
    b->free_slot = slot;
}

void blk_slots_free_all(struct virtio_blk *b)
{
    b->free_slot = NULL;
    for (u32 i = BLK_SLOTS; i-- > 0;)
        slot_free_locked(b, &b->slots[i]);
}

static void request_end_locked(struct virtio_blk *b, struct block_request *r)
{
    list_remove(&r->link);
    blk_finish_locked(b, r);
}

void blk_stop_locked(struct virtio_blk *b, struct block_request *r, status why)
{
    request_fail_first(r, why);
    if (b->cursor.request == r) {
        b->cursor.request = NULL;
        list_remove(&r->link);
        list_push_back(&b->flying, &r->link);
    }
    if (r->parts == 0)
        request_end_locked(b, r);
}

static void part_done_locked(struct virtio_blk *b, struct blk_slot *slot)
{
    struct block_request *r = slot->request;
    status s = part_answer(b, slot);
    slot_free_locked(b, slot);
    r->parts--;
    if (!is_ok(s))
        blk_stop_locked(b, r, s); /* the rest of it is not tried */
    else if (r->parts == 0 && b->cursor.request != r)
        request_end_locked(b, r);
}

/* Bounded: every answer ends a part that is in flight, and none is issued meanwhile. */
void blk_answers_take_locked(struct virtio_blk *b)
{
    do {
        struct virtqueue_chain *c;
        while ((c = virtqueue_take(&b->queue)))
            part_done_locked(b, container_of(c, struct blk_slot, chain));
    } while (is_ok(b->queue.failure) && virtqueue_interrupts_on(&b->queue));
}
