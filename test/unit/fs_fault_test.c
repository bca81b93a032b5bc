/* Everything that can fail does, in turn: each allocation and each request, through building,
   mounting and reading; images with bytes flipped and images cut short. */
#include "test/host/fs_fixture.h"

#include "fs/format.h"
#include "test/host/harness.h"

#include <stdio.h>
#include <stdlib.h>

#define FLIPS 10000

static void small_tree(struct test_tree *t, struct random *r)
{
    test_tree_init(t);
    test_tree_random(t, r, 12, 30000);
    test_tree_add(t, NULL, "long", INODE_FILE)->bytes = 40 * 4096 + 9;
    struct tree_node *sparse = test_tree_add(t, NULL, "sparse", INODE_FILE);
    sparse->bytes = 200000;
    sparse->sparse = true;
}

/* --- allocations ------------------------------------------------------------------------------ */

/* What was read must be right even when other reads were refused memory. */
closure_function(allocation_test, mount_and_read,
                 (struct test_tree * t, struct host_disk *disk, bool by_pages), heap h)
{
    status why;
    struct filesystem *fs = test_mount(bound(disk), h, h, 1000, &why);
    if (!fs) {
        must(status_errno(why) == ENOMEM);
        return false;
    }
    struct verify_result v = test_verify(fs, bound(t), bound(by_pages));
    if (v.wrong)
        note("wrong: %s", v.first);
    must(v.wrong == 0);
    must(v.failed == 0 || status_errno(v.failure) == ENOMEM);
    test_unmount(fs);
    return v.failed == 0;
}

closure_function(allocation_test, build, (struct test_tree * t, struct host_disk *disk), heap h)
{
    static const struct image_options usual;
    status s = test_image_write(bound(t), h, &usual, bound(disk));
    must(is_ok(s) || status_errno(s) == ENOMEM);
    return is_ok(s);
}

static void test_allocations(struct random *r)
{
    struct test_tree t;
    struct host_disk disk;
    small_tree(&t, r);
    test_image(&t, NULL, &disk);
    fail_each_allocation("mount and file_read", stack_closure(mount_and_read, &t, &disk, false));
    fail_each_allocation("mount and pages", stack_closure(mount_and_read, &t, &disk, true));
    fail_each_allocation("build", stack_closure(build, &t, &disk));
    host_disk_destroy(&disk);
    test_tree_destroy(&t);
}

/* --- requests --------------------------------------------------------------------------------- */

/* Mounts and reads with the n-th request failing; false when that request was not reached. */
static bool read_with_fault(struct test_tree *t, struct host_disk *disk, u64 n, u64 *reads_failed)
{
    struct counting_heap h;
    status why;
    counting_heap_init(&h, "fs");
    disk->calls = disk->failed = 0;
    struct filesystem *fs = test_mount(disk, &h.h, &h.h, 1000, &why);
    if (fs) {
        struct verify_result v = test_verify(fs, t, n & 1);
        if (v.wrong)
            note("wrong: %s", v.first);
        must(v.wrong == 0);
        must(v.failed == 0 || status_errno(v.failure) == EIO);
        must(v.failed <= 1);
        *reads_failed += v.failed;
        test_unmount(fs);
    } else {
        must(status_errno(why) == EIO || status_errno(why) == EBADMSG);
    }
    must(h.live == 0);
    counting_heap_close(&h);
    return disk->calls >= n;
}

static void test_requests(struct random *r)
{
    struct test_tree t;
    struct host_disk disk;
    small_tree(&t, r);
    test_image(&t, NULL, &disk);
    u64 failed = 0, n = 1;
    for (; n < 100000; n++) {
        disk.fail_at = n;
        if (!read_with_fault(&t, &disk, n, &failed))
            break;
    }
    ok(failed, "each of %llu requests failed in turn: %llu reads said EIO", (unsigned long long)n,
       (unsigned long long)failed);
    disk.fail_at = 0;
    failed = 0;
    for (n = 1;; n++) {
        disk.short_at = n;
        if (!read_with_fault(&t, &disk, n, &failed))
            break;
    }
    ok(failed, "each request half done in turn");
    disk.short_at = 0;
    failed = 0;
    warn_lines = 0;
    for (n = 1;; n++) {
        disk.flip_at = n;
        if (!read_with_fault(&t, &disk, n, &failed))
            break;
    }
    ok(warn_lines >= failed, "a bit flipped on the way in each read: %llu said EIO, %llu lines",
       (unsigned long long)failed, (unsigned long long)warn_lines);
    host_disk_destroy(&disk);
    test_tree_destroy(&t);
}

static void test_build_requests(struct random *r)
{
    struct test_tree t;
    static const struct image_options usual;
    struct host_disk disk;
    bool good = true;
    u64 n = 1;
    small_tree(&t, r);
    test_image(&t, NULL, &disk);
    for (;; n++) {
        disk.fail_at = n;
        disk.calls = disk.failed = 0;
        status s = test_image_write(&t, host_heap, &usual, &disk);
        if (!disk.failed)
            break;
        good = good && status_errno(s) == EIO;
    }
    ok(good, "building with each of %llu requests failing says EIO", (unsigned long long)n);
    host_disk_destroy(&disk);
    test_tree_destroy(&t);
}

/* --- damage ----------------------------------------------------------------------------------- */

struct flips {
    u64 refused, failed, unnoticed;
};

static void mount_damaged(struct test_tree *t, struct host_disk *disk, u64 n, struct flips *f)
{
    status why;
    struct filesystem *fs = test_mount(disk, host_heap, host_heap, 400, &why);
    if (!fs) {
        must(status_errno(why) == EBADMSG || status_errno(why) == EINVAL);
        must(strlen(status_text(why)) > 10);
        f->refused++;
        return;
    }
    struct verify_result v = test_verify(fs, t, n & 1);
    if (v.wrong)
        note("flip %llu: wrong: %s", (unsigned long long)n, v.first);
    must(v.wrong == 0);
    must(v.failed == 0 || status_errno(v.failure) == EIO);
    if (v.failed)
        f->failed++;
    else
        f->unnoticed++;
    test_unmount(fs);
}

/* Half of the flips anywhere, half of them in the log and the superblocks. */
static u64 flip_place(struct random *r, const struct host_disk *disk)
{
    const struct superblock *s = (const struct superblock *)disk->bytes;
    switch (random_below(r, 4)) {
    case 0:
        return (random_below(r, 2) ? SUPERBLOCK_A : SUPERBLOCK_B) * BLOCK_BYTES +
               random_below(r, SUPERBLOCK_BYTES);
    case 1:
        return s->checkpoint_block * BLOCK_BYTES + random_below(r, s->reach_bytes);
    default:
        return random_below(r, disk->length);
    }
}

static void test_flips(struct random *r)
{
    struct test_tree t;
    struct host_disk disk;
    struct flips f = {0};
    small_tree(&t, r);
    test_image(&t, NULL, &disk);
    u8 *good = malloc(disk.length);
    if (!good)
        panic("out of memory");
    memcpy(good, disk.bytes, disk.length);
    for (u64 n = 0; n < FLIPS; n++) {
        /* One bit, or a few bytes of nonsense. */
        u64 at = flip_place(r, &disk), bytes = random_below(r, 4) ? 1 : 1 + random_below(r, 16);
        for (u64 b = at; b < at + bytes && b < disk.length; b++)
            disk.bytes[b] ^= bytes == 1 ? (u8)(1u << random_below(r, 8)) : (u8)random_next(r);
        mount_damaged(&t, &disk, n, &f);
        memcpy(disk.bytes + at, good + at, min(bytes, disk.length - at));
    }
    ok(f.refused && f.failed && f.unnoticed,
       "%u flips: %llu refused, %llu ended in EIO, %llu read right, none read wrong", FLIPS,
       (unsigned long long)f.refused, (unsigned long long)f.failed,
       (unsigned long long)f.unnoticed);
    memcpy(disk.bytes, good, disk.length);
    struct flips left = {0};
    memset(disk.bytes + SUPERBLOCK_A * BLOCK_BYTES, 0xff, SUPERBLOCK_BYTES);
    mount_damaged(&t, &disk, 0, &left);
    is(left.unnoticed, 1, "superblock A is damaged: mounts");
    memcpy(disk.bytes, good, disk.length);
    memset(disk.bytes + SUPERBLOCK_B * BLOCK_BYTES, 0, SUPERBLOCK_BYTES);
    mount_damaged(&t, &disk, 0, &left);
    is(left.unnoticed, 2, "superblock B is gone: mounts");
    memset(disk.bytes + SUPERBLOCK_A * BLOCK_BYTES, 0, SUPERBLOCK_BYTES);
    mount_damaged(&t, &disk, 0, &left);
    is(left.refused, 1, "neither is there: refused");
    free(good);
    host_disk_destroy(&disk);
    test_tree_destroy(&t);
}

static void test_cut_short(struct random *r)
{
    struct test_tree t;
    struct host_disk disk;
    struct flips f = {0};
    small_tree(&t, r);
    test_image(&t, NULL, &disk);
    u64 sectors = disk.device.sectors, cuts = 0;
    for (u64 left = 0; left < sectors; left += 1 + random_below(r, 9), cuts++) {
        disk.device.sectors = left;
        mount_damaged(&t, &disk, 0, &f);
    }
    is(f.refused, cuts, "cut short at %llu lengths: always refused", (unsigned long long)cuts);
    disk.device.sectors = sectors;
    host_disk_destroy(&disk);
    test_tree_destroy(&t);
}

/* --- a log of many windows -------------------------------------------------------------------- */

#define LONG_FILES 5000u
#define LONG_FLIPS 300u

static void long_tree(struct test_tree *t)
{
    test_tree_init(t);
    for (u32 n = 0; n < LONG_FILES; n++) {
        char name[32];
        snprintf(name, sizeof(name), "a-file-with-number-%u", n);
        test_tree_add(t, NULL, name, INODE_FILE);
    }
}

closure_function(allocation_test, mount_only, (struct host_disk * disk), heap h)
{
    status why;
    struct filesystem *fs = test_mount(bound(disk), h, h, 1000, &why);
    must(fs || status_errno(why) == ENOMEM);
    if (fs)
        test_unmount(fs);
    return fs;
}

/* The window that is read ahead is one of the requests: whichever fails, the mount says so or needs
   it no more, and nothing is left behind. */
static u64 long_requests(struct test_tree *t, struct host_disk *disk, u64 *at)
{
    u64 failed = 0, n = 1;
    for (;; n++) {
        *at = n;
        if (!read_with_fault(t, disk, n, &failed))
            break;
    }
    *at = 0;
    return n;
}

static void test_long_log(struct random *r)
{
    struct test_tree t;
    struct host_disk disk;
    struct flips f = {0};
    long_tree(&t);
    test_image(&t, NULL, &disk);
    const struct superblock *s = (const struct superblock *)disk.bytes;
    u64 log = s->checkpoint_block * BLOCK_BYTES, log_bytes = s->reach_bytes;
    ok(log_bytes > 2 * 256 * KiB, "a log of %llu bytes", (unsigned long long)log_bytes);
    fail_each_allocation("mount of a long log", stack_closure(mount_only, &disk));
    u64 failing = long_requests(&t, &disk, &disk.fail_at);
    u64 halved = long_requests(&t, &disk, &disk.short_at);
    ok(failing > 4 && halved > 4, "each of its %llu requests failed in turn, or was half done",
       (unsigned long long)failing);
    for (u32 n = 0; n < LONG_FLIPS; n++) {
        u64 at = log + random_below(r, log_bytes);
        disk.bytes[at] ^= 0x10;
        mount_damaged(&t, &disk, n, &f);
        disk.bytes[at] ^= 0x10;
    }
    ok(f.refused > LONG_FLIPS / 2 && f.failed == 0,
       "%u flips in it: %llu refused, the others in "
       "padding",
       LONG_FLIPS, (unsigned long long)f.refused);
    for (u32 n = 0; n < 20; n++) {
        host_disk_reorder(&disk, random_next(r) | 1);
        mount_damaged(&t, &disk, n, &f);
    }
    is(f.refused + f.unnoticed, LONG_FLIPS + 20, "answers may come in any order");
    host_disk_destroy(&disk);
    test_tree_destroy(&t);
}

int main(void)
{
    struct random r;
    random_init(&r, test_seed());
    test_allocations(&r);
    test_requests(&r);
    test_build_requests(&r);
    test_flips(&r);
    test_cut_short(&r);
    test_long_log(&r);
    return done_testing();
}
