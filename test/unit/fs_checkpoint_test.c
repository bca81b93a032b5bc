/* Compaction: the state of a filesystem goes into fresh segments bit by bit while it changes, and
   the log wraps around a small disk.

   TEST_SEED repeats a run. */
#include "fs/checkpoint_state.h"
#include "runtime/hash64.h"
#include "test/host/crash_work.h"

#include <stdio.h>
#include <stdlib.h>

#define WAIT_STEPS 200000u

/* Lets things run until no compaction is under way. */
static bool compaction_ended(struct crash_machine *c)
{
    for (u32 n = 0; c->fs->checkpoint && n < WAIT_STEPS; n++)
        if (!host_executor_step(&c->x))
            host_executor_pass(&c->x, NS_PER_MS);
    return !c->fs->checkpoint;
}

static bool compact(struct crash_machine *c)
{
    u64 before = c->fs->super.checkpoint_sequence;
    checkpoint_consider(c->fs, true);
    return compaction_ended(c) && c->fs->super.checkpoint_sequence > before;
}

static void machine_new(struct crash_machine *c, struct faulty_disk *disk,
                        const struct machine_image *image)
{
    crash_machine_init(c, image->seed & 1 ? image->seed : 0);
    faulty_disk_init(disk, image->bytes, &c->x.e, image->seed);
    crash_machine_build(c, image, disk);
    status s = crash_machine_mount(c, disk);
    if (!is_ok(s))
        panic("mount: %s", status_text(s));
}

static void machine_end(struct crash_machine *c, struct faulty_disk *disk)
{
    if (c->fs)
        crash_machine_unmount(c);
    faulty_disk_destroy(disk);
    crash_machine_destroy(c);
}

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
    machine_new(&c, &disk, &o);
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
    machine_end(&c, &disk);
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

#define WRAP_FILES  24u
#define WRAP_BYTES  12000u
#define WRAP_VALUE  20000u
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

static void seeded_fill(u8 *to, u64 bytes, u64 seed)
{
    struct random r;
    random_init(&r, seed);
    random_fill(&r, to, bytes);
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
    must(is_ok(crash_machine_write(&w->machine, i, 0, w->buffer, bytes)));
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
    u32 wraps = getenv("SOAK") ? 10000 : 1000;
    u64 disk_blocks = WRAP_DISK / BLOCK_BYTES, next = 0;
    struct machine_image o = {.bytes = WRAP_DISK, .seed = seed};
    bool right = true;
    w = (struct wrap){.mounts = 1};
    random_init(&w.random, seed);
    machine_new(&w.machine, &w.disk, &o);
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
    machine_end(&w.machine, &w.disk);
}

int main(void)
{
    u64 seed = test_seed();
    (void)compact;
    test_wraps(seed);
    test_cuts(seed);
    return done_testing();
}
