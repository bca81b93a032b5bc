/* Random work, and the power cut at every request that it makes; then the disk is mounted and held
   against what was promised (test/host/crash_model.h) and against the format (fs/check.h), written
   to again, and the power cut again.

   CRASH_SEED=n runs the workload of that seed alone, with all its cuts, CRASH_CUT=k only the cut
   before event k; CRASH_IMAGE=path keeps what was found then.  CRASH_CUTS=n is how many cuts to
   make. */
#include "test/host/crash_work.h"

#include "fs/format.h"
#include "runtime/hash64.h"

#include <stdio.h>
#include <stdlib.h>

#define CUTS        8000u
#define CUTS_SOAK   180000u
#define AGAIN_STEPS 40u

struct totals {
    u64 workloads, changes, refused, syncs, events, cuts, second_cuts, checks, violations;
    u64 kept, dropped, superblocks;
};

struct workload {
    u64 seed;
    u32 steps;
    bool ends; /* with a clean end */
    bool ignores_flush;
    struct crash_machine machine;
    struct faulty_disk disk;
    struct crash_model model;
    struct crash_worker worker;
};

static void violation(struct totals *t, const struct workload *l, u64 cut, const char *what)
{
    if (t->violations++ < 20)
        note("violation: CRASH_SEED=%llu CRASH_CUT=%llu: %s", (unsigned long long)l->seed,
             (unsigned long long)cut, what);
}

static void second_violation(struct totals *t, const struct workload *l, u64 cut, u64 second,
                             const char *what)
{
    char text[500];
    snprintf(text, sizeof(text), "cut again at %llu: %s", (unsigned long long)second, what);
    violation(t, l, cut, text);
}

static u64 cut_seed(const struct workload *l, u64 position)
{
    return hash64_of(l->seed * 1000003 + position);
}

static void cache_choose(struct crash_machine *c, struct random *r)
{
    static const u64 pages[] = {16, 64, 4096};
    c->cache_pages = pages[random_below(r, countof(pages))];
    c->dirty_pages = random_below(r, 2) ? 0 : 24;
    c->commit_interval_ns = random_below(r, 2) ? 0 : 100 * NS_PER_MS;
}

static u32 workload_steps(u64 seed)
{
    return 20u << seed % 6;
}

/* --- the work --------------------------------------------------------------------------------- */

/* What the model knows without a cut: everything, once it is synced. */
static void now_check(struct totals *t, struct workload *l)
{
    char why[300];
    if (l->worker.failure[0])
        violation(t, l, l->disk.event_count, l->worker.failure);
    if (crash_work_sync_all(&l->worker) &&
        !crash_model_holds(&l->model, l->disk.event_count, l->machine.fs, &l->machine.reader, why,
                           sizeof(why)))
        violation(t, l, l->disk.event_count, why);
}

/* More than two: the log was compacted, or ended. */
static u64 superblocks_written(const struct faulty_disk *d)
{
    const struct superblock *a = (const struct superblock *)d->bytes;
    const struct superblock *b = (const struct superblock *)(d->bytes + SUPERBLOCK_B * BLOCK_BYTES);
    return max(a->generation, b->generation);
}

static void workload_run(struct totals *t, struct workload *l)
{
    static const u64 sizes[] = {1 * MiB, 3 * MiB / 2, 2 * MiB, 6 * MiB};
    struct random r;
    random_init(&r, l->seed);
    u64 size = sizes[random_below(&r, countof(sizes))];
    crash_machine_init(&l->machine, l->seed & 1 ? l->seed : 0);
    struct machine_image image = {.bytes = size,
                                  .files = (u32)random_below(&r, 10),
                                  .checksums = random_below(&r, 2),
                                  .seed = l->seed};
    if (random_below(&r, 3) == 0)
        image.built_bytes = max(size / 2, 1 * MiB);
    faulty_disk_init(&l->disk, size, &l->machine.x.e, l->seed);
    crash_machine_build(&l->machine, &image, &l->disk);
    cache_choose(&l->machine, &r);
    l->disk.faults.reorder = random_below(&r, 2);
    l->disk.faults.slow_ns_most = random_below(&r, 2) ? NS_PER_MS : 0;
    l->disk.faults.ignores_flush = l->ignores_flush;
    status s = crash_machine_mount(&l->machine, &l->disk);
    if (!is_ok(s))
        panic("mount: %s", status_text(s));
    crash_model_init(&l->model, &l->disk, l->machine.fs, &l->machine.reader);
    crash_worker_init(&l->worker, &l->machine, &l->model, l->seed);
    if (size < 6 * MiB) { /* the log goes round, and the disk gets full */
        l->worker.file_bytes_most = 30000;
        l->worker.names_most = 25;
    }
    for (u32 n = 0; n < l->steps && !l->worker.failure[0]; n++)
        crash_work_step(&l->worker);
    l->ends = random_below(&r, 2);
    crash_work_drain(&l->worker);
    if (l->ends) {
        now_check(t, l);
        s = crash_machine_end(&l->machine);
        if (!is_ok(s))
            violation(t, l, l->disk.event_count, status_text(s));
    }
    crash_machine_unmount(&l->machine);
    if (l->worker.failure[0])
        violation(t, l, l->disk.event_count, l->worker.failure);
    t->workloads++;
    t->changes += l->worker.changes;
    t->refused += l->worker.refused;
    t->syncs += l->worker.synced;
    t->events += l->disk.event_count;
    t->superblocks += superblocks_written(&l->disk);
}

static void workload_destroy(struct workload *l)
{
    crash_model_destroy(&l->model);
    faulty_disk_destroy(&l->disk);
    crash_machine_destroy(&l->machine);
}

/* --- the cuts --------------------------------------------------------------------------------- */

/* Mounts what was found and checks it; false: it is not mounted. */
static bool found_check(struct totals *t, const struct workload *l, struct crash_machine *c,
                        struct faulty_disk *found, const struct crash_model *m, u64 position,
                        const char **what)
{
    static char why[400];
    *what = why;
    t->cuts++;
    t->checks++;
    if (!crash_machine_check(c, found, why, sizeof(why)))
        return false;
    status s = crash_machine_mount(c, found);
    if (!is_ok(s)) {
        snprintf(why, sizeof(why), "mount: errno %d, %s (%llu)", status_errno(s), status_text(s),
                 (unsigned long long)s.detail);
        return false;
    }
    if (!crash_model_holds(m, position, c->fs, &c->reader, why, sizeof(why))) {
        crash_machine_unmount(c);
        return false;
    }
    (void)l;
    *what = NULL;
    return true;
}

/* After a cut the machine works on; its power is cut a few times more. */
static void work_again(struct totals *t, const struct workload *l, u64 position,
                       struct crash_machine *c)
{
    struct crash_machine second;
    struct faulty_image image;
    struct crash_model m;
    struct crash_worker w;
    struct random r;
    const char *what;
    random_init(&r, cut_seed(l, position) + 1);
    crash_model_init(&m, c->disk, c->fs, &c->reader);
    crash_worker_init(&w, c, &m, cut_seed(l, position));
    for (u32 n = 0; n < AGAIN_STEPS && !w.failure[0]; n++)
        crash_work_step(&w);
    crash_work_drain(&w);
    if (random_below(&r, 2) && !is_ok(crash_machine_end(c)))
        violation(t, l, position, "the end after a cut failed");
    crash_machine_unmount(c);
    if (w.failure[0])
        violation(t, l, position, w.failure);
    crash_machine_init(&second, 0);
    faulty_image_init(&image, c->disk, &second.x.e);
    for (u64 k = 0; k <= c->disk->event_count; k += 1 + random_below(&r, 12)) {
        faulty_image_cut(&image, k, random_next(&r));
        if (found_check(t, l, &second, &image.to, &m, k, &what))
            crash_machine_unmount(&second);
        else
            second_violation(t, l, position, k, what);
        t->second_cuts++;
    }
    faulty_image_destroy(&image);
    crash_machine_destroy(&second);
    crash_model_destroy(&m);
}

/* For `thunk dump`: what was found after the cut, as a file. */
static void image_keep(const struct faulty_disk *found, const char *path)
{
    FILE *f = fopen(path, "wb");
    must(f && fwrite(found->bytes, 1, found->length, f) == found->length);
    fclose(f);
}

static void cut_at(struct totals *t, const struct workload *l, struct faulty_image *image,
                   struct crash_machine *c, u64 position)
{
    const char *what;
    u64 seed = cut_seed(l, position);
    faulty_image_cut(image, position, seed);
    if (getenv("CRASH_IMAGE"))
        image_keep(&image->to, getenv("CRASH_IMAGE"));
    t->kept += image->kept;
    t->dropped += image->dropped;
    if (!found_check(t, l, c, &image->to, &l->model, position, &what)) {
        violation(t, l, position, what);
        return;
    }
    if (seed % 24 == 0)
        work_again(t, l, position, c);
    else
        crash_machine_unmount(c);
}

/* All cuts of one workload, or `most` of them. */
static void cut_all(struct totals *t, const struct workload *l, u64 most)
{
    const char *only = getenv("CRASH_CUT");
    struct faulty_image image;
    struct crash_machine c;
    struct random r;
    u64 events = l->disk.event_count, stride = events / most + 1;
    random_init(&r, l->seed);
    crash_machine_init(&c, 0);
    faulty_image_init(&image, &l->disk, &c.x.e);
    if (only)
        cut_at(t, l, &image, &c, min(strtoull(only, NULL, 0), events));
    for (u64 k = 0; k <= events && !only; k += 1 + random_below(&r, 2 * stride - 1))
        cut_at(t, l, &image, &c, k);
    faulty_image_destroy(&image);
    crash_machine_destroy(&c);
}

static void workload_and_cuts(struct totals *t, u64 seed, u32 steps, u64 most, bool ignores_flush)
{
    static struct workload l;
    l = (struct workload){.seed = seed, .steps = steps, .ignores_flush = ignores_flush};
    workload_run(t, &l);
    cut_all(t, &l, most);
    workload_destroy(&l);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void totals_show(const struct totals *t)
{
    note(
        "%llu workloads: %llu changes (%llu refused), %llu syncs, %llu superblocks, %llu events of "
        "the disk",
        (unsigned long long)t->workloads, (unsigned long long)t->changes,
        (unsigned long long)t->refused, (unsigned long long)t->syncs,
        (unsigned long long)t->superblocks, (unsigned long long)t->events);
    note("%llu cuts, %llu of them second ones; %llu volatile writes kept, %llu dropped; "
         "%llu violations",
         (unsigned long long)t->cuts, (unsigned long long)t->second_cuts,
         (unsigned long long)t->kept, (unsigned long long)t->dropped,
         (unsigned long long)t->violations);
}

static void test_cuts(u64 seed)
{
    struct totals t = {0};
    const char *cuts = getenv("CRASH_CUTS");
    u64 most = cuts ? strtoull(cuts, NULL, 0) : getenv("SOAK") ? CUTS_SOAK : CUTS;
    for (u64 n = 0; t.cuts < most && t.violations < 20; n++)
        workload_and_cuts(&t, seed + n, workload_steps(seed + n), 400, false);
    totals_show(&t);
    ok(t.violations == 0 && t.cuts >= most, "%llu power cuts: nothing that was promised is lost",
       (unsigned long long)t.cuts);
}

/* This test can fail: a disk that only says that it flushed loses what was promised. */
static void test_liar(u64 seed)
{
    struct totals t = {.violations = 1000};
    for (u64 n = 0; n < 10 && t.violations == 1000; n++)
        workload_and_cuts(&t, seed + n, 160, 400, true);
    ok(t.violations > 1000, "on a disk that ignores FLUSH, violations are found: %llu in %llu cuts",
       (unsigned long long)t.violations - 1000, (unsigned long long)t.cuts);
}

int main(void)
{
    const char *one = getenv("CRASH_SEED");
    if (one) {
        struct totals t = {0};
        u64 seed = strtoull(one, NULL, 0);
        workload_and_cuts(&t, seed, workload_steps(seed), 1000000, false);
        totals_show(&t);
        is(t.violations, 0, "the workload of seed %llu", (unsigned long long)seed);
        return done_testing();
    }
    u64 seed = test_seed();
    test_cuts(seed);
    test_liar(seed);
    return done_testing();
}
