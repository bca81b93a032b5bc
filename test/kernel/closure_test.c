/* Closures, the run loop's queues and merges, as the kernel runs them. */
#include "kernel/memory.h"
#include "runtime/format.h"
#include "runtime/merge.h"
#include "test/kernel/kernel_test.h"

closure_type(number_handler, void, u64 n);

closure_function(number_handler, number_add, (u64 * sum), u64 n)
{
    *bound(sum) += n;
}

static void stack_closures(void)
{
    u64 sum = 0;
    number_handler add = stack_closure(number_add, &sum);
    for (u64 n = 1; n <= 100; n++)
        apply(add, n);
    expect(sum == 5050);
    test_pass();
}

static u32 order_seen, thunks_run;

closure_function(thunk, order_check, (u32 expected))
{
    u32 expected = bound(expected);
    closure_finish();
    if (order_seen++ == expected)
        thunks_run++;
}

closure_function(thunk, order_end, ())
{
    closure_finish();
    expect(thunks_run == 1000);
    test_pass();
}

static void queue_order(void)
{
    for (u32 i = 0; i < 1000; i++) {
        thunk t = closure(general_heap, order_check, i);
        expect(t);
        run_later(t);
    }
    thunk end = closure(general_heap, order_end);
    expect(end);
    run_later(end);
}

/* Threads come after everything else, bottom halves after the CPU's own thunks. */
static char priorities[4];
static u32 priority_count;

static void priority_noted(char name)
{
    priorities[priority_count++] = name;
    if (priority_count < 3)
        return;
    expect(priorities[0] == 'o' && priorities[1] == 'b' && priorities[2] == 't');
    test_pass();
}

closure_function(thunk, priority_note, (char name))
{
    char name = bound(name);
    closure_finish();
    priority_noted(name);
}

static struct runnable priority_thread;

closure_method(thunk, priority_thread_note, struct runnable, run)
{
    (void)owner();
    priority_noted('t');
}

static void queue_priorities(void)
{
    thunk bottom = closure(general_heap, priority_note, 'b');
    thunk own = closure(general_heap, priority_note, 'o');
    expect(bottom && own);
    runnable_init(&priority_thread);
    init_method(&priority_thread.run, priority_thread_note);
    run_thread(&priority_thread);
    run_bottom_half(bottom);
    run_later(own);
}

static bool guard_open;

closure_function(status_handler, merged, (), status s)
{
    closure_finish();
    expect(!guard_open);
    expect(status_errno(s) == EIO && s.detail == 7);
    test_pass();
}

closure_function(thunk, branch_end, (status_handler branch, u32 n))
{
    status_handler branch = bound(branch);
    u32 n = bound(n);
    closure_finish();
    apply(branch, n >= 7 ? status_error(EIO, "test: a branch failed", n) : STATUS_OK);
}

static void merges(void)
{
    status_handler done = closure(general_heap, merged);
    merge m = done ? allocate_merge(general_heap, done) : NULL;
    expect(m);
    guard_open = true;
    for (u32 n = 0; n < 10; n++) {
        thunk t = closure(general_heap, branch_end, apply_merge(m), n);
        expect(t);
        run_later(t);
    }
    guard_open = false;
    merge_finish(m);
}

closure_function(status_handler, status_came, (), status s)
{
    closure_finish();
    expect(status_errno(s) == ENOSPC && s.detail == 5);
    test_pass();
}

static void deferred_status(void)
{
    status_handler done = closure(general_heap, status_came);
    expect(done);
    run_later_status(done, status_error(ENOSPC, "test: deferred", 5));
}

/* This kernel has the checks: without this reporter it would stop with the same words. */
static char mistake[256];

static void mistake_keep(const char *text)
{
    format_text(mistake, sizeof(mistake), "%s", text);
}

struct applied_twice {
    struct status_handler done;
    u32 count;
};

closure_method(status_handler, applied_twice_done, struct applied_twice, done, status s)
{
    owner()->count += is_ok(s);
}

static void applied_twice(void)
{
    struct applied_twice a = {.count = 0};
    u64 refusals = closure_refusals;
    init_method(&a.done, applied_twice_done);
    closure_set_reporter(mistake_keep);
    apply(&a.done, STATUS_OK);
    u32 first = __LINE__ - 1;
    apply(&a.done, STATUS_OK);
    u32 second = __LINE__ - 1;
    closure_set_reporter(NULL);
    char expected[256];
    format_text(expected, sizeof(expected),
                "completion applied_twice_done (made at %s:%u) was applied at %s:%u and again at "
                "%s:%u; an embedded one is made anew for each use",
                __FILE__, first - 2, __FILE__, first, __FILE__, second);
    test_note("%s", mistake);
    expect(!strcmp(mistake, expected));
    expect(a.count == 1 && closure_refusals == refusals + 1);
    test_pass();
}

const struct kernel_test closure_tests[] = {
    {"a stack closure sums in a bound variable", stack_closures},
    {"the run loop keeps the order of its thunks", queue_order},
    {"thunks, bottom halves, threads: in this order", queue_priorities},
    {"a merge joins its branches, the first failure wins", merges},
    {"a completion is deferred with its status", deferred_status},
    {"a completion applied twice names both places, and is refused", applied_twice},
    {NULL, NULL},
};
