/* The faulty disk itself: what is found after a power cut is what a disk may leave, all kinds of it
   turn up, and each fault does what it says. */
#include "test/host/executor.h"
#include "test/host/faulty_disk.h"
#include "test/host/harness.h"

#include <stdlib.h>

#define SECTORS    256u
#define WRITE_MOST 24u
#define STEPS      120u
#define RUNS       40u
#define CUT_SEEDS  6u

struct write {
    struct block_request request;
    struct sg_list sg;
    struct host_result result;
    u64 words[WRITE_MOST * SECTOR_BYTES / 8];
};

struct bench {
    struct host_executor x;
    struct faulty_disk disk;
    struct random random;
    u64 now;
};

static void bench_init(struct bench *b, u64 seed)
{
    host_executor_init(&b->x, 0);
    faulty_disk_init(&b->disk, SECTORS * SECTOR_BYTES, &b->x.e, seed);
    random_init(&b->random, seed);
    b->now = 0;
    b->disk.clock = &b->now;
}

static void issue(struct bench *b, struct write *w, enum block_operation operation, u64 sector,
                  u64 sectors)
{
    sg_init(&w->sg, NULL);
    if (operation == BLOCK_READ || operation == BLOCK_WRITE)
        must(sg_add(&w->sg, w->words, sectors * SECTOR_BYTES));
    w->request = (struct block_request){.operation = operation,
                                        .sector = sector,
                                        .sectors = sectors,
                                        .sg = &w->sg,
                                        .done = host_result_init(&w->result)};
    apply(b->disk.device.io, &w->request);
}

static void write_issue(struct bench *b, struct write *w, u64 sector, u64 sectors, u64 value)
{
    for (u64 n = 0; n < sectors * SECTOR_BYTES / 8; n++)
        w->words[n] = value;
    issue(b, w, BLOCK_WRITE, sector, sectors);
}

static status one(struct bench *b, struct write *w, enum block_operation operation, u64 sector)
{
    if (operation == BLOCK_WRITE)
        write_issue(b, w, sector, 8, 77);
    else
        issue(b, w, operation, sector, operation == BLOCK_FLUSH ? 0 : 8);
    host_executor_pass(&b->x, NS_PER_SECOND);
    must(w->result.applied == 1);
    return w->result.s;
}

/* --- cuts ------------------------------------------------------------------------------------- */

/* Values are the step's number, so later is larger; a sector holds one value everywhere. */
static u64 sector_value(const u8 *bytes, u64 sector)
{
    u64 value, other;
    memcpy(&value, bytes + sector * SECTOR_BYTES, sizeof(value));
    for (u64 at = 8; at < SECTOR_BYTES; at += 8) {
        memcpy(&other, bytes + sector * SECTOR_BYTES + at, sizeof(other));
        must(other == value);
    }
    return value;
}

struct seen {
    u64 durable, later, lost, torn, cuts, violations;
};

static void cut_check(const struct faulty_image *im, const u64 *durable, const u64 *newest,
                      struct seen *seen)
{
    for (u64 s = 0; s < SECTORS; s++) {
        u64 value = sector_value(im->to.bytes, s);
        seen->violations += value < durable[s] || value > newest[s];
        seen->durable += value == durable[s] && newest[s] > value;
        seen->later += value > durable[s];
        seen->torn += s && newest[s] == newest[s - 1] && value == newest[s] &&
                      sector_value(im->to.bytes, s - 1) < value;
    }
    seen->cuts++;
}

/* The oldest values that a cut may leave, and the newest, from the log alone. */
static void bounds(const struct faulty_disk *d, u64 position, u64 *durable, u64 *newest)
{
    u64 covered = 0;
    for (u64 n = 0; n < position; n++)
        if (d->events[n].kind == FAULTY_FLUSHED && d->events[n].other != FAULTY_NEVER)
            covered = max(covered, d->events[n].other);
    memset(durable, 0, SECTORS * sizeof(u64));
    memset(newest, 0, SECTORS * sizeof(u64));
    for (u64 n = 0; n < position; n++) {
        const struct faulty_event *e = &d->events[n];
        for (u64 s = 0; s < e->sectors; s++) {
            u64 value;
            memcpy(&value, d->log_data + e->data + s * SECTOR_BYTES, sizeof(value));
            if (e->kind == FAULTY_ISSUED)
                newest[e->sector + s] = max(newest[e->sector + s], value);
            if (e->kind == FAULTY_ANSWERED && n < covered)
                durable[e->sector + s] = value;
        }
    }
}

static void cut_often(struct bench *b, struct seen *seen)
{
    u64 durable[SECTORS], newest[SECTORS];
    for (u64 seed = 0; seed < CUT_SEEDS; seed++) {
        struct faulty_image im;
        faulty_image_init(&im, &b->disk, &b->x.e);
        for (u64 n = 0; n <= b->disk.event_count; n += 1 + random_below(&b->random, 60)) {
            faulty_image_cut(&im, n, seed < 2 ? seed : random_next(&b->random));
            bounds(&b->disk, n, durable, newest);
            cut_check(&im, durable, newest, seen);
        }
        faulty_image_destroy(&im);
    }
}

/* Concurrent writes never meet here: then the order of their answers says which one is newer. */
static void run(u64 seed, bool ignores_flush, struct seen *seen)
{
    static struct write writes[8];
    struct bench b;
    bench_init(&b, seed);
    b.disk.faults.reorder = seed & 1;
    b.disk.faults.ignores_flush = ignores_flush;
    faulty_disk_log(&b.disk);
    for (u64 step = 1; step <= STEPS; step++) {
        u64 count = 1 + random_below(&b.random, 8), room = SECTORS / 8;
        for (u64 n = 0; n < count; n++) {
            u64 sectors = 1 + random_below(&b.random, WRITE_MOST);
            if (random_below(&b.random, 5) == 0)
                issue(&b, &writes[n], BLOCK_FLUSH, 0, 0);
            else
                write_issue(&b, &writes[n], n * room + random_below(&b.random, room - sectors),
                            sectors, step);
        }
        host_executor_run(&b.x);
    }
    cut_often(&b, seen);
    faulty_disk_destroy(&b.disk);
}

static void test_cuts(u64 seed)
{
    struct seen seen = {0};
    for (u64 n = 0; n < RUNS; n++)
        run(seed + n, false, &seen);
    is(seen.violations, 0, "%llu cuts: each sector holds what was durable, or something later",
       (unsigned long long)seen.cuts);
    ok(seen.durable && seen.later && seen.torn, "sectors kept %llu, overtaken %llu, torn %llu",
       (unsigned long long)seen.durable, (unsigned long long)seen.later,
       (unsigned long long)seen.torn);
    struct seen liar = {0};
    run(seed, true, &liar);
    ok(liar.durable > seen.durable / RUNS, "a disk that ignores FLUSH loses more");
}

/* A later FLUSH that succeeds does not bring back what one that failed has lost. */
static void test_failed_flush(u64 seed)
{
    static struct write w;
    u64 lost = 0;
    for (u64 n = 0; n < 64; n++) {
        struct bench b;
        struct faulty_image im;
        bench_init(&b, seed + n);
        faulty_disk_log(&b.disk);
        must(is_ok(one(&b, &w, BLOCK_WRITE, 0)));
        b.disk.faults.fail_at = 2;
        must(status_errno(one(&b, &w, BLOCK_FLUSH, 0)) == EIO);
        must(is_ok(one(&b, &w, BLOCK_FLUSH, 0)));
        faulty_image_init(&im, &b.disk, &b.x.e);
        faulty_image_cut(&im, b.disk.event_count, 1);
        lost += sector_value(im.to.bytes, 0) == 0;
        must(is_ok(one(&b, &w, BLOCK_WRITE, 0)));
        must(is_ok(one(&b, &w, BLOCK_FLUSH, 0)));
        faulty_image_cut(&im, b.disk.event_count, 0);
        must(sector_value(im.to.bytes, 0) == 77);
        faulty_image_destroy(&im);
        faulty_disk_destroy(&b.disk);
    }
    ok(lost > 10 && lost < 54, "a failed FLUSH lost the write in %llu of 64 runs",
       (unsigned long long)lost);
}

/* --- faults ----------------------------------------------------------------------------------- */

static void test_faults(u64 seed)
{
    static struct write w;
    struct bench b;
    bench_init(&b, seed);
    must(is_ok(one(&b, &w, BLOCK_WRITE, 0)));
    b.disk.faults.fail_at = b.disk.calls + 2;
    ok(is_ok(one(&b, &w, BLOCK_READ, 0)) && status_errno(one(&b, &w, BLOCK_READ, 0)) == EIO &&
           is_ok(one(&b, &w, BLOCK_READ, 0)),
       "the request that is to fail does");
    b.disk.faults.flip_at = b.disk.calls + 1;
    must(is_ok(one(&b, &w, BLOCK_READ, 0)));
    u64 bits = 0;
    for (u64 n = 0; n < SECTOR_BYTES; n++)
        bits += (u64)__builtin_popcountll(w.words[n] ^ 77);
    is(bits, 1, "one bit is flipped");
    b.disk.faults = (struct faulty_faults){.slow_ns_most = NS_PER_MS, .reorder = true};
    must(is_ok(one(&b, &w, BLOCK_DISCARD, 8)));
    b.disk.faults = (struct faulty_faults){.read_only_at = b.disk.calls + 1};
    ok(is_ok(one(&b, &w, BLOCK_READ, 0)) && status_errno(one(&b, &w, BLOCK_WRITE, 0)) == EROFS,
       "read-only: it reads and does not write");
    b.disk.faults = (struct faulty_faults){.gone_at = 1};
    is(status_errno(one(&b, &w, BLOCK_READ, 0)), ENXIO, "a disk that is gone fails");
    b.disk.faults = (struct faulty_faults){.silent_at = 1};
    issue(&b, &w, BLOCK_FLUSH, 0, 0);
    host_executor_pass(&b.x, NS_PER_SECOND);
    is(w.result.applied, 0, "a silent one says nothing");
    apply(b.disk.device.cancel, &w.request);
    host_executor_run(&b.x);
    ok(w.result.applied == 1 && status_errno(w.result.s) == ECANCELED, "until it is cancelled");
    faulty_disk_destroy(&b.disk);
}

int main(void)
{
    u64 seed = test_seed();
    test_cuts(seed);
    test_failed_flush(seed);
    test_faults(seed);
    return done_testing();
}
