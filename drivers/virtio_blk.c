/* virtio-blk (virtio 1.2, 5.2): a block device as runtime/block.h describes one.

   A request is split into parts that fit the device's limits; each part in flight has a slot, and
   slots are made once.  Requests wait on `waiting` until all of their parts are issued, then on
   `flying` until all are answered, then on `finished` until the service thunk applies their
   completions, with no lock held.  Only the first request of `waiting` is partly issued, and
   `cursor` says how far.

   A device that breaks the protocol, or leaves a request unanswered for BLK_DEADLINE_NS, is reset:
   what it had fails with EIO, what waited is issued again.  After BLK_RESETS_MOST resets it
   is given up and everything fails with EIO.

   A request that is cancelled while it waits is finished with ECANCELED.  Of one that is partly
   issued no further part is; and what is in flight has BLK_CANCEL_NS more until the device is
   reset, for its memory is the device's as long as the device may write to it.  What such a reset
   takes from other requests is issued again.

   Callers: drivers/virtio.c; the block_io closure from any layer above. */
#include "drivers/virtio_blk.h"

#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/run_loop.h"
#include "runtime/trace.h"

/* virtio 1.2, 5.2.3 */
#define VIRTIO_BLK_F_SIZE_MAX (1ull << 1)
#define VIRTIO_BLK_F_SEG_MAX  (1ull << 2)
#define VIRTIO_BLK_F_RO       (1ull << 5)
#define VIRTIO_BLK_F_DISCARD  (1ull << 13)

/* virtio 1.2, 5.2.4 */
struct blk_config {
    u64 capacity;
    u32 size_max;
    u32 seg_max;
};
#define BLK_CONFIG_MAX_DISCARD_SECTORS 36

/* --- ends of requests ------------------------------------------------------------------------- */

void blk_finish_locked(struct virtio_blk *b, struct block_request *r)
{
    r->ended = true;
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
    while ((r = finished_take(b))) {
        TRACE(BLOCK_END, r, status_errno(r->failure));
        apply(r->done, r->failure);
    }
}

/* --- reset ------------------------------------------------------------------------------------ */

static void requests_fail_locked(struct virtio_blk *b, struct list *requests, status s)
{
    struct list *link;
    while ((link = list_pop_front(requests))) {
        struct block_request *r = request_of(link);
        r->parts = 0;
        request_fail_first(r, s);
        blk_finish_locked(b, r);
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

/* What the device had and nobody has given up waits again, before the others. */
static void flying_again_locked(struct virtio_blk *b)
{
    struct list given_up;
    list_init(&given_up);
    while (!list_empty(&b->flying)) {
        struct block_request *r = request_of(b->flying.previous);
        list_remove(&r->link);
        bool again = !r->cancelled && is_ok(r->failure);
        list_push_front(again ? &b->waiting : &given_up, &r->link);
        r->parts = 0;
    }
    while (!list_empty(&given_up))
        list_push_back(&b->flying, list_pop_front(&given_up));
}

/* Takes everything from the device and starts it again; `why` is what its requests fail with, or
   only those that were cancelled when it is ECANCELED. */
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
    if (status_errno(why) == ECANCELED)
        flying_again_locked(b);
    requests_fail_locked(b, &b->flying, why);
    blk_slots_free_all(b);
    timer_cancel(&b->deadline);
    if (is_ok(s) && ++b->resets > BLK_RESETS_MOST)
        s = status_error(EIO, "virtio-blk: too many resets", b->resets);
    if (is_ok(s))
        s = device_restart(b);
    if (is_ok(s)) {
        blk_issue_locked(b);
        return;
    }
    log_error("%s: given up: %s", b->virtio->name, status_text(s));
    b->dead = true;
    requests_fail_locked(b, &b->waiting, s);
}

/* --- the device's interrupt ------------------------------------------------------------------- */

static void blk_serve_locked(struct virtio_blk *b)
{
    if (b->dead)
        return;
    blk_answers_take_locked(b);
    if (is_ok(b->queue.failure))
        blk_issue_locked(b);
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

static u64 request_deadline(const struct block_request *r)
{
    u64 answer = r->issued_ns + BLK_DEADLINE_NS, end = r->cancelled_ns + BLK_CANCEL_NS;
    return r->cancelled ? min(answer, end) : answer;
}

/* The request with the device whose time is over first; NULL: there is none. */
static struct block_request *first_due_locked(const struct virtio_blk *b)
{
    struct block_request *first = b->cursor.request;
    list_for_each (&b->flying, link) {
        struct block_request *r = request_of(link);
        if (!first || request_deadline(r) < request_deadline(first))
            first = r;
    }
    return first;
}

static status due_why(const struct block_request *r)
{
    if (r->cancelled)
        return status_error(ECANCELED, "virtio-blk: the device keeps a cancelled request",
                            r->sector);
    return status_error(EIO, "virtio-blk: a request was not answered in time", r->sector);
}

static void deadline_check_locked(struct virtio_blk *b)
{
    const struct block_request *due = first_due_locked(b);
    if (!due)
        return;
    if (clock_monotonic_ns() < request_deadline(due))
        timer_set(&b->deadline, request_deadline(due), &b->expired);
    else
        blk_reset_locked(b, due_why(due));
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
    TRACE(BLOCK_BEGIN, r, r->sector, (u64)r->operation << TRACE_BLOCK_SHIFT | r->sectors);
    bool transfers = r->operation == BLOCK_READ || r->operation == BLOCK_WRITE;
    assert(!transfers || (r->sg && r->sg->bytes == r->sectors * SECTOR_BYTES));
    r->parts = 0;
    r->cancelled = r->ended = false;
    r->failure = request_check(b, r);
    if (r->operation == BLOCK_FLUSH)
        r->sectors = 0;
    spin_lock(&b->lock);
    if (b->dead)
        request_fail_first(r, status_error(EIO, "virtio-blk: the device was given up", r->sector));
    if (!is_ok(r->failure) || request_is_empty(b, r)) {
        blk_finish_locked(b, r);
    } else {
        list_push_back(&b->waiting, &r->link);
        blk_issue_locked(b);
    }
    spin_unlock(&b->lock);
}

/* One that waits ends at once, and one that is partly issued when that part does.  One that is with
   the device as a whole succeeds if it still does; what it gets is less time. */
closure_method(block_cancel, blk_cancel, struct virtio_blk, cancel, struct block_request *r)
{
    struct virtio_blk *b = owner();
    spin_lock(&b->lock);
    if (!r->cancelled && !r->ended) {
        r->cancelled = true;
        r->cancelled_ns = clock_monotonic_ns();
        if (r->parts == 0 || b->cursor.request == r)
            blk_stop_locked(b, r, status_error(ECANCELED, "virtio-blk: cancelled", r->sector));
        deadline_check_locked(b);
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
    b->device.discard_sectors_most = b->discard_most;
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
    blk_slots_free_all(b);
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
    init_method(&b->cancel, blk_cancel);
    init_method(&b->service, blk_service);
    init_method(&b->expired, blk_expired);
    b->device.io = &b->io;
    b->device.cancel = &b->cancel;
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
    block_census_start(&b->census, d->name, &b->lock, &b->waiting, &b->flying);
    log_info("%s: %llu sectors%s", d->name, (unsigned long long)b->device.sectors,
             b->device.read_only ? ", read-only" : "");
    apply(attach, &b->device);
    return STATUS_OK;
}
