/* Reading a part of one extent from the device, and holding it against its checksums.

   Checksums of short extents came with the log.  Those of long ones lie in checksum blocks, which
   are pages of the cache like others: page n of the inode `checksums` is the device's block n. They
   are read before the data, so that whoever verifies holds them; one such block covers 4 MiB of
   data, so in reading on it is almost always there. */
#include "fs/internal.h"

#include "runtime/crc32c.h"
#include "runtime/hash64.h"

/* A checksum page may be evicted between its arrival and our look at it; that often at most. */
#define SUMS_ATTEMPTS_MOST 8

static void read_finish(struct extent_read *r, status s)
{
    status_handler done = r->done;
    if (r->sums_page)
        page_release(r->sums_page);
    r->sums_page = NULL;
    r->inode->fs->reads_in_flight--;
    apply(done, s);
}

static u64 bad_all(const struct extent_read *r)
{
    return r->blocks == 64 ? ~0ull : (1ull << r->blocks) - 1;
}

/* --- checking what came in -------------------------------------------------------------------- */

static void warn_checksum(const struct extent_read *r, u32 block)
{
    char path[256];
    const struct filesystem *fs = r->inode->fs;
    u64 on_disk = r->disk_block + block;
    if (!fs->environment.warn)
        return;
    if (r->inode == fs->checksums)
        fs->environment.warn("fs: the checksums in disk block %llu are damaged",
                             (unsigned long long)on_disk);
    else
        fs->environment.warn("fs: %s (inode %llu): data checksum mismatch at offset %llu, disk "
                             "block %llu",
                             inode_path(r->inode, path, sizeof(path)),
                             (unsigned long long)r->inode->number,
                             (unsigned long long)((r->file_block + block) << BLOCK_ORDER),
                             (unsigned long long)on_disk);
}

static bool checksum_block_right(const struct extent_read *r, const struct checksum_block *c)
{
    return c->magic == RUN_MAGIC && c->block == r->disk_block &&
           c->volume == r->inode->fs->volume &&
           crc32c((const u8 *)c + offsetof(struct checksum_block, block),
                  BLOCK_BYTES - offsetof(struct checksum_block, block)) == c->crc;
}

static bool block_right(const struct extent_read *r, const u32 *sums, u32 block, const void *data)
{
    if (r->inode == r->inode->fs->checksums)
        return checksum_block_right(r, data);
    return !sums || (u32)hash64(0, data, BLOCK_BYTES) == sums[block];
}

/* One line for the first wrong block; the others are in the same status. */
static status read_verify(struct extent_read *r)
{
    const u32 *sums = r->sums;
    if (r->sums_page)
        sums = ((const struct checksum_block *)r->sums_page->memory)->sums + r->sums_at;
    u32 block = 0;
    sg_for_each (&r->sg, piece)
        for (u64 at = 0; at < piece->bytes; at += BLOCK_BYTES, block++)
            if (!block_right(r, sums, block, (const u8 *)piece->address + at))
                r->bad |= 1ull << block;
    if (!r->bad)
        return STATUS_OK;
    u32 first = (u32)__builtin_ctzll(r->bad);
    warn_checksum(r, first);
    return status_error(EIO, "fs: what was read does not match its checksum",
                        r->disk_block + first);
}

closure_method(status_handler, extent_landed, struct extent_read, landed, status s)
{
    struct extent_read *r = owner();
    if (is_ok(s))
        s = read_verify(r);
    else
        r->bad = bad_all(r);
    read_finish(r, s);
}

/* --- starting --------------------------------------------------------------------------------- */

static void data_read(struct extent_read *r)
{
    struct filesystem *fs = r->inode->fs;
    init_method(&r->landed, extent_landed);
    if (device_read_start(fs, &r->device, r->disk_block * BLOCK_SECTORS, &r->sg, &r->landed))
        return;
    r->bad = bad_all(r);
    read_finish(r, device_closing(fs));
}

closure_method(status_handler, extent_sums_ready, struct extent_read, sums_ready, status s)
{
    struct extent_read *r = owner();
    struct inode *checksums = r->inode->fs->checksums;
    if (is_ok(s)) {
        r->sums_page = page_find(checksums, r->sums_block);
        if (r->sums_page) {
            data_read(r);
            return;
        }
        if (++r->attempts < SUMS_ATTEMPTS_MOST) {
            init_method(&r->sums_ready, extent_sums_ready);
            pages_fetch(checksums, r->sums_block, 1, &r->sums_ready);
            return;
        }
        s = status_error(ENOMEM, "fs: no memory to keep checksums", r->sums_block);
    }
    r->bad = bad_all(r);
    read_finish(r, s);
}

void extent_read_start(struct extent_read *r)
{
    struct filesystem *fs = r->inode->fs;
    fs->reads_in_flight++;
    if (!r->sums_block) {
        data_read(r);
        return;
    }
    r->sums_page = page_find(fs->checksums, r->sums_block);
    if (r->sums_page) {
        data_read(r);
        return;
    }
    init_method(&r->sums_ready, extent_sums_ready);
    pages_fetch(fs->checksums, r->sums_block, 1, &r->sums_ready);
}

static void read_init(struct extent_read *r, struct inode *i, u64 file_block, u64 disk_block)
{
    r->inode = i;
    r->file_block = file_block;
    r->disk_block = disk_block;
    r->sums = NULL;
    r->sums_block = 0;
    r->sums_at = 0;
    r->attempts = 0;
    r->sums_page = NULL;
    r->bad = 0;
}

u32 extent_read_init(struct extent_read *r, struct inode *i, const struct extent *e, u64 file_block,
                     u64 blocks)
{
    u64 skipped = file_block - e->node.r.start;
    read_init(r, i, file_block, e->disk_block + skipped);
    blocks = min(blocks, (u64)READ_BLOCKS_MOST);
    if (e->sums) {
        r->sums = e->sums + skipped;
    } else if (e->flags & MAP_SUMS_RUN) {
        u64 index = e->run_index + skipped;
        r->sums_block = e->run_block + index / RUN_SUMS;
        r->sums_at = (u32)(index % RUN_SUMS);
        blocks = min(blocks, (u64)(RUN_SUMS - r->sums_at));
    }
    return r->blocks = (u32)blocks;
}

u32 checksums_read_init(struct extent_read *r, struct inode *checksums, u64 block)
{
    read_init(r, checksums, block, block);
    return r->blocks = 1;
}
