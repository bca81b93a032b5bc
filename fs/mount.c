/* Mount: finds the newest valid superblock, reads the log from its checkpoint on, and hands each
   valid group to replay.c.  FORMAT.md, section 7, is this file in words.

   The log is read window by window, and while one is gone through the device has the read of the
   next one, where the groups' lengths say that it will begin (a guess: what they say is checked
   later).  Each completion goes on where the last one stopped, so nothing here is recursive. */
#include "fs/log.h"

#include "runtime/crc32c.h"
#include "runtime/merge.h"

#define WINDOW_BYTES_MOST (256 * KiB)
_Static_assert(WINDOW_BYTES_MOST >= GROUP_BYTES_MOST, "a group fits into the window");

/* A part of the segment that is being read, and its request. */
struct mount_window {
    struct mount *mount;
    u8 *memory;
    u64 room;
    u64 start, filled; /* in the segment: its bytes [start, start + filled) */
    struct device_read device;
    struct sg_list sg;
    struct status_handler landed;
};

struct mount {
    struct filesystem *fs;
    heap heap;
    mount_handler done;

    struct superblock *supers; /* a page: A in its first sector, B in the second */
    struct super_read {
        struct device_read device;
        struct sg_list sg;
        struct status_handler landed; /* a device may queue it, which a merge's branch may not be */
        status_handler branch;
    } reads[2];
    struct merge supers_merge;
    struct status_handler supers_read;

    struct replay replay;
    u64 sequence;      /* of the group that is expected */
    u64 segment_bytes; /* of the segment that is being read */
    u64 at;            /* in the segment: where the next group is expected */
    bool scanning;     /* behind an invalid group: is it a torn tail? */
    u64 log_end;       /* in the segment: where the log goes on */

    struct mount_window windows[2];
    struct mount_window *window;   /* the one that is gone through; the other one is read ahead: */
    u64 ahead_block;               /* from the segment that begins there; 0: nothing is in it */
    bool ahead_runs;               /* the device has it */
    bool ahead_awaited;            /* the log goes on when it has landed */
    bool ending;                   /* the mount ends when it has landed, with `why` */
    struct status_handler refused; /* the filesystem is unmounted again, because of: */
    status why;
};

static void mount_end(struct mount *m, heap h, struct filesystem *fs, status s)
{
    mount_handler done = m->done;
    deallocate(h, m, sizeof(*m));
    apply(done, fs, s);
}

closure_method(status_handler, mount_refused, struct mount, refused, status s)
{
    struct mount *m = owner();
    (void)s;
    mount_end(m, m->heap, NULL, m->why);
}

static void mount_finish(struct mount *m, status s)
{
    struct filesystem *fs = m->fs;
    if (m->ahead_runs) {
        m->ending = true;
        m->why = s;
        return;
    }
    deallocate(fs->environment.pages, m->supers, BLOCK_BYTES);
    for (u32 n = 0; n < 2; n++)
        deallocate(m->heap, m->windows[n].memory, m->windows[n].room);
    if (is_ok(s)) {
        mount_end(m, m->heap, fs, s);
        return;
    }
    m->why = s;
    init_method(&m->refused, mount_refused);
    filesystem_unmount(fs, &m->refused);
}

/* --- the log ---------------------------------------------------------------------------------- */

static void mount_advance(struct mount *m, status s);

static struct mount_window *window_other(struct mount *m)
{
    return &m->windows[m->window == &m->windows[0]];
}

static void ahead_landed(struct mount *m, status s)
{
    bool awaited = m->ahead_awaited;
    m->ahead_runs = m->ahead_awaited = false;
    if (!is_ok(s))
        m->ahead_block = 0; /* who needs it reads it again, and says what is wrong */
    if (m->ending)
        mount_finish(m, m->why);
    else if (awaited)
        mount_advance(m, STATUS_OK);
}

closure_method(status_handler, mount_window_landed, struct mount_window, landed, status s)
{
    struct mount_window *w = owner();
    struct mount *m = w->mount;
    if (w == m->window)
        mount_advance(m, s);
    else
        ahead_landed(m, s);
}

/* Whether anybody may change anything. */
static bool mount_writable(const struct mount *m)
{
    const struct filesystem *fs = m->fs;
    const struct filesystem_environment *e = &fs->environment;
    if (e->read_only || e->device->read_only || fs->super.features_read_only)
        return false;
    if (m->log_end + BLOCK_BYTES <= m->segment_bytes)
        return true;
    if (e->warn)
        e->warn("fs: the image's log has no room to go on (block %llu): nothing can be written",
                (unsigned long long)m->replay.segment_block);
    return false;
}

static status mount_prepare_writing(struct mount *m)
{
    struct filesystem *fs = m->fs;
    u64 blocks = fs->super.device_blocks;
    status s = segments_prepare(fs);
    if (!is_ok(s))
        return s;
    sums_sweep(fs);
    return log_make(fs, &(struct log_end){
                            .block = m->replay.segment_block,
                            .blocks = m->replay.segment_blocks,
                            .at = m->log_end,
                            .sequence = m->sequence,
                            .torn = !(fs->super.flags & SUPERBLOCK_CLEAN),
                            .super_due = (fs->super.flags & SUPERBLOCK_CLEAN) ||
                                         fs->super.device_blocks != blocks,
                        });
}

static status mount_complete(struct mount *m)
{
    struct filesystem *fs = m->fs;
    if (!m->scanning)
        m->log_end = m->at;
    fs->writable = mount_writable(m);
    status s = replay_finish(&m->replay);
    if (!is_ok(s))
        return s;
    fs->checksums = arena_allocate(&fs->arena, sizeof(*fs->checksums));
    if (!fs->checksums)
        return status_error(ENOMEM, "fs: no memory for an inode", 0);
    *fs->checksums = (struct inode){
        .fs = fs, .type = INODE_FILE, .bytes = fs->super.device_blocks << BLOCK_ORDER};
    return fs->writable ? mount_prepare_writing(m) : STATUS_OK;
}

/* Makes room for `bytes` of the segment from `start` on, or what it has of them. */
static status window_prepare(struct mount *m, struct mount_window *w, u64 start, u64 bytes)
{
    heap h = m->fs->environment.heap;
    bytes = align_up(min(bytes, WINDOW_BYTES_MOST), BLOCK_BYTES);
    bytes = min(bytes, m->segment_bytes - start);
    w->filled = 0;
    if (bytes > w->room) {
        deallocate(h, w->memory, w->room);
        w->room = 0;
        w->memory = allocate(h, bytes);
        if (!w->memory)
            return status_error(ENOMEM, "fs: no memory for reading the log", bytes);
        w->room = bytes;
    }
    sg_init(&w->sg, NULL);
    sg_add(&w->sg, w->memory, bytes);
    w->start = start;
    w->filled = bytes;
    return STATUS_OK;
}

/* What window_prepare made room for.  Nobody unmounts what has not been mounted yet. */
static bool window_start(struct mount *m, struct mount_window *w)
{
    u64 sector = m->replay.segment_block * BLOCK_SECTORS + w->start / SECTOR_BYTES;
    init_method(&w->landed, mount_window_landed);
    return device_read_start(m->fs, &w->device, sector, &w->sg, &w->landed);
}

static void window_read(struct mount *m)
{
    if (!window_start(m, m->window))
        mount_finish(m, device_closing(m->fs));
}

/* Reads on from `at`.  The window is as long as the first read has to be, and full size from the
   second one on. */
static status window_refill(struct mount *m, u64 bytes)
{
    return window_prepare(m, m->window, align_down(m->at, SECTOR_BYTES), bytes);
}

/* --- reading ahead ---------------------------------------------------------------------------- */

/* Where the first group lies that is not wholly in the window, as far as lengths can be believed.
   0: there is none, or the log is a short one. */
static u64 ahead_guess(const struct mount *m)
{
    const struct mount_window *w = m->window;
    u64 at = m->at, end = w->start + w->filled;
    if (w->filled < WINDOW_BYTES_MOST)
        return 0;
    while (at >= w->start && at + sizeof(struct group) <= end) {
        const struct group *g = (const struct group *)(w->memory + (at - w->start));
        if (g->magic != GROUP_MAGIC || g->length < sizeof(*g) || g->length > GROUP_BYTES_MOST)
            return 0;
        if (at + g->length > end)
            break;
        at = align_up(at + g->length, 1ull << m->fs->super.group_order);
    }
    return at < m->segment_bytes ? at : 0;
}

/* Without memory for it, nothing is read ahead. */
static void ahead_start(struct mount *m)
{
    u64 at = m->ahead_runs || m->scanning ? 0 : ahead_guess(m);
    if (!at || at <= m->at)
        return;
    struct mount_window *w = window_other(m);
    m->ahead_block = 0;
    if (!is_ok(window_prepare(m, w, align_down(at, SECTOR_BYTES), WINDOW_BYTES_MOST)))
        return;
    m->ahead_block = m->replay.segment_block;
    m->ahead_runs = window_start(m, w);
    if (m->ahead_runs)
        return;
    closure_freed(&w->landed.header);
    m->ahead_block = 0;
}

/* What has to be read is in the other window, or will be. */
static bool ahead_fits(struct mount *m)
{
    return m->ahead_block && m->ahead_block == m->replay.segment_block &&
           window_other(m)->start == align_down(m->at, SECTOR_BYTES);
}

/* What stands at `at`. */
enum found { FOUND_GROUP, FOUND_NOTHING, FOUND_PART };

/* A group of the expected sequence; when scanning, of any later one.  FOUND_PART: `*needed` bytes
   have to be in the window first. */
static enum found group_look(const struct mount *m, const struct group **group, u64 *needed)
{
    const struct filesystem *fs = m->fs;
    u64 left = m->segment_bytes - m->at;
    if (left < sizeof(struct group))
        return FOUND_NOTHING;
    const struct mount_window *w = m->window;
    u64 offset = m->at - w->start;
    u64 have = m->at >= w->start && offset < w->filled ? w->filled - offset : 0;
    *needed = sizeof(struct group);
    if (have < *needed)
        return FOUND_PART;
    const struct group *g = (const struct group *)(w->memory + offset);
    bool expected = m->scanning ? g->sequence > m->sequence : g->sequence == m->sequence;
    if (g->magic != GROUP_MAGIC || g->volume != fs->volume || !expected ||
        g->sector != m->replay.segment_block * BLOCK_SECTORS + m->at / SECTOR_BYTES ||
        g->length < sizeof(*g) || g->length > GROUP_BYTES_MOST || g->length % 8 || g->length > left)
        return FOUND_NOTHING;
    *needed = g->length;
    if (have < *needed)
        return FOUND_PART;
    if (group_sum(g) != g->sum)
        return FOUND_NOTHING;
    *group = g;
    return FOUND_GROUP;
}

static void segment_begin(struct mount *m, u64 block, u32 blocks)
{
    m->replay.segment_expected = true;
    m->replay.segment_block = block;
    m->replay.segment_blocks = blocks;
    m->replay.next_block = 0;
    m->segment_bytes = (u64)blocks << BLOCK_ORDER;
    m->at = 0;
    m->window->start = m->window->filled = 0;
}

static status group_apply(struct mount *m, const struct group *g, bool *ended)
{
    status s = replay_group(&m->replay, g);
    if (!is_ok(s))
        return s;
    const struct superblock *super = &m->fs->super;
    m->sequence = m->replay.next_block ? m->replay.next_sequence : m->sequence + 1;
    if (m->sequence > super->reach_sequence) {
        if (!m->replay.ended)
            return status_error(EBADMSG, "fs: damaged: the checkpoint has no end", g->sequence);
        *ended = super->flags & SUPERBLOCK_CLEAN;
    }
    if (m->replay.next_block)
        segment_begin(m, m->replay.next_block, m->replay.next_blocks);
    else
        m->at = align_up(m->at + g->length, 1ull << m->fs->super.group_order);
    return STATUS_OK;
}

/* No valid group at `at`, where one of m->sequence was expected. */
static status group_missing(struct mount *m)
{
    if (m->sequence <= m->fs->super.reach_sequence)
        return status_error(EBADMSG, "fs: damaged: a part of the log is not what was written",
                            m->sequence);
    m->scanning = true;
    m->log_end = m->at;
    return STATUS_OK;
}

/* Goes through the groups until a read is needed (*reading) or the log has ended. */
static status log_advance(struct mount *m, bool *reading)
{
    u64 step = 1ull << m->fs->super.group_order;
    bool ended = false;
    while (!ended && m->at < m->segment_bytes) {
        const struct group *g;
        u64 needed;
        status s = STATUS_OK;
        switch (group_look(m, &g, &needed)) {
        case FOUND_PART:
            *reading = true;
            return STATUS_OK;
        case FOUND_GROUP:
            if (!m->scanning)
                s = group_apply(m, g, &ended);
            else if (g->durable >= m->sequence)
                s = status_error(EBADMSG, "fs: damaged: a part of the log is missing", m->sequence);
            else
                m->at += step;
            break;
        case FOUND_NOTHING:
            s = m->scanning ? STATUS_OK : group_missing(m);
            m->at += step;
            break;
        }
        if (!is_ok(s))
            return s;
    }
    return ended || m->scanning ? STATUS_OK : group_missing(m);
}

/* What stands at `at` has to be read: it is there already, on its way, or is asked for.  True: it
   is there. */
static bool window_next(struct mount *m)
{
    if (!ahead_fits(m)) {
        status s = window_refill(m, WINDOW_BYTES_MOST);
        if (is_ok(s))
            window_read(m);
        else
            mount_finish(m, s);
        return false;
    }
    m->ahead_awaited = m->ahead_runs;
    if (m->ahead_runs)
        return false;
    m->window = window_other(m);
    m->ahead_block = 0;
    return true;
}

static void mount_advance(struct mount *m, status s)
{
    bool reading;
    do {
        reading = false;
        if (is_ok(s)) {
            ahead_start(m);
            s = log_advance(m, &reading);
        }
    } while (reading && window_next(m));
    if (!reading)
        mount_finish(m, is_ok(s) ? mount_complete(m) : s);
}

/* --- superblocks ------------------------------------------------------------------------------ */

static bool super_crc_right(const struct superblock *s)
{
    struct superblock copy = *s;
    copy.crc = 0;
    return crc32c(&copy, sizeof(copy)) == s->crc;
}

static bool super_valid(const struct superblock *s)
{
    return s->magic == SUPERBLOCK_MAGIC && super_crc_right(s) && s->version == FORMAT_VERSION &&
           s->block_order == BLOCK_ORDER && s->group_order >= GROUP_ORDER_MIN &&
           s->group_order <= GROUP_ORDER_MOST && s->device_blocks >= DEVICE_BLOCKS_MIN &&
           s->device_blocks < DEVICE_BLOCKS_END && s->checkpoint_block >= FIRST_BLOCK &&
           s->checkpoint_blocks >= SEGMENT_BLOCKS_MIN &&
           s->checkpoint_blocks <= SEGMENT_BLOCKS_MOST && s->checkpoint_block < s->device_blocks &&
           s->checkpoint_blocks <= s->device_blocks - s->checkpoint_block;
}

/* Why neither superblock can be used; a newer version is not called damage. */
static status supers_refuse(const struct mount *m, status read)
{
    for (u32 n = 0; n < 2; n++) {
        const struct superblock *s = (const void *)((const u8 *)m->supers + n * SUPERBLOCK_BYTES);
        if (s->magic != SUPERBLOCK_MAGIC)
            continue;
        if (super_crc_right(s) && s->version != FORMAT_VERSION)
            return status_error(EINVAL, "fs: a filesystem of an unknown version", s->version);
        return status_error(EBADMSG, "fs: damaged: no superblock is valid", s->generation);
    }
    return is_ok(read) ? status_error(EINVAL, "fs: the disk holds no filesystem of ours", 0) : read;
}

static status super_choose(struct mount *m, status read)
{
    const struct superblock *a = m->supers;
    const struct superblock *b = (const void *)((const u8 *)m->supers + SUPERBLOCK_BYTES);
    bool a_valid = super_valid(a), b_valid = super_valid(b);
    if (!a_valid && !b_valid)
        return supers_refuse(m, read);
    const struct superblock *s = a_valid && (!b_valid || a->generation >= b->generation) ? a : b;
    struct filesystem *fs = m->fs;
    fs->super = *s;
    fs->super_in_b = s == b;
    memcpy(&fs->volume, s->uuid, sizeof(fs->volume));
    if (s->features_incompatible & ~FEATURES_KNOWN)
        return status_error(EINVAL, "fs: the filesystem uses a feature that is not known here",
                            s->features_incompatible);
    if (s->device_blocks > fs->environment.device->sectors / BLOCK_SECTORS)
        return status_error(EBADMSG, "fs: damaged: the disk is shorter than its filesystem",
                            s->device_blocks);
    return STATUS_OK;
}

/* The superblock is good: everything that the log needs to be read against. */
static status log_read_begin(struct mount *m)
{
    struct filesystem *fs = m->fs;
    const struct superblock *s = &fs->super;
    space_init(&fs->space, fs->environment.heap, s->device_blocks);
    status taken = space_take(&fs->space, 0, FIRST_BLOCK, USE_FIXED);
    if (is_ok(taken))
        taken = space_take(&fs->space, s->checkpoint_block, s->checkpoint_blocks, USE_LOG);
    if (is_ok(taken))
        taken = segment_chain_add(fs, s->checkpoint_block, s->checkpoint_blocks);
    if (!is_ok(taken))
        return taken;
    m->sequence = s->checkpoint_sequence;
    segment_begin(m, s->checkpoint_block, s->checkpoint_blocks);
    return window_refill(m, s->reach_bytes ? s->reach_bytes : WINDOW_BYTES_MOST);
}

closure_method(status_handler, mount_supers_read, struct mount, supers_read, status s)
{
    struct mount *m = owner();
    status chosen = super_choose(m, s);
    if (is_ok(chosen))
        chosen = log_read_begin(m);
    if (!is_ok(chosen)) {
        mount_finish(m, chosen);
        return;
    }
    window_read(m);
}

closure_method(status_handler, super_landed, struct super_read, landed, status s)
{
    struct super_read *r = owner();
    apply(r->branch, s);
}

static void supers_start(struct mount *m)
{
    static const u64 blocks[2] = {SUPERBLOCK_A, SUPERBLOCK_B};
    init_method(&m->supers_read, mount_supers_read);
    init_merge(&m->supers_merge, &m->supers_read);
    for (u32 n = 0; n < 2; n++) {
        struct super_read *r = &m->reads[n];
        sg_init(&r->sg, NULL);
        sg_add(&r->sg, (u8 *)m->supers + n * SUPERBLOCK_BYTES, SUPERBLOCK_BYTES);
        r->branch = apply_merge(&m->supers_merge);
        init_method(&r->landed, super_landed);
        if (!device_read_start(m->fs, &r->device, blocks[n] * BLOCK_SECTORS, &r->sg, &r->landed))
            apply(r->branch, device_closing(m->fs));
    }
    merge_finish(&m->supers_merge);
}

/* --- public ----------------------------------------------------------------------------------- */

void filesystem_mount(const struct filesystem_environment *environment, mount_handler done)
{
    heap h = environment->heap;
    if (environment->device->sectors < DEVICE_BLOCKS_MIN * BLOCK_SECTORS) {
        apply(done, NULL,
              status_error(EINVAL, "fs: the disk is too small for a filesystem",
                           environment->device->sectors));
        return;
    }
    struct filesystem *fs = allocate_zero(h, sizeof(*fs));
    struct mount *m = allocate_zero(h, sizeof(*m));
    void *page = allocate(environment->pages, BLOCK_BYTES);
    if (!fs || !m || !page) {
        deallocate(h, fs, sizeof(*fs));
        deallocate(h, m, sizeof(*m));
        deallocate(environment->pages, page, BLOCK_BYTES);
        apply(done, NULL, status_error(ENOMEM, "fs: no memory for mounting", 0));
        return;
    }
    fs->environment = *environment;
    scope_init(&fs->scope, NULL, environment->executor, "filesystem");
    arena_init(&fs->arena, h);
    space_init(&fs->space, h, 0);
    list_init(&fs->clock);
    list_init(&fs->live);
    list_init(&fs->dirty_inodes);
    m->fs = fs;
    m->heap = h;
    m->window = &m->windows[0];
    m->windows[0].mount = m->windows[1].mount = m;
    m->replay.fs = fs;
    m->done = done;
    m->supers = page;
    memset(page, 0, 2 * SUPERBLOCK_BYTES); /* what a failed read leaves is no superblock */
    supers_start(m);
}

const char *filesystem_setting(struct filesystem *fs, const char *name, u32 index)
{
    u64 bytes = strlen(name);
    for (struct setting *s = fs->settings; s; s = s->next)
        if (s->name_bytes == bytes && memcmp(s->text, name, bytes) == 0 && index-- == 0)
            return s->text + bytes + 1;
    return NULL;
}

struct filesystem_statistics filesystem_statistics(struct filesystem *fs)
{
    u64 left = fs->space.blocks - fs->space.used;
    /* Each inode needs room in the log only; a block for each is a careful promise. */
    return (struct filesystem_statistics){
        .block_bytes = BLOCK_BYTES,
        .blocks = fs->space.blocks,
        .blocks_free = left,
        .inodes = fs->linked + left,
        .inodes_free = left,
        .id = fs->volume,
    };
}

bool filesystem_read_only(const struct filesystem *fs)
{
    return !fs->writable;
}

struct inode *filesystem_root(struct filesystem *fs)
{
    return fs->root;
}
