/* The six examples of the article that this design comes from. */
#include "runtime/block.h"
#include "runtime/merge.h"
#include "runtime/queue.h"
#include "runtime/range_map.h"
#include "runtime/rbtree.h"
#include "test/host/harness.h"

/* --- 1. summing with a stack closure and a bound variable ------------------------------------- */

closure_type(number_handler, void, u64 number);

static void for_each_number(const u64 *numbers, u64 count, number_handler handler)
{
    for (u64 i = 0; i < count; i++)
        apply(handler, numbers[i]);
}

closure_function(number_handler, sum_number, (u64 * total), u64 number)
{
    *bound(total) += number;
}

static void test_sum(void)
{
    const u64 numbers[] = {1, 2, 3, 5, 8, 13};
    u64 total = 0;
    for_each_number(numbers, countof(numbers), stack_closure(sum_number, &total));
    is(total, 32, "a stack closure sums into a bound variable");
}

/* --- 2. a red-black tree ordered by a key-compare closure ------------------------------------- */

struct test_thread {
    struct rbnode node;
    u64 tid;
};

closure_function(rb_key_compare, thread_tid_compare, (), rbnode a, rbnode b)
{
    u64 tid_a = container_of(a, struct test_thread, node)->tid;
    u64 tid_b = container_of(b, struct test_thread, node)->tid;
    return (tid_a > tid_b) - (tid_a < tid_b);
}

static void test_tree(void)
{
    struct test_thread threads[] = {{.tid = 40}, {.tid = 10}, {.tid = 30}, {.tid = 20}};
    struct rbtree tree;
    rbtree_init(&tree, stack_closure(thread_tid_compare));
    for (u32 i = 0; i < countof(threads); i++)
        rbtree_insert(&tree, &threads[i].node);
    u64 tid = 0;
    for (rbnode n = rbtree_first(&tree); n; n = rbtree_next(n))
        tid = tid * 100 + container_of(n, struct test_thread, node)->tid;
    is(tid, 10203040, "a tree is in the order of its key-compare closure");
    struct test_thread key = {.tid = 30};
    ok(rbtree_lookup(&tree, &key.node) == &threads[2].node, "and finds by it");
}

/* --- 3. sync completes through a heap closure ------------------------------------------------- */

struct syscall_thread {
    s64 result;
    bool returned;
};

static void syscall_return(struct syscall_thread *t, s64 result)
{
    t->result = result;
    t->returned = true;
}

closure_function(status_handler, sync_complete, (struct syscall_thread * t), status s)
{
    struct syscall_thread *t = bound(t);
    closure_finish();
    syscall_return(t, is_ok(s) ? 0 : -(s64)status_errno(s));
}

static bool sync_syscall(heap general, struct syscall_thread *t, status outcome)
{
    status_handler done = closure(general, sync_complete, t);
    if (!done)
        return false;
    host_run_later_status(done, outcome);
    return true;
}

closure_function(allocation_test, sync_once, (), heap h)
{
    struct syscall_thread t = {.returned = false};
    if (!sync_syscall(h, &t, status_error(EIO, "disk: lost", 7)))
        return false;
    must(!t.returned);
    host_run();
    return t.returned && t.result == -EIO;
}

static void test_sync(void)
{
    struct counting_heap general;
    counting_heap_init(&general, "general");
    struct syscall_thread t = {.returned = false};
    ok(sync_syscall(&general.h, &t, STATUS_OK) && !t.returned, "sync leaves a closure behind");
    is(general.live, 1, "which has memory of its own");
    host_run();
    ok(t.returned && t.result == 0, "and returns from the system call when it is applied");
    is(general.live, 0, "and has given its memory back");
    counting_heap_close(&general);
    fail_each_allocation("sync", stack_closure(sync_once));
}

/* --- 4 and 5. a file read: extents through a merge, holes zeroed by the gaps ------------------ */

#define BLOCK_BYTES 16

struct extent {
    struct range_node node; /* file blocks */
    u64 first_disk_block;
};

struct extent_file {
    struct range_map extents;
    const u8 *disk;
    u64 reads;
    u64 fail_read; /* the read that fails, counted from 1; 0: none */
};

/* The disk answers later, and each read by itself. */
closure_function(thunk, disk_answer,
                 (u8 * to, const u8 *from, u64 bytes, status s, status_handler done))
{
    status_handler done = bound(done);
    status s = bound(s);
    if (is_ok(s))
        memcpy(bound(to), bound(from), bound(bytes));
    closure_finish();
    apply(done, s);
}

struct extent_read {
    struct extent_file *file;
    heap heap;
    range blocks;
    u8 *to;
    merge m;
};

static void disk_read(struct extent_read *r, u64 disk_block, range blocks, status_handler done)
{
    struct extent_file *f = r->file;
    bool failing = ++f->reads == f->fail_read;
    status s = failing ? status_error(EIO, "disk: a bad block", disk_block) : STATUS_OK;
    thunk answer =
        closure(r->heap, disk_answer, r->to + (blocks.start - r->blocks.start) * BLOCK_BYTES,
                f->disk + disk_block * BLOCK_BYTES, range_length(blocks) * BLOCK_BYTES, s, done);
    if (answer)
        host_run_later(answer);
    else
        apply(done, status_error(ENOMEM, "disk: no memory", 0));
}

closure_function(range_handler, read_extent, (struct extent_read * r), struct range_node *n)
{
    struct extent_read *r = bound(r);
    struct extent *e = container_of(n, struct extent, node);
    range blocks = range_intersection(n->r, r->blocks);
    disk_read(r, e->first_disk_block + (blocks.start - n->r.start), blocks, apply_merge(r->m));
}

closure_function(gap_handler, zero_hole, (struct extent_read * r), range gap)
{
    struct extent_read *r = bound(r);
    memset(r->to + (gap.start - r->blocks.start) * BLOCK_BYTES, 0, range_length(gap) * BLOCK_BYTES);
}

static void extent_file_read(struct extent_file *f, heap h, range blocks, u8 *to,
                             status_handler done)
{
    merge m = allocate_merge(h, done);
    if (!m) {
        host_run_later_status(done, status_error(ENOMEM, "file: no memory", 0));
        return;
    }
    struct extent_read r = {f, h, blocks, to, m};
    range_map_walk(&f->extents, blocks, stack_closure(read_extent, &r),
                   stack_closure(zero_hole, &r));
    merge_finish(m);
}

static u8 disk[64 * BLOCK_BYTES];

static void extent_file_init(struct extent_file *f, struct extent *extents, u32 count)
{
    *f = (struct extent_file){.disk = disk};
    range_map_init(&f->extents);
    for (u32 i = 0; i < count; i++)
        must(range_map_insert(&f->extents, &extents[i].node));
    for (u32 i = 0; i < sizeof(disk); i++)
        disk[i] = (u8)(i / BLOCK_BYTES + 1);
}

static bool all_bytes(const u8 *p, u8 value, u64 bytes)
{
    while (bytes && *p == value)
        p++, bytes--;
    return bytes == 0;
}

/* Blocks 2 to 12 of a file that has extents at 1-4, 6-8 and 8-10. */
static bool read_came_out_right(const u8 *got)
{
    const u8 expected[] = {12, 13, 0, 0, 31, 32, 41, 42, 0, 0};
    for (u32 i = 0; i < countof(expected); i++) {
        if (!all_bytes(got + i * BLOCK_BYTES, expected[i], BLOCK_BYTES))
            return false;
    }
    return true;
}

#define EXTENTS                                                                                    \
    {                                                                                              \
        {{.r = {1, 4}}, 10}, {{.r = {6, 8}}, 30}, {{.r = {8, 10}}, 40},                            \
    }

closure_function(allocation_test, read_once, (), heap h)
{
    struct extent extents[] = EXTENTS;
    struct extent_file f;
    extent_file_init(&f, extents, countof(extents));
    u8 got[10 * BLOCK_BYTES];
    memset(got, 0xee, sizeof(got));
    struct host_result result;
    extent_file_read(&f, h, range_of(2, 12), got, host_result_init(&result));
    host_run();
    must(result.applied == 1);
    must(is_ok(result.s) || status_errno(result.s) == ENOMEM);
    return is_ok(result.s) && read_came_out_right(got);
}

static void test_file_read(void)
{
    struct counting_heap h;
    struct extent extents[] = EXTENTS;
    struct extent_file f;
    u8 got[10 * BLOCK_BYTES];
    struct host_result result;
    counting_heap_init(&h, "reads");
    extent_file_init(&f, extents, countof(extents));
    memset(got, 0xee, sizeof(got));
    extent_file_read(&f, &h.h, range_of(2, 12), got, host_result_init(&result));
    is(result.applied, 0, "a read is not complete before the disk has answered");
    ok(all_bytes(got + 2 * BLOCK_BYTES, 0, 2 * BLOCK_BYTES) &&
           all_bytes(got + 8 * BLOCK_BYTES, 0, 2 * BLOCK_BYTES),
       "holes are zeroed by the gaps of the range map look-up");
    host_run();
    ok(result.applied == 1 && is_ok(result.s), "the last branch of the merge completes it");
    ok(read_came_out_right(got), "with the bytes of three extents and the zeroes of two holes");
    extent_file_read(&f, &h.h, range_of(20, 22), got, host_result_init(&result));
    ok(result.applied == 1 && is_ok(result.s),
       "with no extent at all the guard branch alone completes it");
    f.fail_read = f.reads + 2;
    extent_file_read(&f, &h.h, range_of(2, 12), got, host_result_init(&result));
    host_run();
    ok(result.applied == 1 && status_errno(result.s) == EIO && result.s.detail == 30,
       "a failing extent fails the read, with its own status");
    counting_heap_close(&h);
    fail_each_allocation("file read", stack_closure(read_once));
}

/* --- 6. a scheduler that dequeues thunks from a lock-free queue ------------------------------- */

struct scheduler {
    struct closure_queue queue;
    u64 ran;
};

static void scheduler_run(struct scheduler *s)
{
    for (struct closure_header *next; (next = closure_queue_take(&s->queue)); s->ran++)
        closure_run_deferred(next);
}

closure_function(thunk, count_down, (struct scheduler * s, heap h, u64 from, u64 *digits))
{
    struct scheduler *s = bound(s);
    u64 from = bound(from), *digits = bound(digits);
    heap h = bound(h);
    closure_finish();
    *digits = *digits * 10 + from;
    if (from > 1)
        closure_queue_add(&s->queue,
                          thunk_deferred(closure(h, count_down, s, h, from - 1, digits)));
}

static void test_scheduler(void)
{
    struct counting_heap h;
    struct scheduler s = {.ran = 0};
    struct host_result result;
    u64 digits = 0;
    counting_heap_init(&h, "thunks");
    closure_queue_init(&s.queue);
    closure_queue_add(&s.queue, thunk_deferred(closure(&h.h, count_down, &s, &h.h, 3, &digits)));
    closure_queue_add(&s.queue, thunk_deferred(closure(&h.h, count_down, &s, &h.h, 8, &digits)));
    closure_queue_add(&s.queue, status_deferred(host_result_init(&result),
                                                status_error(EAGAIN, "test: again", 5)));
    scheduler_run(&s);
    is(s.ran, 12, "the scheduler runs what it is given, and what that gives it");
    is(digits, 38271654321, "in the order of the queue");
    ok(result.applied == 1 && status_errno(result.s) == EAGAIN && result.s.detail == 5,
       "and completions with the status they were deferred with");
    counting_heap_close(&h);
}

int main(void)
{
    test_sum();
    test_tree();
    test_sync();
    test_file_read();
    test_scheduler();
    return done_testing();
}
