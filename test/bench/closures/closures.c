/* What closures cost on this machine: one line each, "name nanoseconds", the median of several
   calibrated runs.  `closures NAME ROUNDS` performs one operation only, for a counter of
   instructions.  See operations.h; switches.c has what C does instead, closures.go what Go does.

   The heap is the kernel's, built hosted: a CPU's cache of objects, behind it the slabs under a
   lock, behind them the buddy allocator. */
#include "kernel/slab_cache.h"
#include "runtime/assert.h"
#include "runtime/lock.h"
#include "test/bench/closures/operations.h"
#include "test/bench/closures/switches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUNS = 61, RUN_NS = 1000000, HEAP_PAGES = 4096 };
enum { ACROSS_RUNS = 100, ACROSS_ROUNDS = 2000 };

static struct spinlock heap_lock = {0, RANK_HEAP, "bench"};
static struct buddy buddy;
static struct slab_heap slabs;
static struct slab_cache cache;

/* As kernel/memory.c does it. */
static void *slabs_allocate(struct heap *h, u64 bytes)
{
    (void)h;
    void *p = slab_cache_take(&cache, bytes);
    if (p)
        return p;
    spin_lock(&heap_lock);
    p = slab_allocate(&slabs, bytes);
    slab_cache_fill(&cache, &slabs, bytes);
    spin_unlock(&heap_lock);
    return p;
}

static void slabs_deallocate(struct heap *h, void *p, u64 bytes)
{
    (void)h;
    if (slab_cache_give(&cache, p, bytes))
        return;
    spin_lock(&heap_lock);
    slab_cache_drain(&cache, &slabs, bytes);
    slab_free(&slabs, p, bytes);
    spin_unlock(&heap_lock);
}

void panic_at(const char *file, int line, const char *format, ...)
{
    fprintf(stderr, "closures: %s:%d: %s\n", file, line, format);
    exit(1);
}

static void *must(void *p)
{
    if (!p) {
        fprintf(stderr, "closures: out of memory\n");
        exit(1);
    }
    return p;
}

static heap heap_make(void)
{
    static struct heap h = {slabs_allocate, slabs_deallocate, "slabs"};
    char *memory = must(aligned_alloc(4096ull << 10, HEAP_PAGES * 4096ull));
    buddy_init(&buddy, (u64)memory, HEAP_PAGES, must(malloc(buddy_metadata_bytes(HEAP_PAGES))));
    slab_init(&slabs, &buddy, must(calloc(HEAP_PAGES, sizeof(struct slab))));
    buddy_add(&buddy, range_of(1, HEAP_PAGES));
    return &h;
}

u64 now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

static int later(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static u64 calibrate(void (*run)(u64 rounds))
{
    for (u64 rounds = 64;; rounds *= 2) {
        u64 before = now_ns();
        run(rounds);
        if (now_ns() - before >= RUN_NS)
            return rounds;
    }
}

static void measure(const char *name, void (*run)(u64 rounds))
{
    double took[RUNS];
    u64 rounds = calibrate(run);
    for (u32 i = 0; i < RUNS; i++) {
        u64 before = now_ns();
        run(rounds);
        took[i] = (double)(now_ns() - before) / (double)rounds;
    }
    qsort(took, RUNS, sizeof(took[0]), later);
    printf("%s %.2f\n", name, took[RUNS / 2]);
}

/* Two CPUs, of which this process is not the only user: the least of many short runs, of those that
   nobody came into. */
static void measure_across(const char *name, u64 (*run_ns)(u64 rounds))
{
    u64 least = run_ns(ACROSS_ROUNDS);
    for (u32 i = 1; i < ACROSS_RUNS; i++)
        least = min(least, run_ns(ACROSS_ROUNDS));
    printf("%s %.2f\n", name, (double)least / ACROSS_ROUNDS);
}

static int perform(const char *name, u64 rounds)
{
    for (const struct bench_operation *o = bench_operations; o->name; o++) {
        if (strcmp(o->name, name) == 0) {
            o->run(rounds);
            return 0;
        }
    }
    fprintf(stderr, "closures: no operation %s\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    bench_operations_init(heap_make());
    if (argc > 2)
        return perform(argv[1], strtoull(argv[2], NULL, 10));
    for (const struct bench_operation *o = bench_operations; o->name; o++)
        measure(o->name, o->run);
    for (const struct bench_operation *o = bench_switches; o->name; o++)
        measure(o->name, o->run);
    measure_across("hand_over_cpus", hand_over_cpus);
    return 0;
}
