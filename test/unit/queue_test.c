/* Queues on one thread; threads are in queue_stress. */
#include "runtime/queue.h"
#include "runtime/random.h"
#include "test/host/harness.h"

struct task {
    struct thunk run;
    u64 number;
    u64 *last;
    bool queued;
};

closure_method(thunk, task_run, struct task, run)
{
    struct task *t = owner();
    *t->last = t->number;
    t->queued = false;
}

#define TASKS 100

static void test_order(struct random *r)
{
    static struct task tasks[TASKS];
    struct closure_queue q = {0};
    u64 last = 0, added = 0, taken = 0;
    for (u32 i = 0; i < TASKS; i++) {
        tasks[i].last = &last;
        init_method(&tasks[i].run, task_run);
    }
    for (u32 step = 0; step < 20000; step++) {
        struct task *t = &tasks[random_below(r, TASKS)];
        if (!t->queued && random_below(r, 2)) {
            t->number = ++added;
            t->queued = true;
            closure_queue_add(&q, thunk_deferred(&t->run));
        } else {
            struct closure_header *next = closure_queue_take(&q);
            must((next != NULL) == (taken < added));
            if (!next)
                continue;
            closure_run_deferred(next);
            must(last == ++taken);
        }
        must(closure_queue_empty(&q) == (taken == added));
    }
    ok(true, "20000 random steps keep the order of adding");
}

static void test_wake(void)
{
    struct closure_queue q;
    struct host_result a, b;
    closure_queue_init(&q);
    ok(closure_queue_add(&q, status_deferred(host_result_init(&a), STATUS_OK)),
       "the first producer has to wake the consumer");
    ok(!closure_queue_add(&q, status_deferred(host_result_init(&b), STATUS_OK)),
       "the next one has not");
    closure_run_deferred(closure_queue_take(&q));
    closure_run_deferred(closure_queue_take(&q));
    ok(a.applied == 1 && b.applied == 1 && closure_queue_take(&q) == NULL, "both are applied");
}

/* A queue of four places under a hundred closures spills and comes back all the time. */
static void test_many_order(struct random *r, u32 order)
{
    static struct task tasks[TASKS];
    struct thunk_queue q;
    u64 last = 0, added = 0, taken = 0;
    thunk_queue_init_order(&q, order);
    for (u32 i = 0; i < TASKS; i++) {
        tasks[i].last = &last;
        init_method(&tasks[i].run, task_run);
    }
    /* Mostly adding for a while, then mostly taking. */
    for (u32 step = 0, bias = 1; step < 40000; step++) {
        struct task *t = &tasks[random_below(r, TASKS)];
        if (step % 500 == 0)
            bias = 1 + (u32)random_below(r, 9);
        if (!t->queued && random_below(r, 10) < bias) {
            t->number = ++added;
            t->queued = true;
            must(thunk_queue_add(&q, thunk_deferred(&t->run)) == (added == taken + 1));
        } else {
            struct closure_header *next = thunk_queue_take(&q);
            must((next != NULL) == (taken < added));
            if (!next)
                continue;
            must(next->next == NULL);
            closure_run_deferred(next);
            must(last == ++taken);
        }
        must(thunk_queue_empty(&q) == (taken == added));
        must(thunk_queue_added(&q) == added);
    }
    ok(added > 1000, "40000 random steps with %u places keep the order of adding", 1u << order);
}

static void test_spill(void)
{
    struct thunk_queue q;
    struct host_result results[3 * THUNK_QUEUE_PLACES];
    u32 n = 0;
    thunk_queue_init(&q);
    ok(thunk_queue_empty(&q) && !thunk_queue_take(&q), "an empty queue has nothing");
    for (u32 i = 0; i < countof(results); i++)
        thunk_queue_add(&q, status_deferred(host_result_init(&results[i]), STATUS_OK));
    is(q.spill_count, 2 * THUNK_QUEUE_PLACES, "what the ring has no place for spills");
    for (struct closure_header *next; (next = thunk_queue_take(&q)); n++) {
        closure_run_deferred(next);
        must(results[n].applied == 1);
    }
    is(n, countof(results), "and comes back, in order");
    ok(q.spill_count == 0 && thunk_queue_empty(&q), "and then the ring is enough again");
}

int main(void)
{
    struct random r;
    random_init(&r, test_seed());
    test_order(&r);
    test_wake();
    test_many_order(&r, 2);
    test_many_order(&r, 1);
    test_many_order(&r, THUNK_QUEUE_ORDER);
    test_spill();
    return done_testing();
}
