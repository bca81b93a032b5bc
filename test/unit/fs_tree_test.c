/* Build, mount, walk, read back: random trees, and each kind of thing a tree can hold. */
#include "test/host/fs_fixture.h"
#include "test/host/harness.h"

#include <stdio.h>
#include <stdlib.h>

/* The same tree through a cache that takes its pages in blocks. */
static void check_blocks(struct test_tree *t, struct host_disk *disk, u64 cache_pages,
                         const char *what)
{
    status why;
    test_blocks_given = 0;
    struct filesystem *fs = test_mount(disk, host_heap, test_block_pages, cache_pages, &why);
    ok(fs, "%s: mounts with pages in blocks (%s)", what, status_text(why));
    if (!fs)
        return;
    struct verify_result v = test_verify(fs, t, true);
    ok(v.wrong == 0 && v.failed == 0, "%s: %llu blocks: %s%s", what,
       (unsigned long long)test_blocks_given, v.wrong ? v.first : "",
       v.failed ? status_text(v.failure) : "");
    ok(test_block_pages_live <= cache_pages + 64, "%s: the cache keeps its limit", what);
    page_cache_reclaim(fs, ~0ull);
    is(test_block_pages_live, 0, "%s: all of their pages can be reclaimed", what);
    test_unmount(fs);
}

static void check_tree(struct test_tree *t, const struct image_options *o, u64 cache_pages,
                       u64 seed, const char *what)
{
    struct host_disk disk;
    struct counting_heap h, pages;
    status why;
    test_image(t, o, &disk);
    if (seed)
        host_disk_reorder(&disk, seed);
    counting_heap_init(&h, "fs");
    counting_heap_init(&pages, "fs pages");
    warn_lines = 0;
    struct filesystem *fs = test_mount(&disk, &h.h, &pages.h, cache_pages, &why);
    ok(fs, "%s: mounts (%s)", what, status_text(why));
    for (u32 by_pages = 0; fs && by_pages < 2; by_pages++) {
        struct verify_result v = test_verify(fs, t, by_pages);
        ok(v.wrong == 0 && v.failed == 0, "%s: %s, %llu files: %s%s", what,
           by_pages ? "by pages" : "by file_read", (unsigned long long)v.files_read,
           v.wrong ? v.first : "", v.failed ? status_text(v.failure) : "");
    }
    is(warn_lines, 0, "%s: no warnings", what);
    if (fs) {
        ok(pages.live <= cache_pages + 64, "%s: the cache keeps its limit (%llu of %llu)", what,
           (unsigned long long)pages.live, (unsigned long long)cache_pages);
        page_cache_reclaim(fs, ~0ull);
        is(pages.live, 0, "%s: all clean pages can be reclaimed", what);
        test_unmount(fs);
    }
    is(h.live, 0, "%s: unmount gives all memory back", what);
    counting_heap_close(&h);
    counting_heap_close(&pages);
    check_blocks(t, &disk, cache_pages, what);
    host_disk_destroy(&disk);
}

static void random_trees(struct random *r)
{
    for (u32 run = 0; run < 6; run++) {
        struct test_tree t;
        struct image_options o = {.extra_bytes = random_below(r, 3) * 1024 * KiB,
                                  .no_checksums = run == 4,
                                  .segment_blocks = run == 5 ? 66 : 0};
        char what[64];
        test_tree_init(&t);
        test_tree_random(&t, r, 20 + (u32)random_below(r, 300), 700000);
        snprintf(what, sizeof(what), "random tree %u, %u nodes", run, t.count);
        check_tree(&t, &o, run % 2 ? 80 : 5000, run % 3 ? random_next(r) | 1 : 0, what);
        test_tree_destroy(&t);
    }
}

static void special_trees(void)
{
    struct test_tree t;
    test_tree_init(&t);
    check_tree(&t, NULL, 100, 0, "an empty tree");
    char name[256];
    memset(name, 'n', 255);
    name[255] = 0;
    test_tree_add(&t, NULL, name, INODE_FILE)->bytes = 1;
    test_tree_add(&t, NULL, "empty", INODE_FILE);
    test_tree_add(&t, NULL, "exact", INODE_FILE)->bytes = 4096;
    test_tree_add(&t, NULL, "sixteen", INODE_FILE)->bytes = 16 * 4096;
    test_tree_add(&t, NULL, "seventeen", INODE_FILE)->bytes = 17 * 4096;
    struct tree_node *sparse = test_tree_add(&t, NULL, "sparse", INODE_FILE);
    sparse->bytes = 5 * MiB + 5;
    sparse->sparse = true;
    test_tree_add(&t, NULL, "large", INODE_FILE)->bytes = 24 * MiB + 123;
    struct tree_node *deep = NULL;
    for (u32 d = 0; d < 100; d++)
        deep = test_tree_add(&t, deep, "d", INODE_DIRECTORY);
    test_tree_add(&t, deep, "file", INODE_FILE)->bytes = 5000;
    check_tree(&t, NULL, 100000, 0, "special files");
    check_tree(&t, NULL, 300, 7, "special files, small cache, reordered");
    test_tree_destroy(&t);
}

static void many_files(void)
{
    struct test_tree t;
    char name[32];
    test_tree_init(&t);
    struct tree_node *directory = test_tree_add(&t, NULL, "many", INODE_DIRECTORY);
    for (u32 n = 0; n < 5000; n++) {
        snprintf(name, sizeof(name), "file-%u", n);
        test_tree_add(&t, directory, name, INODE_FILE)->bytes = n % 97;
    }
    struct image_options o = {.segment_blocks = 66};
    check_tree(&t, &o, 10000, 0, "5,000 files, segments of 264 KiB");
    test_tree_destroy(&t);
}

/* Names around the eight bytes that are looked at in one: each is the beginning of the next. */
static const char letters[] = "abcdefghijklmnopqrst";

static void descend_tree(struct test_tree *t)
{
    struct tree_node *above = NULL;
    char name[32];
    test_tree_init(t);
    for (u32 level = 0; level < 4; level++) {
        struct tree_node *next = NULL;
        for (u32 bytes = 1; bytes < sizeof(letters); bytes++) {
            snprintf(name, sizeof(name), "%.*s", (int)bytes, letters);
            struct tree_node *n =
                test_tree_add(t, above, name, bytes % 5 ? INODE_DIRECTORY : INODE_FILE);
            next = bytes == 6 + level ? n : next;
        }
        above = next;
    }
}

/* One component after the other, letter by letter. */
static struct inode *descend_slowly(struct inode *directory, const char **text, const char *end)
{
    for (;;) {
        const char *stop = *text, *next;
        struct inode *below;
        while (stop < end && *stop != '/')
            stop++;
        for (next = stop; next < end && *next == '/'; next++)
            ;
        if (next == end || **text == '.' ||
            !is_ok(inode_lookup(directory, *text, (u64)(stop - *text), &below)) ||
            inode_type(below) != INODE_DIRECTORY)
            return directory;
        directory = below;
        *text = next;
    }
}

/* Mostly the way down that the tree has. */
static u64 random_path(struct random *r, char *path)
{
    u64 used = 0;
    u32 components = (u32)random_below(r, 6);
    for (u32 level = 0; level < components; level++) {
        u64 bytes = random_below(r, 3) ? 6 + level : 1 + random_below(r, 20);
        if (random_below(r, 20) == 0)
            path[used++] = '.';
        memcpy(path + used, letters, bytes);
        used += bytes;
        if (random_below(r, 20) == 0)
            path[used - 1] = 'X';
        for (u64 slashes = 1 + !random_below(r, 4) * random_below(r, 12); slashes; slashes--)
            path[used++] = '/';
    }
    return random_below(r, 2) || !used ? used : used - 1;
}

static void descending(struct random *r)
{
    struct test_tree t;
    struct host_disk disk;
    status why;
    char path[256];
    u32 wrong = 0, deepest = 0;
    descend_tree(&t);
    test_image(&t, NULL, &disk);
    struct filesystem *fs = test_mount(&disk, host_heap, host_heap, 100, &why);
    for (u32 run = 0; fs && run < 20000; run++) {
        u64 bytes = random_path(r, path);
        char *exact = malloc(bytes + 1); /* where the sanitizer sees its end */
        if (bytes)
            memcpy(exact, path, bytes);
        exact = realloc(exact, bytes ? bytes : 1);
        const char *at = exact, *slow = exact, *end = exact + bytes;
        struct inode *found = directory_descend(filesystem_root(fs), &at, end);
        wrong += found != descend_slowly(filesystem_root(fs), &slow, end) || at != slow;
        u32 depth = 0;
        for (; inode_parent(found) != found; depth++)
            found = inode_parent(found);
        deepest = max(deepest, depth);
        free(exact);
    }
    is(wrong, 0, "paths are gone down as one component after the other");
    is(deepest, 4, "down to the end of the tree");
    test_unmount(fs);
    host_disk_destroy(&disk);
    test_tree_destroy(&t);
}

int main(void)
{
    struct random r;
    random_init(&r, test_seed());
    descending(&r);
    special_trees();
    many_files();
    random_trees(&r);
    return done_testing();
}
