/* The block driver and its virtqueue against a device made of software: an honest one in all its
   shapes, a slow one, a failing one, and hostile ones that write what they like into the ring.

   The driver is compiled into this file, on the few functions of test/host/virtio_kernel.h. */
#include "drivers/virtio.c"
#include "drivers/virtio_blk.c"
#include "drivers/virtio_blk_parts.c"
#include "drivers/virtqueue.c"
#include "runtime/random.h"
#include "test/host/harness.h"
#include "test/unit/virtio_blk_fake.h"

/* --- starting and ending ---------------------------------------------------------------------- */

closure_function(block_attach, fake_attached, (struct fake * f), struct block_device *d)
{
    bound(f)->block = d;
}

/* The usual device; what differs is set before fake_start. */
static void fake_init(struct fake *f, u64 seed)
{
    memset(f, 0, sizeof(*f));
    random_init(&f->chance, seed);
    random_fill(&f->chance, f->disk, sizeof(f->disk));
    side_device_init(&f->d, VIRTIO_ID_BLOCK, 1);
    f->d.config = f->config;
    f->d.config_bytes = sizeof(f->config);
    f->d.offered = VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX |
                   VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_DISCARD;
    f->seg_max = 126;
    f->discard_most = 300;
}

static bool fake_start(struct fake *f)
{
    struct device_users users = {.block = stack_closure(fake_attached, f)};
    u64 sectors = DISK_SECTORS;
    memcpy(f->config, &sectors, 8);
    memcpy(f->config + 8, &f->size_max, 4);
    memcpy(f->config + 12, &f->seg_max, 4);
    memcpy(f->config + 36, &f->discard_most, 4);
    virtio_attach(&f->d.device, "fake", &users);
    return f->block != NULL;
}

static struct virtio_blk *driver_of(struct fake *f)
{
    return container_of(f->block, struct virtio_blk, device);
}

/* Drivers live for ever, but this program's heaps are to be empty at its end. */
static void fake_end(struct fake *f)
{
    struct virtio_blk *b = driver_of(f);
    host_run();
    must(list_empty(&b->waiting) && list_empty(&b->flying) && list_empty(&b->finished));
    virtqueue_free(&b->queue);
    deallocate(page_heap, b->slots, BLK_SLOTS * sizeof(struct blk_slot));
    deallocate(general_heap, b, sizeof(*b));
}

/* --- requests --------------------------------------------------------------------------------- */

#define OP_PIECES_MOST 12

struct op {
    struct block_request request;
    struct sg_list sg;
    struct host_result result;
    u8 *memory; /* allocated for it alone: the sanitizer sees a device that goes beyond */
    u64 bytes;
};

static void op_init(struct op *o, enum block_operation operation, u64 sector, u64 sectors)
{
    memset(o, 0, sizeof(*o));
    bool data = operation == BLOCK_READ || operation == BLOCK_WRITE;
    o->request.operation = operation;
    o->request.sector = sector;
    o->request.sectors = sectors;
    o->bytes = data ? sectors * SECTOR_BYTES : 0;
    o->request.done = host_result_init(&o->result);
    if (!data)
        return;
    o->memory = allocate(host_heap, o->bytes);
    o->request.sg = &o->sg;
    sg_init(&o->sg, host_heap);
}

/* Cuts the memory into pieces and lists them in an order that keeps them apart. */
static void op_pieces(struct op *o, struct random *chance)
{
    u64 sectors = o->bytes / SECTOR_BYTES, at = 0;
    while (at < sectors) {
        u64 left = sectors - at;
        u64 length = o->sg.count + 1 == OP_PIECES_MOST ? left : 1 + random_below(chance, left);
        sg_add(&o->sg, o->memory + at * SECTOR_BYTES, length * SECTOR_BYTES);
        at += length;
    }
}

static void op_issue(struct fake *f, struct op *o)
{
    apply(f->block->io, &o->request);
    must(o->result.applied == 0);
}

static void op_end(struct op *o)
{
    must(o->result.applied == 1);
    if (!o->memory)
        return;
    sg_clear(&o->sg);
    deallocate(host_heap, o->memory, o->bytes);
    o->memory = NULL;
}

static int op_errno(struct fake *f, enum block_operation operation, u64 sector, u64 sectors)
{
    struct op o;
    op_init(&o, operation, sector, sectors);
    if (o.memory) {
        memset(o.memory, 0, o.bytes);
        sg_add(&o.sg, o.memory, o.bytes);
    }
    op_issue(f, &o);
    fake_work(f);
    op_end(&o);
    return status_errno(o.result.s);
}

/* --- an honest device in all its shapes ------------------------------------------------------- */

#define ZONES 128

/* One op per zone, so that the order of answers does not matter; then everything is compared. */
static void round_random(struct fake *f, u8 *shadow)
{
    static struct op ops[ZONES];
    u64 zones = random_below(&f->chance, 2) ? ZONES : 8;
    u64 zone_sectors = DISK_SECTORS / zones;
    for (u64 i = 0; i < zones; i++) {
        struct op *o = &ops[i];
        u64 length = 1 + random_below(&f->chance, zone_sectors);
        u64 sector = i * zone_sectors + random_below(&f->chance, zone_sectors - length + 1);
        u8 *there = shadow + sector * SECTOR_BYTES;
        enum block_operation operation = (enum block_operation)random_below(&f->chance, 4);
        op_init(o, operation, sector, operation == BLOCK_FLUSH ? 0 : length);
        if (operation == BLOCK_WRITE) {
            random_fill(&f->chance, o->memory, o->bytes);
            memcpy(there, o->memory, o->bytes);
        }
        if (operation == BLOCK_DISCARD)
            memset(there, 0, length * SECTOR_BYTES);
        if (o->memory)
            op_pieces(o, &f->chance);
        op_issue(f, o);
    }
    fake_work(f);
    for (u64 i = 0; i < zones; i++) {
        must(is_ok(ops[i].result.s));
        if (ops[i].request.operation == BLOCK_READ)
            must(memcmp(ops[i].memory, shadow + ops[i].request.sector * SECTOR_BYTES,
                        ops[i].bytes) == 0);
        op_end(&ops[i]);
    }
    must(memcmp(shadow, f->disk, sizeof(f->disk)) == 0);
}

static void test_shapes(u64 seed)
{
    static struct fake f;
    static u8 shadow[sizeof(f.disk)];
    for (u32 shape = 0; shape < 64; shape++) {
        fake_init(&f, seed + shape);
        if (shape & 1)
            f.d.offered &= ~VIRTIO_F_INDIRECT_DESC;
        if (shape & 2)
            f.d.offered &= ~VIRTIO_F_EVENT_IDX;
        if (shape & 4)
            f.seg_max = (u32)random_below(&f.chance, 5);
        if (shape & 8) {
            f.d.offered |= VIRTIO_BLK_F_SIZE_MAX;
            f.size_max = 512 + (u32)random_below(&f.chance, 5000);
        }
        if (shape & 16)
            f.d.queue_most = (u16)(4u << random_below(&f.chance, 3));
        if (shape & 32)
            f.d.device.legacy = true;
        must(fake_start(&f));
        memcpy(shadow, f.disk, sizeof(shadow));
        for (u32 round = 0; round < 6; round++)
            round_random(&f, shadow);
        fake_end(&f);
    }
    ok(true, "64 shapes of device read, write, flush and discard as they should");
}

static void test_notifications(void)
{
    static struct fake f;
    struct op ops[40];
    fake_init(&f, 1);
    must(fake_start(&f));
    for (u32 i = 0; i < countof(ops); i++) {
        op_init(&ops[i], BLOCK_READ, i, 1);
        sg_add(&ops[i].sg, ops[i].memory, ops[i].bytes);
        op_issue(&f, &ops[i]);
    }
    fake_work(&f);
    for (u32 i = 0; i < countof(ops); i++)
        op_end(&ops[i]);
    ok(f.d.sides[0].kicks <= countof(ops), "at most one notification a request");
    fake_end(&f);
}

/* --- what is refused, and what fails ---------------------------------------------------------- */

static void test_errors(void)
{
    static struct fake f;
    fake_init(&f, 2);
    must(fake_start(&f));
    is(op_errno(&f, BLOCK_READ, DISK_SECTORS - 1, 2), ENXIO, "a read beyond the end is ENXIO");
    is(op_errno(&f, BLOCK_WRITE, DISK_SECTORS + 5, 1), ENXIO, "so is a write");
    is(op_errno(&f, BLOCK_READ, UINT64_MAX, 1), ENXIO, "and one whose end overflows");
    is(op_errno(&f, BLOCK_READ, DISK_SECTORS, 0), 0, "a read of nothing succeeds");
    is(op_errno(&f, BLOCK_FLUSH, 0, 0), 0, "a flush succeeds");
    is(f.flushes, 1, "and reaches the device");
    is(op_errno(&f, BLOCK_DISCARD, 0, 1000), 0, "a discard beyond the device's limit is split");
    f.answer = BLK_IOERR;
    is(op_errno(&f, BLOCK_READ, 0, 64), EIO, "a device error is EIO");
    f.answer = BLK_UNSUPP;
    is(op_errno(&f, BLOCK_WRITE, 0, 64), EOPNOTSUPP, "an unsupported operation says so");
    f.answer = 77;
    is(op_errno(&f, BLOCK_WRITE, 0, 64), EIO, "an answer without a meaning is EIO");
    f.answer = BLK_OK;
    is(op_errno(&f, BLOCK_READ, 0, 64), 0, "and then the device works as before");
    fake_end(&f);
}

static void test_features_absent(void)
{
    static struct fake f;
    fake_init(&f, 3);
    f.d.offered &= ~(VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_DISCARD);
    f.d.offered |= VIRTIO_BLK_F_RO;
    must(fake_start(&f));
    ok(f.block->read_only, "a read-only disk says that it is");
    is(op_errno(&f, BLOCK_WRITE, 0, 1), EROFS, "writing to it is EROFS");
    is(op_errno(&f, BLOCK_FLUSH, 0, 0), 0, "a flush without a cache succeeds");
    is(f.flushes, 0, "without asking the device");
    fake_end(&f);
    fake_init(&f, 3);
    f.d.offered &= ~VIRTIO_BLK_F_DISCARD;
    must(fake_start(&f));
    is(op_errno(&f, BLOCK_DISCARD, 0, 1), EOPNOTSUPP, "a discard that is not offered says so");
    fake_end(&f);
}

static bool starts(struct fake *f)
{
    bool started = fake_start(f);
    if (started)
        fake_end(f);
    return started;
}

static void spoil_segments(struct side_device *s)
{
    struct fake *f = container_of(s, struct fake, d);
    s->offered |= VIRTIO_BLK_F_SIZE_MAX;
    f->size_max = 100;
}

static bool starts_spoilt(side_spoil *spoil)
{
    static struct fake f;
    fake_init(&f, 4);
    spoil(&f.d);
    return starts(&f);
}

static void test_refused_devices(void)
{
    test_spoilt(starts_spoilt);
    ok(!starts_spoilt(spoil_segments), "and one with segments smaller than a sector");
    is(general.live + pages.live, 0, "and all memory is given back");
}

static void test_out_of_memory(void)
{
    static struct fake f;
    for (u32 i = 1; i <= 4; i++) {
        struct counting_heap *c = i % 2 ? &general : &pages;
        fake_init(&f, 5);
        c->fail_at = c->calls + (i + 1) / 2;
        must(!starts(&f) && general.live + pages.live == 0);
        c->fail_at = 0;
    }
    ok(true, "each allocation of the start may fail");
}

/* --- resets ----------------------------------------------------------------------------------- */

#define STUCK_OPS 100 /* more than there are slots: some wait */

static void test_timeout(void)
{
    static struct fake f;
    static struct op ops[STUCK_OPS];
    u32 timed_out = 0, succeeded = 0;
    fake_init(&f, 6);
    must(fake_start(&f));
    f.silent = true;
    for (u32 i = 0; i < STUCK_OPS; i++) {
        op_init(&ops[i], BLOCK_READ, i, 3);
        op_pieces(&ops[i], &f.chance);
        op_issue(&f, &ops[i]);
    }
    fake_work(&f);
    ok(timer_only && timer_only->pending, "a timer watches over what is in flight");
    now_ns += BLK_DEADLINE_NS;
    f.silent = false;
    timer_only->pending = false;
    apply(timer_only->expired);
    fake_work(&f);
    for (u32 i = 0; i < STUCK_OPS; i++) {
        timed_out += status_errno(ops[i].result.s) == EIO;
        succeeded += is_ok(ops[i].result.s);
        op_end(&ops[i]);
    }
    is(timed_out, BLK_SLOTS, "what the device did not answer fails with EIO");
    is(succeeded, STUCK_OPS - BLK_SLOTS, "what waited is issued again after the reset");
    is(op_errno(&f, BLOCK_READ, 0, 1), 0, "and the device is of use again");
    fake_end(&f);
}

/* The answer was there, but its interrupt was not: a machine that was stopped, a lost edge. */
static void test_late_interrupt(void)
{
    static struct fake f;
    struct op o;
    fake_init(&f, 8);
    must(fake_start(&f));
    op_init(&o, BLOCK_READ, 0, 8);
    op_pieces(&o, &f.chance);
    op_issue(&f, &o);
    fake_answer(&f);
    now_ns += BLK_DEADLINE_NS;
    timer_only->pending = false;
    apply(timer_only->expired);
    host_run();
    op_end(&o);
    ok(is_ok(o.result.s) && f.d.resets == 1, "the deadline looks for an answer before it resets");
    fake_end(&f);
}

static void test_given_up(void)
{
    static struct fake f;
    struct op o;
    fake_init(&f, 7);
    must(fake_start(&f));
    f.silent = true;
    op_init(&o, BLOCK_READ, 0, 8);
    op_pieces(&o, &f.chance);
    op_issue(&f, &o);
    f.d.reset_stuck = true;
    now_ns += BLK_DEADLINE_NS;
    timer_only->pending = false;
    apply(timer_only->expired);
    fake_work(&f);
    op_end(&o);
    is(status_errno(o.result.s), EIO, "a device that does not reset fails its requests");
    is(op_errno(&f, BLOCK_READ, 0, 1), EIO, "and all that follow");
    fake_end(&f);
}

/* --- cancelling ------------------------------------------------------------------------------- */

static void time_passes(struct fake *f, u64 ns)
{
    time_move(ns);
    fake_work(f);
}

/* More than the device takes at once, of three sectors in pieces. */
static void ops_stuck(struct fake *f, struct op *ops)
{
    must(fake_start(f));
    f->silent = true;
    for (u32 i = 0; i < STUCK_OPS; i++) {
        op_init(&ops[i], BLOCK_READ, i * 3, 3);
        op_pieces(&ops[i], &f->chance);
        op_issue(f, &ops[i]);
    }
    fake_work(f);
}

/* Every one of them but `but` succeeds and has the disk's bytes. */
static bool ops_right(struct fake *f, struct op *ops, u32 but)
{
    bool right = true;
    for (u32 i = 0; i < STUCK_OPS; i++) {
        bool same = memcmp(ops[i].memory, f->disk + i * 3 * SECTOR_BYTES, ops[i].bytes) == 0;
        right = right && (i == but || (is_ok(ops[i].result.s) && same));
        op_end(&ops[i]);
    }
    return right;
}

static void test_cancel_waiting(void)
{
    static struct fake f;
    static struct op ops[STUCK_OPS];
    u32 last = STUCK_OPS - 1;
    fake_init(&f, 9);
    ops_stuck(&f, ops);
    apply(f.block->cancel, &ops[last].request);
    apply(f.block->cancel, &ops[last].request);
    is(ops[last].result.applied, 0, "cancelling a waiting request applies nothing inside the call");
    fake_work(&f);
    is(ops[last].result.applied, 1, "it ends from the run loop, while the device is silent");
    is(status_errno(ops[last].result.s), ECANCELED, "with ECANCELED");
    f.silent = false;
    fake_work(&f);
    ok(ops_right(&f, ops, last) && f.d.resets == 1, "the others never notice");
    fake_end(&f);
}

static void test_cancel_flying(void)
{
    static struct fake f;
    static struct op ops[STUCK_OPS];
    fake_init(&f, 10);
    ops_stuck(&f, ops);
    apply(f.block->cancel, &ops[5].request);
    time_passes(&f, BLK_CANCEL_NS - 1);
    is(ops[5].result.applied, 0, "a request in flight stays the device's while it is cancelled");
    f.silent = false;
    fake_work(&f);
    ok(ops_right(&f, ops, 5) && ops[5].result.applied == 1, "the device answers: it ends");
    is(f.d.resets, 1, "and nothing was reset");
    fake_end(&f);
}

static void test_cancel_reset(void)
{
    static struct fake f;
    static struct op ops[STUCK_OPS];
    fake_init(&f, 11);
    ops_stuck(&f, ops);
    apply(f.block->cancel, &ops[7].request);
    fake_work(&f);
    time_passes(&f, BLK_CANCEL_NS);
    is(driver_of(&f)->resets, 1,
       "a device that keeps a cancelled request is reset after BLK_CANCEL_NS");
    is(status_errno(ops[7].result.s), ECANCELED, "and the request ends with ECANCELED");
    u32 ended = 0;
    for (u32 i = 0; i < STUCK_OPS; i++)
        ended += ops[i].result.applied;
    is(ended, 1, "no other one ends with it");
    f.silent = false;
    fake_work(&f);
    ok(ops_right(&f, ops, 7), "they are issued again and succeed");
    fake_end(&f);
}

/* One request of many parts: a part of it is with the device, the rest waits for room. */
static void test_cancel_partly(void)
{
    static struct fake f;
    struct op o;
    fake_init(&f, 12);
    f.seg_max = 1;
    f.d.offered |= VIRTIO_BLK_F_SIZE_MAX;
    f.size_max = SECTOR_BYTES;
    must(fake_start(&f));
    f.silent = true;
    op_init(&o, BLOCK_READ, 0, 200);
    op_pieces(&o, &f.chance);
    op_issue(&f, &o);
    is(f.d.sides[0].pending_count, BLK_SLOTS, "a part for each slot is with the device");
    apply(f.block->cancel, &o.request);
    fake_work(&f);
    is(o.result.applied, 0, "cancelled, the request waits for them");
    u32 before = f.d.sides[0].kicks;
    f.silent = false;
    fake_work(&f);
    op_end(&o);
    is(status_errno(o.result.s), ECANCELED, "and ends with ECANCELED when they are answered");
    is(f.d.sides[0].kicks, before, "no further part was issued");
    fake_end(&f);
}

static void test_cancel_ended(void)
{
    static struct fake f;
    struct op o;
    fake_init(&f, 13);
    must(fake_start(&f));
    op_init(&o, BLOCK_READ, 0, 8);
    op_pieces(&o, &f.chance);
    op_issue(&f, &o);
    fake_answer(&f);
    spin_lock(&driver_of(&f)->lock);
    blk_serve_locked(driver_of(&f));
    spin_unlock(&driver_of(&f)->lock);
    apply(f.block->cancel, &o.request);
    finished_apply(driver_of(&f));
    apply(f.block->cancel, &o.request);
    fake_work(&f);
    ok(is_ok(o.result.s) && o.result.applied == 1,
       "cancelling what has been answered is no effect");
    op_end(&o);
    op_init(&o, BLOCK_READ, DISK_SECTORS, 1);
    op_pieces(&o, &f.chance);
    op_issue(&f, &o);
    apply(f.block->cancel, &o.request);
    fake_work(&f);
    op_end(&o);
    is(status_errno(o.result.s), ENXIO, "nor is cancelling what was refused");
    fake_end(&f);
}

/* Cancelled at random while an honest device answers at random. */
static void test_cancel_random(u64 seed)
{
    static struct fake f;
    static struct op ops[STUCK_OPS];
    u32 cancelled = 0, succeeded = 0;
    for (u32 run = 0; run < 100; run++) {
        fake_init(&f, seed + run);
        ops_stuck(&f, ops);
        for (u32 i = 0; i < STUCK_OPS; i++) {
            struct op *o = &ops[random_below(&f.chance, STUCK_OPS)];
            if (!o->result.applied)
                apply(f.block->cancel, &o->request);
            if (f.d.sides[0].pending_count && random_below(&f.chance, 2)) {
                fake_answer(&f);
                virtio_interrupt(&f.d.device);
                host_run();
            }
        }
        f.silent = false;
        fake_work(&f);
        for (u32 i = 0; i < STUCK_OPS; i++) {
            must(is_ok(ops[i].result.s) || status_errno(ops[i].result.s) == ECANCELED);
            succeeded += is_ok(ops[i].result.s);
            cancelled += !is_ok(ops[i].result.s);
            op_end(&ops[i]);
        }
        fake_end(&f);
    }
    ok(cancelled && succeeded, "at random: %u requests succeed, %u were cancelled", succeeded,
       cancelled);
}

/* --- hostile devices -------------------------------------------------------------------------- */

static void hostile_rounds(struct fake *f)
{
    static struct op ops[ZONES];
    for (u32 round = 0; round < 8; round++) {
        for (u32 i = 0; i < ZONES; i++) {
            enum block_operation operation = random_below(&f->chance, 8) ? BLOCK_READ : BLOCK_FLUSH;
            op_init(&ops[i], operation, i * 8, operation == BLOCK_READ ? 8 : 0);
            if (ops[i].memory)
                op_pieces(&ops[i], &f->chance);
            op_issue(f, &ops[i]);
        }
        fake_work(f);
        /* Answers that got lost end with the deadline, a reset at most each. */
        for (u32 i = 0; i <= BLK_RESETS_MOST && timer_only->pending; i++) {
            now_ns += BLK_DEADLINE_NS;
            timer_only->pending = false;
            apply(timer_only->expired);
            fake_work(f);
        }
        for (u32 i = 0; i < ZONES; i++)
            op_end(&ops[i]);
    }
}

static void test_hostile(u64 seed)
{
    static struct fake f;
    u32 given_up = 0, resets = 0;
    for (u32 run = 0; run < 200; run++) {
        fake_init(&f, seed + run);
        if (run & 1)
            f.d.offered &= ~VIRTIO_F_INDIRECT_DESC;
        if (run & 2)
            f.d.offered &= ~VIRTIO_F_EVENT_IDX;
        must(fake_start(&f));
        f.hostility = 5 + run % 30;
        hostile_rounds(&f);
        given_up += driver_of(&f)->dead;
        resets += driver_of(&f)->resets;
        fake_end(&f);
    }
    ok(true, "200 hostile devices: every request ended once (%u resets, %u given up)", resets,
       given_up);
    ok(resets > 0 && given_up > 0 && errors_logged > 0, "both happened, and were said");
}

int main(void)
{
    u64 seed = test_seed();
    kernel_begin();
    test_shapes(seed);
    test_notifications();
    test_errors();
    test_features_absent();
    test_refused_devices();
    test_out_of_memory();
    test_timeout();
    test_late_interrupt();
    test_given_up();
    test_cancel_waiting();
    test_cancel_flying();
    test_cancel_reset();
    test_cancel_partly();
    test_cancel_ended();
    test_cancel_random(seed);
    test_hostile(seed);
    return kernel_end();
}
