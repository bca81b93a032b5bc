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

static void test_ring(struct random *r)
{
    static u8 things[1000];
    struct counting_heap h;
    counting_heap_init(&h, "ring");
    struct pointer_ring *ring = pointer_ring_create(&h.h, 3);
    u64 added = 0, taken = 0;
    ok(!pointer_ring_take(ring), "an empty ring has nothing");
    for (u32 step = 0; step < 100000; step++) {
        if (random_below(r, 2)) {
            bool room = pointer_ring_add(ring, &things[added % countof(things)]);
            must(room == (added - taken < 8));
            added += room;
        } else {
            u8 *p = pointer_ring_take(ring);
            must(p == (taken < added ? &things[taken % countof(things)] : NULL));
            taken += p != NULL;
        }
    }
    ok(true, "a ring of eight holds eight, refuses the ninth, and keeps their order");
    pointer_ring_destroy(ring);
    h.fail_at = h.calls + 1;
    ok(!pointer_ring_create(&h.h, 3), "and is not made when there is no memory");
    counting_heap_close(&h);
}

int main(void)
{
    struct random r;
    random_init(&r, test_seed());
    test_order(&r);
    test_wake();
    test_ring(&r);
    return done_testing();
}
