/* Queues, merges and the checks with real threads, under TSan.  Short: it looks for races, and a
   model checker will look for orders. */
#include "runtime/lock.h"
#include "runtime/merge.h"
#include "runtime/queue.h"
#include "test/host/harness.h"

#include <pthread.h>
#include <sched.h>

#define PRODUCERS 3
#define EACH      20000

/* --- many producers, one consumer ------------------------------------------------------------- */

struct task {
    struct thunk run;
    u32 producer;
    u32 number;
};

static struct task tasks[PRODUCERS][EACH];
static u32 next_number[PRODUCERS];
static bool in_order = true;
static struct closure_queue queue;

closure_method(thunk, task_run, struct task, run)
{
    struct task *t = owner();
    in_order &= next_number[t->producer]++ == t->number;
}

static void *produce(void *argument)
{
    struct task *mine = argument;
    for (u32 i = 0; i < EACH; i++)
        closure_queue_add(&queue, thunk_deferred(&mine[i].run));
    return NULL;
}

static void test_closure_queue(void)
{
    pthread_t threads[PRODUCERS];
    for (u32 p = 0; p < PRODUCERS; p++) {
        for (u32 i = 0; i < EACH; i++) {
            tasks[p][i].producer = p;
            tasks[p][i].number = i;
            init_method(&tasks[p][i].run, task_run);
        }
    }
    for (u32 p = 0; p < PRODUCERS; p++)
        pthread_create(&threads[p], NULL, produce, tasks[p]);
    for (u32 taken = 0; taken < PRODUCERS * EACH;) {
        struct closure_header *next = closure_queue_take(&queue);
        if (next) {
            closure_run_deferred(next);
            taken++;
        } else {
            sched_yield();
        }
    }
    for (u32 p = 0; p < PRODUCERS; p++)
        pthread_join(threads[p], NULL);
    ok(in_order, "each producer's closures come out in its order");
    ok(closure_queue_empty(&queue), "and none is lost, none comes twice");
}

/* --- many producers, many consumers ----------------------------------------------------------- */

static struct pointer_ring *ring;
static u8 taken_times[PRODUCERS * EACH];
static u32 taken_total;

static void *ring_produce(void *argument)
{
    u8 *mine = argument;
    for (u32 i = 0; i < EACH; i++) {
        while (!pointer_ring_add(ring, &mine[i]))
            sched_yield();
    }
    return NULL;
}

static void *ring_consume(__attribute__((unused)) void *argument)
{
    while (__atomic_load_n(&taken_total, __ATOMIC_RELAXED) < PRODUCERS * EACH) {
        u8 *p = pointer_ring_take(ring);
        if (!p) {
            sched_yield();
            continue;
        }
        ++*p; /* a place that two consumers got would be a race */
        __atomic_fetch_add(&taken_total, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void test_pointer_ring(void)
{
    pthread_t producers[PRODUCERS], consumers[2];
    ring = pointer_ring_create(host_heap, 5);
    for (u32 p = 0; p < PRODUCERS; p++)
        pthread_create(&producers[p], NULL, ring_produce, &taken_times[p * EACH]);
    for (u32 c = 0; c < countof(consumers); c++)
        pthread_create(&consumers[c], NULL, ring_consume, NULL);
    for (u32 p = 0; p < PRODUCERS; p++)
        pthread_join(producers[p], NULL);
    for (u32 c = 0; c < countof(consumers); c++)
        pthread_join(consumers[c], NULL);
    bool once = true;
    for (u32 i = 0; i < countof(taken_times); i++)
        once &= taken_times[i] == 1;
    ok(once, "each pointer is taken once");
    pointer_ring_destroy(ring);
}

/* --- branches that close on several threads --------------------------------------------------- */

#define BRANCHES 10000

static void *close_branches(void *argument)
{
    status_handler branch = argument;
    for (u32 i = 0; i < BRANCHES; i++)
        apply(branch, i == BRANCHES / 2 ? status_error(EIO, "test: a branch", i) : STATUS_OK);
    return NULL;
}

static void test_merge(void)
{
    pthread_t threads[PRODUCERS];
    struct host_result r;
    struct merge m;
    init_merge(&m, host_result_init(&r));
    status_handler branch = NULL;
    for (u32 i = 0; i < PRODUCERS * BRANCHES; i++)
        branch = apply_merge(&m);
    for (u32 p = 0; p < PRODUCERS; p++)
        pthread_create(&threads[p], NULL, close_branches, branch);
    merge_finish(&m);
    for (u32 p = 0; p < PRODUCERS; p++)
        pthread_join(threads[p], NULL);
    ok(r.applied == 1 && status_errno(r.s) == EIO && r.s.detail == BRANCHES / 2,
       "a merge completes once, with a failure, whoever closes it");
}

/* --- locks ------------------------------------------------------------------------------------ */

static struct spinlock lock = SPINLOCK(RANK_FS, "stress");
static u64 locked_count;

static struct lock_stack *thread_locks(void)
{
    static __thread struct lock_stack stack;
    return &stack;
}

static void *count_locked(__attribute__((unused)) void *argument)
{
    for (u32 i = 0; i < EACH; i++) {
        spin_lock(&lock);
        locked_count++;
        spin_unlock(&lock);
    }
    return NULL;
}

static void test_lock(void)
{
    pthread_t threads[PRODUCERS];
    for (u32 p = 0; p < PRODUCERS; p++)
        pthread_create(&threads[p], NULL, count_locked, NULL);
    for (u32 p = 0; p < PRODUCERS; p++)
        pthread_join(threads[p], NULL);
    is(locked_count, PRODUCERS * EACH, "a lock lets one thread in at a time");
}

int main(void)
{
    lock_context = thread_locks;
    test_closure_queue();
    test_pointer_ring();
    test_merge();
    test_lock();
    return done_testing();
}
