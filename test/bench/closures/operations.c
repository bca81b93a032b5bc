/* What is measured of closures, merges and queues: see operations.h.  A function's loop is the
   operation and nothing else. */
#include "test/bench/closures/operations.h"
#include "runtime/merge.h"
#include "runtime/queue.h"

#define BRANCHES 8
#define BATCH    32 /* thunks that are queued before the first of them is taken */

static u64 sum;
static heap bench_heap;

void bench_operations_init(heap h)
{
    bench_heap = h;
}

/* --- the plain callback ----------------------------------------------------------------------- */

struct callback {
    void (*function)(void *argument, u64 value);
    void *argument;
};

static __attribute__((noinline)) void callback_body(void *argument, u64 value)
{
    *(u64 *)argument += value;
}

static __attribute__((noinline)) void callback_call(struct callback *c, u64 value)
{
    c->function(c->argument, value);
    hide(c);
}

static void callback_made(u64 rounds)
{
    static struct callback c;
    for (u64 i = 0; i < rounds; i++) {
        struct callback *made = hide(&c);
        made->function = callback_body;
        made->argument = &sum;
        callback_call(made, i);
    }
}

static void callback_only(u64 rounds)
{
    static struct callback c = {callback_body, &sum};
    struct callback *made = hide(&c);
    for (u64 i = 0; i < rounds; i++)
        callback_call(made, i);
}

/* --- the same as closures --------------------------------------------------------------------- */

closure_type(bench_visitor, void, u64 value);

struct bench_owner {
    u64 sum;
    struct bench_visitor visit;
};

closure_method(bench_visitor, owner_visit, struct bench_owner, visit, u64 value)
{
    owner()->sum += value;
}

closure_function(bench_visitor, heap_visit, (u64 * to), u64 value)
{
    *bound(to) += value;
    closure_finish();
}

closure_function(bench_visitor, stack_visit, (u64 * to), u64 value)
{
    *bound(to) += value;
}

static __attribute__((noinline)) void visitor_call(bench_visitor v, u64 value)
{
    apply(v, value);
    hide(&sum);
}

static void embedded_made(u64 rounds)
{
    static struct bench_owner o;
    for (u64 i = 0; i < rounds; i++) {
        struct bench_owner *made = hide(&o);
        init_method(&made->visit, owner_visit);
        visitor_call(&made->visit, i);
    }
}

static void embedded_only(u64 rounds)
{
    static struct bench_owner o;
    init_method(&o.visit, owner_visit);
    struct bench_owner *made = hide(&o);
    for (u64 i = 0; i < rounds; i++)
        visitor_call(&made->visit, i);
}

static void stack_made(u64 rounds)
{
    for (u64 i = 0; i < rounds; i++)
        visitor_call(hide(stack_closure(stack_visit, &sum)), i);
}

static void heap_made(u64 rounds)
{
    for (u64 i = 0; i < rounds; i++) {
        bench_visitor v = closure(bench_heap, heap_visit, &sum);
        if (v)
            visitor_call(v, i);
    }
}

/* --- merges ----------------------------------------------------------------------------------- */

struct joined {
    struct status_handler done;
    struct merge all;
};

closure_method(status_handler, joined_done, struct joined, done, status s)
{
    (void)owner();
    sum += is_ok(s);
}

static __attribute__((noinline)) void branch_close(status_handler branch)
{
    apply(branch, STATUS_OK);
}

static void merge_branches(merge m)
{
    for (u32 branch = 0; branch < BRANCHES; branch++)
        branch_close(hide(apply_merge(m)));
    merge_finish(m);
}

static void merge_embedded(u64 rounds)
{
    static struct joined j;
    for (u64 i = 0; i < rounds; i++) {
        struct joined *made = hide(&j);
        init_method(&made->done, joined_done);
        init_merge(&made->all, &made->done);
        merge_branches(&made->all);
    }
}

static void merge_allocated(u64 rounds)
{
    static struct joined j;
    for (u64 i = 0; i < rounds; i++) {
        struct joined *made = hide(&j);
        init_method(&made->done, joined_done);
        merge m = allocate_merge(bench_heap, &made->done);
        if (m)
            merge_branches(m);
    }
}

/* --- queues ----------------------------------------------------------------------------------- */

struct queued {
    struct thunk run;
};

closure_method(thunk, queued_run, struct queued, run)
{
    sum += owner() != NULL;
}

static struct closure_queue one_consumer;
static struct thunk_queue many_consumers;
static struct queued queued[BATCH];

static void queued_init(void)
{
    thunk_queue_init(&many_consumers);
    for (u32 i = 0; i < BATCH; i++)
        init_method(&queued[i].run, queued_run);
}

static void hand_over(u64 rounds)
{
    queued_init();
    for (u64 i = 0; i < rounds; i++) {
        closure_queue_add(hide(&one_consumer), thunk_deferred(&queued[0].run));
        closure_run_deferred(closure_queue_take(hide(&one_consumer)));
    }
}

static void hand_over_batch(u64 rounds)
{
    queued_init();
    for (u64 i = 0; i < rounds; i += BATCH) {
        for (u32 k = 0; k < BATCH; k++)
            closure_queue_add(hide(&one_consumer), thunk_deferred(&queued[k].run));
        for (u32 k = 0; k < BATCH; k++)
            closure_run_deferred(closure_queue_take(hide(&one_consumer)));
    }
}

static void hand_over_shared(u64 rounds)
{
    queued_init();
    for (u64 i = 0; i < rounds; i++) {
        thunk_queue_add(hide(&many_consumers), thunk_deferred(&queued[0].run));
        closure_run_deferred(thunk_queue_take(hide(&many_consumers)));
    }
}

const struct bench_operation bench_operations[] = {
    {"callback_made", callback_made},
    {"callback_only", callback_only},
    {"embedded_made", embedded_made},
    {"embedded_only", embedded_only},
    {"stack_made", stack_made},
    {"heap_made", heap_made},
    {"merge_embedded", merge_embedded},
    {"merge_allocated", merge_allocated},
    {"hand_over", hand_over},
    {"hand_over_batch", hand_over_batch},
    {"hand_over_shared", hand_over_shared},
    {NULL, NULL},
};
