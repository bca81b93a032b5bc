/* Locks and their ranks; the failing heap; lists; and the harness, which all other tests trust. */
#include "runtime/failing_heap.h"
#include "runtime/list.h"
#include "runtime/lock.h"
#include "test/host/harness.h"

static struct spinlock fs = SPINLOCK(RANK_FS, "fs"), cache = SPINLOCK(RANK_CACHE, "cache"),
                       cache_too = SPINLOCK(RANK_CACHE, "cache too");

closure_function(thunk, take_two, (struct spinlock * first, struct spinlock *second))
{
    spin_lock(bound(first));
    spin_lock(bound(second));
    spin_unlock(bound(first));
    spin_unlock(bound(second));
}

closure_function(thunk, release_unheld, ())
{
    spin_unlock(&fs);
}

static void test_locks(void)
{
    spin_lock(&fs);
    ok(spin_held(&fs) && lock_held_here() == &fs, "a lock is held");
    spin_unlock(&fs);
    ok(!spin_held(&fs) && !lock_held_here(), "and released");
    ok(!panics(stack_closure(take_two, &fs, &cache)), "rising ranks, released in any order");
    ok(panics(stack_closure(take_two, &cache, &fs)), "falling ranks panic");
    ok(panics(stack_closure(take_two, &cache, &cache_too)), "equal ranks panic");
    ok(panics(stack_closure(take_two, &fs, &fs)), "taking a lock twice panics");
    ok(panics(stack_closure(release_unheld)), "releasing what is not held panics");
}

closure_function(thunk, count_one, (u32 * count))
{
    ++*bound(count);
}

static void test_failing_heap(void)
{
    struct counting_heap below;
    struct failing_heap f;
    u32 told = 0;
    counting_heap_init(&below, "below");
    failing_heap_init(&f, &below.h, 2, 5);
    f.failing = stack_closure(count_one, &told);
    u32 failed = 0;
    for (u32 call = 1; call <= 10; call++) {
        void *p = allocate(&f.h, 100);
        failed = failed * 2 + (p == NULL);
        deallocate(&f.h, p, 100);
    }
    is(failed, 0x121, "the 2nd and each 5th allocation fail");
    is(told, 1, "and the one that was asked for is told");
    is_string(f.h.name, "below", "a failing heap has the name of the one below");
    counting_heap_close(&below);
}

/* Forgets memory when it is told to, or claims success without it. */
closure_function(allocation_test, leaking, (bool leak, bool lie), heap h)
{
    void *p = allocate(h, 10), *q = allocate(h, 20);
    if (!bound(leak) || q)
        deallocate(h, p, 10);
    deallocate(h, q, 20);
    return bound(lie) ? false : p && q;
}

closure_function(thunk, must_fail_each, (bool leak, bool lie))
{
    fail_each_allocation("a wrong test", stack_closure(leaking, bound(leak), bound(lie)));
    if (done_testing() != 0)
        panic("as it should");
}

closure_function(thunk, wrong_size, ())
{
    struct counting_heap h;
    counting_heap_init(&h, "sizes");
    deallocate(&h.h, allocate(&h.h, 10), 11);
}

closure_function(thunk, twice_freed, ())
{
    struct counting_heap h;
    counting_heap_init(&h, "twice");
    void *p = allocate(&h.h, 10);
    deallocate(&h.h, p, 10);
    deallocate(&h.h, p, 10);
}

closure_function(status_handler, never, (), __attribute__((unused)) status s)
{
    closure_finish();
}

closure_function(thunk, never_applied, ())
{
    if (!closure(host_heap, never) || done_testing() != 0)
        panic("as it should");
}

static void test_harness(void)
{
    fail_each_allocation("a right test", stack_closure(leaking, false, false));
    ok(panics(stack_closure(must_fail_each, true, false)), "a leak on a failing path is found");
    ok(panics(stack_closure(must_fail_each, false, true)), "and a failure without a cause");
    ok(panics(stack_closure(wrong_size)), "memory given back with another size is found");
    ok(panics(stack_closure(twice_freed)), "and memory given back twice");
    ok(panics(stack_closure(never_applied)), "a completion never applied fails the program");
    struct counting_heap h;
    counting_heap_init(&h, "alignment");
    bool aligned = true;
    for (u64 bytes = 1; bytes <= 16384; bytes *= 2) {
        void *p = allocate(&h.h, bytes);
        aligned &= (u64)p % min(max(bytes, 16ull), 4096ull) == 0;
        deallocate(&h.h, p, bytes);
    }
    ok(aligned, "memory is aligned as heap.h promises");
    h.bytes_most = 100;
    void *p = allocate(&h.h, 60);
    ok(p && !allocate(&h.h, 60), "a heap may have a limit of bytes");
    deallocate(&h.h, p, 60);
    counting_heap_close(&h);
}

static void test_lists(void)
{
    struct list head, a, b, c;
    list_init(&head);
    ok(list_empty(&head) && !list_pop_front(&head), "an empty list");
    list_push_back(&head, &b);
    list_push_back(&head, &c);
    list_push_front(&head, &a);
    u32 count = 0;
    list_for_each_safe (&head, element) {
        if (element == &b)
            list_remove(element);
        count++;
    }
    ok(count == 3 && list_empty(&b), "the body of a safe walk may remove its element");
    ok(list_pop_front(&head) == &a && list_pop_front(&head) == &c && list_empty(&head),
       "the rest is in order");
}

int main(void)
{
    test_locks();
    test_failing_heap();
    test_harness();
    test_lists();
    return done_testing();
}
