/* Fuzz target: mount whatever the bytes say for writing, change it in every way, sync, end, check
   it and mount it again.  What was mounted and written must be mounted again, and a check must find
   nothing in it that it did not find before; and nothing may crash, hang or leak.

   An input is as fs_reader_fuzz has it: one byte of mode, a superblock, and what the device holds
   from block 17 on.  The custom mutator changes one field of one record, or of a group or the
   superblock, so that what follows is still parsed; CRCs are always mended here.  Mode bits: 1
   places too (volume, sector and sequence of groups), 2 answers in any order, 4 has a small cache,
   8 more free space. */
#include "fs/format.h"
#include "runtime/crc32c.h"
#include "test/host/crash_machine.h"

#include <stdlib.h>

#define MODE_MEND_PLACES 1
#define MODE_REORDER     2
#define MODE_SMALL_CACHE 4
#define MODE_SPACE       8

#define HEADER_BYTES (1 + SUPERBLOCK_BYTES)
#define FILES_MOST   30u
#define INPUT_MOST   (1 * MiB)

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);
size_t LLVMFuzzerMutate(u8 *data, size_t bytes, size_t most);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t bytes, size_t most, unsigned seed);

/* --- changing an input where it matters ------------------------------------------------------- */

static bool group_fits(const struct group *g, u64 left)
{
    return left >= sizeof(*g) && g->magic == GROUP_MAGIC && g->length >= sizeof(*g) &&
           g->length <= left;
}

/* A group of the input, any; NULL: there is none. */
static struct group *group_choose(u8 *data, u64 bytes, struct random *r)
{
    struct group *chosen = NULL;
    u64 seen = 0;
    for (u64 at = HEADER_BYTES; at + sizeof(struct group) <= bytes; at += SECTOR_BYTES) {
        struct group *g = (struct group *)(data + at);
        if (group_fits(g, bytes - at) && random_below(r, ++seen) == 0)
            chosen = g;
    }
    return chosen;
}

/* A small number, or a power of two, or what is there and a little more or less. */
static void field_change(u8 *at, u64 bytes, struct random *r)
{
    u64 value = 0;
    memcpy(&value, at, bytes);
    switch (random_below(r, 4)) {
    case 0:
        value = random_below(r, 300);
        break;
    case 1:
        value = 1ull << random_below(r, 64);
        break;
    case 2:
        value += random_below(r, 9) - 4;
        break;
    default:
        value ^= 1ull << random_below(r, 8 * bytes);
    }
    memcpy(at, &value, bytes);
}

/* One of the records: another field, or another type. */
static void record_change(struct group *g, struct random *r)
{
    static const u8 sizes[] = {1, 2, 4, 8};
    u8 *at = (u8 *)(g + 1), *end = (u8 *)g + g->length;
    for (u64 skip = random_below(r, 40); skip; skip--) {
        struct record *record = (struct record *)at;
        if (record->length < sizeof(*record) || record->length % 8 ||
            record->length >= (u64)(end - at))
            break;
        at += record->length;
    }
    struct record *record = (struct record *)at;
    u64 length = min((u64)record->length, (u64)(end - at));
    if (length <= sizeof(*record))
        return;
    if (random_below(r, 10) == 0) {
        record->type = (u16)random_below(r, RECORD_TYPES + 1);
        return;
    }
    u64 size = sizes[random_below(r, countof(sizes))];
    u64 offset = sizeof(*record) + random_below(r, length - sizeof(*record)) / size * size;
    if (offset + size <= length)
        field_change(at + offset, size, r);
}

/* Groups lie in it as on the disk, aligned. */
static void input_change(u8 *data, u64 bytes, struct random *r)
{
    struct group *g = group_choose(data, bytes, r);
    u64 kind = random_below(r, 10);
    if (!g || kind == 1)
        field_change(data + 1 + random_below(r, 152) / 8 * 8, 8, r);
    else if (kind == 2)
        field_change((u8 *)g + random_below(r, sizeof(*g)) / 4 * 4, 4, r);
    else
        for (u64 n = 1 + random_below(r, 3); n; n--)
            record_change(g, r);
}

size_t LLVMFuzzerCustomMutator(u8 *data, size_t bytes, size_t most, unsigned seed)
{
    static u8 memory[2 * SUPERBLOCK_BYTES + INPUT_MOST] __attribute__((aligned(4096)));
    u8 *input = memory + 2 * SUPERBLOCK_BYTES - HEADER_BYTES;
    struct random r;
    random_init(&r, seed);
    if (bytes <= HEADER_BYTES || bytes - HEADER_BYTES > INPUT_MOST || random_below(&r, 10) == 0)
        return LLVMFuzzerMutate(data, bytes, most);
    memcpy(input, data, bytes);
    input_change(input, bytes, &r);
    memcpy(data, input, bytes);
    return bytes;
}

/* --- the image -------------------------------------------------------------------------------- */

static void image_mend(struct faulty_disk *d, u32 mode)
{
    struct superblock *s = (struct superblock *)d->bytes;
    u64 sequence = s->checkpoint_sequence;
    for (u64 at = FIRST_BLOCK * BLOCK_BYTES; at + BLOCK_BYTES <= d->length; at += SECTOR_BYTES) {
        struct group *g = (struct group *)(d->bytes + at);
        struct checksum_block *c = (struct checksum_block *)(d->bytes + at);
        if (group_fits(g, d->length - at)) {
            memcpy(&g->volume, s->uuid, sizeof(g->volume));
            g->sector = at / SECTOR_BYTES;
            if (mode & MODE_MEND_PLACES)
                g->sequence = sequence++;
            g->sum = group_sum(g);
        } else if (c->magic == RUN_MAGIC) {
            c->crc = crc32c((u8 *)&c->block, BLOCK_BYTES - offsetof(struct checksum_block, block));
        }
    }
    s->crc = 0;
    s->crc = crc32c(s, sizeof(*s));
    memcpy(d->bytes + SUPERBLOCK_B * BLOCK_BYTES, s, sizeof(*s));
}

static void image_make(struct crash_machine *c, struct faulty_disk *d, const u8 *data, u64 bytes)
{
    u64 rest = min(bytes - HEADER_BYTES, INPUT_MOST);
    u64 length = FIRST_BLOCK * BLOCK_BYTES + align_up(rest, BLOCK_BYTES);
    length = max(length, DEVICE_BLOCKS_MIN * BLOCK_BYTES) + (data[0] & MODE_SPACE ? 1 * MiB : 0);
    faulty_disk_init(d, length, &c->x.e, 1);
    memcpy(d->bytes, data + 1, SUPERBLOCK_BYTES);
    memcpy(d->bytes + FIRST_BLOCK * BLOCK_BYTES, data + HEADER_BYTES, rest);
    image_mend(d, data[0]);
    d->faults.reorder = data[0] & MODE_REORDER;
}

/* --- changing what was mounted ---------------------------------------------------------------- */

static struct inode *found[FILES_MOST];
static u32 found_count;

static void walk(struct inode *directory, u32 depth)
{
    struct directory_entry e;
    for (u64 cookie = 0; found_count < FILES_MOST && directory_next(directory, cookie, &e);
         cookie = e.cookie) {
        found[found_count++] = e.inode;
        inode_hold(e.inode);
        if (inode_type(e.inode) == INODE_DIRECTORY && depth < 20)
            walk(e.inode, depth + 1);
    }
}

static void inode_work(struct crash_machine *c, struct inode *i, u32 n)
{
    struct inode_change change = {.what = CHANGE_MODE, .mode = n & 07777};
    char name[] = {'l', (char)('a' + n % 26), 0};
    (void)inode_change(i, &change);
    (void)xattr_set(i, "user.fuzz", 9, name, 2, 0);
    if (inode_type(i) != INODE_FILE)
        return;
    (void)inode_link(filesystem_root(c->fs), name, 2, i);
    (void)crash_machine_write(c, i, min(inode_bytes(i), 1ull << 40), "end", 3);
    (void)crash_machine_write(c, i, 5000 * (n % 3), "somewhere", 9);
    if (n % 3 == 0)
        (void)crash_machine_truncate(c, i, inode_bytes(i) / 2);
    if (n % 3 == 1)
        (void)crash_machine_allocate(c, i, ALLOCATE_PUNCH | ALLOCATE_KEEP_SIZE, 100, 9000);
    if (n % 5 == 0)
        (void)crash_machine_sync(c, i, SYNC_ALL);
}

static void work(struct crash_machine *c)
{
    struct inode_initial initial = {.mode = 0644};
    struct inode *root = filesystem_root(c->fs), *made;
    found_count = 0;
    walk(root, 0);
    for (u32 n = 0; n < found_count; n++)
        inode_work(c, found[n], n);
    if (is_ok(inode_create(root, "fuzz", 4, INODE_FILE, &initial, &made)))
        (void)crash_machine_write(c, made, 0, "new", 3);
    struct directory_entry e;
    if (directory_next(root, 0, &e) && e.name_bytes < 200) {
        char name[256];
        memcpy(name, e.name, e.name_bytes);
        (void)inode_rename(root, name, e.name_bytes, root, "fuzz", 4, 0);
    }
    (void)inode_unlink(root, "la", 2);
    for (u32 n = 0; n < found_count; n++)
        inode_release(found[n]);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    static struct crash_machine c;
    struct faulty_disk disk;
    static char why[400];
    if (bytes < HEADER_BYTES)
        return -1;
    crash_machine_init(&c, 0);
    c.heap.bytes_most = 64 * MiB;
    c.cache_pages = data[0] & MODE_SMALL_CACHE ? 16 : 512;
    image_make(&c, &disk, data, bytes);
    bool good = crash_machine_check(&c, &disk, why, sizeof(why));
    if (is_ok(crash_machine_mount(&c, &disk))) {
        work(&c);
        bool ended = is_ok(crash_machine_end(&c));
        crash_machine_unmount(&c);
        if (ended) {
            must(is_ok(crash_machine_mount(&c, &disk)));
            crash_machine_unmount(&c);
        }
        if (good && !crash_machine_check(&c, &disk, why, sizeof(why)))
            panic("a good image is not good any more: %s", why);
    } else {
        must(!good);
    }
    crash_machine_destroy(&c);
    faulty_disk_destroy(&disk);
    return 0;
}
