/* Merges with branches that close on eight threads at once, under TSan: each completes once, with
   the first failure and the right number of them, and its memory may go at once. */
#include "runtime/lock.h"
#include "runtime/merge.h"
#include "runtime/random.h"
#include "test/host/harness.h"

#include <pthread.h>

#define THREADS  8
#define ROUNDS   300
#define BRANCHES 16 /* of each thread in each round */

struct thread_work {
    pthread_t thread;
    struct random random;
    u32 number;
    u32 failed; /* branches, in all rounds */
};

static struct thread_work works[THREADS];
static pthread_barrier_t begin, end;
static merge current;
static status_handler branches[THREADS];
static u32 failures, completed, failures_sum, first_failures;

static struct lock_stack *thread_locks(void)
{
    static __thread struct lock_stack stack;
    return &stack;
}

/* Applied by any of the threads; nobody else runs then but those that wait for the round's end. */
closure_function(status_handler, round_done, (), status s)
{
    closure_finish();
    completed++;
    failures_sum += failures;
    first_failures += !is_ok(s);
    must(is_ok(s) == (failures == 0));
    must(is_ok(s) || (s.detail < THREADS * BRANCHES && status_errno(s) == EIO));
}

static void branches_close(struct thread_work *w)
{
    for (u32 i = 0; i < BRANCHES; i++) {
        bool fails = random_below(&w->random, 64) == 0;
        w->failed += fails;
        apply(branches[w->number],
              fails ? status_error(EIO, "test: a branch", w->number * BRANCHES + i) : STATUS_OK);
    }
}

static void *thread_run(void *argument)
{
    struct thread_work *w = argument;
    for (u32 i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&begin);
        branches_close(w);
        pthread_barrier_wait(&end);
    }
    return NULL;
}

/* The guard is closed while the threads are at it. */
static void round_run(u32 round)
{
    status_handler done = closure(host_heap, round_done);
    current = done ? allocate_merge(host_heap, done) : NULL;
    if (!current)
        panic("no memory for a merge");
    merge_count_failures(current, &failures);
    for (u32 t = 0; t < THREADS; t++) {
        for (u32 i = 0; i < BRANCHES; i++)
            branches[t] = apply_merge(current);
    }
    pthread_barrier_wait(&begin);
    merge_finish(current);
    pthread_barrier_wait(&end);
    must(completed == round + 1);
}

int main(void)
{
    u64 seed = test_seed();
    lock_context = thread_locks;
    pthread_barrier_init(&begin, NULL, THREADS + 1);
    pthread_barrier_init(&end, NULL, THREADS + 1);
    for (u32 t = 0; t < THREADS; t++) {
        works[t].number = t;
        random_init(&works[t].random, seed + t);
        pthread_create(&works[t].thread, NULL, thread_run, &works[t]);
    }
    for (u32 round = 0; round < ROUNDS; round++)
        round_run(round);
    u32 failed = 0;
    for (u32 t = 0; t < THREADS; t++) {
        pthread_join(works[t].thread, NULL);
        failed += works[t].failed;
    }
    is(completed, ROUNDS, "each merge completes once, whoever closes it");
    ok(first_failures > 0 && first_failures < ROUNDS, "some of them with a failure");
    is(failures_sum, failed, "and every failure is counted");
    return done_testing();
}
