/* Merges: the guard, first failures, embedding, random orders; threads are in merge_stress. */
#include "runtime/merge.h"
#include "runtime/random.h"
#include "test/host/harness.h"

static void test_guard(void)
{
    struct counting_heap h;
    struct host_result r;
    counting_heap_init(&h, "merge");
    merge m = allocate_merge(&h.h, host_result_init(&r));
    status_handler first = apply_merge(m);
    apply(first, STATUS_OK);
    is(r.applied, 0, "the guard holds a merge open");
    status_handler second = apply_merge(m);
    merge_finish(m);
    is(r.applied, 0, "and after it the branches do");
    apply(second, STATUS_OK);
    ok(r.applied == 1 && is_ok(r.s), "the last one completes it with success");
    is(h.live, 0, "and gives the merge back");
    m = allocate_merge(&h.h, host_result_init(&r));
    merge_finish(m);
    ok(r.applied == 1 && is_ok(r.s), "a merge without branches completes when it is finished");
    counting_heap_close(&h);
}

static void test_failures(void)
{
    struct merge m;
    struct host_result r;
    init_merge(&m, host_result_init(&r));
    status_handler a = apply_merge(&m), b = apply_merge(&m), c = apply_merge(&m);
    apply(a, STATUS_OK);
    apply(b, status_error(EIO, "test: first", 1));
    apply(c, status_error(ENOMEM, "test: second", 2));
    merge_fail(&m, status_error(EINVAL, "test: third", 3));
    is(merge_failures(&m), 3, "failures are counted");
    merge_finish(&m);
    ok(r.applied == 1 && status_errno(r.s) == EIO && r.s.detail == 1, "the first one wins");
    init_merge(&m, host_result_init(&r));
    merge_fail(&m, status_error(ENOSPC, "test: not started", 0));
    merge_finish(&m);
    ok(r.applied == 1 && status_errno(r.s) == ENOSPC, "a branch that could not start fails it");
    u32 failures = 77;
    merge on_heap = allocate_merge(host_heap, host_result_init(&r));
    if (!on_heap)
        panic("no memory for a merge");
    merge_count_failures(on_heap, &failures);
    status_handler branch = NULL;
    for (u32 i = 0; i < 1000; i++)
        branch = apply_merge(on_heap);
    for (u32 i = 0; i < 1000; i++)
        apply(branch, i % 10 ? STATUS_OK : status_error(EIO, "test: every tenth", i));
    is(failures, 77, "the number of failures is told at the end");
    merge_finish(on_heap);
    ok(r.applied == 1 && r.s.detail == 0 && failures == 100, "with the first one: 100 of 1000");
}

/* Branches answer from a shuffled queue; some fail; merges are nested. */
closure_function(thunk, branch_answers, (status_handler done, status s))
{
    status_handler done = bound(done);
    status s = bound(s);
    closure_finish();
    apply(done, s);
}

static void branch_start(heap h, merge m, status s)
{
    status_handler branch = apply_merge(m);
    thunk answer = closure(h, branch_answers, branch, s);
    if (answer)
        host_run_later(answer);
    else
        apply(branch, status_error(ENOMEM, "test: no memory", 0));
}

/* Returns how many of its branches fail. */
static u32 tree_start(struct random *r, heap h, status_handler done, u32 depth)
{
    u32 failing = 0, branches = (u32)random_below(r, 6);
    merge m = allocate_merge(h, done);
    if (!m) {
        apply(done, status_error(ENOMEM, "test: no memory", 0));
        return 1;
    }
    for (u32 i = 0; i < branches; i++) {
        if (depth && random_below(r, 3) == 0) {
            failing += tree_start(r, h, apply_merge(m), depth - 1);
        } else {
            bool fails = random_below(r, 10) == 0;
            failing += fails;
            branch_start(h, m, fails ? status_error(EIO, "test: branch", i) : STATUS_OK);
        }
    }
    merge_finish(m);
    return failing;
}

static void test_random(u64 seed)
{
    struct random r;
    struct counting_heap h;
    counting_heap_init(&h, "random merges");
    random_init(&r, seed);
    host_run_shuffle(seed | 1);
    for (u32 i = 0; i < 2000; i++) {
        struct host_result result;
        u32 failing = tree_start(&r, &h.h, host_result_init(&result), 3);
        host_run();
        must(result.applied == 1);
        must(is_ok(result.s) == (failing == 0));
        must(h.live == 0);
    }
    host_run_shuffle(0);
    ok(true, "2000 random trees of merges complete once, and fail when a branch did");
    counting_heap_close(&h);
}

closure_function(allocation_test, tree_once, (u64 seed), heap h)
{
    struct random r;
    struct host_result result;
    random_init(&r, bound(seed));
    u32 failing = tree_start(&r, h, host_result_init(&result), 3);
    host_run();
    must(result.applied == 1);
    must(is_ok(result.s) || status_errno(result.s) == ENOMEM || failing);
    return is_ok(result.s) || status_errno(result.s) == EIO;
}

closure_function(thunk, finish_twice, ())
{
    struct merge m;
    struct host_result r;
    init_merge(&m, host_result_init(&r));
    merge_finish(&m);
    merge_finish(&m);
}

int main(void)
{
    u64 seed = test_seed();
    test_guard();
    test_failures();
    test_random(seed);
    fail_each_allocation("a tree of merges", stack_closure(tree_once, seed));
    ok(panics(stack_closure(finish_twice)), "closing more branches than were opened panics");
    return done_testing();
}
