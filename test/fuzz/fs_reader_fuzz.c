/* Fuzz target: mount whatever the bytes say, walk it, read from every file.  It must end in a
   status or in data, without a crash, a leak, a completion owed, or a hang.

   An input is: one byte of mode, a superblock (512 bytes), and what the device holds from block 17
   on.  So inputs are short, though an image begins with 17 blocks of almost nothing.  Mode bits: 1
   mends CRCs, so that mutations get past them; 2 mends volume, sector and sequence of groups too; 4
   reads by pages; 8 completes out of order. */
#include "fs/format.h"
#include "runtime/crc32c.h"
#include "test/host/fs_fixture.h"
#include "test/host/harness.h"

#include <stdlib.h>

#define MODE_MEND_CRC    1
#define MODE_MEND_PLACES 2
#define MODE_BY_PAGES    4
#define MODE_REORDER     8

#define INODES_READ_MOST  200
#define READ_BYTES        (64 * KiB)
#define DEVICE_BYTES_MOST (1 * MiB)

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);

/* --- getting past the CRCs -------------------------------------------------------------------- */

static void group_mend(struct host_disk *d, const struct superblock *s, u64 at, u64 sequence,
                       u32 mode)
{
    struct group *g = (struct group *)(d->bytes + at);
    if (mode & MODE_MEND_PLACES) {
        memcpy(&g->volume, s->uuid, sizeof(g->volume));
        g->sector = at / SECTOR_BYTES;
        g->sequence = sequence;
    }
    if (g->length >= sizeof(*g) && g->length <= d->length - at)
        g->sum = group_sum(g);
}

static void image_mend(struct host_disk *d, u32 mode)
{
    struct superblock *s = (struct superblock *)d->bytes;
    u64 order = min(max(s->group_order, GROUP_ORDER_MIN), GROUP_ORDER_MOST);
    u64 sequence = s->checkpoint_sequence;
    for (u64 at = FIRST_BLOCK * BLOCK_BYTES; at + sizeof(struct group) <= d->length;
         at += 1ull << order) {
        struct checksum_block *c = (struct checksum_block *)(d->bytes + at);
        if (c->magic == GROUP_MAGIC)
            group_mend(d, s, at, sequence++, mode);
        else if (c->magic == RUN_MAGIC && at + BLOCK_BYTES <= d->length)
            c->crc = crc32c((u8 *)&c->block, BLOCK_BYTES - offsetof(struct checksum_block, block));
    }
    s->crc = 0;
    s->crc = crc32c(s, sizeof(*s));
}

/* --- reading ---------------------------------------------------------------------------------- */

static u64 inodes_read;

static void read_at(struct inode *i, u64 offset, u32 mode)
{
    static u8 buffer[READ_BYTES] __attribute__((aligned(4096)));
    struct host_result result;
    u64 got;
    if (mode & MODE_BY_PAGES) {
        pages_fetch(i, offset / BLOCK_BYTES, READ_BYTES / BLOCK_BYTES, host_result_init(&result));
        host_run();
        must(result.applied == 1);
    } else {
        (void)test_read(i, offset, buffer, READ_BYTES, &got);
    }
}

static void inode_read(struct inode *i, u32 mode)
{
    struct inode_attributes a;
    u64 length;
    inode_attributes(i, &a);
    switch (a.type) {
    case INODE_SYMLINK:
        must(symlink_target(i, &length) && length == a.bytes);
        break;
    case INODE_FILE:
        read_at(i, 0, mode);
        read_at(i, a.bytes / 2, mode);
        read_at(i, a.bytes > READ_BYTES ? a.bytes - READ_BYTES : a.bytes, mode);
        break;
    case INODE_DIRECTORY:
    case INODE_SOCKET:
        break;
    }
}

/* Down to the first 50 levels, the first INODES_READ_MOST inodes. */
static void walk(struct inode *directory, u32 depth, u32 mode)
{
    struct directory_entry e;
    for (u64 cookie = 0; inodes_read < INODES_READ_MOST && directory_next(directory, cookie, &e);
         cookie = e.cookie) {
        struct inode *found;
        inodes_read++;
        must(is_ok(inode_lookup(directory, e.name, e.name_bytes, &found)) && found == e.inode);
        inode_read(e.inode, mode);
        if (inode_type(e.inode) == INODE_DIRECTORY) {
            must(inode_parent(e.inode) == directory);
            if (depth < 50)
                walk(e.inode, depth + 1, mode);
        }
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    struct host_disk disk;
    struct counting_heap h;
    status why;
    if (bytes < 1 + SUPERBLOCK_BYTES)
        return -1;
    u32 mode = data[0];
    u64 rest = bytes - 1 - SUPERBLOCK_BYTES;
    u64 length = max(FIRST_BLOCK * BLOCK_BYTES + align_up(rest, BLOCK_BYTES),
                     DEVICE_BLOCKS_MIN * BLOCK_BYTES);
    host_disk_init(&disk, min(length, DEVICE_BYTES_MOST));
    memcpy(disk.bytes, data + 1, SUPERBLOCK_BYTES);
    memcpy(disk.bytes + FIRST_BLOCK * BLOCK_BYTES, data + 1 + SUPERBLOCK_BYTES,
           min(rest, disk.length - FIRST_BLOCK * BLOCK_BYTES));
    if (mode & MODE_MEND_CRC)
        image_mend(&disk, mode);
    memcpy(disk.bytes + SUPERBLOCK_B * BLOCK_BYTES, disk.bytes, SUPERBLOCK_BYTES);
    if (mode & MODE_REORDER)
        host_disk_reorder(&disk, mode);
    counting_heap_init(&h, "fs");
    h.bytes_most = 64 * MiB;
    struct filesystem *fs = test_mount(&disk, &h.h, &h.h, 64, &why);
    if (fs) {
        inodes_read = 0;
        walk(filesystem_root(fs), 0, mode);
        filesystem_statistics(fs);
        filesystem_setting(fs, "program", 0);
        page_cache_reclaim(fs, 10);
        test_unmount(fs);
    }
    must(h.live == 0);
    counting_heap_close(&h);
    host_disk_destroy(&disk);
    return 0;
}
