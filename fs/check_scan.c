/* Reading what is on the disk for a check: superblocks, groups, and what is wrong with them.  See
   check_internal.h. */
#include "fs/check_internal.h"

#include "runtime/crc32c.h"

#define SCAN_WINDOW_BYTES (256 * KiB)
_Static_assert(SCAN_WINDOW_BYTES >= GROUP_BYTES_MOST + BLOCK_BYTES,
               "a group fits, wherever it begins");

const char *super_fault_text(enum super_fault f)
{
    static const char *const texts[SUPER_FAULTS] = {
        [SUPER_VALID] = "is valid",
        [SUPER_UNREADABLE] = "cannot be read",
        [SUPER_NONE] = "is not there (it does not begin with \"ThunkFS\")",
        [SUPER_CHECKSUM] = "does not match its checksum",
        [SUPER_VERSION] = "is of a version that is not known here",
        [SUPER_FIELDS] = "says something impossible",
    };
    return texts[f];
}

const char *group_fault_text(enum group_fault f)
{
    static const char *const texts[GROUP_FAULTS] = {
        [GROUP_VALID] = "is valid",
        [GROUP_UNREADABLE] = "cannot be read",
        [GROUP_BEYOND] = "would lie beyond the end of its segment",
        [GROUP_NONE] = "is not there (no group begins at its place)",
        [GROUP_VOLUME] = "is one of another filesystem",
        [GROUP_PLACE] = "belongs elsewhere",
        [GROUP_SEQUENCE] = "has another sequence number",
        [GROUP_LENGTH] = "has an impossible length",
        [GROUP_CHECKSUM] = "does not match its checksum",
    };
    return texts[f];
}

/* --- the device's bytes ----------------------------------------------------------------------- */

static bool window_read(struct scan *s, u64 start, u64 bytes)
{
    s->window_start = start;
    s->window_filled = 0;
    u64 sector = start / SECTOR_BYTES, sectors = bytes / SECTOR_BYTES;
    if (sector >= s->device->sectors || sectors > s->device->sectors - sector)
        return false;
    if (!is_ok(builder_io(s->device, s->poll, BLOCK_READ, sector, s->window, bytes)))
        return false;
    s->window_filled = bytes;
    return true;
}

/* The device's bytes [start, start + bytes); NULL when they cannot be read.  Reads ahead, up to
   `end`, but never lets that spoil what is asked for. */
static const u8 *scan_bytes(struct scan *s, u64 start, u64 bytes, u64 end)
{
    u64 offset = start - s->window_start;
    if (start >= s->window_start && offset + bytes <= s->window_filled)
        return s->window + offset;
    u64 from = align_down(start, SECTOR_BYTES);
    u64 needed = align_up(start + bytes, SECTOR_BYTES) - from;
    u64 wanted = max(needed, min(SCAN_WINDOW_BYTES, end > from ? end - from : 0));
    if (needed > SCAN_WINDOW_BYTES)
        return NULL;
    if (!window_read(s, from, wanted) && !window_read(s, from, needed))
        return NULL;
    return s->window + (start - from);
}

const u8 *scan_blocks(struct scan *s, u64 block, u64 blocks)
{
    assert(blocks << BLOCK_ORDER <= SCAN_WINDOW_BYTES);
    return scan_bytes(s, block << BLOCK_ORDER, blocks << BLOCK_ORDER, 0);
}

/* --- superblocks ------------------------------------------------------------------------------ */

static bool super_fields_right(const struct superblock *s)
{
    for (u32 n = 0; n < sizeof(s->rest); n++)
        if (s->rest[n])
            return false;
    return s->zero == 0 && s->block_order == BLOCK_ORDER && s->group_order >= GROUP_ORDER_MIN &&
           s->group_order <= GROUP_ORDER_MOST && s->device_blocks >= DEVICE_BLOCKS_MIN &&
           s->device_blocks < DEVICE_BLOCKS_END && s->checkpoint_block >= FIRST_BLOCK &&
           s->checkpoint_blocks >= SEGMENT_BLOCKS_MIN &&
           s->checkpoint_blocks <= SEGMENT_BLOCKS_MOST && s->checkpoint_block < s->device_blocks &&
           s->checkpoint_blocks <= s->device_blocks - s->checkpoint_block;
}

static enum super_fault super_look(struct scan *s, u32 n)
{
    static const u64 blocks[2] = {SUPERBLOCK_A, SUPERBLOCK_B};
    struct superblock *super = &s->supers[n];
    const u8 *bytes = scan_bytes(s, blocks[n] << BLOCK_ORDER, SUPERBLOCK_BYTES, 0);
    if (!bytes)
        return SUPER_UNREADABLE;
    memcpy(super, bytes, sizeof(*super));
    if (super->magic != SUPERBLOCK_MAGIC)
        return SUPER_NONE;
    struct superblock copy = *super;
    copy.crc = 0;
    if (crc32c(&copy, sizeof(copy)) != super->crc)
        return SUPER_CHECKSUM;
    if (super->version != FORMAT_VERSION)
        return SUPER_VERSION;
    return super_fields_right(super) ? SUPER_VALID : SUPER_FIELDS;
}

void scan_choose(struct scan *s, u32 super)
{
    const struct superblock *b = &s->supers[super];
    s->super = super;
    memcpy(&s->volume, b->uuid, sizeof(s->volume));
    scan_segment(s, b->checkpoint_block, b->checkpoint_blocks, b->checkpoint_sequence);
}

/* Why there is no log to follow. */
static status supers_refuse(const struct scan *s)
{
    bool unreadable = false, ours = false;
    for (u32 n = 0; n < 2; n++) {
        if (s->faults[n] == SUPER_VERSION)
            return status_error(EINVAL, "fs: a filesystem of an unknown version",
                                s->supers[n].version);
        unreadable |= s->faults[n] == SUPER_UNREADABLE;
        ours |= s->faults[n] != SUPER_UNREADABLE && s->faults[n] != SUPER_NONE;
    }
    if (ours)
        return status_error(EBADMSG, "fs: damaged: no superblock is valid", 0);
    return unreadable ? status_error(EIO, "fs: the superblocks cannot be read", 0)
                      : status_error(EINVAL, "fs: the disk holds no filesystem of ours", 0);
}

status scan_open(struct scan *s, struct block_device *device, thunk poll, heap h)
{
    *s = (struct scan){.device = device, .poll = poll, .heap = h};
    s->window = allocate(h, SCAN_WINDOW_BYTES);
    if (!s->window)
        return status_error(ENOMEM, "fs: no memory for checking", SCAN_WINDOW_BYTES);
    for (u32 n = 0; n < 2; n++)
        s->faults[n] = super_look(s, n);
    bool a = s->faults[0] == SUPER_VALID, b = s->faults[1] == SUPER_VALID;
    if (!a && !b)
        return supers_refuse(s);
    scan_choose(s, a && (!b || s->supers[0].generation >= s->supers[1].generation) ? 0 : 1);
    if (s->supers[s->super].features_incompatible & ~FEATURES_KNOWN)
        return status_error(EINVAL, "fs: the filesystem uses a feature that is not known here",
                            s->supers[s->super].features_incompatible);
    return STATUS_OK;
}

void scan_close(struct scan *s)
{
    deallocate(s->heap, s->window, SCAN_WINDOW_BYTES);
    s->window = NULL;
}

/* --- groups ----------------------------------------------------------------------------------- */

void scan_segment(struct scan *s, u64 block, u32 blocks, u64 sequence)
{
    s->block = block;
    s->bytes = (u64)blocks << BLOCK_ORDER;
    s->at = 0;
    s->sequence = sequence;
}

u64 scan_step(const struct scan *s)
{
    return 1ull << s->supers[s->super].group_order;
}

enum group_fault scan_look(struct scan *s, const struct group **group)
{
    u64 left = s->at < s->bytes ? s->bytes - s->at : 0;
    u64 start = (s->block << BLOCK_ORDER) + s->at, end = (s->block << BLOCK_ORDER) + s->bytes;
    if (left < sizeof(struct group))
        return GROUP_BEYOND;
    const struct group *g = (const struct group *)scan_bytes(s, start, sizeof(*g), end);
    if (!g)
        return GROUP_UNREADABLE;
    if (g->magic != GROUP_MAGIC)
        return GROUP_NONE;
    if (g->length < sizeof(*g) || g->length > GROUP_BYTES_MOST || g->length % 8 || g->length > left)
        return GROUP_LENGTH;
    g = (const struct group *)scan_bytes(s, start, g->length, end);
    if (!g)
        return GROUP_UNREADABLE;
    if (group_sum(g) != g->sum)
        return GROUP_CHECKSUM;
    if (g->volume != s->volume)
        return GROUP_VOLUME;
    if (g->sector != start / SECTOR_BYTES)
        return GROUP_PLACE;
    *group = g;
    return g->sequence == s->sequence ? GROUP_VALID : GROUP_SEQUENCE;
}

void scan_advance(struct scan *s, const struct group *g)
{
    s->at = align_up(s->at + g->length, scan_step(s));
    s->sequence = g->sequence + 1;
}

const struct record *group_record(const struct group *g, const struct record *after)
{
    const u8 *end = (const u8 *)g + g->length;
    const u8 *at = after ? (const u8 *)after + after->length : (const u8 *)(g + 1);
    if (end - at < (s64)sizeof(struct record))
        return NULL;
    const struct record *r = (const struct record *)at;
    return r->length >= sizeof(*r) && r->length % 8 == 0 && r->length <= (u64)(end - at) ? r : NULL;
}
