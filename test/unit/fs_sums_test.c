/* Checksum blocks come back: when no extent needs one any more it is released, and is free after
   the commit, whatever happens in between.

   TEST_SEED repeats a run. */
#include "test/host/compacted.h"

#include <stdio.h>
#include <string.h>

#define FILES      30u
#define FILE_BYTES (400 * KiB) /* ten files to a checksum block */
#define DISK_BYTES (24 * MiB)

static const struct machine_image image = {
    .bytes = DISK_BYTES, .files = FILES, .files_least = FILE_BYTES, .checksums = true};

/* Blocks in use for data, checksums and whatever else is not the log. */
static u64 blocks_of(struct filesystem *fs, enum space_use use)
{
    u64 blocks = 0;
    for (struct range_node *n = range_map_first(&fs->space.map); n; n = range_map_next(n))
        if (container_of(n, struct space_node, node)->use == use)
            blocks += range_length(n->r);
    return blocks;
}

/* All of it, found again by walking through the map. */
static u32 reserves_of(struct filesystem *fs)
{
    u32 count = 0;
    for (struct range_node *n = range_map_first(&fs->space.map); n; n = range_map_next(n))
        count += container_of(n, struct space_node, node)->use == USE_CHECKSUMS;
    return count;
}

static bool file_remove(struct crash_machine *c, u32 n)
{
    struct inode *root = filesystem_root(c->fs);
    char name[16];
    snprintf(name, sizeof(name), "b%u", n);
    status s;
    while (status_errno(s = inode_unlink(root, name, strlen(name))) == EAGAIN)
        must(is_ok(crash_machine_room(c)));
    return is_ok(s);
}

static struct inode *file_of(struct crash_machine *c, const char *name)
{
    struct inode *found = NULL;
    must(is_ok(inode_lookup(filesystem_root(c->fs), name, strlen(name), &found)));
    return found;
}

/* Clean, and no block is kept for nothing. */
static bool disk_tidy(struct crash_machine *c, struct faulty_disk *disk)
{
    char why[400];
    bool right = crash_machine_check(c, disk, why, sizeof(why));
    bool tidy = right && !strstr(why, "kept for checksums");
    if (!tidy)
        note("%s", why);
    return tidy;
}

static void remount(struct crash_machine *c, struct faulty_disk *disk)
{
    must(is_ok(crash_machine_end(c)));
    crash_machine_unmount(c);
    must(is_ok(crash_machine_mount(c, disk)));
}

/* What an empty filesystem of that size uses beside its log. */
static u64 empty_used(void)
{
    static struct crash_machine c;
    static struct faulty_disk disk;
    struct machine_image o = {.bytes = DISK_BYTES};
    compacted_init(&c, &disk, &o);
    u64 used = c.fs->space.used - blocks_of(c.fs, USE_LOG);
    compacted_destroy(&c, &disk);
    return used;
}

static void test_all_removed(u64 seed)
{
    static struct crash_machine c;
    static struct faulty_disk disk;
    struct machine_image o = image;
    o.seed = seed;
    compacted_init(&c, &disk, &o);
    u64 sums = blocks_of(c.fs, USE_CHECKSUMS);
    ok(sums >= 3, "an image has %llu checksum blocks", (unsigned long long)sums);
    for (u32 n = 0; n < FILES; n++)
        must(file_remove(&c, n));
    must(is_ok(crash_machine_sync(&c, NULL, SYNC_ALL)));
    remount(&c, &disk);
    is(c.fs->space.used - blocks_of(c.fs, USE_LOG), empty_used(),
       "all files are removed: as much is used as when there never was one");
    is(c.fs->segments->reserves, 0, "and a checkpoint has none to speak of");
    crash_machine_unmount(&c);
    ok(disk_tidy(&c, &disk), "what is on the disk is right");
    compacted_destroy(&c, &disk);
}

/* Parts of the run go, from the middle on; what stays must be readable and be said in a checkpoint.
 */
static void test_some_removed(u64 seed)
{
    static struct crash_machine c;
    static struct faulty_disk disk;
    static u8 before[FILE_BYTES], after[FILE_BYTES];
    struct machine_image o = image;
    o.seed = seed;
    compacted_init(&c, &disk, &o);
    u64 sums = blocks_of(c.fs, USE_CHECKSUMS);
    must(is_ok(crash_machine_read(&c, file_of(&c, "b0"), 0, before, sizeof(before))));
    for (u32 n = 2; n < FILES - 1; n++)
        must(file_remove(&c, n));
    must(is_ok(crash_machine_sync(&c, NULL, SYNC_ALL)));
    u64 kept = blocks_of(c.fs, USE_CHECKSUMS);
    ok(kept >= 2 && kept < sums, "of %llu those of the first and the last files are kept: %llu",
       (unsigned long long)sums, (unsigned long long)kept);
    is(c.fs->segments->reserves, reserves_of(c.fs), "the ranges are counted");
    ok(compact(&c), "a checkpoint says them");
    must(is_ok(crash_machine_allocate(&c, file_of(&c, "b1"), ALLOCATE_PUNCH | ALLOCATE_KEEP_SIZE, 0,
                                      FILE_BYTES / 2)));
    must(is_ok(crash_machine_truncate(&c, file_of(&c, "b0"), FILE_BYTES)));
    must(is_ok(crash_machine_truncate(&c, file_of(&c, "b29"), 8192)));
    must(is_ok(crash_machine_sync(&c, NULL, SYNC_ALL)));
    u64 parts = blocks_of(c.fs, USE_CHECKSUMS);
    ok(parts >= 2 && parts <= kept, "parts of files still need %llu", (unsigned long long)parts);
    remount(&c, &disk);
    must(is_ok(crash_machine_read(&c, file_of(&c, "b0"), 0, after, sizeof(after))));
    ok(memcmp(before, after, sizeof(after)) == 0, "a file that has stayed is what it was");
    must(is_ok(crash_machine_write(&c, file_of(&c, "b29"), 0, after, 8192)));
    must(is_ok(crash_machine_sync(&c, NULL, SYNC_ALL)));
    host_executor_pass(&c.x, 20 * NS_PER_SECOND);
    ok(blocks_of(c.fs, USE_CHECKSUMS) < parts, "what is written over needs them no more");
    crash_machine_unmount(&c);
    ok(disk_tidy(&c, &disk), "what is on the disk is right");
    compacted_destroy(&c, &disk);
}

/* New data takes all of the disk, where checksums were too. */
static void test_used_again(u64 seed)
{
    static struct crash_machine c;
    static struct faulty_disk disk;
    static u8 data[65536];
    struct machine_image o = image;
    status s = STATUS_OK;
    o.seed = seed;
    compacted_init(&c, &disk, &o);
    struct inode *i = compacted_make(&c, "large", &s);
    must(i);
    seeded_fill(data, sizeof(data), seed);
    u64 bytes = 0;
    while (is_ok(s = crash_machine_write(&c, i, bytes, data, sizeof(data))))
        bytes += sizeof(data);
    is(status_errno(s), ENOSPC, "the disk is full");
    for (u32 n = 0; n < FILES; n++)
        must(file_remove(&c, n));
    while (is_ok(s = crash_machine_write(&c, i, bytes, data, sizeof(data))))
        bytes += sizeof(data);
    is(status_errno(s), ENOSPC, "and again, after all else was removed");
    must(is_ok(crash_machine_sync(&c, NULL, SYNC_ALL)));
    is(blocks_of(c.fs, USE_CHECKSUMS), 0, "no checksum block is left");
    remount(&c, &disk);
    crash_machine_unmount(&c);
    ok(disk_tidy(&c, &disk), "what is on the disk is right");
    compacted_destroy(&c, &disk);
}

/* After a cut anywhere: right, and tidy as soon as something else was changed. */
static bool cut_recovers(struct crash_machine *c, struct faulty_disk *found)
{
    char why[400];
    status s;
    if (!crash_machine_check(c, found, why, sizeof(why))) {
        note("%s", why);
        return false;
    }
    must(is_ok(crash_machine_mount(c, found)));
    bool made = compacted_make(c, "after", &s);
    made = made && is_ok(crash_machine_sync(c, NULL, SYNC_ALL));
    crash_machine_unmount(c);
    return made && disk_tidy(c, found);
}

static void test_cuts(u64 seed)
{
    static struct crash_machine c, second;
    static struct faulty_disk disk;
    static struct faulty_image cut;
    struct machine_image o = image;
    u32 bad = 0;
    o.seed = seed;
    compacted_init(&c, &disk, &o);
    disk.faults.reorder = true;
    faulty_disk_log(&disk);
    for (u32 n = 0; n < FILES; n++) {
        must(file_remove(&c, n));
        if (n % 4 == 3)
            must(is_ok(crash_machine_sync(&c, NULL, SYNC_ALL)));
        if (n == FILES / 2)
            must(compact(&c));
    }
    must(is_ok(crash_machine_sync(&c, NULL, SYNC_ALL)));
    crash_machine_unmount(&c);
    crash_machine_init(&second, 0);
    faulty_image_init(&cut, &disk, &second.x.e);
    for (u64 k = 0; k <= disk.event_count; k++) {
        faulty_image_cut(&cut, k, seed + k);
        bad += !cut_recovers(&second, &cut.to);
    }
    ok(bad == 0, "%llu power cuts while files go: their checksums come back",
       (unsigned long long)disk.event_count + 1);
    faulty_image_destroy(&cut);
    crash_machine_destroy(&second);
    compacted_destroy(&c, &disk);
}

int main(void)
{
    u64 seed = test_seed();
    test_all_removed(seed);
    test_some_removed(seed);
    test_used_again(seed);
    test_cuts(seed);
    return done_testing();
}
