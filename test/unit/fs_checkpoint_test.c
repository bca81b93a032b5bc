/* Compaction: the state of a filesystem goes into fresh segments bit by bit while it changes, and
   the log wraps around a small disk.

   TEST_SEED repeats a run. */
#include "test/host/compacted.h"
#include "test/host/crash_work.h"

#include <stdio.h>
#include <stdlib.h>

/* --- random work, compacted all the time ------------------------------------------------------ */

struct totals {
    u64 compactions, abandoned, events, cuts, violations;
};

static void violation(struct totals *t, u64 seed, u64 cut, const char *what)
{
    if (t->violations++ < 20)
        note("violation: seed %llu, cut %llu: %s", (unsigned long long)seed,
             (unsigned long long)cut, what);
}

/* The disk as it is after a cut, held against what was promised and against the format. */
static void found_check(struct totals *t, struct crash_machine *c, struct faulty_disk *found,
                        const struct crash_model *m, u64 seed, u64 position)
{
    char why[400];
    t->cuts++;
    if (!crash_machine_check(c, found, why, sizeof(why))) {
        violation(t, seed, position, why);
        return;
    }
    status s = crash_machine_mount(c, found);
    if (!is_ok(s)) {
        violation(t, seed, position, status_text(s));
        return;
    }
    if (!crash_model_holds(m, position, c->fs, &c->reader, why, sizeof(why)))
        violation(t, seed, position, why);
    crash_machine_unmount(c);
}

/* One mount, with a compaction begun now and then, in the middle of everything else. */
static void work_compacted(struct totals *t, struct crash_machine *c, struct crash_worker *w,
                           struct random *r, u32 steps)
{
    for (u32 n = 0; n < steps && !w->failure[0]; n++) {
        bool under_way = c->fs->checkpoint;
        u64 before = c->fs->super.checkpoint_sequence;
        if (!under_way && random_below(r, 6) == 0)
            checkpoint_consider(c->fs, true);
        if (under_way && random_below(r, 40) == 0) {
            checkpoint_abandon(c->fs);
            t->abandoned++;
        }
        crash_work_step(w);
        t->compactions += c->fs->super.checkpoint_sequence > before;
    }
}

static void workload(struct totals *t, u64 seed, u32 steps, u64 cuts)
{
    static struct crash_machine c, second;
    static struct faulty_disk disk;
    static struct faulty_image image;
    static struct crash_model m;
    struct crash_worker w;
    struct random r;
    char why[400];
    random_init(&r, seed);
    struct machine_image o = {.bytes = 8 * MiB,
                              .files = (u32)random_below(&r, 40),
                              .checksums = random_below(&r, 2),
                              .seed = seed};
    compacted_init(&c, &disk, &o);
    disk.faults.reorder = random_below(&r, 2);
    crash_model_init(&m, &disk, c.fs, &c.reader);
    crash_worker_init(&w, &c, &m, seed);
    w.file_bytes_most = 20000;
    work_compacted(t, &c, &w, &r, steps);
    crash_work_drain(&w);
    if (w.failure[0])
        violation(t, seed, disk.event_count, w.failure);
    if (crash_work_sync_all(&w) &&
        !crash_model_holds(&m, disk.event_count, c.fs, &c.reader, why, sizeof(why)))
        violation(t, seed, disk.event_count, why);
    crash_machine_unmount(&c);
    t->events += disk.event_count;
    crash_machine_init(&second, 0);
    faulty_image_init(&image, &disk, &second.x.e);
    u64 stride = 2 * (disk.event_count / cuts + 1);
    for (u64 k = 0; k <= disk.event_count; k += 1 + random_below(&r, stride - 1)) {
        faulty_image_cut(&image, k, random_next(&r));
        found_check(t, &second, &image.to, &m, seed, k);
    }
    faulty_image_destroy(&image);
    crash_machine_destroy(&second);
    crash_model_destroy(&m);
    compacted_destroy(&c, &disk);
}

static void test_cuts(u64 seed)
{
    struct totals t = {0};
    u32 workloads = getenv("SOAK") ? 400 : 24;
    for (u32 n = 0; n < workloads && t.violations < 20; n++)
        workload(&t, seed + n, 60u << n % 3, 100);
    note("%llu compactions, %llu given up, %llu events of the disk",
         (unsigned long long)t.compactions, (unsigned long long)t.abandoned,
         (unsigned long long)t.events);
    ok(t.compactions > workloads, "compactions ended while everything changed");
    ok(t.violations == 0, "%llu power cuts in and around compactions: nothing is lost",
       (unsigned long long)t.cuts);
}

/* --- a log that wraps ------------------------------------------------------------------------- */

#define WRAP_FILES  16u
#define WRAP_BYTES  12000u
#define WRAP_VALUE  12000u
#define WRAP_DISK   (3 * MiB)
#define WRAP_CHECKS 40u

/* What a file of the wrap test holds: bytes and an attribute that follow from these. */
struct wrap_file {
    bool there;
    u64 content, value; /* seeds; value 0: no attribute */
    u32 bytes, value_bytes;
};

struct wrap {
    struct crash_machine machine;
    struct faulty_disk disk;
    struct wrap_file files[WRAP_FILES];
    struct random random;
    u64 blocks; /* of segments that were taken, in earlier mounts */
    u64 changes, refused, checks, mounts;
    u8 buffer[WRAP_VALUE], expected[WRAP_VALUE];
};

static void wrap_name(u32 n, char name[16])
{
    snprintf(name, 16, "file-%u", n);
}

static struct inode *wrap_inode(struct wrap *w, u32 n)
{
    struct inode *found;
    char name[16];
    wrap_name(n, name);
    status s = inode_lookup(filesystem_root(w->machine.fs), name, strlen(name), &found);
    return is_ok(s) ? found : NULL;
}

/* What a refused change may be refused with on this disk. */
static bool wrap_again(struct wrap *w, status s)
{
    if (is_ok(s))
        return false;
    if (status_errno(s) != EAGAIN)
        panic("a change failed: errno %d, %s (%llu)", status_errno(s), status_text(s),
              (unsigned long long)s.detail);
    w->refused++;
    must(is_ok(crash_machine_room(&w->machine)));
    return true;
}

static void wrap_value(struct wrap *w, u32 n)
{
    struct wrap_file *f = &w->files[n];
    f->value = random_next(&w->random) | 1;
    f->value_bytes = (u32)random_below(&w->random, random_below(&w->random, 4) ? WRAP_VALUE : 300);
    seeded_fill(w->buffer, f->value_bytes, f->value);
    while (
        wrap_again(w, xattr_set(wrap_inode(w, n), "user.value", 10, w->buffer, f->value_bytes, 0)))
        ;
}

static void wrap_remove_value(struct wrap *w, u32 n)
{
    while (wrap_again(w, xattr_remove(wrap_inode(w, n), "user.value", 10)))
        ;
    w->files[n].value = 0;
}

static void wrap_write(struct wrap *w, u32 n)
{
    struct wrap_file *f = &w->files[n];
    struct inode *i = wrap_inode(w, n);
    u32 bytes = (u32)random_below(&w->random, WRAP_BYTES);
    f->content = random_next(&w->random);
    f->bytes = bytes;
    seeded_fill(w->buffer, bytes, f->content);
    must(is_ok(crash_machine_truncate(&w->machine, i, 0)));
    status s = crash_machine_write(&w->machine, i, 0, w->buffer, bytes);
    if (!is_ok(s))
        panic("writing failed: %s (%llu)", status_text(s), (unsigned long long)s.detail);
}

static void wrap_create(struct wrap *w, u32 n)
{
    struct inode_initial initial = {.mode = 0600};
    struct inode *made, *root = filesystem_root(w->machine.fs);
    char name[16];
    wrap_name(n, name);
    while (wrap_again(w, inode_create(root, name, strlen(name), INODE_FILE, &initial, &made)))
        ;
    w->files[n] = (struct wrap_file){.there = true};
}

static void wrap_unlink(struct wrap *w, u32 n)
{
    struct inode *root = filesystem_root(w->machine.fs);
    char name[16];
    wrap_name(n, name);
    while (wrap_again(w, inode_unlink(root, name, strlen(name))))
        ;
    w->files[n].there = false;
}

static void wrap_rename(struct wrap *w, u32 n, u32 to)
{
    struct inode *root = filesystem_root(w->machine.fs);
    char name[16], name_to[16];
    if (n == to)
        return;
    wrap_name(n, name);
    wrap_name(to, name_to);
    while (wrap_again(w, inode_rename(root, name, strlen(name), root, name_to, strlen(name_to), 0)))
        ;
    w->files[to] = w->files[n];
    w->files[n].there = false;
}

static void wrap_step(struct wrap *w)
{
    u32 n = (u32)random_below(&w->random, WRAP_FILES);
    u64 what = random_below(&w->random, 16);
    w->changes++;
    if (!w->files[n].there)
        wrap_create(w, n);
    else if (what == 0)
        wrap_unlink(w, n);
    else if (what == 1)
        wrap_rename(w, n, (u32)random_below(&w->random, WRAP_FILES));
    else if (what < 4)
        wrap_write(w, n);
    else if (what == 4 && w->files[n].value)
        wrap_remove_value(w, n);
    else
        wrap_value(w, n);
    if (random_below(&w->random, 8) == 0)
        must(is_ok(crash_machine_sync(&w->machine, NULL, SYNC_ALL)));
}

static bool wrap_file_right(struct wrap *w, u32 n)
{
    const struct wrap_file *f = &w->files[n];
    struct inode *i = wrap_inode(w, n);
    struct inode_attributes a;
    u64 got;
    if (!f->there || !i)
        return !f->there && !i;
    inode_attributes(i, &a);
    must(is_ok(apply(&w->machine.reader, i, 0, w->buffer, WRAP_BYTES, &got)));
    seeded_fill(w->expected, f->bytes, f->content);
    if (a.bytes != f->bytes || got != f->bytes || memcmp(w->buffer, w->expected, f->bytes) != 0)
        return false;
    status s = xattr_get(i, "user.value", 10, w->buffer, WRAP_VALUE, &got);
    if (!f->value)
        return status_errno(s) == ENODATA;
    seeded_fill(w->expected, f->value_bytes, f->value);
    return is_ok(s) && got == f->value_bytes && memcmp(w->buffer, w->expected, got) == 0;
}

static void wrap_mount(struct wrap *w)
{
    status s = crash_machine_mount(&w->machine, &w->disk);
    if (!is_ok(s))
        panic("mount: errno %d, %s (%llu)", status_errno(s), status_text(s),
              (unsigned long long)s.detail);
    w->mounts++;
}

/* Mounted anew, after an orderly end or without one, everything is as it was left. */
static bool wrap_check(struct wrap *w)
{
    char why[400];
    u32 wrong = 0;
    w->checks++;
    bool ends = random_below(&w->random, 2);
    must(is_ok(ends ? crash_machine_end(&w->machine)
                    : crash_machine_sync(&w->machine, NULL, SYNC_ALL)));
    w->blocks += w->machine.fs->segments->taken;
    crash_machine_unmount(&w->machine);
    if (!crash_machine_check(&w->machine, &w->disk, why, sizeof(why))) {
        note("%s", why);
        wrong++;
    }
    wrap_mount(w);
    for (u32 n = 0; n < WRAP_FILES; n++)
        wrong += !wrap_file_right(w, n);
    return wrong == 0;
}

static void test_wraps(u64 seed)
{
    static struct wrap w;
    const char *asked = getenv("WRAPS");
    u32 wraps = asked ? (u32)atoi(asked) : getenv("SOAK") ? 10000 : 1000;
    u64 disk_blocks = WRAP_DISK / BLOCK_BYTES, next = 0;
    struct machine_image o = {.bytes = WRAP_DISK, .seed = seed};
    bool right = true;
    w = (struct wrap){.mounts = 1};
    random_init(&w.random, seed);
    compacted_init(&w.machine, &w.disk, &o);
    while (right && w.blocks + w.machine.fs->segments->taken < wraps * disk_blocks) {
        wrap_step(&w);
        if (w.blocks + w.machine.fs->segments->taken >= next * wraps * disk_blocks / WRAP_CHECKS) {
            right = wrap_check(&w);
            next++;
        }
    }
    right = right && wrap_check(&w);
    note("%llu changes, %llu of them waited for room, %llu mounts", (unsigned long long)w.changes,
         (unsigned long long)w.refused, (unsigned long long)w.mounts);
    ok(right, "a log that went %u times around a disk of %llu blocks: all contents are right",
       wraps, (unsigned long long)disk_blocks);
    compacted_destroy(&w.machine, &w.disk);
}

/* --- failures --------------------------------------------------------------------------------- */

static void wrap_init(struct wrap *w, u64 seed, u64 bytes, u32 changes)
{
    struct machine_image o = {.bytes = bytes, .seed = seed};
    *w = (struct wrap){.mounts = 1};
    random_init(&w->random, seed);
    compacted_init(&w->machine, &w->disk, &o);
    for (u32 n = 0; n < changes; n++)
        wrap_step(w);
    must(is_ok(crash_machine_sync(&w->machine, NULL, SYNC_ALL)));
}

/* A compaction, with a change at each of its first steps; it may fail. */
static void compact_and_change(struct wrap *w)
{
    struct crash_machine *c = &w->machine;
    checkpoint_consider(c->fs, true);
    for (u32 n = 0; c->fs->checkpoint && n < WAIT_STEPS; n++) {
        struct inode_change change = {.what = CHANGE_MODE, .mode = n & 0777};
        for (u32 k = 0; k < WRAP_FILES && n < 4; k++)
            if (w->files[k].there)
                (void)inode_change(wrap_inode(w, k), &change);
        if (!host_executor_step(&c->x))
            break;
    }
}

/* Whatever failed, the next compaction succeeds, and nothing is lost. */
static bool compact_again(struct wrap *w)
{
    struct crash_machine *c = &w->machine;
    bool synced = false;
    for (u32 n = 0; n < 10 && !synced; n++)
        synced = is_ok(crash_machine_sync(c, NULL, SYNC_ALL));
    return synced && compaction_wait(c) && compact(c) && wrap_check(w);
}

static void test_memory(u64 seed)
{
    static struct wrap w;
    u64 failed = 1, n = 0;
    bool right = true;
    wrap_init(&w, seed, 8 * MiB, 60);
    for (; failed && right && n < 300; n++) {
        u64 before = w.machine.heap.failed;
        w.machine.heap.fail_at = w.machine.heap.calls + 1 + n;
        compact_and_change(&w);
        failed = w.machine.heap.failed - before;
        w.machine.heap.fail_at = 0;
        right = compact_again(&w);
    }
    ok(right && n > 10 && !failed,
       "each of %llu allocations of a compaction fails: nothing is lost",
       (unsigned long long)n - 1);
    compacted_destroy(&w.machine, &w.disk);
}

static void test_requests(u64 seed)
{
    static struct wrap w;
    u64 failed = 1, n = 0;
    bool right = true;
    wrap_init(&w, seed, 8 * MiB, 60);
    for (; failed && right && n < 300; n++) {
        u64 before = w.disk.faulted;
        w.disk.faults.fail_at = w.disk.calls + 1 + n;
        compact_and_change(&w);
        failed = w.disk.faulted - before;
        w.disk.faults.fail_at = 0;
        right = compact_again(&w);
        if (!right)
            note("request %llu: %s", (unsigned long long)n, w.machine.warning);
    }
    ok(right && n > 6 && !failed, "each of %llu requests of a compaction fails: nothing is lost",
       (unsigned long long)n - 1);
    compacted_destroy(&w.machine, &w.disk);
}

/* The device fails for good while the superblock is being switched: nothing is written any more,
   and what is on the disk is whole, whichever superblock is there. */
static void test_switch(u64 seed)
{
    static struct wrap w;
    struct crash_machine *c = &w.machine;
    char why[400];
    u32 wrong = 0;
    wrap_init(&w, seed, 8 * MiB, 60);
    checkpoint_consider(c->fs, true);
    for (u32 n = 0; c->fs->checkpoint && !c->fs->checkpoint->switching && n < WAIT_STEPS; n++)
        host_executor_step(&c->x);
    must(c->fs->checkpoint);
    w.disk.faults.flush_error = FAULTY_CHANCE;
    ok(compaction_wait(c) && !c->fs->writable, "a superblock that cannot be written ends in EROFS");
    status s = crash_machine_sync(c, NULL, SYNC_ALL);
    note("%s", c->warning);
    for (u32 n = 0; n < WRAP_FILES; n++)
        wrong += !wrap_file_right(&w, n);
    is(wrong, 0, "everything can be read (a sync then: %s)", status_text(s));
    crash_machine_unmount(c);
    w.disk.faults.flush_error = 0;
    ok(crash_machine_check(c, &w.disk, why, sizeof(why)), "what is on the disk is whole");
    wrap_mount(&w);
    for (u32 n = 0; n < WRAP_FILES; n++)
        wrong += !wrap_file_right(&w, n);
    is(wrong, 0, "and all of it is there");
    compacted_destroy(c, &w.disk);
}

/* --- how long others wait --------------------------------------------------------------------- */

#define LATENCY_FILES    16000u
#define LATENCY_REQUESTS 40u  /* that a sync may need while a compaction is under way, */
#define LATENCY_STEPS    600u /* and things that run meanwhile */

static void test_latency(u64 seed)
{
    static struct crash_machine c;
    static struct faulty_disk disk;
    struct machine_image o = {.bytes = 64 * MiB, .seed = seed | 1};
    u64 syncs = 0, requests_most = 0, steps_most = 0;
    struct inode *last = NULL;
    status s;
    compacted_init(&c, &disk, &o);
    for (u32 n = 0; n < LATENCY_FILES; n++) {
        char name[64];
        snprintf(name, sizeof(name), "a-file-with-a-name-of-a-usual-length-%u", n);
        must(last = compacted_make(&c, name, &s));
    }
    must(is_ok(crash_machine_sync(&c, NULL, SYNC_ALL)));
    checkpoint_consider(c.fs, true);
    while (c.fs->checkpoint) {
        struct sync_wait w = {.sync = NULL};
        struct host_result r;
        u64 requests = disk.calls, steps = 0;
        must(is_ok(crash_machine_write(&c, last, syncs % 4096, "x", 1)));
        file_sync(last, 0, ~0ull, SYNC_ALL, &w, host_result_init(&r));
        for (; !r.applied && host_executor_step(&c.x); steps++)
            ;
        must(r.applied && is_ok(r.s));
        requests_most = max(requests_most, disk.calls - requests);
        steps_most = max(steps_most, steps);
        syncs++;
    }
    note("%llu syncs during one compaction; at most %llu requests and %llu steps for one",
         (unsigned long long)syncs, (unsigned long long)requests_most,
         (unsigned long long)steps_most);
    ok(syncs >= 5, "syncs end while a compaction is under way");
    ok(requests_most <= LATENCY_REQUESTS && steps_most <= LATENCY_STEPS,
       "none of them waits for more than a part of it");
    compacted_destroy(&c, &disk);
}

/* --- extents ---------------------------------------------------------------------------------- */

/* What is written bit by bit is one extent in memory, and one again when the log was replayed. */
static void test_extents(u64 seed)
{
    static struct crash_machine c;
    static struct faulty_disk disk;
    static u8 data[16384], got[sizeof(data)];
    struct machine_image o = {.bytes = 8 * MiB, .seed = seed};
    char why[400];
    status s;
    compacted_init(&c, &disk, &o);
    struct inode *i = compacted_make(&c, "grown", &s);
    must(i);
    seeded_fill(data, sizeof(data), seed);
    for (u64 at = 0; at < 40 * sizeof(data); at += sizeof(data)) {
        must(is_ok(crash_machine_write(&c, i, at, data, sizeof(data))));
        must(is_ok(crash_machine_sync(&c, i, SYNC_ALL)));
    }
    u64 extents = c.fs->extents;
    ok(extents <= 4, "a file that grew 40 times has %llu extents", (unsigned long long)extents);
    crash_machine_unmount(&c);
    must(is_ok(crash_machine_mount(&c, &disk)));
    is(c.fs->extents, extents, "and as many after a replay");
    must(is_ok(inode_lookup(filesystem_root(c.fs), "grown", 5, &i)));
    must(is_ok(crash_machine_read(&c, i, 39 * sizeof(data), got, sizeof(got))));
    ok(memcmp(data, got, sizeof(data)) == 0, "its data is there");
    ok(compact(&c), "a checkpoint counts them");
    crash_machine_unmount(&c);
    ok(crash_machine_check(&c, &disk, why, sizeof(why)), "what is on the disk is right");
    must(is_ok(crash_machine_mount(&c, &disk)));
    is(c.fs->extents, extents, "and the next mount finds as many");
    compacted_destroy(&c, &disk);
}

int main(void)
{
    u64 seed = test_seed();
    test_memory(seed);
    test_requests(seed);
    test_switch(seed);
    test_latency(seed);
    test_extents(seed);
    test_cuts(seed);
    test_wraps(seed);
    return done_testing();
}
