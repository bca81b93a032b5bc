/* Queues, merges and the checks with real threads, under TSan.  Short: it looks for races; a model
   checker looks for orders (test/model/). */
#include "runtime/lock.h"
#include "runtime/merge.h"
#include "runtime/queue.h"
#include "runtime/random.h"
#include "test/host/harness.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#define PRODUCERS 3
#define CONSUMERS 2
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

static struct thunk_queue many;
static struct counted {
    struct thunk run;
    u32 producer, number;
    u32 times;
    bool ran; /* [a] */
} counted[PRODUCERS][EACH];
static u32 taken_total;

/* What each consumer sees of each producer comes in that producer's order. */
static __thread u32 seen_next[PRODUCERS];
static bool many_in_order = true;

closure_method(thunk, counted_run, struct counted, run)
{
    struct counted *c = owner();
    c->times++; /* one that two consumers got would be a race */
    if (c->number < seen_next[c->producer])
        __atomic_store_n(&many_in_order, false, __ATOMIC_RELAXED);
    seen_next[c->producer] = c->number + 1;
    __atomic_fetch_add(&taken_total, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&c->ran, true, __ATOMIC_RELEASE);
}

static void *many_produce(void *argument)
{
    struct counted *mine = argument;
    for (u32 i = 0; i < EACH; i++)
        thunk_queue_add(&many, thunk_deferred(&mine[i].run));
    return NULL;
}

static void *many_consume(__attribute__((unused)) void *argument)
{
    while (__atomic_load_n(&taken_total, __ATOMIC_RELAXED) < PRODUCERS * EACH) {
        struct closure_header *next = thunk_queue_take(&many);
        if (next)
            closure_run_deferred(next);
        else
            sched_yield();
    }
    return NULL;
}

static bool each_once(void)
{
    bool once = true;
    for (u32 p = 0; p < PRODUCERS; p++) {
        for (u32 i = 0; i < EACH; i++)
            once &= counted[p][i].times == 1;
    }
    return once;
}

static void counted_init(void)
{
    taken_total = 0;
    for (u32 p = 0; p < PRODUCERS; p++) {
        for (u32 i = 0; i < EACH; i++) {
            counted[p][i] = (struct counted){.producer = p, .number = i};
            init_method(&counted[p][i].run, counted_run);
        }
    }
}

static void test_thunk_queue(u32 order)
{
    pthread_t producers[PRODUCERS], consumers[CONSUMERS];
    thunk_queue_init_order(&many, order);
    counted_init();
    for (u32 p = 0; p < PRODUCERS; p++)
        pthread_create(&producers[p], NULL, many_produce, counted[p]);
    for (u32 c = 0; c < CONSUMERS; c++)
        pthread_create(&consumers[c], NULL, many_consume, NULL);
    for (u32 p = 0; p < PRODUCERS; p++)
        pthread_join(producers[p], NULL);
    for (u32 c = 0; c < CONSUMERS; c++)
        pthread_join(consumers[c], NULL);
    ok(each_once(), "with %u places, each closure is taken once", 1u << order);
    ok(many_in_order, "and no consumer sees a producer's out of order");
    ok(thunk_queue_empty(&many), "and none is left");
}

/* --- consumers that sleep ---------------------------------------------------------------------

   The protocol of runtime/queue.h, with bits for who sleeps, as the CPUs have them.  TSan knows no
   fences, so the exchanges of the bits are sequentially consistent instead.  Producers wait for
   what they added, so that everybody runs out of work and sleeps all the time; a wake-up that is
   lost shows as a sleeper that nobody wakes although there is work. */

#define ROUNDS       3000
#define LOST_AFTER_S 20
#define BURST_MOST   4

static struct sleeper {
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    bool awake;
} sleepers[CONSUMERS];
static u32 sleeping; /* bit n: consumer n */
static bool stop, lost;
static u32 slept;

static void sleeper_wake(struct sleeper *s)
{
    pthread_mutex_lock(&s->mutex);
    s->awake = true;
    pthread_cond_signal(&s->woken);
    pthread_mutex_unlock(&s->mutex);
}

static void sleeper_sleep(struct sleeper *s)
{
    struct timespec until;
    int failed = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LOST_AFTER_S;
    pthread_mutex_lock(&s->mutex);
    while (!s->awake && !failed)
        failed = pthread_cond_timedwait(&s->woken, &s->mutex, &until);
    s->awake = false;
    pthread_mutex_unlock(&s->mutex);
    __atomic_fetch_add(&slept, 1, __ATOMIC_RELAXED);
    if (failed && !thunk_queue_empty(&many))
        __atomic_store_n(&lost, true, __ATOMIC_RELAXED);
}

/* Takes one sleeper off the list and wakes it; false when all are awake. */
static bool wake_one(void)
{
    u32 seen = __atomic_fetch_or(&sleeping, 0, __ATOMIC_SEQ_CST);
    while (seen) {
        u32 bit = seen & -seen;
        if (__atomic_fetch_and(&sleeping, ~bit, __ATOMIC_SEQ_CST) & bit) {
            sleeper_wake(&sleepers[__builtin_ctz(bit)]);
            return true;
        }
        seen &= ~bit;
    }
    return false;
}

static void *idle_consume(void *argument)
{
    u32 n = (u32)(uintptr_t)argument, bit = 1u << n, idle = 0;
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        struct closure_header *next = thunk_queue_take(&many);
        if (next) {
            closure_run_deferred(next);
            continue;
        }
        if (++idle % 8 == 0)
            sched_yield(); /* time for producers to add what a sleeper would miss */
        __atomic_fetch_or(&sleeping, bit, __ATOMIC_SEQ_CST);
        if ((thunk_queue_empty(&many) && !__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) ||
            !(__atomic_fetch_and(&sleeping, ~bit, __ATOMIC_SEQ_CST) & bit))
            sleeper_sleep(&sleepers[n]); /* or somebody is waking us: then it ends at once */
    }
    return NULL;
}

static void *burst_produce(void *argument)
{
    struct counted *mine = argument;
    struct random r;
    random_init(&r, 1 + mine->producer);
    for (u32 i = 0; i < ROUNDS && !__atomic_load_n(&lost, __ATOMIC_RELAXED);) {
        u32 end = min(i + 1 + (u32)random_below(&r, BURST_MOST), (u32)ROUNDS);
        u32 first = i;
        for (; i < end; i++) {
            thunk_queue_add(&many, thunk_deferred(&mine[i].run));
            wake_one();
        }
        for (u32 at = first; at < end; at++) {
            while (!__atomic_load_n(&mine[at].ran, __ATOMIC_ACQUIRE) &&
                   !__atomic_load_n(&lost, __ATOMIC_RELAXED))
                sched_yield();
        }
    }
    return NULL;
}

static void test_idle(void)
{
    pthread_t producers[PRODUCERS], consumers[CONSUMERS];
    thunk_queue_init_order(&many, 1);
    counted_init();
    for (u32 c = 0; c < CONSUMERS; c++) {
        pthread_mutex_init(&sleepers[c].mutex, NULL);
        pthread_cond_init(&sleepers[c].woken, NULL);
        pthread_create(&consumers[c], NULL, idle_consume, (void *)(uintptr_t)c);
    }
    for (u32 p = 0; p < PRODUCERS; p++)
        pthread_create(&producers[p], NULL, burst_produce, counted[p]);
    for (u32 p = 0; p < PRODUCERS; p++)
        pthread_join(producers[p], NULL);
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    while (wake_one())
        ;
    for (u32 c = 0; c < CONSUMERS; c++)
        pthread_join(consumers[c], NULL);
    ok(!lost, "no wake-up of a sleeping consumer is lost");
    is(taken_total, PRODUCERS * ROUNDS, "and everything has run");
    ok(slept > ROUNDS / 100, "(they slept %u times)", slept);
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
    test_thunk_queue(1);
    test_thunk_queue(THUNK_QUEUE_ORDER);
    test_idle();
    test_merge();
    test_lock();
    return done_testing();
}
