/* virtio-blk (virtio 1.2, 5.2): a block device as runtime/block.h describes one.

   A request is split into parts that fit the device's limits; each part in flight has a slot, and
   slots are made once.  Requests wait on `waiting` until all of their parts are issued, then on
   `flying` until all are answered, then on `finished` until the service thunk applies their
   completions, with no lock held.  Only the first request of `waiting` is partly issued, and
   `cursor` says how far.

   A device that breaks the protocol, or leaves a request unanswered for BLK_DEADLINE_NS, is reset:
   what it had fails (EIO, ETIMEDOUT), what waited is issued again.  After BLK_RESETS_MOST resets it
   is given up and everything fails with EIO.

   Callers: drivers/virtio.c; the block_io closure from any layer above. */
#include "drivers/virtio.h"
#include "kernel/clock.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/run_loop.h"
#include "runtime/lock.h"

/* virtio 1.2, 5.2.3 */
#define VIRTIO_BLK_F_SIZE_MAX (1ull << 1)
#define VIRTIO_BLK_F_SEG_MAX  (1ull << 2)
#define VIRTIO_BLK_F_RO       (1ull << 5)
#define VIRTIO_BLK_F_FLUSH    (1ull << 9)
#define VIRTIO_BLK_F_DISCARD  (1ull << 13)

/* virtio 1.2, 5.2.4 */
struct blk_config {
    u64 capacity;
    u32 size_max;
    u32 seg_max;
};
#define BLK_CONFIG_MAX_DISCARD_SECTORS 36

/* virtio 1.2, 5.2.6 */
enum blk_type { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH_CACHE = 4, BLK_DISCARD_RANGE = 11 };
enum blk_answer { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2, BLK_UNANSWERED = 0xff };

struct blk_header {
    u32 type;
    u32 reserved;
    u64 sector;
};

struct blk_range {
    u64 sector;
    u32 sectors;
    u32 flags;
};

_Static_assert(sizeof(struct blk_header) == 16, "virtio 1.2, 5.2.6");
_Static_assert(sizeof(struct blk_range) == 16, "virtio 1.2, 5.2.6");

#define BLK_SLOTS       64  /* parts in flight; more wait */
#define BLK_QUEUE_SIZE  256 /* descriptors; chains without a table need many */
#define BLK_TABLE       56 /* descriptors of a part: what fits into 1 KiB with the rest of a slot */
#define BLK_EXTRA       2  /* of them, the header and the answer */
#define BLK_SEGMENT     (1u << 30) /* bytes of one descriptor, when the device names no limit */
#define BLK_DEADLINE_NS (30 * NS_PER_SECOND)
#define BLK_RESETS_MOST 8

struct blk_slot {
    struct virtio_descriptor table[BLK_TABLE];
    struct virtqueue_chain chain;
    struct block_request *request; /* NULL: free */
    struct blk_slot *next_free;
    u32 data_bytes;
    u8 answer;
    union {
        struct blk_header header;
        u8 header_bytes[sizeof(struct blk_header)];
    };
    struct blk_range range;
};

_Static_assert(sizeof(struct blk_slot) <= 1024, "the slots take 64 KiB");

struct blk_cursor {
    struct block_request *request; /* NULL: the first of `waiting` is not begun */
    u64 sectors;                   /* issued of it */
    u32 piece;                     /* where the next part begins in its list */
    u64 piece_offset;
};

struct virtio_blk {
    struct block_device device;   /* [I] */
    struct block_io io;           /* [I] */
    struct virtio_device *virtio; /* [I] */
    struct thunk service;
    struct thunk expired;
    struct timer deadline;

    u32 segment_most;  /* [I] data descriptors of a part */
    u32 segment_bytes; /* [I] of one descriptor, a multiple of SECTOR_BYTES */
    u32 discard_most;  /* [I] sectors of one discard */

    struct spinlock lock;       /* rank DEVICE */
    struct virtqueue queue;     /* [lock] */
    struct blk_slot *slots;     /* [I] BLK_SLOTS of them */
    struct blk_slot *free_slot; /* [lock] */
    struct list waiting;        /* [lock] */
    struct list flying;         /* [lock] in order of issue */
    struct list finished;       /* [lock] */
    struct blk_cursor cursor;   /* [lock] */
    u32 resets;                 /* [lock] */
    bool dead;                  /* [lock] */
};

static struct block_request *request_of(struct list *link)
{
    return container_of(link, struct block_request, link);
}

/* --- ends of requests ------------------------------------------------------------------------- */

static void request_fail_first(struct block_request *r, status s)
{
    if (is_ok(r->failure))
        r->failure = s;
}

/* The request is on no list of the device, and no part of it is in flight. */
static void request_finish_locked(struct virtio_blk *b, struct block_request *r)
{
    list_push_back(&b->finished, &r->link);
    virtio_service_later(b->virtio);
}

static struct block_request *finished_take(struct virtio_blk *b)
{
    spin_lock(&b->lock);
    struct list *first = list_pop_front(&b->finished);
    bool more = !list_empty(&b->finished);
    spin_unlock(&b->lock);
    /* A completion may go into the run loop and never come back here. */
    if (more)
        virtio_service_later(b->virtio);
    return first ? request_of(first) : NULL;
}

static void finished_apply(struct virtio_blk *b)
{
    struct block_request *r;
    while ((r = finished_take(b)))
        apply(r->done, r->failure);
}

/* --- parts ------------------------------------------------------------------------------------ */

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

static void deadline_start(struct virtio_blk *b, u64 from_ns)
{
    timer_set(&b->deadline, from_ns + BLK_DEADLINE_NS, &b->expired);
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
            deadline_start(b, r->issued_ns);
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

static void parts_issue_locked(struct virtio_blk *b)
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

static void part_done_locked(struct virtio_blk *b, struct blk_slot *slot)
{
    struct block_request *r = slot->request;
    status s = part_answer(b, slot);
    slot_free_locked(b, slot);
    r->parts--;
    if (!is_ok(s)) {
        request_fail_first(r, s);
        /* The rest of it is not tried. */
        if (b->cursor.request == r) {
            b->cursor.request = NULL;
            list_remove(&r->link);
            list_push_back(&b->flying, &r->link);
        }
    }
    if (r->parts == 0 && b->cursor.request != r) {
        list_remove(&r->link);
        list_push_back(&b->finished, &r->link);
    }
}

/* --- reset ------------------------------------------------------------------------------------ */

static void slots_free_all(struct virtio_blk *b)
{
    b->free_slot = NULL;
    for (u32 i = BLK_SLOTS; i-- > 0;)
        slot_free_locked(b, &b->slots[i]);
}

static void requests_fail_locked(struct virtio_blk *b, struct list *requests, status s)
{
    struct list *link;
    while ((link = list_pop_front(requests))) {
        struct block_request *r = request_of(link);
        r->parts = 0;
        request_fail_first(r, s);
        request_finish_locked(b, r);
    }
}

static u64 features_wanted(void)
{
    return VIRTIO_BLK_F_SIZE_MAX | VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_RO | VIRTIO_BLK_F_FLUSH |
           VIRTIO_BLK_F_DISCARD;
}

static status device_restart(struct virtio_blk *b)
{
    u64 before = b->virtio->features;
    status s = virtio_begin(b->virtio, features_wanted());
    if (is_ok(s) && b->virtio->features != before)
        s = status_error(EIO, "virtio-blk: other features than before", b->virtio->features);
    if (is_ok(s))
        s = virtqueue_start(&b->queue, b->virtio, 0, BLK_QUEUE_SIZE);
    if (is_ok(s))
        virtio_ready(b->virtio);
    return s;
}

/* Takes everything from the device and starts it again; `why` is what its requests fail with. */
static void blk_reset_locked(struct virtio_blk *b, status why)
{
    log_error("%s: reset: %s (%llu)", b->virtio->name, status_text(why),
              (unsigned long long)why.detail);
    status s = virtio_reset(b->virtio);
    if (b->cursor.request) {
        list_remove(&b->cursor.request->link);
        list_push_back(&b->flying, &b->cursor.request->link);
        b->cursor.request = NULL;
    }
    requests_fail_locked(b, &b->flying, why);
    slots_free_all(b);
    timer_cancel(&b->deadline);
    if (is_ok(s) && ++b->resets > BLK_RESETS_MOST)
        s = status_error(EIO, "virtio-blk: too many resets", b->resets);
    if (is_ok(s))
        s = device_restart(b);
    if (is_ok(s)) {
        parts_issue_locked(b);
        return;
    }
    log_error("%s: given up: %s", b->virtio->name, status_text(s));
    b->dead = true;
    requests_fail_locked(b, &b->waiting, s);
}

/* --- the device's interrupt ------------------------------------------------------------------- */

/* Bounded: every answer ends a part that is in flight, and none is issued meanwhile. */
static void answers_take_locked(struct virtio_blk *b)
{
    do {
        struct virtqueue_chain *c;
        while ((c = virtqueue_take(&b->queue)))
            part_done_locked(b, container_of(c, struct blk_slot, chain));
    } while (is_ok(b->queue.failure) && virtqueue_interrupts_on(&b->queue));
}

static void blk_serve_locked(struct virtio_blk *b)
{
    if (b->dead)
        return;
    answers_take_locked(b);
    if (is_ok(b->queue.failure))
        parts_issue_locked(b);
    else
        blk_reset_locked(b, b->queue.failure);
}

closure_method(thunk, blk_service, struct virtio_blk, service)
{
    struct virtio_blk *b = owner();
    virtio_service_begin(b->virtio);
    spin_lock(&b->lock);
    blk_serve_locked(b);
    spin_unlock(&b->lock);
    finished_apply(b);
}

/* The oldest request with the device; NULL: there is none. */
static struct block_request *oldest_locked(const struct virtio_blk *b)
{
    return list_empty(&b->flying) ? b->cursor.request : request_of(b->flying.next);
}

static void deadline_check_locked(struct virtio_blk *b)
{
    const struct block_request *oldest = oldest_locked(b);
    if (!oldest || b->deadline.pending)
        return;
    if (clock_monotonic_ns() - oldest->issued_ns < BLK_DEADLINE_NS)
        deadline_start(b, oldest->issued_ns);
    else
        blk_reset_locked(b,
                         status_error(ETIMEDOUT, "virtio-blk: a request was not answered in time",
                                      oldest->sector));
}

/* A machine that was stopped for a while finds the answers first. */
closure_method(thunk, blk_expired, struct virtio_blk, expired)
{
    struct virtio_blk *b = owner();
    spin_lock(&b->lock);
    blk_serve_locked(b);
    deadline_check_locked(b);
    spin_unlock(&b->lock);
    finished_apply(b);
}

/* --- requests --------------------------------------------------------------------------------- */

static status request_check(const struct virtio_blk *b, const struct block_request *r)
{
    if (r->operation == BLOCK_FLUSH)
        return STATUS_OK;
    if (r->sector > b->device.sectors || r->sectors > b->device.sectors - r->sector)
        return status_error(ENXIO, "virtio-blk: beyond the end of the disk", r->sector);
    if (r->operation != BLOCK_READ && b->device.read_only)
        return status_error(EROFS, "virtio-blk: the disk is read-only", r->sector);
    if (r->operation == BLOCK_DISCARD && b->discard_most == 0)
        return status_error(EOPNOTSUPP, "virtio-blk: the disk has no discard", r->sector);
    return STATUS_OK;
}

/* Nothing for the device to do: no sectors, or no cache that it could flush. */
static bool request_is_empty(const struct virtio_blk *b, const struct block_request *r)
{
    if (r->operation == BLOCK_FLUSH)
        return !virtio_has(b->virtio, VIRTIO_BLK_F_FLUSH);
    return r->sectors == 0;
}

closure_method(block_io, blk_io, struct virtio_blk, io, struct block_request *r)
{
    struct virtio_blk *b = owner();
    bool transfers = r->operation == BLOCK_READ || r->operation == BLOCK_WRITE;
    assert(!transfers || (r->sg && r->sg->bytes == r->sectors * SECTOR_BYTES));
    r->parts = 0;
    r->failure = request_check(b, r);
    if (r->operation == BLOCK_FLUSH)
        r->sectors = 0;
    spin_lock(&b->lock);
    if (b->dead)
        request_fail_first(r, status_error(EIO, "virtio-blk: the device was given up", r->sector));
    if (!is_ok(r->failure) || request_is_empty(b, r)) {
        request_finish_locked(b, r);
    } else {
        list_push_back(&b->waiting, &r->link);
        parts_issue_locked(b);
    }
    spin_unlock(&b->lock);
}

/* --- start ------------------------------------------------------------------------------------ */

static status limits_read(struct virtio_blk *b)
{
    struct blk_config config;
    virtio_config(b->virtio, 0, &config, sizeof(config));
    b->device.sectors = config.capacity;
    if (config.capacity > UINT64_MAX / SECTOR_BYTES)
        return status_error(EIO, "virtio-blk: a capacity of more bytes than there are numbers",
                            config.capacity);
    b->segment_bytes = BLK_SEGMENT;
    if (virtio_has(b->virtio, VIRTIO_BLK_F_SIZE_MAX))
        b->segment_bytes = (u32)align_down(min(config.size_max, BLK_SEGMENT), SECTOR_BYTES);
    if (b->segment_bytes == 0)
        return status_error(EIO, "virtio-blk: segments smaller than a sector", config.size_max);
    b->segment_most = BLK_TABLE - BLK_EXTRA;
    if (virtio_has(b->virtio, VIRTIO_BLK_F_SEG_MAX))
        b->segment_most = max(min(config.seg_max, b->segment_most), 1u);
    if (virtio_has(b->virtio, VIRTIO_BLK_F_DISCARD))
        virtio_config(b->virtio, BLK_CONFIG_MAX_DISCARD_SECTORS, &b->discard_most, 4);
    b->device.read_only = virtio_has(b->virtio, VIRTIO_BLK_F_RO);
    return STATUS_OK;
}

static status slots_make(struct virtio_blk *b)
{
    b->slots = allocate(page_heap, BLK_SLOTS * sizeof(struct blk_slot));
    if (!b->slots)
        return status_error(ENOMEM, "virtio-blk: no memory for requests", BLK_SLOTS);
    for (u32 i = 0; i < BLK_SLOTS; i++)
        virtqueue_chain_init(&b->slots[i].chain, b->slots[i].table, BLK_TABLE);
    slots_free_all(b);
    return STATUS_OK;
}

static void blk_init(struct virtio_blk *b, struct virtio_device *d)
{
    b->virtio = d;
    b->lock = SPINLOCK(RANK_DEVICE, "virtio-blk");
    list_init(&b->waiting);
    list_init(&b->flying);
    list_init(&b->finished);
    init_method(&b->io, blk_io);
    init_method(&b->service, blk_service);
    init_method(&b->expired, blk_expired);
    b->device.io = &b->io;
    b->device.name = d->name;
}

status virtio_blk_start(struct virtio_device *d, block_attach attach)
{
    status s = virtio_begin(d, features_wanted());
    if (!is_ok(s))
        return s;
    struct virtio_blk *b = allocate_zero(general_heap, sizeof(*b));
    if (!b)
        return status_error(ENOMEM, "virtio-blk: no memory for the device", sizeof(*b));
    blk_init(b, d);
    s = limits_read(b);
    if (is_ok(s))
        s = slots_make(b);
    if (is_ok(s))
        s = virtqueue_start(&b->queue, d, 0, BLK_QUEUE_SIZE);
    if (!is_ok(s)) {
        virtio_fail(d);
        virtqueue_free(&b->queue);
        deallocate(page_heap, b->slots, BLK_SLOTS * sizeof(struct blk_slot));
        deallocate(general_heap, b, sizeof(*b));
        return s;
    }
    d->service = &b->service;
    virtio_ready(d);
    log_info("%s: %llu sectors%s", d->name, (unsigned long long)b->device.sectors,
             b->device.read_only ? ", read-only" : "");
    apply(attach, &b->device);
    return STATUS_OK;
}
