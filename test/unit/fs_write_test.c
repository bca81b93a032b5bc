/* Writing data: what is written, cut, punched and allocated is what is read, before and after the
   next mount; what is full says so at once; what fails stays dirty and is reported once. */
#include "fs/format.h"
#include "test/host/fs_fixture.h"
#include "test/host/fs_shadow.h"

#include <stdlib.h>
#include <string.h>

/* --- the tests -------------------------------------------------------------------------------- */

static void test_round_trip(void)
{
    struct shadow *m = &shadows[0];
    writable_init(&shadow_disk, 16 * MiB, host_heap);
    shadows_make();
    shadow_write(m, 0, 100000, 1);
    shadow_check(m);
    ok(1, "what was written is read, before anything is on the disk");
    is(status_errno(shadow_sync_file(shadow_look("a"), SYNC_ALL)), 0, "fsync");
    shadow_check(m);
    page_cache_reclaim(shadow_disk.fs, ~0ull);
    shadow_check(m);
    ok(1, "and from the disk");
    shadow_write(m, 50000, 7000, 2);
    shadow_write(m, 99990, 30, 3);
    must(is_ok(writable_remount(&shadow_disk, true)));
    shadow_check(m);
    ok(1, "and after the next mount, when the filesystem was ended");
    shadow_write(m, 0, 5, 4);
    shadow_write(m, 200001, 100, 5);
    must(is_ok(writable_remount(&shadow_disk, false)));
    shadow_check(m);
    ok(1, "and after a power cut behind a sync");
    struct inode_attributes a;
    inode_attributes(shadow_look("a"), &a);
    is(a.blocks, (25 + 1) * 8, "with the blocks that it needs, and a hole");
    writable_destroy(&shadow_disk);
}

static void test_flushes(void)
{
    struct shadow *m = &shadows[0];
    writable_init(&shadow_disk, 16 * MiB, host_heap);
    shadows_make();
    shadow_write(m, 0, 64 * KiB, 1);
    must(is_ok(shadow_sync_file(shadow_look("a"), SYNC_ALL)));
    u64 flushes = shadow_disk.disk.flushes, calls = shadow_disk.disk.calls;
    shadow_write(m, 4096, 4096, 2);
    is(status_errno(shadow_sync_file(shadow_look("a"), SYNC_DATA)), 0,
       "fdatasync of a block in its place");
    is(shadow_disk.disk.flushes - flushes, 1, "takes one FLUSH");
    is(shadow_disk.disk.calls - calls, 2, "and one write");
    calls = shadow_disk.disk.calls;
    must(is_ok(shadow_sync_file(shadow_look("a"), SYNC_DATA)));
    is(shadow_disk.disk.calls - calls, 0, "again, with nothing changed, nothing at all");
    must(is_ok(shadow_sync_file(shadow_look("a"), SYNC_ALL)));
    ok(shadow_disk.disk.calls > calls, "fsync writes its times");
    must(is_ok(writable_remount(&shadow_disk, false)));
    shadow_check(m);
    writable_destroy(&shadow_disk);
}

static void test_large(void)
{
    static const u64 offsets[] = {0, 5 * GiB + 1, 1ull << 40, FILE_BYTES_MOST - 4096};
    u8 text[3000], back[3000];
    u64 bytes;
    writable_init(&shadow_disk, 16 * MiB, host_heap);
    struct inode *i = shadow_make("large");
    for (u32 n = 0; n < countof(offsets); n++) {
        shadow_fill(text, sizeof(text), n);
        must(is_ok(shadow_write_bytes(i, offsets[n], text, sizeof(text))));
    }
    struct page_write w;
    is(status_errno(page_write_begin(i, FILE_BYTES_MOST - 10, 11, &w)), EFBIG,
       "what is too far is EFBIG");
    must(is_ok(writable_remount(&shadow_disk, true)));
    i = shadow_look("large");
    is(inode_bytes(i), FILE_BYTES_MOST - 4096 + sizeof(text), "a sparse file of 2^63 bytes");
    bool right = true;
    for (u32 n = 0; n < countof(offsets); n++) {
        shadow_fill(text, sizeof(text), n);
        right &= is_ok(test_read(i, offsets[n], back, sizeof(back), &bytes)) &&
                 memcmp(text, back, sizeof(text)) == 0;
    }
    ok(right, "holds what was written, after a mount");
    u64 found;
    ok(is_ok(file_seek_data(i, 4096, &found)) && found == align_down(offsets[1], 4096),
       "SEEK_DATA finds it");
    ok(is_ok(file_seek_hole(i, offsets[1], &found)) && found == align_up(offsets[1] + 3000, 4096),
       "SEEK_HOLE too");
    must(is_ok(shadow_truncate_to(i, 10)));
    struct inode_attributes a;
    inode_attributes(i, &a);
    is(a.blocks, 8, "truncated, it has one block");
    writable_destroy(&shadow_disk);
}

static void test_full(void)
{
    static u8 block[BLOCK_BYTES];
    writable_init(&shadow_disk, 8 * MiB, host_heap);
    struct inode *i = shadow_make("full");
    must(is_ok(writable_sync(&shadow_disk)));
    u64 free = shadow_blocks_free(), written = 0;
    status s;
    while (is_ok(s = shadow_write_bytes(i, written * BLOCK_BYTES, block, BLOCK_BYTES)))
        written++;
    is(status_errno(s), ENOSPC, "a full disk is ENOSPC");
    is(written, free, "when as many blocks are written as were free");
    is(status_errno(shadow_sync_file(i, SYNC_ALL)), 0, "and what was written reaches the disk");
    is(shadow_blocks_free(), 0, "nothing is free");
    is(status_errno(shadow_write_bytes(i, 0, block, BLOCK_BYTES)), 0, "writing in place goes on");
    ok(is_ok(shadow_truncate_to(i, written / 2 * BLOCK_BYTES)), "truncating works");
    is(status_errno(shadow_write_bytes(i, written * BLOCK_BYTES, block, 1)), 0,
       "and gives room, when its commit is over");
    must(is_ok(writable_sync(&shadow_disk)));
    is(shadow_blocks_free(), written - written / 2 - 1, "which statfs shows");
    is(status_errno(shadow_allocate_range(i, 0, 0, (u64)free * 2 * BLOCK_BYTES)), ENOSPC,
       "allocating too much is ENOSPC");
    is(shadow_blocks_free(), written - written / 2 - 1, "and takes nothing");
    must(is_ok(shadow_remove("full")));
    must(is_ok(writable_sync(&shadow_disk)));
    is(shadow_blocks_free(), free, "all of it comes back");
    must(is_ok(writable_remount(&shadow_disk, true)));
    ok(shadow_blocks_free() + 64 > free, "and is free after a mount, but for what the log keeps");
    writable_destroy(&shadow_disk);
}

static void matrix_base(struct shadow *m, u32 state)
{
    shadow_truncate(m, 0);
    shadow_write(m, 0, 41000, 7);
    if (state > 0)
        must(is_ok(shadow_sync_file(shadow_look(m->name), SYNC_ALL)));
    if (state == 2)
        page_cache_reclaim(shadow_disk.fs, ~0ull);
    if (state == 3)
        shadow_write(m, 10000, 9000, 8);
}

static void test_matrix(void)
{
    static const u64 edges[] = {0, 1, 4095, 4096, 4097, 12288, 20000, 40960, 41000, 45056, 50001};
    struct shadow *m = &shadows[0];
    writable_init(&shadow_disk, 16 * MiB, host_heap);
    shadows_make();
    u32 cases = 0;
    for (u32 state = 0; state < 4; state++) {
        for (u32 a = 0; a < countof(edges); a++) {
            matrix_base(m, state);
            shadow_truncate(m, edges[a]);
            shadow_check(m);
            shadow_truncate(m, 60000);
            shadow_check(m);
            for (u32 b = a + 1; b < countof(edges); b++, cases++) {
                static const u32 kinds[] = {ALLOCATE_KEEP_SIZE | ALLOCATE_PUNCH, ALLOCATE_ZERO,
                                            ALLOCATE_ZERO | ALLOCATE_KEEP_SIZE, 0,
                                            ALLOCATE_KEEP_SIZE};
                matrix_base(m, state);
                shadow_allocate(m, kinds[cases % countof(kinds)], edges[a], edges[b] - edges[a]);
                shadow_check(m);
                shadow_seek(m);
                if (cases % 7 == 0)
                    must(is_ok(writable_remount(&shadow_disk, cases % 2)));
                shadow_check(m);
                shadow_write(m, edges[a], 100, 9);
                shadow_check(m);
            }
        }
    }
    ok(cases > 200, "%u cuts, holes and allocations between all edges, dirty and clean", cases);
    writable_destroy(&shadow_disk);
}

static void random_step(struct random *r)
{
    struct shadow *m = &shadows[random_below(r, SHADOWS)];
    u64 offset = random_below(r, SHADOW_BYTES / 2), bytes = 1 + random_below(r, 60000);
    u64 what = random_below(r, 100);
    if (random_below(r, 2))
        offset = align_down(offset, BLOCK_BYTES);
    if (what < 50)
        shadow_write(m, offset, bytes, random_next(r));
    else if (what < 62)
        shadow_truncate(m, random_below(r, SHADOW_BYTES));
    else if (what < 70)
        shadow_allocate(m, ALLOCATE_KEEP_SIZE | ALLOCATE_PUNCH, offset, bytes);
    else if (what < 76)
        shadow_allocate(m, random_below(r, 2) ? ALLOCATE_ZERO : 0, offset, bytes);
    else if (what < 84)
        must(is_ok(shadow_sync_file(shadow_look(m->name), (enum sync_kind)random_below(r, 3))));
    else if (what < 88)
        page_cache_reclaim(shadow_disk.fs, random_below(r, 200));
    else if (what < 92)
        shadow_seek(m);
    else if (what < 98)
        shadow_check(m);
    else if (what == 98)
        must(is_ok(writable_sync(&shadow_disk)));
    else
        must(is_ok(writable_remount(&shadow_disk, random_below(r, 2))));
}

static void test_random(u64 seed, u32 steps)
{
    struct random r;
    random_init(&r, seed);
    writable_init(&shadow_disk, 16 * MiB, host_heap);
    if (random_below(&r, 2))
        host_disk_reorder(&shadow_disk.disk, seed);
    shadows_make();
    for (u32 n = 0; n < steps; n++)
        random_step(&r);
    shadows_check();
    for (u32 n = 0; n < SHADOWS; n++)
        must(is_ok(shadow_remove(shadows[n].name)));
    must(is_ok(writable_sync(&shadow_disk)));
    writable_destroy(&shadow_disk);
}

static void test_failures(void)
{
    struct shadow *m = &shadows[0];
    writable_init(&shadow_disk, 16 * MiB, host_heap);
    shadows_make();
    struct inode *i = shadow_look("a");
    inode_hold(i);
    must(is_ok(writable_sync(&shadow_disk)));
    shadow_write(m, 0, 300000, 1);
    u64 seen = inode_failures_seen(i), other = seen;
    shadow_disk.disk.fail_at = shadow_disk.disk.calls + 1;
    is(status_errno(shadow_sync_file(i, SYNC_ALL)), EIO, "a write that fails fails the sync");
    shadow_check(m);
    is(status_errno(inode_failure(i, &seen)), EIO, "and each open file hears of it");
    is(status_errno(inode_failure(i, &seen)), 0, "once");
    is(status_errno(inode_failure(i, &other)), EIO, "the other one too");
    is(status_errno(shadow_sync_file(i, SYNC_ALL)), 0,
       "what is still dirty is written by the next one");
    u64 calls = shadow_disk.disk.calls;
    shadow_write(m, 8192, 4096, 2);
    shadow_disk.disk.fail_at = calls + 2;
    is(status_errno(shadow_sync_file(i, SYNC_DATA)), EIO, "a FLUSH that fails fails the sync");
    shadow_disk.disk.fail_at = 0;
    calls = shadow_disk.disk.calls;
    is(status_errno(shadow_sync_file(i, SYNC_DATA)), 0, "the next one");
    is(shadow_disk.disk.calls - calls, 2, "writes the data again");
    inode_release(i);
    must(is_ok(writable_remount(&shadow_disk, false)));
    shadow_check(m);
    ok(1, "and all of it is there");
    writable_destroy(&shadow_disk);
}

/* Pages 0 and 3 of a file are written, page 3 is on the disk and mapped, and then the power is cut:
   the file is empty, and its model with it. */
static void shadow_cut_grown(struct shadow *m)
{
    struct inode_attributes a;
    struct host_result r;
    struct sync_wait w = {NULL};
    shadow_write(m, 0, 4096, 1);
    shadow_write(m, 3 * 4096, 4096, 2);
    file_sync(shadow_look(m->name), 3, 4, SYNC_WRITE, &w, host_result_init(&r));
    must(is_ok(shadow_wait(&r)));
    shadow_make("other");
    must(is_ok(shadow_sync_file(shadow_look("other"), SYNC_ALL)));
    must(is_ok(writable_cut(&shadow_disk)));
    inode_attributes(shadow_look(m->name), &a);
    must(a.bytes == 0 && a.blocks == 8); /* or there is nothing to see */
    memset(m->bytes, 0, sizeof(m->bytes));
    m->length = 0;
}

static void grow_by_write(struct shadow *m)
{
    shadow_write(m, 5 * 4096 + 10, 100, 3);
}

static void grow_by_truncate(struct shadow *m)
{
    shadow_truncate(m, 4 * 4096 - 1);
}

static void grow_by_allocate(struct shadow *m)
{
    shadow_allocate(m, 0, 2 * 4096 + 10, 2 * 4096);
}

static void grow_into_allocated(struct shadow *m)
{
    struct inode_attributes a;
    shadow_allocate(m, ALLOCATE_KEEP_SIZE, 0, 6 * 4096);
    shadow_truncate(m, 6 * 4096);
    inode_attributes(shadow_look(m->name), &a);
    must(a.blocks == 6 * 8); /* none of them went when it grew */
}

/* What a power cut left behind the end of a file never shows. */
static void test_behind_the_end(void)
{
    static void (*const grow[])(struct shadow * m) = {grow_by_write, grow_by_truncate,
                                                      grow_by_allocate, grow_into_allocated};
    struct shadow *m = &shadows[0];
    for (u32 n = 0; n < countof(grow); n++) {
        writable_init(&shadow_disk, 16 * MiB, host_heap);
        shadows_make();
        shadow_cut_grown(m);
        grow[n](m);
        shadow_check(m);
        must(is_ok(writable_remount(&shadow_disk, false)));
        shadow_check(m);
        writable_destroy(&shadow_disk);
    }
    ok(1, "what a power cut left behind the end of a file is not seen when it grows");
}

/* Written, a hole, unwritten, dirty. */
static void mixed_make(struct shadow *m)
{
    shadow_write(m, 0, 12 * 4096 - 5, 1);
    must(is_ok(shadow_sync_file(shadow_look(m->name), SYNC_ALL)));
    shadow_allocate(m, ALLOCATE_KEEP_SIZE | ALLOCATE_PUNCH, 3 * 4096, 4096);
    shadow_allocate(m, ALLOCATE_ZERO, 5 * 4096, 4096);
    shadow_write(m, 7 * 4096, 4096, 2);
    page_cache_reclaim(shadow_disk.fs, ~0ull);
}

/* With the 1st, 2nd... allocation failing; how often that failed the call. */
static u64 allocate_failing(struct counting_heap *c, struct shadow *m, u32 flags)
{
    u64 failures = 0;
    for (u64 n = 1;; n++) {
        mixed_make(m);
        c->fail_at = c->calls + n;
        status s = shadow_allocate_range(shadow_look(m->name), flags, 100, 11 * 4096);
        bool failed = c->calls >= c->fail_at;
        c->fail_at = 0;
        must(is_ok(s) || (failed && status_errno(s) == ENOMEM));
        if (is_ok(s))
            memset(m->bytes + 100, 0, 11 * 4096);
        shadow_check(m);
        failures += !is_ok(s);
        if (!failed)
            return failures;
    }
}

static void disk_fill(void)
{
    static const u8 block[BLOCK_BYTES];
    struct inode *i = shadow_make("full");
    u64 at = 0;
    while (is_ok(shadow_write_bytes(i, at, block, sizeof(block))))
        at += sizeof(block);
}

static void test_all_or_nothing(void)
{
    static struct counting_heap c;
    struct shadow *m = &shadows[0];
    counting_heap_init(&c, "writing");
    writable_init(&shadow_disk, 16 * MiB, &c.h);
    shadows_make();
    u64 failures = allocate_failing(&c, m, ALLOCATE_PUNCH | ALLOCATE_KEEP_SIZE);
    must(is_ok(writable_remount(&shadow_disk, false)));
    shadow_check(m);
    ok(failures, "a hole that fails, %llu times, changes no byte", (unsigned long long)failures);
    mixed_make(m);
    disk_fill();
    is(status_errno(shadow_allocate_range(shadow_look(m->name), ALLOCATE_ZERO, 100, 11 * 4096)),
       ENOSPC, "zeroing may need blocks");
    shadow_check(m);
    must(is_ok(writable_remount(&shadow_disk, false)));
    shadow_check(m);
    ok(1, "and changes no byte when there are none");
    writable_destroy(&shadow_disk);
    counting_heap_close(&c);
}

/* Who writes much waits for the disk, and the cache keeps its limit. */
static void test_throttle(void)
{
    static u8 chunk[64 * KiB];
    writable_dirty_pages = 128;
    writable_init(&shadow_disk, 64 * MiB, host_heap);
    struct inode *i = shadow_make("much");
    for (u64 at = 0; at < 32 * MiB; at += sizeof(chunk))
        must(is_ok(shadow_write_bytes(i, at, chunk, sizeof(chunk))));
    ok(shadow_disk.disk.bytes_written > 30 * MiB, "32 MiB through 128 dirty pages");
    u64 largest = shadow_disk.disk.largest;
    ok(largest >= 128 * KiB, "in requests of many pages (%llu)", (unsigned long long)largest);
    must(is_ok(writable_remount(&shadow_disk, true)));
    is(inode_bytes(shadow_look("much")), 32 * MiB, "all of it is there");
    writable_dirty_pages = 0;
    writable_destroy(&shadow_disk);
}

int main(void)
{
    u64 seed = test_seed();
    test_round_trip();
    test_flushes();
    test_large();
    test_full();
    test_matrix();
    test_failures();
    test_behind_the_end();
    test_all_or_nothing();
    test_throttle();
    for (u32 n = 0; n < 8; n++)
        test_random(seed + n, 400);
    ok(1, "random operations agree with a model, through mounts");
    return done_testing();
}
