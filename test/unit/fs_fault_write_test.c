/* Everything that can fail does, in turn, while a filesystem is written to: each allocation, each
   request (failed, or stopped in the middle), and from each request on a disk that can no longer be
   written, is gone, or says nothing more.

   Whatever happens: a call that failed changed nothing, what a sync has promised is there
   afterwards, everything ends, and all memory comes back.  When only one thing failed, the next
   sync brings all to the disk. */
#include "test/host/crash_work.h"

#include <stdio.h>
#include <stdlib.h>

#define DISK_BYTES (3 * MiB)
#define STEPS      50u
#define RUNS_MOST  20000u

enum fault { FAULT_MEMORY, FAULT_ERROR, FAULT_SHORT, FAULT_READ_ONLY, FAULT_GONE, FAULT_SILENT };

static const char *const fault_names[] = {
    "allocation failed",    "request failed",  "request stopped in the middle",
    "request on read-only", "request on gone", "request on unanswered"};

struct run {
    u64 seed, n;
    enum fault fault;
    struct crash_machine machine;
    struct faulty_disk disk;
    struct crash_model model;
    struct crash_worker worker;
    bool reached; /* the n-th one came */
    char why[400];
};

static bool once(const struct run *r)
{
    return r->fault <= FAULT_SHORT;
}

static void run_begin(struct run *r)
{
    struct machine_image image = {
        .bytes = DISK_BYTES, .files = 3, .checksums = r->seed & 1, .seed = r->seed};
    crash_machine_init(&r->machine, 0);
    faulty_disk_init(&r->disk, DISK_BYTES, &r->machine.x.e, r->seed);
    crash_machine_build(&r->machine, &image, &r->disk);
    r->machine.cache_pages = 64;
    r->machine.dirty_pages = 32;
    must(is_ok(crash_machine_mount(&r->machine, &r->disk)));
    crash_model_init(&r->model, &r->disk, r->machine.fs, &r->machine.reader);
    crash_worker_init(&r->worker, &r->machine, &r->model, r->seed);
    r->worker.faults = true;
    r->worker.hangs = r->fault == FAULT_SILENT;
}

static void fault_set(struct run *r)
{
    u64 call = r->disk.calls + r->n;
    struct faulty_faults *f = &r->disk.faults;
    switch (r->fault) {
    case FAULT_MEMORY:
        r->machine.heap.fail_at = r->machine.heap.calls + r->n;
        break;
    case FAULT_ERROR:
        f->fail_at = call;
        break;
    case FAULT_SHORT:
        f->short_at = call;
        break;
    case FAULT_READ_ONLY:
        f->read_only_at = call;
        break;
    case FAULT_GONE:
        f->gone_at = call;
        break;
    case FAULT_SILENT:
        f->silent_at = call;
        break;
    }
}

/* As many times as a failure may be told, and once more. */
static bool sync_at_last(struct run *r)
{
    for (u32 n = 0; n < 4; n++)
        if (crash_work_sync_all(&r->worker))
            return true;
    return false;
}

static void wrong(struct run *r, const char *what)
{
    if (!r->why[0])
        snprintf(r->why, sizeof(r->why), "%s", what);
}

/* With nothing failing any more the disk catches up with memory, which is what the model says. */
static void live_check(struct run *r)
{
    char why[400];
    if (!sync_at_last(r))
        wrong(r, "the sync after it fails");
    else if (!crash_model_holds(&r->model, r->disk.event_count, r->machine.fs, &r->machine.reader,
                                why, sizeof(why)))
        wrong(r, why);
}

static void run_work(struct run *r)
{
    u64 calls = r->disk.calls;
    fault_set(r);
    for (u32 n = 0; n < STEPS && !r->worker.failure[0]; n++)
        crash_work_step(&r->worker);
    crash_work_drain(&r->worker);
    r->reached = r->fault == FAULT_MEMORY
                     ? r->machine.heap.failed > 0
                     : r->disk.calls + (r->fault == FAULT_SILENT) >= calls + r->n;
    r->machine.heap.fail_at = 0;
    r->disk.faults.fail_at = r->disk.faults.short_at = 0; /* one that the work did not reach */
    if (once(r))
        live_check(r);
    if (r->worker.failure[0])
        wrong(r, r->worker.failure);
    if (r->n % 2 && r->fault != FAULT_SILENT)
        (void)crash_machine_end(&r->machine);
    crash_machine_unmount(&r->machine);
}

/* The power is cut and another machine takes the disk. */
static void run_after(struct run *r, u64 seed)
{
    struct crash_machine c;
    struct faulty_image image;
    char why[400];
    crash_machine_init(&c, 0);
    faulty_image_init(&image, &r->disk, &c.x.e);
    faulty_image_cut(&image, r->disk.event_count, seed);
    if (!crash_machine_check(&c, &image.to, why, sizeof(why))) {
        wrong(r, why);
    } else if (!is_ok(crash_machine_mount(&c, &image.to))) {
        wrong(r, "it cannot be mounted afterwards");
    } else {
        if (!crash_model_holds(&r->model, r->disk.event_count, c.fs, &c.reader, why, sizeof(why)))
            wrong(r, why);
        crash_machine_unmount(&c);
    }
    faulty_image_destroy(&image);
    crash_machine_destroy(&c);
}

/* False when the n-th one was not reached. */
static bool run(enum fault fault, u64 seed, u64 n, u64 *failures)
{
    static struct run r;
    r = (struct run){.seed = seed, .n = n, .fault = fault};
    run_begin(&r);
    run_work(&r);
    run_after(&r, n);
    if (r.why[0] && (*failures)++ < 5)
        note("FAULT=%u FAULT_SEED=%llu FAULT_N=%llu: %s", fault, (unsigned long long)seed,
             (unsigned long long)n, r.why);
    crash_model_destroy(&r.model);
    faulty_disk_destroy(&r.disk);
    crash_machine_destroy(&r.machine);
    return r.reached;
}

static void test_fault(enum fault fault, u64 seed)
{
    u64 failures = 0, n = 1, stride = getenv("SOAK") || fault != FAULT_MEMORY ? 1 : 3;
    for (; n < RUNS_MOST && failures < 5; n += stride)
        if (!run(fault, seed, n, &failures))
            break;
    ok(!failures && n > 5, "each %s in turn: %llu runs", fault_names[fault],
       (unsigned long long)(n / stride));
}

int main(void)
{
    const char *only = getenv("FAULT_N"), *of = getenv("FAULT"), *with = getenv("FAULT_SEED");
    if (only && of && with) {
        u64 failures = 0;
        run((enum fault)atoi(of), strtoull(with, NULL, 0), strtoull(only, NULL, 0), &failures);
        is(failures, 0, "that run");
        return done_testing();
    }
    u64 seed = test_seed();
    for (u64 n = 0; n < (getenv("SOAK") ? 40 : 2); n++)
        for (enum fault f = FAULT_MEMORY; f <= FAULT_SILENT; f++)
            test_fault(f, seed + n);
    return done_testing();
}
