/* The builder's log: one checkpoint of everything, as records in groups in segments that lie one
   behind the other.  The same code counts (no device) and writes, so both agree on the length. */
#include "fs/builder_internal.h"

/* Groups are closed when they are that long; a reader's window holds several. */
#define GROUP_BYTES_USUAL (32 * KiB)
/* Extents up to this many blocks carry their checksums in the record. */
#define INLINE_BLOCKS_MOST 16u

/* --- requests --------------------------------------------------------------------------------- */

struct builder_request {
    struct block_request request;
    struct sg_list sg;
    struct status_handler landed;
    bool done;
    status outcome;
};

closure_method(status_handler, builder_landed, struct builder_request, landed, status s)
{
    struct builder_request *r = owner();
    r->outcome = s;
    r->done = true;
}

status builder_io(struct block_device *device, thunk poll, enum block_operation operation,
                  u64 sector, void *memory, u64 bytes)
{
    struct builder_request r = {.done = false};
    sg_init(&r.sg, NULL);
    if (bytes)
        sg_add(&r.sg, memory, bytes);
    init_method(&r.landed, builder_landed);
    r.request = (struct block_request){.operation = operation,
                                       .sector = sector,
                                       .sectors = bytes / SECTOR_BYTES,
                                       .sg = bytes ? &r.sg : NULL,
                                       .done = &r.landed};
    apply(device->io, &r.request);
    while (!r.done) {
        assert(poll); /* without one the device answers at once */
        apply(poll);
    }
    return r.outcome;
}

/* --- groups and segments ---------------------------------------------------------------------- */

static u64 segment_bytes_most(const struct log_writer *w)
{
    return (u64)w->layout->segment_blocks << BLOCK_ORDER;
}

static void group_write(struct log_writer *w)
{
    u64 padded = align_up(w->bytes, BLOCK_BYTES);
    if (w->group && is_ok(w->failure)) {
        struct group *g = (struct group *)w->group;
        u64 sector = w->layout->log_block * BLOCK_SECTORS + w->at / SECTOR_BYTES;
        *g = (struct group){
            .magic = GROUP_MAGIC,
            .sequence = w->sequence,
            .sector = sector,
            .length = w->bytes,
            .records = w->records,
        };
        memcpy(&g->volume, w->options->uuid, sizeof(g->volume));
        g->sum = group_sum(g);
        memset(w->group + w->bytes, 0, padded - w->bytes);
        w->failure = builder_io(w->device, w->poll, BLOCK_WRITE, sector, w->group, padded);
    }
    w->at += padded;
    w->sequence++;
    w->bytes = 0;
    w->records = 0;
    if (w->segment == 1)
        w->reach_bytes = w->at;
}

/* Appends to the group that is being made; the caller made sure that it fits. */
static void group_append(struct log_writer *w, struct record *fixed, u64 fixed_bytes, u16 type,
                         const char *text, u64 text_bytes, const char *more, u64 more_bytes)
{
    u64 length = align_up(fixed_bytes + text_bytes + more_bytes, 8);
    if (w->bytes == 0)
        w->bytes = sizeof(struct group);
    assert(w->bytes + length <= GROUP_BYTES_MOST);
    fixed->type = type;
    fixed->length = (u32)length;
    if (w->group) {
        u8 *to = w->group + w->bytes;
        memset(to, 0, length);
        memcpy(to, fixed, fixed_bytes);
        if (text_bytes)
            memcpy(to + fixed_bytes, text, text_bytes);
        if (more_bytes)
            memcpy(to + fixed_bytes + text_bytes, more, more_bytes);
    }
    w->bytes += (u32)length;
    w->records++;
}

static void segment_start(struct log_writer *w)
{
    u64 left = w->layout->log_blocks - w->at / BLOCK_BYTES; /* all of it when counting */
    w->segment++;
    w->segment_start = w->at;
    w->segment_block = w->layout->log_block + w->at / BLOCK_BYTES;
    struct record_segment s = {
        .number = w->sequence,
        .block = w->segment_block,
        .blocks = (u32)min(left, (u64)w->layout->segment_blocks),
    };
    group_append(w, &s.r, sizeof(s), RECORD_SEGMENT, NULL, 0, NULL, 0);
}

void log_start(struct log_writer *w)
{
    segment_start(w);
}

/* The segment's last group: a NEXT record alone. */
static void segment_end(struct log_writer *w)
{
    u64 next = w->at + BLOCK_BYTES; /* behind this group */
    u64 block = w->segment_block + w->layout->segment_blocks;
    u64 left = w->layout->log_block + w->layout->log_blocks - block;
    struct record_next n = {.block = block,
                            .blocks = (u32)min(left, (u64)w->layout->segment_blocks),
                            .sequence = w->sequence + 1};
    group_append(w, &n.r, sizeof(n), RECORD_NEXT, NULL, 0, NULL, 0);
    group_write(w);
    assert(w->at == next);
    w->at = w->segment_start + segment_bytes_most(w);
    segment_start(w);
}

void log_group_end(struct log_writer *w)
{
    if (w->bytes == 0)
        return;
    group_write(w);
    /* Room for a group of any length, and for the NEXT behind it. */
    u64 used = w->at - w->segment_start;
    if (used + align_up(GROUP_BYTES_MOST, BLOCK_BYTES) + BLOCK_BYTES > segment_bytes_most(w))
        segment_end(w);
}

void log_put(struct log_writer *w, struct record *fixed, u64 fixed_bytes, u16 type,
             const char *text, u64 text_bytes, const char *more, u64 more_bytes)
{
    u64 length = align_up(fixed_bytes + text_bytes + more_bytes, 8);
    u64 most =
        max(GROUP_BYTES_USUAL, sizeof(struct group) + sizeof(struct record_segment) + length);
    if (w->bytes + length > most)
        log_group_end(w);
    group_append(w, fixed, fixed_bytes, type, text, text_bytes, more, more_bytes);
}

/* --- the records ------------------------------------------------------------------------------ */

static void put_settings(struct log_writer *w)
{
    for (struct setting *s = w->builder->fs.settings; s; s = s->next) {
        const char *value = s->text + s->name_bytes + 1;
        struct record_setting r = {.name_bytes = (u16)s->name_bytes,
                                   .operation = SETTING_APPEND,
                                   .value_bytes = (u32)strlen(value)};
        log_put(w, &r.r, sizeof(r), RECORD_SETTING, s->text, r.name_bytes, value, r.value_bytes);
    }
}

static void put_inode(struct log_writer *w, const struct inode *i)
{
    struct record_inode r;
    inode_record(i, &r);
    r.created_ns = w->options->created_ns; /* made with the image, whatever it is a copy of */
    if (i == w->builder->fs.root && !w->builder->root_given)
        r.accessed_ns = r.modified_ns = r.changed_ns = w->options->created_ns;
    log_put(w, &r.r, sizeof(r), RECORD_INODE, NULL, 0, NULL, 0);
    if (i->type == INODE_SYMLINK) {
        struct record_symlink l = {.inode = i->number, .target_bytes = (u32)i->bytes};
        log_put(w, &l.r, sizeof(l), RECORD_SYMLINK, i->target, i->bytes, NULL, 0);
    }
}

/* Each with its inode, so that who replays has that at hand. */
static void put_entries(struct log_writer *w, const struct inode *directory)
{
    for (u32 place = 0; place < directory->places; place++) {
        const struct entry *e = directory->entries[place];
        if (e->inode->said != w->builder->said) {
            e->inode->said = w->builder->said;
            put_inode(w, e->inode);
        }
        struct record_link l = {
            .directory = directory->number, .inode = e->inode->number, .name_bytes = e->name_bytes};
        log_put(w, &l.r, sizeof(l), RECORD_LINK, e->name, e->name_bytes, NULL, 0);
    }
}

static void put_run(struct log_writer *w, const struct build_file *f, const struct build_run *run)
{
    bool checksums = w->options->data_checksums;
    bool inlined = checksums && run->blocks <= INLINE_BLOCKS_MOST;
    struct record_map m = {
        .inode = f->inode->number,
        .file_block = run->file_block,
        .disk_block = run->disk_block,
        .blocks = (u32)run->blocks,
    };
    if (checksums) {
        m.algorithm = CHECKSUM_XXH64;
        m.checksum_order = BLOCK_ORDER;
        m.flags = inlined ? MAP_SUMS_INLINE : MAP_SUMS_RUN;
    }
    if (checksums && !inlined) {
        m.run_block = w->layout->sums_block;
        m.run_index = (u32)run->sums_index;
    }
    log_put(w, &m.r, sizeof(m), RECORD_MAP, (const char *)run->sums,
            inlined ? run->blocks * sizeof(u32) : 0, NULL, 0);
}

/* Inodes by number are parents before children. */
static void put_tree(struct log_writer *w)
{
    struct builder *b = w->builder;
    b->said++;
    put_inode(w, b->fs.root);
    for (u64 number = INODE_ROOT; number < b->next_inode; number++) {
        const struct inode *i = inode_find(&b->fs, number);
        if (i && i->type == INODE_DIRECTORY)
            put_entries(w, i);
    }
    for (const struct build_file *f = b->files; f; f = f->next)
        for (const struct build_run *run = f->runs; run; run = run->next)
            put_run(w, f, run);
}

void log_write(struct log_writer *w)
{
    struct builder *b = w->builder;
    w->sequence = 1;
    segment_start(w);
    struct record_checkpoint begin = {
        .generation = 1, .inodes = b->fs.linked, .entries = b->fs.entries, .extents = b->runs};
    log_put(w, &begin.r, sizeof(begin), RECORD_CHECKPOINT_BEGIN, NULL, 0, NULL, 0);
    put_settings(w);
    if (w->layout->sums_blocks) {
        struct record_reserve reserve = {.block = w->layout->sums_block,
                                         .blocks = w->layout->sums_blocks,
                                         .kind = RESERVE_CHECKSUMS};
        log_put(w, &reserve.r, sizeof(reserve), RECORD_RESERVE, NULL, 0, NULL, 0);
    }
    put_tree(w);
    struct record_checkpoint_end end = {.generation = 1,
                                        .inodes = b->fs.linked,
                                        .entries = b->fs.entries,
                                        .extents = b->runs,
                                        .next_inode = b->next_inode};
    log_put(w, &end.r, sizeof(end), RECORD_CHECKPOINT_END, NULL, 0, NULL, 0);
    log_group_end(w);
    if (b->tail)
        apply(b->tail, w);
    log_group_end(w);
}
