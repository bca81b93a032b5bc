/* Writing while the disk takes its time: changes, syncs, cancellations and failures meet requests
   that are in flight; unmounting in the middle; a sync beside a writer that never stops. */
#include "fs/format.h"
#include "test/host/fs_shadow.h"

#include <string.h>

#define SYNCS 6

static struct pending {
    struct host_result result;
    struct sync_wait wait;
    bool runs;
} syncs[SYNCS];

static u64 sync_failures;

/* Those that have ended make room for others. */
static void syncs_collect(void)
{
    for (u32 n = 0; n < SYNCS; n++) {
        struct pending *p = &syncs[n];
        if (!p->runs || !p->result.applied)
            continue;
        must(p->result.applied == 1 && !p->wait.sync);
        sync_failures += !is_ok(p->result.s);
        p->runs = false;
    }
}

static void answer(u64 requests)
{
    host_run();
    while (requests-- && host_disk_answer(&shadow_disk.disk))
        host_run();
    syncs_collect();
}

static void answer_all(void)
{
    do
        host_run();
    while (host_disk_answer(&shadow_disk.disk));
    syncs_collect();
    for (u32 n = 0; n < SYNCS; n++)
        must(!syncs[n].runs);
}

static void sync_begin(struct random *r, struct shadow *m)
{
    struct pending *p = &syncs[random_below(r, SYNCS)];
    if (p->runs)
        return;
    p->runs = true;
    u64 what = random_below(r, 5), first = random_below(r, 60);
    status_handler done = host_result_init(&p->result);
    memset(&p->wait, 0, sizeof(p->wait));
    if (what == 0)
        filesystem_sync(shadow_disk.fs, &p->wait, done);
    else if (what == 1)
        file_sync(shadow_look(m->name), first, first + 20, SYNC_DATA, &p->wait, done);
    else
        file_sync(shadow_look(m->name), 0, ~0ull, (enum sync_kind)(what - 2), &p->wait, done);
}

static void sync_give_up(struct random *r)
{
    struct pending *p = &syncs[random_below(r, SYNCS)];
    if (!p->runs || !sync_wait_cancel(&p->wait))
        return;
    must(!sync_wait_cancel(&p->wait) && p->result.applied == 0);
    closure_freed(&p->result.done.header);
    p->runs = false;
}

static void file_replace(struct shadow *m)
{
    must(is_ok(shadow_remove(m->name)));
    shadow_make(m->name);
    memset(m->bytes, 0, sizeof(m->bytes));
    m->length = 0;
}

static void change(struct random *r, struct shadow *m)
{
    u64 what = random_below(r, 20);
    u64 offset = random_below(r, SHADOW_BYTES / 4), bytes = 1 + random_below(r, 40000);
    if (what < 12)
        shadow_write(m, offset, bytes, random_next(r));
    else if (what < 14)
        shadow_truncate(m, random_below(r, SHADOW_BYTES / 4));
    else if (what < 16)
        shadow_allocate(m, ALLOCATE_KEEP_SIZE | ALLOCATE_PUNCH, offset, bytes);
    else if (what < 18)
        shadow_allocate(m, random_below(r, 2) ? ALLOCATE_ZERO : 0, offset, bytes);
    else if (what == 18)
        file_replace(m);
    else
        page_cache_reclaim(shadow_disk.fs, random_below(r, 200));
}

static void step(struct random *r, bool failing)
{
    struct shadow *m = &shadows[random_below(r, SHADOWS)];
    u64 what = random_below(r, 30);
    if (what < 14)
        change(r, m);
    else if (what < 20)
        sync_begin(r, m);
    else if (what < 21)
        sync_give_up(r);
    else if (what < 27)
        answer(random_below(r, 6));
    else if (what < 29 && !failing)
        shadow_check(m);
    else if (what == 29 && failing)
        shadow_disk.disk.fail_at = shadow_disk.disk.calls + 1 + random_below(r, 10);
}

static void drain(void)
{
    shadow_disk.disk.fail_at = 0;
    answer_all();
    shadow_disk.disk.silent = false;
    must(is_ok(writable_sync(&shadow_disk)));
}

static void test_slow(u64 seed, bool failing)
{
    struct random r;
    random_init(&r, seed);
    writable_dirty_pages = random_below(&r, 2) ? 0 : 100;
    writable_init(&shadow_disk, 16 * MiB, host_heap);
    shadows_make();
    if (random_below(&r, 4))
        host_disk_reorder(&shadow_disk.disk, seed);
    for (u32 round = 0; round < 4; round++) {
        shadow_disk.disk.silent = true;
        for (u32 n = 0; n < 150; n++)
            step(&r, failing);
        drain();
        shadows_check();
        must(is_ok(writable_remount(&shadow_disk, round % 2)));
        shadows_check();
    }
    u64 free = shadow_blocks_free(), used = 0;
    for (u32 n = 0; n < SHADOWS; n++) {
        struct inode_attributes a;
        inode_attributes(shadow_look(shadows[n].name), &a);
        used += a.blocks / 8;
        must(is_ok(shadow_remove(shadows[n].name)));
    }
    must(is_ok(writable_sync(&shadow_disk)));
    must(shadow_blocks_free() <= free + used && shadow_blocks_free() + 600 > free + used);
    writable_dirty_pages = 0;
    writable_destroy(&shadow_disk);
}

/* What was not synced may be lost; the rest of it mounts. */
static void test_unmount_busy(u64 seed)
{
    struct random r;
    random_init(&r, seed);
    writable_init(&shadow_disk, 16 * MiB, host_heap);
    shadows_make();
    must(is_ok(writable_sync(&shadow_disk)));
    shadow_disk.disk.silent = true;
    u64 steps = random_below(&r, 120);
    for (u64 n = 0; n < steps; n++)
        step(&r, false);
    struct host_result done;
    filesystem_unmount(shadow_disk.fs, host_result_init(&done));
    must(is_ok(shadow_wait(&done)));
    answer_all();
    shadow_disk.fs = NULL;
    shadow_disk.disk.silent = false;
    writable_destroy(&shadow_disk);
}

/* Somebody dirties the whole file again after each request that is answered; the sync ends when
   what was dirty at its beginning is durable. */
static void test_beside_writer(void)
{
    struct host_result done;
    struct sync_wait wait = {NULL};
    struct shadow *m = &shadows[0];
    writable_init(&shadow_disk, 16 * MiB, host_heap);
    shadows_make();
    shadow_write(m, 0, SHADOW_BYTES, 1);
    must(is_ok(writable_sync(&shadow_disk)));
    shadow_disk.disk.silent = true;
    shadow_write(m, 0, SHADOW_BYTES, 2);
    file_sync(shadow_look(m->name), 0, ~0ull, SYNC_DATA, &wait, host_result_init(&done));
    u32 answers = 0;
    for (; !done.applied && answers < 100; answers++) {
        host_run();
        shadow_write(m, 0, SHADOW_BYTES, 3 + answers);
        host_disk_answer(&shadow_disk.disk);
        host_run();
    }
    ok(done.applied == 1 && is_ok(done.s), "a sync ends beside a writer that goes on");
    ok(answers < 20, "in time (%u requests)", answers);
    drain();
    must(is_ok(writable_remount(&shadow_disk, false)));
    shadow_check(m);
    writable_destroy(&shadow_disk);
}

/* A device may take two requests in any order: what is on its way to a block is there before
   anything else goes to it, though the file does not want it any more. */
static void test_overtaken(void)
{
    struct shadow *m = &shadows[0];
    struct host_result first, second;
    struct sync_wait wait[2] = {{NULL}, {NULL}};
    writable_init(&shadow_disk, 16 * MiB, host_heap);
    shadows_make();
    shadow_write(m, 0, 4 * BLOCK_BYTES, 1);
    must(is_ok(writable_sync(&shadow_disk)));
    shadow_disk.disk.silent = true;
    shadow_write(m, 0, BLOCK_BYTES, 2);
    file_sync(shadow_look("a"), 0, ~0ull, SYNC_WRITE, &wait[0], host_result_init(&first));
    host_run();
    shadow_allocate(m, ALLOCATE_ZERO | ALLOCATE_KEEP_SIZE, 0, BLOCK_BYTES);
    shadow_write(m, 0, BLOCK_BYTES, 3);
    file_sync(shadow_look("a"), 0, ~0ull, SYNC_ALL, &wait[1], host_result_init(&second));
    host_run();
    is(shadow_disk.disk.in_flight, 1, "a block gets no second write while one is on its way");
    must(is_ok(shadow_wait(&second)) && first.applied == 1);
    drain();
    must(is_ok(writable_remount(&shadow_disk, false)));
    shadow_check(m);
    writable_destroy(&shadow_disk);
}

int main(void)
{
    u64 seed = test_seed();
    test_beside_writer();
    test_overtaken();
    for (u32 n = 0; n < 12; n++)
        test_slow(seed + n, false);
    ok(1, "changes and syncs meet requests in flight");
    for (u32 n = 0; n < 12; n++)
        test_slow(seed + 1000 + n, true);
    ok(sync_failures > 0, "failures too, of which %llu syncs heard",
       (unsigned long long)sync_failures);
    for (u32 n = 0; n < 40; n++)
        test_unmount_busy(seed + n);
    ok(1, "unmounting in the middle");
    return done_testing();
}
