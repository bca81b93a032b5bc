/* Closures: captures, methods, memory, deferral; and the checks, each mistake provoked once. */
#include "runtime/closure.h"
#include "runtime/lock.h"
#include "runtime/merge.h"
#include "runtime/random.h"
#include "test/host/harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

closure_type(adder, u64, u64 a, u64 b);
completion_type(pair_handler, void, u64 a, status s);

/* No test goes on without the closure that it made. */
#define there(c)                                                                                   \
    ({                                                                                             \
        __auto_type made_there = (c);                                                              \
        if (!made_there)                                                                           \
            panic("no memory for a closure");                                                      \
        made_there;                                                                                \
    })

/* --- captures --------------------------------------------------------------------------------- */

closure_function(adder, add_nothing, (), u64 a, u64 b)
{
    return a + b;
}

closure_function(adder, add_nine,
                 (
                     u64 c, u32 d, u16 e, u8 f, const u64 *g, struct { u64 x; } h, u64 i, s8 j,
                     bool k),
                 u64 a, u64 b)
{
    u64 sum = a + b + bound(c) + bound(d) + bound(e) + bound(f) + *bound(g) + bound(h).x + bound(i);
    return bound(k) ? sum + (u64)bound(j) : sum;
}

/* A body may make itself again. */
closure_function(adder, add_recursive, (heap h, u64 depth), u64 a, u64 b)
{
    heap h = bound(h);
    u64 depth = bound(depth);
    closure_finish();
    return depth ? apply(there(closure(h, add_recursive, h, depth - 1)), a + b, b) : a;
}

static void test_captures(void)
{
    struct counting_heap h;
    counting_heap_init(&h, "captures");
    adder none = stack_closure(add_nothing);
    is(apply(none, 2, 3), 5, "a closure without captures returns its result");
    u64 g = 50;
    adder nine = stack_closure(add_nine, 10, 20, 30, 40, &g, {60}, 70, -5, true);
    is(apply(nine, 1, 2), 10 + 20 + 30 + 40 + 50 + 60 + 70 + 3 - 5, "nine captures of nine types");
    g = 0;
    is(apply(nine, 0, 0), 225, "may be applied again, and sees what its captures refer to");
    is(apply(there(closure(&h.h, add_recursive, &h.h, 5)), 1, 7), 36,
       "a body may make itself again");
    is(h.live, 0, "and every one of them is finished");
    is_string(none->header.info->name, "add_nothing", "a closure knows the name of its function");
    is_string(none->header.info->type, "adder", "and of its type");
    ok(!none->header.info->once && !none->header.info->method, "and that it may be applied often");
    h.fail_at = h.calls + 1;
    ok(closure(&h.h, add_recursive, &h.h, 0) == NULL, "NULL when the heap is out of memory");
    counting_heap_close(&h);
}

/* --- methods ---------------------------------------------------------------------------------- */

struct operation {
    u64 first;
    struct adder add;
    struct inner {
        u64 second;
        struct thunk ran;
    } inner;
    struct pair_handler paired;
    u64 sum;
};

closure_method(adder, operation_add, struct operation, add, u64 a, u64 b)
{
    return owner()->first + a + b;
}

closure_method(thunk, operation_ran, struct operation, inner.ran)
{
    struct operation *o = owner();
    o->sum += o->inner.second;
}

closure_method(pair_handler, operation_paired, struct operation, paired, u64 a, status s)
{
    struct operation *o = owner();
    o->sum += a + (u64)status_errno(s);
}

static void test_methods(void)
{
    struct operation o = {.first = 100, .inner.second = 7};
    struct operation *p = &o;
    init_method(&p->add, operation_add);
    init_method(&o.inner.ran, operation_ran);
    init_method(&p->paired, operation_paired);
    is(apply(&o.add, 20, 3), 123, "a method reaches its owner");
    apply(&o.inner.ran);
    is(o.sum, 7, "also from a member of a member");
    apply(&o.paired, 1000, status_error(ENOENT, "test: nothing there", 0));
    is(o.sum, 1009, "and a completion with two arguments");
}

/* --- deferral --------------------------------------------------------------------------------- */

static void test_deferral(void)
{
    struct operation o = {.inner.second = 3};
    struct host_result r[2];
    init_method(&o.inner.ran, operation_ran);
    host_run_later(&o.inner.ran);
    host_run_later_status(host_result_init(&r[0]), STATUS_OK);
    host_run_later_status(host_result_init(&r[1]), status_error(ERANGE, "test: too far", 9));
    ok(o.sum == 0 && !r[0].applied, "nothing is applied when it is queued");
    is(host_run(), 3, "the queue applies each once");
    ok(o.sum == 3 && r[0].applied == 1 && r[1].applied == 1, "thunks and completions");
    ok(is_ok(r[0].s) && status_errno(r[1].s) == ERANGE && r[1].s.detail == 9,
       "each with its own status");
    is_string(status_text(r[1].s), "test: too far", "which says what was wrong");
    is(host_run(), 0, "and then it is empty");
}

/* --- the checks ------------------------------------------------------------------------------- */

static char reported[512];
static u32 reports;

static void keep_report(const char *text)
{
    reports++;
    strncpy(reported, text, sizeof(reported) - 1);
}

/* A heap that never gives memory to anybody else, so that a mistake may be looked at. */
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

closure_function(status_handler, finish_only, (u32 * applied), __attribute__((unused)) status s)
{
    u32 *applied = bound(applied);
    closure_finish();
    ++*applied;
}

closure_function(status_handler, keep_memory, (u32 * applied), __attribute__((unused)) status s)
{
    ++*bound(applied);
}

closure_function(closure_site_handler, find_site, (u32 line, struct closure_site *found),
                 const struct closure_site *site)
{
    if (site->line == bound(line))
        *bound(found) = *site;
}

/* Whether exactly one report was made since the last call, and names this place. */
static bool reported_line(const char *what, int line)
{
    char place[64];
    snprintf(place, sizeof(place), "closure_test.c:%d", line);
    bool right = reports == 1 && strstr(reported, what) && strstr(reported, place);
    if (!right)
        note("%u reports, the last: %s", reports, reported);
    reports = 0;
    return right;
}

static void test_applied_twice(void)
{
    u32 applied = 0;
    status_handler done = there(closure(&arena_heap, keep_memory, &applied));
    int made_line = __LINE__ - 1;
    apply(done, STATUS_OK);
    int first_line = __LINE__ - 1;
    is(reports, 0, "a completion applied once is right");
    apply(done, STATUS_OK);
    int second_line = __LINE__ - 1;
    u32 count = reports;
    ok(reported_line("keep_memory", made_line), "applied twice: says who made it");
    reports = count;
    ok(reported_line("was applied", first_line), "and where it was applied");
    reports = count;
    ok(reported_line("and again", second_line), "and where again");
}

static void test_applied_after_free(void)
{
    u32 applied = 0;
    status_handler done = there(closure(&arena_heap, finish_only, &applied));
    int made_line = __LINE__ - 1;
    apply(done, STATUS_OK);
    closure_applying(&done->header, __FILE__, __LINE__);
    ok(reported_line("after it was freed", made_line), "applied after it was freed");
    struct operation o;
    memset(&o, 0, sizeof(o));
    init_method(&o.paired, operation_paired);
    o.paired.header.tracking.state = 0;
    closure_applying(&o.paired.header, __FILE__, __LINE__);
    ok(reported_line("never made", __LINE__ - 1), "applied but never made");
    closure_freed(&o.paired.header);
}

static void test_freed_in_flight(void)
{
    u32 applied = 0;
    status_handler done = there(closure(&arena_heap, finish_only, &applied));
    int made_line = __LINE__ - 1;
    closure_release(&done->header);
    ok(reported_line("freed in flight", made_line), "freed in flight by closure_finish");
    done = there(closure(&arena_heap, finish_only, &applied));
    made_line = __LINE__ - 1;
    closure_memory_freed(done);
    ok(reported_line("freed in flight", made_line), "freed in flight by its heap");
    arena_used = 2048;
    there(closure(&arena_heap, finish_only, &applied));
    made_line = __LINE__ - 1;
    arena_used = 2048;
    done = there(closure(&arena_heap, finish_only, &applied));
    ok(reported_line("freed in flight", made_line), "found out when the memory is used again");
    apply(done, STATUS_OK);
    is(reports, 0, "and the one that has it now is right");
}

static void test_under_lock(void)
{
    struct spinlock lock = SPINLOCK(RANK_DEVICE, "test");
    u32 applied = 0;
    status_handler done = there(closure(&arena_heap, finish_only, &applied));
    spin_lock(&lock);
    apply(done, STATUS_OK);
    int line = __LINE__ - 1;
    spin_unlock(&lock);
    ok(reported_line("under the lock test", line), "applied under a lock");
}

static void test_census(void)
{
    u32 applied = 0;
    status_handler done[3];
    for (u32 i = 0; i < countof(done); i++)
        done[i] = there(closure(&arena_heap, finish_only, &applied));
    u32 line = __LINE__ - 1;
    struct closure_site found = {0};
    is(closure_owed(), 3, "three completions are owed");
    is(closure_census(stack_closure(find_site, line, &found)), 0, "the census shows them all");
    ok(found.count == 3 && found.on_heap && strcmp(found.info->name, "finish_only") == 0,
       "under the place that made them");
    for (u32 i = 0; i < countof(done); i++)
        apply(done[i], STATUS_OK);
    found = (struct closure_site){0};
    closure_census(stack_closure(find_site, line, &found));
    ok(found.count == 0 && closure_owed() == 0, "and none when they were applied");
}

static void test_census_of_merges(void)
{
    u32 applied = 0;
    struct closure_site found = {0};
    status_handler done = there(closure(&arena_heap, finish_only, &applied));
    u32 line = __LINE__ - 1;
    struct merge m;
    init_merge(&m, done);
    status_handler branch = apply_merge(&m);
    apply_merge(&m);
    closure_census(stack_closure(find_site, line, &found));
    is(closure_owed(), 1, "a merge owes its completion");
    found = (struct closure_site){0};
    is(closure_census_merges(stack_closure(find_site, line, &found)), 0, "merges can be listed");
    ok(found.count == 1 && found.pending == 3, "with their pending branches, guard included");
    for (u32 i = 0; i < 2; i++)
        apply(branch, STATUS_OK);
    is(reports, 0, "its branch may be applied once for each that was opened");
    merge_finish(&m);
    ok(applied == 1 && closure_owed() == 0 && reports == 0, "and then it owes nothing");
    found = (struct closure_site){0};
    closure_census(stack_closure(find_site, line, &found));
    is(found.count, 0, "and has left the census");
}

static u64 test_now_ns;

static u64 test_clock(void)
{
    return test_now_ns;
}

closure_function(closure_site_handler, census_inside, (u64 * result),
                 __attribute__((unused)) const struct closure_site *site)
{
    *bound(result) = closure_census(stack_closure(find_site, 0, NULL));
}

closure_function(closure_site_handler, check_order, (u64 * last, bool *ordered),
                 const struct closure_site *site)
{
    *bound(ordered) &= site->oldest >= *bound(last);
    *bound(last) = site->oldest;
}

static void test_census_ages(void)
{
    u32 applied = 0;
    u64 inside = 0, last = 0;
    bool ordered = true;
    struct closure_site found = {0};
    status_handler done[3];
    test_now_ns = NS_PER_SECOND;
    closure_set_clock(test_clock);
    u32 line = 0;
    for (u32 i = 0; i < 2; i++, test_now_ns += NS_PER_SECOND)
        done[i] = there(closure(&arena_heap, finish_only, &applied)), line = __LINE__;
    done[2] = there(closure(&arena_heap, finish_only, &applied));
    closure_census(stack_closure(find_site, line, &found));
    ok(found.count == 2 && found.age_ns == 2 * NS_PER_SECOND,
       "the census has the oldest one's age");
    closure_census(stack_closure(check_order, &last, &ordered));
    ok(ordered, "and shows the oldest site first");
    closure_census(stack_closure(census_inside, &inside));
    ok(inside == CLOSURE_CENSUS_BUSY, "one census at a time");
    for (u32 i = 0; i < countof(done); i++)
        apply(done[i], STATUS_OK);
    closure_set_clock(NULL);
}

/* A census in the middle of anything, as a non-maskable interrupt makes it: it may find the table
   busy, but it comes back. */
static volatile u32 interruptions, interruptions_busy;

static void census_in_signal(__attribute__((unused)) int number)
{
    struct closure_site found;
    if (closure_census(stack_closure(find_site, 0, &found)) == CLOSURE_CENSUS_BUSY)
        interruptions_busy++;
    interruptions++;
}

static void test_census_interrupts(void)
{
    struct itimerval soon = {{0, 0}, {0, 50}};
    struct host_result r;
    signal(SIGALRM, census_in_signal);
    for (u32 i = 0; i < 100; i++) {
        setitimer(ITIMER_REAL, &soon, NULL);
        while (interruptions == i)
            apply(host_result_init(&r), STATUS_OK);
    }
    signal(SIGALRM, SIG_IGN);
    note("%u of %u found the table busy", interruptions_busy, interruptions);
    ok(closure_owed() == 0, "a census in an interrupt handler comes back, always");
}

/* The table that follows them is rather full here, and emptied in another order. */
static void test_random_order(u64 seed)
{
    static status_handler done[10000];
    struct random r;
    u32 applied = 0;
    bool right = true;
    random_init(&r, seed);
    for (u32 i = 0; i < countof(done); i++)
        done[i] = there(closure(host_heap, finish_only, &applied));
    u32 line = __LINE__ - 1;
    for (u32 left = countof(done); left > 0; left--) {
        u64 i = random_below(&r, left);
        status_handler chosen = done[i];
        done[i] = done[left - 1];
        apply(chosen, STATUS_OK);
        if (left % 500 == 1) {
            struct closure_site found = {0};
            closure_census(stack_closure(find_site, line, &found));
            right &= found.count == left - 1 && closure_owed() == left - 1;
        }
    }
    ok(right && reports == 0, "10000 completions are followed, applied in any order");
}

static void test_many_live(void)
{
    static struct operation many[(1u << CLOSURE_TABLE_ORDER) + 100];
    for (u32 i = 0; i < countof(many); i++) {
        many[i].sum = 0;
        init_method(&many[i].paired, operation_paired);
    }
    for (u32 i = 0; i < countof(many); i++)
        apply(&many[i].paired, 1, STATUS_OK);
    u64 sum = 0;
    for (u32 i = 0; i < countof(many); i++)
        sum += many[i].sum;
    is(sum, countof(many), "more completions than can be followed are applied all the same");
    is(reports, 0, "without a word");
    apply(&many[countof(many) - 1].paired, 1, STATUS_OK);
    is(reports, 1, "and a second application is seen even then");
    reports = 0;
}

closure_function(thunk, apply_twice, ())
{
    struct host_result r;
    status_handler done = host_result_init(&r);
    apply(done, STATUS_OK);
    apply(done, STATUS_OK);
}

static void test_checks(u64 seed)
{
    ok(panics(stack_closure(apply_twice)), "a mistake panics");
    closure_set_reporter(keep_report);
    test_applied_twice();
    test_applied_after_free();
    test_freed_in_flight();
    test_under_lock();
    test_census();
    test_census_of_merges();
    test_census_ages();
    test_census_interrupts();
    test_random_order(seed);
    test_many_live();
    closure_set_reporter(NULL);
}

int main(void)
{
    test_captures();
    test_methods();
    test_deferral();
    test_checks(test_seed());
    return done_testing();
}
