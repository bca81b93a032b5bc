/* Reading through the page cache: failures of single blocks, fetches that meet, requests in flight,
   holds, holes without end, the errors of look-up; waits that are given up, and unmounting in the
   middle of reads. */
#include "fs/format.h"
#include "test/host/fs_fixture.h"
#include "test/host/harness.h"

#include <stdlib.h>
#include <string.h>

static struct test_tree tree;
static struct host_disk disk;
static struct filesystem *fs;

static struct inode *file(const char *path)
{
    struct inode *i = test_lookup(fs, path);
    if (!i)
        panic("%s is not in the image", path);
    return i;
}

static status fetch(struct inode *i, u64 first, u64 count)
{
    struct host_result r;
    pages_fetch(i, first, count, host_result_init(&r));
    host_run();
    must(r.applied == 1);
    return r.s;
}

static bool page_right(const char *path, u64 index)
{
    static u8 expected[BLOCK_BYTES];
    struct inode *i = file(path);
    struct page *p = page_find(i, index);
    for (u32 n = 0; n < tree.count; n++)
        if (strcmp(tree.nodes[n].path, path) == 0)
            tree_content(&tree.nodes[n], index * BLOCK_BYTES, expected, BLOCK_BYTES);
    bool right = p && memcmp(page_memory(p), expected, BLOCK_BYTES) == 0;
    if (p)
        page_release(p);
    return right;
}

/* The disk's copy of a page of a file, found by what it holds. */
static u8 *page_on_disk(const struct tree_node *n, u64 index)
{
    static u8 expected[BLOCK_BYTES];
    tree_content(n, index * BLOCK_BYTES, expected, BLOCK_BYTES);
    for (u64 at = 0; at < disk.length; at += BLOCK_BYTES)
        if (memcmp(disk.bytes + at, expected, BLOCK_BYTES) == 0)
            return disk.bytes + at;
    panic("page %llu of %s is not on the disk", (unsigned long long)index, n->path);
}

static void test_bad_block(const struct tree_node *n)
{
    struct inode *i = file(n->path);
    u8 *block = page_on_disk(n, 20);
    block[100] ^= 4;
    warn_lines = 0;
    ok(is_ok(fetch(i, 0, 64)), "a bad block among those read ahead does not fail the first page");
    ok(page_right(n->path, 0) && page_right(n->path, 19) && page_right(n->path, 21),
       "the blocks around it are right");
    ok(!page_find(i, 20), "the bad one is not in the cache");
    is(warn_lines, 1, "one line: %s", warn_last);
    ok(strstr(warn_last, n->path) && strstr(warn_last, "81920"), "it names file and offset");
    is(status_errno(fetch(i, 20, 1)), EIO, "fetched as the first page it is EIO");
    is(status_errno(fetch(i, 20, 10)), EIO, "with others behind it too");
    block[100] ^= 4;
    ok(is_ok(fetch(i, 20, 1)) && page_right(n->path, 20), "and right when the disk is right again");
    page_cache_reclaim(fs, ~0ull);
}

static void test_meeting(const char *path)
{
    struct host_result a, b, c;
    struct inode *i = file(path);
    (void)fetch(i, 100, 1); /* the checksums are there from now on */
    u64 calls = disk.calls;
    pages_fetch(i, 0, 32, host_result_init(&a));
    pages_fetch(i, 16, 8, host_result_init(&b));
    pages_fetch(i, 30, 10, host_result_init(&c));
    host_run();
    ok(a.applied == 1 && b.applied == 1 && c.applied == 1, "fetches that meet all complete");
    ok(is_ok(a.s) && is_ok(b.s) && is_ok(c.s), "and succeed");
    is(disk.calls - calls, 2, "what one is reading already is not read twice");
    page_cache_reclaim(fs, ~0ull);
    pages_fetch(i, 0, 32, host_result_init(&a));
    pages_fetch(i, 0, 1, host_result_init(&b));
    disk.fail_at = disk.calls + 2; /* the data; the checksums come first */
    host_run();
    ok(a.applied == 1 && b.applied == 1 && is_ok(a.s) && is_ok(b.s),
       "a device error in a long read: the first page is asked for once more");
    disk.fail_at = 0;
    page_cache_reclaim(fs, ~0ull);
}

/* --- waits that are given up ------------------------------------------------------------------ */

/* Fetches, answers `answers` requests and then gives up; false when the fetch was over by then. */
static bool fetch_given_up(struct inode *i, u64 first, u64 count, u64 answers)
{
    struct host_result r;
    struct pages_wait w = {NULL};
    disk.silent = true;
    pages_fetch_cancellable(i, first, count, &w, host_result_init(&r));
    for (u64 n = 0; n < answers; n++) {
        host_run();
        host_disk_answer(&disk);
    }
    host_run();
    bool over = r.applied == 1;
    must(pages_wait_cancel(&w) == !over);
    must(!pages_wait_cancel(&w));
    while (host_run(), host_disk_answer(&disk))
        ;
    disk.silent = false;
    must(r.applied == over && disk.in_flight == 0);
    return !over;
}

static void test_given_up(const struct tree_node *n)
{
    struct inode *i = file(n->path);
    u64 points = 0, calls = disk.calls;
    page_cache_reclaim(fs, ~0ull);
    while (fetch_given_up(i, 0, 300, points)) {
        for (u64 at = 0; at < 300; at += 37)
            must(page_right(n->path, at));
        page_cache_reclaim(fs, ~0ull);
        points++;
    }
    ok(points > 4, "a fetch given up at each of %llu points brings its pages in nevertheless",
       (unsigned long long)points);
    ok(disk.calls > calls && disk.cancelled == 0, "and nothing of it is cancelled");
    page_cache_reclaim(fs, ~0ull);
    disk.fail_at = disk.calls + 2;
    ok(fetch_given_up(i, 0, 8, 0), "one that fails after it was given up tells nobody");
    disk.fail_at = 0;
    is(status_errno(fetch(i, 0, 8)), 0, "and whoever comes next asks again");
    page_cache_reclaim(fs, ~0ull);
}

/* Two wait for the same pages, and one of them gives up. */
static void test_given_up_beside(const char *path)
{
    struct host_result a, b;
    struct pages_wait first = {NULL}, second = {NULL};
    struct inode *i = file(path);
    (void)fetch(i, 100, 1);
    pages_fetch_cancellable(i, 0, 32, &first, host_result_init(&a));
    pages_fetch_cancellable(i, 0, 32, &second, host_result_init(&b));
    ok(pages_wait_cancel(&first), "who asked first gives up");
    host_run();
    ok(a.applied == 0 && b.applied == 1 && is_ok(b.s), "who joined gets the pages");
    closure_freed(&a.done.header);
    page_cache_reclaim(fs, ~0ull);
}

/* --- unmounting with reads in flight ---------------------------------------------------------- */

/* Unmounts after `answers` requests of a fetch and a file_read; false when these were over. */
static bool unmounted_in_flight(u64 answers)
{
    struct host_result fetched, read, unmounted;
    struct counting_heap h;
    static u8 memory[64 * BLOCK_BYTES] __attribute__((aligned(4096)));
    struct sg_list sg;
    status why;
    u64 got;
    counting_heap_init(&h, "fs");
    struct filesystem *other = test_mount(&disk, &h.h, &h.h, 1000, &why);
    must(other);
    struct inode *i = test_lookup(other, "/long");
    sg_init(&sg, host_heap);
    must(sg_add(&sg, memory, sizeof(memory)));
    disk.silent = true;
    disk.cancelled = 0;
    pages_fetch(i, 0, 300, host_result_init(&fetched));
    file_read(i, 512 * BLOCK_BYTES, &sg, &got, host_result_init(&read));
    for (u64 n = 0; n < answers; n++) {
        host_run();
        host_disk_answer(&disk);
    }
    host_run();
    bool over = fetched.applied && read.applied;
    u64 flying = disk.in_flight;
    filesystem_unmount(other, host_result_init(&unmounted));
    must(disk.cancelled == flying);
    do {
        host_run();
        must(unmounted.applied == (disk.in_flight == 0));
    } while (host_disk_answer(&disk));
    disk.silent = false;
    must(unmounted.applied == 1 && fetched.applied == 1 && read.applied == 1);
    must(over || status_errno(fetched.s) == ECANCELED || status_errno(read.s) == ECANCELED);
    must(h.live == 0);
    counting_heap_close(&h);
    sg_clear(&sg);
    return !over;
}

static void test_unmount_in_flight(void)
{
    u64 points = 0;
    while (unmounted_in_flight(points))
        points++;
    ok(points > 4,
       "unmounted at each of %llu points, it waits for the device and gives everything back",
       (unsigned long long)points);
}

static void test_flight(const char *path)
{
    struct inode *i = file(path);
    disk.in_flight_most = disk.largest = 0;
    ok(is_ok(fetch(i, 0, 512)), "2 MiB are fetched");
    ok(disk.in_flight_most >= 8 && disk.largest >= 256 * KiB,
       "with %llu requests in flight of at most %llu bytes",
       (unsigned long long)disk.in_flight_most, (unsigned long long)disk.largest);
    u64 window = 0;
    for (u64 at = 0; at < 2000; at += window)
        window = pages_read_ahead(i, at, 1);
    ok(window >= 128, "reading in order, the window grows to %llu pages",
       (unsigned long long)window);
    ok(pages_read_ahead(i, 77, 1) <= 32, "and is small again after a jump");
    is(pages_read_ahead(i, 1 << 30, 3), 3, "behind the end nothing is added");
    page_cache_reclaim(fs, ~0ull);
}

/* What a run says of its pages is what page_find says of each. */
static bool run_right(struct inode *i, u64 first, u64 most, u32 *longest)
{
    struct page_run run;
    u32 count = pages_find(i, first, most, &run);
    struct page *alone = page_find(i, first);
    bool right = count == run.count && count <= most && count <= PAGE_RUN_MOST && !alone == !count;
    for (u32 n = 0; n < count; n++) {
        struct page *p = page_find(i, first + n);
        right &= p && p == run.pages[n] && page_memory(p) == run.memory + n * BLOCK_BYTES;
        if (p)
            page_release(p);
    }
    if (alone)
        page_release(alone);
    page_cache_reclaim(fs, ~0ull);
    for (u32 n = 0; n < count; n++) {
        struct page *p = page_find(i, first + n);
        right &= p == run.pages[n]; /* held, so not evicted */
        if (p)
            page_release(p);
    }
    if (count)
        page_run_release(&run);
    *longest = max(*longest, count);
    return right;
}

static void test_runs(const char *path, u32 expected)
{
    struct inode *i = file(path);
    u32 longest = 0;
    bool right = !pages_find(i, 0, 8, &(struct page_run){});
    for (u64 first = 0; first < 140; first += 3) {
        fetch(i, 0, 5);
        fetch(i, 7, 130);
        right &= run_right(i, first, 1 + first % 20, &longest);
    }
    ok(right, "runs of pages are those that are there one by one");
    is(longest, expected, "and as long as they may be");
    page_cache_reclaim(fs, ~0ull);
    ok(!page_find(i, 64), "and released afterwards");
}

static void test_holds(const char *path)
{
    struct inode *i = file(path);
    must(is_ok(fetch(i, 0, 4)));
    struct page *p = page_find(i, 2);
    must(p);
    page_hold(p);
    page_release(p);
    page_cache_reclaim(fs, ~0ull);
    struct page *again = page_find(i, 2);
    ok(again == p, "a held page is not reclaimed");
    ok(!page_find(i, 1), "others are");
    page_release(p);
    page_release(p);
    page_cache_reclaim(fs, ~0ull);
    ok(!page_find(i, 2), "released, it is reclaimed");
}

/* Memory that is no whole number of blocks takes the way through the cache. */
static void test_endless_hole(const struct tree_node *n)
{
    u64 bytes = 300 * MiB, got = 0, wrong = 0;
    u8 *to = malloc(bytes);
    if (!to)
        skip_all("no memory for a large buffer");
    memset(to, 1, bytes);
    status s = test_read(file(n->path), 1, to, bytes - 1, &got);
    for (u64 at = 0; at < bytes - 1; at++)
        wrong += to[at] != 0;
    ok(is_ok(s) && got == bytes - 1 && wrong == 0, "300 MiB of a hole read as zeroes");
    is(to[bytes - 1], 1, "and not a byte more");
    s = test_read(file(n->path), n->bytes - 10, to, 4096, &got);
    ok(is_ok(s) && got == 10, "a read at the end is short");
    s = test_read(file(n->path), n->bytes, to, 4096, &got);
    ok(is_ok(s) && got == 0, "and behind it empty");
    free(to);
}

static void test_errors(void)
{
    struct inode *i, *root = filesystem_root(fs);
    char name[256], byte;
    u64 got;
    memset(name, 'x', sizeof(name));
    is(status_errno(inode_lookup(root, "none", 4, &i)), ENOENT, "a name that is not there");
    is(status_errno(inode_lookup(root, name, 256, &i)), ENAMETOOLONG, "a name of 256 bytes");
    is(status_errno(inode_lookup(file("/long"), "x", 1, &i)), ENOTDIR, "a name in a file");
    is(status_errno(test_read(root, 0, &byte, 1, &got)), EISDIR, "a directory is not read");
    ok(inode_parent(root) == root, "the root's parent is the root");
    struct filesystem_statistics s = filesystem_statistics(fs);
    ok(s.blocks == disk.length / BLOCK_BYTES && s.blocks_free < s.blocks &&
           s.inodes == 3 + s.inodes_free,
       "statistics: %llu of %llu blocks are free", (unsigned long long)s.blocks_free,
       (unsigned long long)s.blocks);
}

/* --- the image -------------------------------------------------------------------------------- */

closure_function(thunk, poll_queue, ())
{
    host_run();
}

closure_function(builder_source, all_hole, (), u64 offset, void *to, u64 bytes, bool *hole)
{
    (void)offset, (void)to, (void)bytes;
    *hole = true;
    return true;
}

static void image_make(struct tree_node *n, struct tree_node *endless)
{
    struct builder_options o = {.uuid = "readreadreadre", .data_checksums = true};
    struct builder *b = builder_create(host_heap);
    struct builder_node nodes[] = {
        {.path = "/long", .type = INODE_FILE, .bytes = n->bytes, .source = &n->source},
        {.path = "/endless",
         .type = INODE_FILE,
         .bytes = endless->bytes,
         .source = stack_closure(all_hole)},
    };
    must(is_ok(builder_add(b, &nodes[0])));
    must(is_ok(builder_add(b, &nodes[1])));
    host_disk_init(&disk, builder_size(b, &o));
    must(is_ok(builder_write(b, &o, &disk.device, stack_closure(poll_queue))));
    builder_destroy(b);
}

int main(void)
{
    status why;
    test_tree_init(&tree);
    struct tree_node *n = test_tree_add(&tree, NULL, "long", INODE_FILE);
    struct tree_node *endless = test_tree_add(&tree, NULL, "endless", INODE_FILE);
    n->bytes = 8 * MiB;
    endless->bytes = 1 * GiB + 17;
    image_make(n, endless);
    fs = test_mount(&disk, host_heap, host_heap, 3000, &why);
    if (!fs)
        panic("%s", status_text(why));
    test_bad_block(n);
    test_meeting(n->path);
    test_given_up(n);
    test_given_up_beside(n->path);
    test_unmount_in_flight();
    test_flight(n->path);
    test_holds(n->path);
    test_runs(n->path, 1); /* pages that come one by one */
    test_endless_hole(endless);
    test_errors();
    test_unmount(fs);
    fs = test_mount(&disk, host_heap, test_block_pages, 3000, &why);
    if (!fs)
        panic("%s", status_text(why));
    test_runs(n->path, PAGE_RUN_MOST);
    test_unmount(fs);
    host_disk_destroy(&disk);
    test_tree_destroy(&tree);
    return done_testing();
}
