/* A repair's second half: what was salvaged becomes a checkpoint in blocks that nothing speaks of,
   written by the builder's log writer.  See check_repair.h. */
#include "fs/check_repair.h"

#include "runtime/crc32c.h"
#include "runtime/format.h"

#define SEGMENT_BLOCKS 1024u
/* Groups that may be on the disk and were not found have lower numbers than these. */
#define SEQUENCE_AHEAD (1ull << 33)

static const char lost_found[] = "lost+found";

/* --- records ---------------------------------------------------------------------------------- */

struct rewrite {
    struct repair *repair;
    struct log_writer *log;
};

static void put_settings(struct rewrite *w)
{
    for (struct setting *s = w->repair->check.fs.settings; s; s = s->next) {
        const char *value = s->text + s->name_bytes + 1;
        struct record_setting r = {.name_bytes = (u16)s->name_bytes,
                                   .operation = SETTING_APPEND,
                                   .value_bytes = (u32)strlen(value)};
        log_put(w->log, &r.r, sizeof(r), RECORD_SETTING, s->text, r.name_bytes, value,
                r.value_bytes);
    }
}

static void put_reserves(struct rewrite *w)
{
    struct range_node *n = range_map_first(&w->repair->check.fs.space.map);
    for (; n; n = range_map_next(n)) {
        enum space_use use = container_of(n, struct space_node, node)->use;
        if (use != USE_CHECKSUMS && use != USE_OTHER)
            continue;
        struct record_reserve r = {.block = n->r.start,
                                   .blocks = range_length(n->r),
                                   .kind =
                                       use == USE_CHECKSUMS ? RESERVE_CHECKSUMS : RESERVE_OTHER};
        log_put(w->log, &r.r, sizeof(r), RECORD_RESERVE, NULL, 0, NULL, 0);
    }
}

static void put_extents(struct rewrite *w, struct inode *i)
{
    struct range_node *n = i->extents ? range_map_first(i->extents) : NULL;
    for (; n; n = range_map_next(n), w->repair->extents++) {
        const struct extent *e = extent_of(n);
        u64 blocks = range_length(n->r);
        struct record_map m = {.inode = i->number,
                               .file_block = n->r.start,
                               .disk_block = e->disk_block,
                               .blocks = (u32)blocks,
                               .flags = e->flags};
        if (e->flags & (MAP_SUMS_INLINE | MAP_SUMS_RUN)) {
            m.algorithm = CHECKSUM_XXH64;
            m.checksum_order = BLOCK_ORDER;
        }
        if (e->flags & MAP_SUMS_RUN) {
            m.run_block = e->run_block;
            m.run_index = e->run_index;
        }
        log_put(w->log, &m.r, sizeof(m), RECORD_MAP, (const char *)e->sums,
                e->flags & MAP_SUMS_INLINE ? blocks * sizeof(u32) : 0, NULL, 0);
    }
}

static void put_inode(struct rewrite *w, struct inode *i)
{
    struct record_inode n = {};
    inode_record(i, &n);
    log_put(w->log, &n.r, sizeof(n), RECORD_INODE, NULL, 0, NULL, 0);
    w->repair->inodes++;
    if (i->type == INODE_SYMLINK) {
        struct record_symlink l = {.inode = i->number, .target_bytes = (u32)i->bytes};
        log_put(w->log, &l.r, sizeof(l), RECORD_SYMLINK, i->target, i->bytes, NULL, 0);
    }
    for (struct xattr *x = i->xattrs; x; x = x->next) {
        struct record_xattr_set s = {
            .inode = i->number, .name_bytes = x->name_bytes, .value_bytes = x->value_bytes};
        log_put(w->log, &s.r, sizeof(s), RECORD_XATTR_SET, x->text, x->name_bytes,
                x->text + x->name_bytes, x->value_bytes);
    }
    if (i->type == INODE_FILE)
        put_extents(w, i);
}

static void put_link(struct rewrite *w, u64 directory, u64 inode, const char *name, u64 bytes)
{
    struct record_link l = {.directory = directory, .inode = inode, .name_bytes = (u16)bytes};
    log_put(w->log, &l.r, sizeof(l), RECORD_LINK, name, bytes, NULL, 0);
    w->repair->entries++;
}

/* --- the tree --------------------------------------------------------------------------------- */

/* Parents come before their children: check_visit_tree visits a directory after its entry. */
closure_function(check_visitor, entry_put, (struct rewrite * rewrite), struct inode *directory,
                 const struct directory_entry *entry)
{
    struct rewrite *w = bound(rewrite);
    struct inode *i = entry ? entry->inode : directory;
    if (i->said == INODE_MOVED)
        return;
    if (!entry || i->said != INODE_WRITTEN)
        put_inode(w, i);
    i->said = INODE_WRITTEN;
    if (entry)
        put_link(w, directory->number, i->number, entry->name, entry->name_bytes);
}

closure_function(check_visitor, written_clear, (), struct inode *directory,
                 const struct directory_entry *entry)
{
    struct inode *i = entry ? entry->inode : directory;
    if (i->said == INODE_WRITTEN)
        i->said = 0;
}

/* "NUMBER-NAME": what it was called last, as far as there is room. */
static void put_moved(struct rewrite *w, struct inode *i)
{
    char name[NAME_BYTES_MOST + 1];
    u64 bytes = format_text(name, sizeof(name), "%llu", (unsigned long long)i->number);
    if (i->entry) {
        name[bytes++] = '-';
        u64 more = min((u64)i->entry->name_bytes, NAME_BYTES_MOST - bytes);
        memcpy(name + bytes, i->entry->name, more);
        bytes += more;
    }
    put_inode(w, i);
    put_link(w, w->repair->lost_found, i->number, name, bytes);
}

/* The directory /lost+found, and what is moved there. */
static void put_lost_found(struct rewrite *w)
{
    struct repair *r = w->repair;
    if (!r->moved.count)
        return;
    struct entry *there = entry_find(r->check.fs.root, lost_found, strlen(lost_found));
    if (!there) {
        struct record_inode n = {.number = r->lost_found, .type = INODE_DIRECTORY, .mode = 0700};
        log_put(w->log, &n.r, sizeof(n), RECORD_INODE, NULL, 0, NULL, 0);
        r->inodes++;
        put_link(w, INODE_ROOT, r->lost_found, lost_found, strlen(lost_found));
    }
    for (u64 n = 0; n < r->moved.count; n++)
        put_moved(w, inode_find(&r->check.fs, r->moved.items[n].i->number));
}

/* The whole checkpoint.  The counts are what a first pass, which only counts, has found. */
static void checkpoint_put(struct repair *r, struct log_writer *log, u64 generation)
{
    struct rewrite w = {.repair = r, .log = log};
    struct record_checkpoint begin = {.generation = generation,
                                      .inodes = r->inodes,
                                      .entries = r->entries,
                                      .extents = r->extents};
    r->inodes = r->entries = r->extents = 0;
    log_start(log);
    log_put(log, &begin.r, sizeof(begin), RECORD_CHECKPOINT_BEGIN, NULL, 0, NULL, 0);
    put_settings(&w);
    put_reserves(&w);
    check_visit_tree(&r->check, stack_closure(entry_put, &w));
    check_visit_tree(&r->check, stack_closure(written_clear));
    put_lost_found(&w);
    struct record_checkpoint_end end = {.generation = generation,
                                        .inodes = r->inodes,
                                        .entries = r->entries,
                                        .extents = r->extents,
                                        .next_inode = r->next_inode};
    log_put(log, &end.r, sizeof(end), RECORD_CHECKPOINT_END, NULL, 0, NULL, 0);
    log_group_end(log);
}

/* --- where it goes ---------------------------------------------------------------------------- */

/* A run of blocks that nothing speaks of; 0: there is none that is long enough. */
static u64 room_find(struct repair *r, u64 blocks)
{
    u64 device = r->options.device->sectors / BLOCK_SECTORS, from = FIRST_BLOCK;
    check_ranges_sort(&r->kept);
    for (u64 n = 0; n < r->kept.count; n++) {
        if (r->kept.items[n].start > from && r->kept.items[n].start - from >= blocks)
            return from + blocks <= device ? from : 0;
        from = max(from, r->kept.items[n].end);
    }
    return from < device && device - from >= blocks ? from : 0;
}

status repair_super_write(struct repair *r, struct superblock *super, u32 place)
{
    static const u64 blocks[2] = {SUPERBLOCK_A, SUPERBLOCK_B};
    struct block_device *device = r->options.device;
    struct superblock *memory = allocate(r->options.heap, sizeof(*memory));
    if (!memory)
        return status_error(ENOMEM, "fs: no memory for a superblock", sizeof(*memory));
    super->crc = 0;
    super->crc = crc32c(super, sizeof(*super));
    *memory = *super;
    status s = builder_io(device, r->options.poll, BLOCK_FLUSH, 0, NULL, 0);
    if (is_ok(s))
        s = builder_io(device, r->options.poll, BLOCK_WRITE, blocks[place] * BLOCK_SECTORS, memory,
                       SUPERBLOCK_BYTES);
    r->result->changed = true;
    if (is_ok(s))
        s = builder_io(device, r->options.poll, BLOCK_FLUSH, 0, NULL, 0);
    deallocate(r->options.heap, memory, sizeof(*memory));
    return s;
}

static status rewrite_super(struct repair *r, const struct log_writer *log, u64 generation)
{
    const struct scan *s = &r->check.scan;
    const struct layout *l = log->layout;
    struct superblock super = s->supers[s->super];
    super.generation = generation;
    super.group_order = BLOCK_ORDER;
    super.device_blocks = r->options.device->sectors / BLOCK_SECTORS;
    super.checkpoint_block = l->log_block;
    super.checkpoint_blocks = (u32)min(l->log_blocks, (u64)l->segment_blocks);
    super.checkpoint_sequence = r->sequence_most + SEQUENCE_AHEAD;
    super.reach_sequence = log->sequence - 1;
    super.reach_bytes = log->reach_bytes;
    super.head_block = log->segment_block;
    super.flags = SUPERBLOCK_CLEAN;
    super.next_inode = r->next_inode;
    /* The place of the one that is not valid, or older. */
    u32 place = s->faults[0] != SUPER_VALID                         ? 0
                : s->faults[1] != SUPER_VALID                       ? 1
                : s->supers[0].generation < s->supers[1].generation ? 0
                                                                    : 1;
    return repair_super_write(r, &super, place);
}

static status rewrite_write(struct repair *r, struct layout *l, u64 generation)
{
    u64 group_bytes = GROUP_BYTES_MOST + BLOCK_BYTES;
    struct builder_options options = {};
    struct log_writer log = {.options = &options,
                             .layout = l,
                             .device = r->options.device,
                             .poll = r->options.poll,
                             .sequence = r->sequence_most + SEQUENCE_AHEAD};
    memcpy(options.uuid, r->check.scan.supers[r->check.scan.super].uuid, sizeof(options.uuid));
    log.group = allocate(r->options.heap, group_bytes);
    if (!log.group)
        return status_error(ENOMEM, "fs: no memory for a group", group_bytes);
    checkpoint_put(r, &log, generation);
    status s = is_ok(r->check.failure) ? log.failure : r->check.failure;
    deallocate(r->options.heap, log.group, group_bytes);
    return is_ok(s) ? rewrite_super(r, &log, generation) : s;
}

status repair_rewrite(struct repair *r)
{
    struct layout l = {.segment_blocks = SEGMENT_BLOCKS, .log_blocks = SEGMENT_BLOCKS};
    const struct superblock *supers = r->check.scan.supers;
    const enum super_fault *faults = r->check.scan.faults;
    u64 generation = max(faults[0] == SUPER_VALID ? supers[0].generation : 0,
                         faults[1] == SUPER_VALID ? supers[1].generation : 0) +
                     1;
    struct entry *there = entry_find(r->check.fs.root, lost_found, strlen(lost_found));
    if (there && there->inode->type != INODE_DIRECTORY && r->moved.count)
        return status_error(EBADMSG, "fs: damaged: /lost+found is needed and is no directory", 0);
    r->next_inode = max(r->check.inode_most, supers[r->check.scan.super].next_inode) + 2;
    r->lost_found = there ? there->inode->number : r->next_inode - 1;
    struct log_writer counter = {.layout = &l, .sequence = r->sequence_most + SEQUENCE_AHEAD};
    checkpoint_put(r, &counter, generation);
    if (!is_ok(r->check.failure))
        return r->check.failure;
    l.log_blocks = counter.at / BLOCK_BYTES + 1; /* room for a NEXT */
    l.log_block = room_find(r, l.log_blocks);
    if (!l.log_block)
        return status_error(ENOSPC, "fs: no room for what was salvaged; make the disk larger",
                            l.log_blocks);
    status s = rewrite_write(r, &l, generation);
    r->result->inodes = r->inodes;
    r->result->moved = r->moved.count;
    return s;
}
