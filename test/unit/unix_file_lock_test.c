/* The table of file locks against a model: one cell a byte and owner.  unix/file_lock.c is
   compiled in, since it needs nothing of the kernel. */
#include "runtime/random.h"
#include "test/host/harness.h"
#include "unix/file_lock.c"

#define BYTES  48
#define OWNERS 3
#define STEPS  20000

static const char file_a, file_b; /* only their addresses count */
static const u8 owners[OWNERS];

/* 0: none, 1: read, 2: write. */
static u8 model[OWNERS][BYTES];

static struct file_lock lock_of(u32 owner, enum file_lock_type type, u64 start, u64 end)
{
    return (struct file_lock){.file = &file_a,
                              .owner = &owners[owner],
                              .pid = owner,
                              .type = type,
                              .bytes = {start, end}};
}

static bool model_conflict(u32 owner, enum file_lock_type type, range r)
{
    for (u32 o = 0; o < OWNERS; o++)
        for (u64 i = r.start; i < r.end && o != owner; i++)
            if (model[o][i] == 2 || (model[o][i] && type == FILE_LOCK_WRITE))
                return true;
    return false;
}

/* Every byte is held as the model says, once; and neighbours of one kind are one lock. */
static void table_check(const struct file_locks *l)
{
    u8 seen[OWNERS][BYTES] = {{0}};
    u32 count = 0, runs = 0;
    list_for_each (&l->locks, link) {
        const struct file_lock *k = container_of(link, struct file_lock, link);
        u64 owner = (u64)((const u8 *)k->owner - owners);
        must(k->bytes.start < k->bytes.end);
        for (u64 i = k->bytes.start; i < k->bytes.end; i++) {
            must(!seen[owner][i]);
            seen[owner][i] = k->type == FILE_LOCK_WRITE ? 2 : 1;
        }
        count++;
    }
    must(count == l->count);
    must(!memcmp(seen, model, sizeof(seen)));
    for (u32 o = 0; o < OWNERS; o++)
        for (u32 i = 0; i < BYTES; i++)
            runs += model[o][i] && (!i || model[o][i - 1] != model[o][i]);
    must(runs == count);
}

static void random_step(struct file_locks *l, struct random *r)
{
    u32 owner = (u32)random_below(r, OWNERS);
    u64 start = random_below(r, BYTES), end = start + 1 + random_below(r, BYTES - start);
    range bytes = range_of(start, end);
    u64 what = random_below(r, 3);
    if (what == 2) {
        must(!file_lock_clear(l, &file_a, &owners[owner], bytes));
        memset(&model[owner][start], 0, end - start);
        return;
    }
    struct file_lock k = lock_of(owner, what ? FILE_LOCK_WRITE : FILE_LOCK_READ, start, end);
    bool conflict = model_conflict(owner, k.type, bytes);
    must(!!file_lock_conflict(l, &k) == conflict);
    must(file_lock_set(l, &k) == (conflict ? -EAGAIN : 0));
    if (!conflict)
        memset(&model[owner][start], what ? 2 : 1, end - start);
}

static void test_random(void)
{
    struct counting_heap h;
    struct file_locks l;
    struct random r;
    counting_heap_init(&h, "locks");
    file_locks_init(&l, &h.h);
    random_init(&r, test_seed());
    for (u32 i = 0; i < STEPS; i++) {
        random_step(&l, &r);
        table_check(&l);
    }
    ok(true, "%u random changes agree with the model", STEPS);
    file_locks_destroy(&l);
    counting_heap_close(&h);
}

static void test_files(void)
{
    struct counting_heap h;
    struct file_locks l;
    counting_heap_init(&h, "files");
    file_locks_init(&l, &h.h);
    struct file_lock a = lock_of(0, FILE_LOCK_WRITE, 0, ~0ull);
    struct file_lock b = lock_of(1, FILE_LOCK_WRITE, 1ull << 40, ~0ull);
    is(file_lock_set(&l, &a), 0, "a whole file can be locked");
    is(file_lock_set(&l, &b), (u64)-EAGAIN, "somebody else does not get any of it");
    b.file = &file_b;
    is(file_lock_set(&l, &b), 0, "but another file");
    file_lock_forget(&l, &file_a, &owners[0]);
    is(l.count, 1, "forgetting leaves other files alone");
    file_locks_destroy(&l);
    counting_heap_close(&h);
}

static void test_memory(void)
{
    struct counting_heap h;
    struct file_locks l;
    counting_heap_init(&h, "memory");
    file_locks_init(&l, &h.h);
    struct file_lock a = lock_of(0, FILE_LOCK_WRITE, 0, 30);
    is(file_lock_set(&l, &a), 0, "a lock is set");
    h.fail_at = h.calls + 1;
    is(file_lock_clear(&l, &file_a, &owners[0], range_of(10, 20)), (u64)-ENOLCK,
       "a split without memory is refused");
    struct file_lock b = lock_of(1, FILE_LOCK_READ, 15, 16);
    ok(file_lock_conflict(&l, &b), "and nothing was given up");
    file_locks_destroy(&l);
    counting_heap_close(&h);
}

int main(void)
{
    test_files();
    test_memory();
    test_random();
    return done_testing();
}
