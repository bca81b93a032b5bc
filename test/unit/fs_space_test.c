/* Space: the log of a full disk and of a fragmented one goes on, what is removed comes back, and a
   larger disk is used. */
#include "fs/writeback.h"
#include "test/host/compacted.h"

#include <stdio.h>

/* --- no space --------------------------------------------------------------------------------- */

/* Changes that make nothing larger, until the log has gone around the disk a few times: none may be
   refused, however full the disk is. */
static bool log_goes_on(struct crash_machine *c, struct inode *i)
{
    u64 until = c->fs->segments->taken + 4 * c->fs->space.blocks;
    for (u32 n = 0; n < 100000 && c->fs->segments->taken < until; n++) {
        struct inode_change change = {.what = CHANGE_MODE, .mode = n & 0777};
        status s = inode_change(i, &change);
        if (status_errno(s) == EAGAIN)
            s = crash_machine_room(c);
        if (is_ok(s))
            s = crash_machine_sync(c, i, SYNC_ALL);
        if (!is_ok(s)) {
            note("change %u: errno %d, %s", n, status_errno(s), status_text(s));
            return false;
        }
    }
    return c->fs->segments->taken >= until;
}

/* Files of `bytes` until there is no space; how many. */
static u32 files_fill(struct crash_machine *c, u32 bytes)
{
    static u8 data[65536];
    for (u32 n = 0;; n++) {
        char name[32];
        status why;
        snprintf(name, sizeof(name), "fill-%u-%u", bytes, n);
        struct inode *i = compacted_make(c, name, &why);
        if (i)
            why = crash_machine_write(c, i, 0, data, bytes);
        if (!is_ok(why)) {
            must(status_errno(why) == ENOSPC);
            return n;
        }
        if (n % 16 == 0)
            must(is_ok(crash_machine_sync(c, NULL, SYNC_ALL)));
    }
}

static void files_remove(struct crash_machine *c, u32 bytes, u32 count, u32 step)
{
    struct inode *root = filesystem_root(c->fs);
    for (u32 n = 0; n <= count; n += step) {
        char name[32];
        snprintf(name, sizeof(name), "fill-%u-%u", bytes, n);
        status s;
        while (status_errno(s = inode_unlink(root, name, strlen(name))) == EAGAIN)
            must(is_ok(crash_machine_room(c)));
        must(is_ok(s) || status_errno(s) == ENOENT);
    }
    must(is_ok(crash_machine_sync(c, NULL, SYNC_ALL)));
}

static void test_full(u64 seed)
{
    static struct crash_machine c;
    static struct faulty_disk disk;
    struct machine_image o = {.bytes = 6 * MiB, .seed = seed};
    char why[400];
    status s;
    compacted_init(&c, &disk, &o);
    struct inode *first = compacted_make(&c, "first", &s);
    must(first && is_ok(crash_machine_sync(&c, NULL, SYNC_ALL)));
    u64 free_before = filesystem_statistics(c.fs).blocks_free;
    u32 small = files_fill(&c, 1);
    ok(log_goes_on(&c, first), "the log goes on while %u files fill the disk", small);
    files_remove(&c, 1, small, 2);
    ok(log_goes_on(&c, first), "the log goes on while what is free lies in single blocks");
    crash_machine_unmount(&c);
    must(is_ok(crash_machine_mount(&c, &disk)));
    must(is_ok(inode_lookup(filesystem_root(c.fs), "first", 5, &first)));
    ok(log_goes_on(&c, first), "after a power cut too");
    u32 large = files_fill(&c, 65536);
    ok(log_goes_on(&c, first), "and when %u larger files fill what is left", large);
    files_remove(&c, 65536, large, 1);
    files_remove(&c, 1, small, 1);
    must(compact(&c));
    host_executor_pass(&c.x, NS_PER_SECOND);
    u64 free_after = filesystem_statistics(c.fs).blocks_free;
    ok(free_after + 200 > free_before, "the space comes back: %llu blocks were free, now %llu",
       (unsigned long long)free_before, (unsigned long long)free_after);
    must(is_ok(crash_machine_end(&c)));
    crash_machine_unmount(&c);
    ok(crash_machine_check(&c, &disk, why, sizeof(why)), "and what is on the disk is right");
    compacted_destroy(&c, &disk);
}

/* Files without data: what is discarded can only have been the log's. */
static void test_log_discarded(u64 seed)
{
    static struct crash_machine c;
    static struct faulty_disk disk;
    struct machine_image o = {.bytes = 32 * MiB, .seed = seed};
    char why[400];
    compacted_init(&c, &disk, &o);
    for (u32 n = 0; n < 6000; n++) {
        char name[32];
        status s;
        snprintf(name, sizeof(name), "fill-0-%u", n);
        must(compacted_make(&c, name, &s));
    }
    must(is_ok(crash_machine_sync(&c, NULL, SYNC_ALL)) && compact(&c));
    u64 used = c.fs->space.used, before = disk.discards;
    files_remove(&c, 0, 5999, 1);
    must(compact(&c));
    host_executor_pass(&c.x, NS_PER_SECOND);
    ok(c.fs->space.used < used, "of %llu blocks %llu are in use when the log is short again",
       (unsigned long long)used, (unsigned long long)c.fs->space.used);
    ok(disk.discards > before, "what it had is discarded");
    is(trim_blocks(c.fs), 0, "all of it");
    must(is_ok(crash_machine_end(&c)));
    crash_machine_unmount(&c);
    ok(crash_machine_check(&c, &disk, why, sizeof(why)), "what is on the disk is right");
    compacted_destroy(&c, &disk);
}

static void test_growth(u64 seed)
{
    static struct crash_machine c;
    static struct faulty_disk disk;
    static u8 data[65536], got[65536];
    struct machine_image o = {
        .bytes = 16 * MiB, .built_bytes = 2 * MiB, .files = 5, .checksums = true, .seed = seed};
    u64 bytes = 0;
    char why[400];
    status s;
    compacted_init(&c, &disk, &o);
    is(filesystem_statistics(c.fs).blocks, 16 * MiB / BLOCK_BYTES,
       "mounted on a larger disk it grows");
    struct inode *i = compacted_make(&c, "large", &s);
    seeded_fill(data, sizeof(data), seed);
    for (u64 at = 0; i && at < 10 * MiB && is_ok(s); at += sizeof(data))
        s = crash_machine_write(&c, i, at, data, sizeof(data));
    ok(i && is_ok(s) && is_ok(crash_machine_sync(&c, i, SYNC_ALL)), "10 MiB go where 2 were");
    crash_machine_unmount(&c);
    ok(crash_machine_check(&c, &disk, why, sizeof(why)), "what is on the disk is right");
    must(is_ok(crash_machine_mount(&c, &disk)));
    is(c.fs->super.device_blocks, 16 * MiB / BLOCK_BYTES, "the superblock says the new size");
    s = inode_lookup(filesystem_root(c.fs), "large", 5, &i);
    must(is_ok(s) && is_ok(apply(&c.reader, i, 10 * MiB - sizeof(data), got, sizeof(got), &bytes)));
    ok(bytes == sizeof(got) && memcmp(got, data, sizeof(got)) == 0, "and the data is there");
    compacted_destroy(&c, &disk);
}

int main(void)
{
    u64 seed = test_seed();
    test_full(seed);
    test_log_discarded(seed);
    test_growth(seed);
    return done_testing();
}
