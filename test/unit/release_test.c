/* What a kernel without CLOSURE_CHECKS does about a completion that is applied a second time: its
   body does not run, it is counted, and each function is reported once.  This program and what it
   stands on are built without the checks. */
#include "runtime/merge.h"
#include "runtime/scope.h"
#include "test/host/harness.h"

#ifdef CLOSURE_CHECKS
#error "the checks would find the mistakes first"
#endif

completion_type(pair_handler, void, u64 a, status s);

/* Memory that is given back but stays as it was, so that a mistake may be made in it. */
static u8 arena[4096] __attribute__((aligned(64)));
static u64 arena_used;

static void *arena_allocate(__attribute__((unused)) heap h, u64 bytes)
{
    void *p = arena + arena_used;
    arena_used += align_up(bytes, 64);
    return p;
}

static void arena_deallocate(__attribute__((unused)) heap h, __attribute__((unused)) void *p,
                             __attribute__((unused)) u64 bytes)
{
}

static struct heap arena_heap = {arena_allocate, arena_deallocate, "arena"};

static u32 reports;
static const struct closure_info *reported;

static void note_refusal(const struct closure_info *info)
{
    reports++;
    reported = info;
}

closure_function(status_handler, count_status, (u32 * count), __attribute__((unused)) status s)
{
    u32 *count = bound(count);
    closure_finish();
    ++*count;
}

closure_function(pair_handler, count_pair, (u32 * count), u64 a, __attribute__((unused)) status s)
{
    *bound(count) += (u32)a;
}

/* The body of a method makes it anew. */
struct renewed {
    struct status_handler done;
    u32 count;
};

closure_method(status_handler, renewed_done, struct renewed, done, status s)
{
    struct renewed *r = owner();
    r->count++;
    if (is_ok(s))
        init_method(&r->done, renewed_done);
}

static void test_heap(void)
{
    u32 count = 0, pairs = 0;
    status_handler done = closure(&arena_heap, count_status, &count);
    apply(done, STATUS_OK);
    ok(count == 1 && closure_refusals == 0, "a completion is applied");
    apply(done, STATUS_OK);
    ok(count == 1 && closure_refusals == 1, "the second time it is refused and counted");
    is(reports, 1, "and reported");
    is_string(reported->name, "count_status", "by name");
    closure_run_deferred(status_deferred(done, STATUS_OK));
    ok(count == 1 && closure_refusals == 2 && reports == 1,
       "from a queue too; its function is reported once");
    done = closure(&arena_heap, count_status, &count);
    closure_release(&done->header);
    apply(done, STATUS_OK);
    ok(count == 1 && closure_refusals == 3, "one that was freed without being applied is refused");
    pair_handler both = closure(&arena_heap, count_pair, &pairs);
    apply(both, 5, STATUS_OK);
    apply(both, 5, STATUS_OK);
    ok(pairs == 5 && closure_refusals == 4 && reports == 2, "a type with more arguments as well");
}

static void test_method(void)
{
    struct renewed r = {.count = 0};
    u64 before = closure_refusals;
    init_method(&r.done, renewed_done);
    for (u32 i = 0; i < 3; i++)
        apply(&r.done, STATUS_OK);
    ok(r.count == 3 && closure_refusals == before, "a method may make itself anew");
    apply(&r.done, status_error(EIO, "test", 0));
    apply(&r.done, STATUS_OK);
    ok(r.count == 4 && closure_refusals == before + 1, "and is refused when it did not");
}

static void test_merge(void)
{
    struct host_result r;
    struct merge m;
    u64 before = closure_refusals;
    init_merge(&m, host_result_init(&r));
    status_handler branch = NULL;
    for (u32 i = 0; i < 100; i++)
        branch = apply_merge(&m);
    for (u32 i = 0; i < 100; i++)
        apply(branch, STATUS_OK);
    merge_finish(&m);
    ok(r.applied == 1 && closure_refusals == before, "the branches of a merge share one closure");
}

closure_function(thunk, count_thunk, (u32 * count))
{
    ++*bound(count);
}

static void test_thunk(void)
{
    u32 count = 0;
    thunk t = stack_closure(count_thunk, &count);
    for (u32 i = 0; i < 3; i++)
        apply(t);
    is(count, 3, "what is no completion is applied any number of times");
}

int main(void)
{
    closure_set_refusal_reporter(note_refusal);
    test_heap();
    test_method();
    test_merge();
    test_thunk();
    return done_testing();
}
