/* Commits: what reaches the device in which order, what is answered when, and what a disk shows
   that was cut off, failed or ended at any moment. */
#include "fs/checkpoint.h"
#include "fs/log_state.h"
#include "test/host/fs_recorder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK_BYTES (8 * MiB)

static void disk_new(void)
{
    disk_new_of(DISK_BYTES);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_only_reading(void)
{
    disk_new();
    u8 *before = disk_copy();
    mount();
    u8 byte;
    u64 got;
    struct inode *old = test_lookup(fs, "/old");
    must(is_ok(test_read(old, 0, &byte, 1, &got)));
    inode_hold(old);
    inode_release(old);
    ok(is_ok(sync_of(old, SYNC_ALL)) && is_ok(sync_of(NULL, SYNC_ALL)), "nothing is there to sync");
    time_pass(60 * NS_PER_SECOND);
    ok(is_ok(ended()), "and to end");
    unmount();
    is(recorder.count, 0, "who only reads writes nothing and flushes nothing (%s)",
       recorder.events);
    ok(memcmp(before, recorder.disk.bytes, recorder.disk.length) == 0, "the disk is as it was");
    must(is_ok(mount_with(true)));
    is(status_errno(make("x", NULL)), EROFS, "a read-only mount refuses changes");
    ok(is_ok(sync_of(NULL, SYNC_ALL)) && is_ok(ended()), "and syncs, and ends");
    unmount();
    is(recorder.count, 0, "without a write");
    free(before);
    disk_gone();
}

static void test_order(void)
{
    disk_new();
    mount();
    struct inode *a = made("a");
    must(is_ok(put(a, 0, 3, 1)));
    must_sync(a);
    is_string(recorder.events, "DFSFGFGF",
              "the first fsync: data, FLUSH, superblock, FLUSH, NEXT, FLUSH, group, FLUSH");
    is(recorder.early, 0, "each FLUSH comes when what it covers has arrived");
    record_clear(&recorder);
    must(is_ok(put(a, 3, 2, 1)));
    must_sync(a);
    is_string(recorder.events, "DFGF", "the next one has no superblock to write");
    record_clear(&recorder);
    must(is_ok(put(a, 0, 5, 9)));
    must(is_ok(sync_of(a, SYNC_DATA)));
    is_string(recorder.events, "DF", "fdatasync of data in its place is one FLUSH");
    record_clear(&recorder);
    made("b");
    must_sync(test_lookup(fs, "/b"));
    is_string(recorder.events, "GF", "a name alone is a group and a FLUSH");
    record_clear(&recorder);
    must_sync(test_lookup(fs, "/b"));
    is_string(recorder.events, "", "what is durable is not made so again");
    unmount();
    mount();
    ok(holds("/a", 5, 9), "a mount after a power cut has the data");
    ok(test_lookup(fs, "/b"), "and the name");
    unmount();
    disk_gone();
}

static void test_joining(void)
{
    struct host_result results[20];
    struct sync_wait waits[20];
    struct inode *files[20];
    char name[16];
    disk_new();
    mount();
    for (u32 n = 0; n < 20; n++) {
        snprintf(name, sizeof(name), "f%u", n);
        files[n] = made(name);
        must(is_ok(put(files[n], 0, 1, n)));
        waits[n] = (struct sync_wait){NULL};
    }
    must_sync(NULL);
    record_clear(&recorder);
    for (u32 n = 0; n < 20; n++) {
        must(is_ok(put(files[n], 0, 2, n)));
        file_sync(files[n], 0, ~0ull, SYNC_ALL, &waits[n], host_result_init(&results[n]));
    }
    host_run();
    u32 answered = 0, flushes = 0;
    for (u32 n = 0; n < 20; n++)
        answered += results[n].applied == 1 && is_ok(results[n].s);
    for (u32 n = 0; n < recorder.count; n++)
        flushes += recorder.events[n] == FLUSH;
    is(answered, 20, "twenty fsyncs at once are answered");
    ok(flushes <= 6, "by %u FLUSHes", flushes);
    note("%s", recorder.events);
    unmount();
    disk_gone();
}

static void test_cancelling(void)
{
    struct host_result first, second;
    struct sync_wait w = {NULL}, w2 = {NULL};
    disk_new();
    mount();
    struct inode *a = made("a");
    must(is_ok(put(a, 0, 1, 1)));
    recorder.disk.silent = true;
    file_sync(a, 0, ~0ull, SYNC_ALL, &w, host_result_init(&first));
    file_sync(a, 0, ~0ull, SYNC_ALL, &w2, host_result_init(&second));
    host_run();
    ok(sync_wait_cancel(&w), "who waits gives up");
    closure_freed(&first.done.header);
    while (host_disk_answer(&recorder.disk))
        host_run();
    ok(first.applied == 0 && second.applied == 1 && is_ok(second.s), "the others are answered");
    must(is_ok(put(a, 0, 2, 1)));
    w = (struct sync_wait){NULL};
    file_sync(a, 0, ~0ull, SYNC_ALL, &w, host_result_init(&first));
    host_run();
    struct host_result closed;
    filesystem_unmount(fs, host_result_init(&closed));
    host_run();
    ok(closed.applied == 0, "an unmount waits for a device that does not answer");
    while (host_disk_answer(&recorder.disk))
        host_run();
    ok(closed.applied == 1 && first.applied == 1, "and ends when that lets go");
    is(status_errno(first.s), ECANCELED, "a sync is cancelled by it");
    recorder.disk.silent = false;
    disk_gone();
}

static void test_interval(void)
{
    disk_new();
    mount();
    struct inode *a = made("a");
    must(is_ok(put(a, 0, 1, 4)));
    host_run();
    time_pass(4900 * NS_PER_MS);
    is(recorder.count, 0, "nothing is written before the interval is over");
    time_pass(200 * NS_PER_MS);
    is_string(recorder.events, "DFSFGFGF", "then everything is made durable");
    time_pass(20 * NS_PER_SECOND);
    is_string(recorder.events, "DFSFGFGF", "once");
    unmount();
    mount();
    ok(holds("/a", 1, 4), "it is there");
    unmount();
    disk_gone();
}

static const struct superblock *super(u32 n)
{
    return (const void *)(recorder.disk.bytes + (n ? SUPERBLOCK_B * BLOCK_BYTES : 0));
}

static const struct superblock *newest(void)
{
    return super(1)->generation > super(0)->generation ? super(1) : super(0);
}

static void test_clean(void)
{
    disk_new();
    ok(newest()->flags & SUPERBLOCK_CLEAN, "an image is clean");
    u64 generation = newest()->generation;
    mount();
    must(is_ok(put(made("a"), 0, 2, 1)));
    must_sync(NULL);
    ok(!(newest()->flags & SUPERBLOCK_CLEAN), "the first commit says that it is not any more");
    is(newest()->generation, generation + 1, "with the next generation");
    must(is_ok(put(made("b"), 0, 2, 2)));
    record_clear(&recorder);
    ok(is_ok(ended()), "it ends");
    is_string(recorder.events, "DFGFFSF", "with everything durable before the superblock says so");
    const struct superblock *s = newest();
    ok(s->flags & SUPERBLOCK_CLEAN && s->generation == generation + 2, "the disk is clean again");
    is(status_errno(make("c", NULL)), EROFS, "nothing can be changed behind that");
    u64 reach = s->reach_sequence;
    u64 at = fs->log->stream.block * BLOCK_BYTES + fs->log->stream.at;
    unmount();
    /* A group behind the end, as if it belonged there: nobody looks at it. */
    memset(recorder.disk.bytes + at, 0xee, 512);
    mount();
    ok(holds("/a", 2, 1) && holds("/b", 2, 2), "all is there");
    is(fs->log->stream.sequence, reach + 1, "the log goes on with the next sequence");
    must(is_ok(put(made("d"), 0, 1, 3)));
    must_sync(NULL);
    unmount();
    mount();
    ok(holds("/d", 1, 3), "behind what an end left");
    ok(is_ok(ended()), "a mount that changed nothing ends");
    is_string(recorder.events, "", "and writes nothing");
    unmount();
    disk_gone();
}

/* A name and data, made durable, with the n-th request that writes or flushes failing; then again
   without. */
static bool failing(const u8 *image, u32 n, u32 *failures)
{
    disk_put(image);
    mount();
    recorder.fail_writes_from = n;
    recorder.fail_writes = 1;
    recorder.fail_with = EIO;
    struct inode *a = made("a");
    must(is_ok(put(a, 0, 70, 1)));
    status first = sync_of(a, SYNC_ALL);
    bool failed = recorder.writes >= n;
    *failures += failed;
    bool right = is_ok(first) == !failed;
    if (!right)
        note("request %u of %s: %s", n, recorder.events, status_text(first));
    if (!is_ok(first)) {
        right = right && status_errno(first) == EIO;
        must_sync(a);
    }
    unmount();
    mount();
    if (!holds("/a", 70, 1)) {
        note("request %u: the data is not there", n);
        right = false;
    }
    unmount();
    return right;
}

static void test_failures(void)
{
    disk_new();
    u8 *image = disk_copy();
    u32 failures = 0, n = 0, wrong = 0, before;
    do {
        before = failures;
        wrong += !failing(image, ++n, &failures);
    } while (failures > before);
    is(wrong, 0, "each of %u requests failed in turn: reported once, and done by the next sync",
       failures);
    free(image);
    disk_gone();
}

static void test_broken(void)
{
    disk_new();
    mount();
    must(is_ok(put(made("a"), 0, 3, 1)));
    must_sync(NULL);
    must(is_ok(put(made("b"), 0, 3, 1)));
    record_clear(&recorder);
    recorder.fail_writes_from = 1;
    recorder.fail_writes = ~0u - 1;
    recorder.fail_with = EIO;
    is(status_errno(sync_of(NULL, SYNC_ALL)), EIO, "data cannot be written: the sync fails");
    ok(fs->writable, "which is no reason to give up the log");
    u32 tries = 0;
    recorder_warned = 0;
    struct commit_wait w = {.done = NULL};
    while (fs->writable && tries++ < 100) {
        struct host_result result;
        commit_request(fs, &w, host_result_init(&result));
        host_run();
        must(result.applied == 1 && status_errno(result.s) == EIO);
    }
    ok(tries <= COMMIT_FAILURES_MOST, "the log is given up");
    ok(recorder_warned > 0 && recorder_warned < 30, "with %u lines said", (u32)recorder_warned);
    is(status_errno(make("c", NULL)), EROFS, "changes are refused from then on");
    u32 count = recorder.count;
    is(status_errno(sync_of(NULL, SYNC_ALL)), EIO, "and syncs fail");
    time_pass(60 * NS_PER_SECOND);
    is(status_errno(ended()), EIO, "as the end does");
    ok(recorder.count < count + 20, "without a storm of requests (%u)", recorder.count - count);
    unmount();
    record_clear(&recorder);
    mount();
    ok(holds("/a", 3, 1) && !test_lookup(fs, "/b"), "what was durable before is there");
    record_clear(&recorder);
    recorder.fail_writes_from = 1;
    recorder.fail_writes = ~0u - 1;
    recorder.fail_with = EROFS;
    made("c");
    ok(!is_ok(sync_of(NULL, SYNC_ALL)), "a disk that turned read-only: the sync fails");
    is(status_errno(make("d", NULL)), EROFS, "and changes are refused at once");
    unmount();
    disk_gone();
}

/* No retries but by who asks, and by the interval. */
static void test_no_storm(void)
{
    disk_new();
    mount();
    must(is_ok(put(made("a"), 0, 1, 1)));
    recorder.fail_writes_from = 1;
    recorder.fail_writes = 2;
    recorder.fail_with = EIO;
    ok(!is_ok(sync_of(NULL, SYNC_ALL)), "a sync fails");
    u32 count = recorder.count;
    host_run();
    is(recorder.count, count, "and is not repeated by itself");
    recorder.fail_writes = 0;
    time_pass(6 * NS_PER_SECOND);
    ok(recorder.count > count, "before the interval is over");
    unmount();
    mount();
    ok(holds("/a", 1, 1), "which makes it durable");
    unmount();
    disk_gone();
}

/* --- torn tails ------------------------------------------------------------------------------- */

static void names_make(char prefix, u32 count)
{
    char name[256];
    for (u32 n = 0; n < count; n++) {
        snprintf(name, sizeof(name), "%c%06u%0233u", prefix, n % 1000000, 0);
        made(name);
    }
}

/* The disk has `after` but for one sector, which is as it was before. */
static bool torn(const u8 *before, const u8 *after, u64 sector, u32 *lost)
{
    u64 at = sector * SECTOR_BYTES;
    disk_put(after);
    memcpy(recorder.disk.bytes + at, before + at, SECTOR_BYTES);
    mount();
    bool right = holds("/a", 3, 1);
    u64 entries = fs->entries;
    *lost += entries < 100;
    /* What goes on behind it is there after another cut, and nothing that was lost comes back. */
    made("later");
    must_sync(NULL);
    bool zeroed = strchr(recorder.events, ZERO) != NULL;
    unmount();
    mount();
    right = right && test_lookup(fs, "/later") && fs->entries == entries + 1 && zeroed;
    made("last");
    must_sync(NULL);
    unmount();
    mount();
    right = right && test_lookup(fs, "/last") && fs->entries == entries + 2;
    unmount();
    if (!right)
        note("sector %llu: wrong", (unsigned long long)sector);
    return right;
}

static void test_torn(void)
{
    disk_new_of(5 * DISK_BYTES);
    mount();
    must(is_ok(put(made("a"), 0, 3, 1)));
    must_sync(NULL);
    u8 *before = disk_copy();
    record_clear(&recorder);
    names_make('t', 1000);
    must_sync(NULL);
    is_string(recorder.events, "GGGF", "a commit of several groups has one FLUSH");
    unmount();
    u8 *after = disk_copy();
    u32 tried = 0, wrong = 0, lost = 0;
    for (u64 sector = 0; sector < recorder.disk.length / SECTOR_BYTES; sector++) {
        u64 at = sector * SECTOR_BYTES;
        if (memcmp(before + at, after + at, SECTOR_BYTES) == 0)
            continue;
        /* All of them near the ends of groups, and some in the middle. */
        bool edge = memcmp(after + at, "ThkG", 4) == 0 || memcmp(after + at + 512, "ThkG", 4) == 0;
        if (!edge && sector % 9)
            continue;
        tried++;
        wrong += !torn(before, after, sector, &lost);
    }
    ok(tried > 50 && lost > 10, "%u sectors of a tail were torn, in turn", tried);
    is(wrong, 0, "each mounts, and goes on");
    free(before);
    free(after);
    disk_gone();
}

/* --- segments --------------------------------------------------------------------------------- */

/* Between a group with NEXT and the next segment's first group there is a FLUSH. */
static bool barrier_holds(void)
{
    bool right = true;
    u64 last = 0;
    bool flushed = true;
    for (u32 n = 0; n < recorder.count; n++) {
        if (recorder.events[n] == FLUSH)
            flushed = true;
        if (recorder.events[n] != GROUP)
            continue;
        u64 gap =
            recorder.sectors[n] > last ? recorder.sectors[n] - last : last - recorder.sectors[n];
        if (last && gap > GROUP_BYTES_MOST / SECTOR_BYTES && !flushed)
            right = false;
        last = recorder.sectors[n];
        flushed = false;
    }
    return right;
}

static void test_segments(void)
{
    disk_new();
    mount();
    u64 segment = fs->log->stream.block;
    u32 switches = 0, commits = 0;
    for (; switches < 4 && commits < 400; commits++) {
        names_make((char)('A' + commits % 26), 40 + commits % 3);
        must_sync(NULL);
        if (fs->log->stream.block != segment)
            switches++;
        segment = fs->log->stream.block;
        char name[256];
        for (struct directory_entry e;
             directory_next(filesystem_root(fs), 0, &e) && fs->entries > 2;) {
            bool found = false;
            for (u64 cookie = 0; directory_next(filesystem_root(fs), cookie, &e); cookie = e.cookie)
                if (e.name_bytes == 240) {
                    found = true;
                    break;
                }
            if (!found)
                break;
            memcpy(name, e.name, e.name_bytes);
            must(is_ok(inode_unlink(filesystem_root(fs), name, e.name_bytes)));
        }
    }
    ok(switches >= 4, "the log went through %u segments in %u commits", switches, commits);
    ok(barrier_holds(), "a NEXT is durable before what it leads to is written");
    must(is_ok(put(made("a"), 0, 3, 1)));
    must_sync(NULL);
    u64 sequence = fs->log->stream.sequence;
    unmount();
    mount();
    ok(holds("/a", 3, 1), "and all of them are read again");
    is(fs->log->stream.sequence, sequence, "as far as they were written");
    unmount();
    disk_gone();
}

/* --- unlinked and held, when the power was cut --------------------------------------------------
 */

static void test_orphans(void)
{
    disk_new();
    mount();
    struct inode *a = made("a");
    must(is_ok(put(a, 0, 30, 1)));
    inode_hold(a);
    must_sync(NULL);
    must(is_ok(inode_unlink(filesystem_root(fs), "a", 1)));
    must_sync(NULL);
    u8 *cut = disk_copy();
    inode_release(a);
    unmount();
    disk_put(cut);
    mount();
    u64 used = fs->space.used;
    must(fs->orphans);
    made("b");
    must_sync(NULL);
    ok(!fs->orphans, "the first commit forgets what was unlinked while open");
    must_sync(NULL);
    made("c");
    must_sync(NULL);
    ok(fs->space.used + 30 <= used, "and its blocks come back");
    unmount();
    mount();
    ok(!fs->orphans && test_lookup(fs, "/b"), "for good");
    unmount();
    free(cut);
    disk_gone();
}

/* --- unmount and memory, at any moment -------------------------------------------------------- */

/* What a program does all the time, as far as it is allowed. */
static void some_work(u32 n)
{
    struct inode *a = test_lookup(fs, "/a");
    char name[16];
    snprintf(name, sizeof(name), "w%u", n);
    (void)is_ok(make(name, NULL));
    if (a)
        (void)is_ok(put(a, n % 50, 1 + n % 7, n));
    if (n % 3 == 0 && test_lookup(fs, "/w0"))
        (void)is_ok(inode_unlink(filesystem_root(fs), "w0", 2));
}

static void test_unmounting(void)
{
    disk_new();
    u8 *image = disk_copy();
    u32 answered = 0;
    for (u32 n = 0; n < 60; n++) {
        struct host_result synced, finished, closed;
        struct sync_wait w = {NULL};
        disk_put(image);
        mount();
        made("a");
        recorder.disk.silent = true;
        for (u32 k = 0; k < 5; k++)
            some_work(n + k);
        filesystem_sync(fs, &w, host_result_init(&synced));
        if (n % 2)
            checkpoint_consider(fs, true);
        if (n % 5 == 0)
            filesystem_end(fs, host_result_init(&finished));
        host_run();
        for (u32 k = 0; k < n / 2 && host_disk_answer(&recorder.disk); k++)
            host_run();
        filesystem_unmount(fs, host_result_init(&closed));
        for (host_run(); host_disk_answer(&recorder.disk);)
            host_run();
        answered += closed.applied == 1 && synced.applied == 1 && (n % 5 || finished.applied == 1);
        recorder.disk.silent = false;
        mount();
        unmount();
    }
    is(answered, 60, "an unmount at any moment answers everybody, and the disk mounts again");
    free(image);
    disk_gone();
}

static void test_memory(void)
{
    disk_new();
    u8 *image = disk_copy();
    u32 wrong = 0, n = 0;
    for (u64 failed = 1; failed; n++) {
        disk_put(image);
        mount();
        recorder_fail_allocation(n + 1);
        struct inode *a;
        status s = make("a", &a);
        if (is_ok(s))
            s = put(a, 0, 5, 1);
        if (is_ok(s))
            s = sync_of(a, SYNC_ALL);
        failed = recorder_fail_allocation(0);
        wrong += !is_ok(s) && status_errno(s) != ENOMEM;
        if (!test_lookup(fs, "/a"))
            made("a");
        must(is_ok(put(test_lookup(fs, "/a"), 0, 5, 1)));
        must_sync(NULL);
        unmount();
        mount();
        wrong += !holds("/a", 5, 1);
        unmount();
    }
    is(wrong, 0, "each of %u allocations failed in turn: ENOMEM, and then it works", n - 1);
    free(image);
    disk_gone();
}

int main(void)
{
    recorder_open();
    test_only_reading();
    test_order();
    test_joining();
    test_cancelling();
    test_interval();
    test_clean();
    test_failures();
    test_broken();
    test_no_storm();
    test_torn();
    test_segments();
    test_orphans();
    test_unmounting();
    test_memory();
    recorder_close();
    return done_testing();
}
