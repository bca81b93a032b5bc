/* The builder's second half: plans where everything goes, writes data, checksums and log, and the
   superblocks last.

   Files lie one behind the other, in the order in which they were added, then the checksum blocks
   of long extents, then the log.  So all of it is one stream of blocks, in order, written in large
   requests. */
#include "fs/builder_internal.h"

#include "runtime/crc32c.h"
#include "runtime/hash64.h"

#define STREAM_BYTES         (256 * KiB)
#define PLAN_BYTES           (64 * KiB) /* a hole is at least that long */
#define RUN_BLOCKS_MOST      (1ull << 20)
#define INLINE_BLOCKS_MOST   16ull /* as in builder_log.c: longer runs have checksum blocks */
#define SEGMENT_BLOCKS_USUAL 1024u
#define SEGMENT_BLOCKS_LEAST 66u /* room for two groups of any length */

/* --- planning --------------------------------------------------------------------------------- */

/* Adds blocks that hold data to the file's last run, or begins a new one. */
static status run_extend(struct builder *b, struct build_file *f, u64 file_block, u64 blocks)
{
    struct build_run *run = f->runs_last;
    if (run && run->file_block + run->blocks == file_block &&
        run->blocks + blocks <= RUN_BLOCKS_MOST) {
        run->blocks += blocks;
        return STATUS_OK;
    }
    run = arena_allocate(&b->fs.arena, sizeof(*run));
    if (!run)
        return status_error(ENOMEM, "builder: no memory for an extent", f->inode->number);
    *run = (struct build_run){.file_block = file_block, .blocks = blocks};
    *(f->runs_last ? &f->runs_last->next : &f->runs) = run;
    f->runs_last = run;
    b->runs++;
    return STATUS_OK;
}

static status file_plan(struct builder *b, struct build_file *f, u8 *buffer)
{
    u64 length = f->inode->links ? f->inode->bytes : 0;
    f->runs = f->runs_last = NULL;
    for (u64 offset = 0; offset < length; offset += PLAN_BYTES) {
        u64 bytes = min(PLAN_BYTES, length - offset);
        bool hole = false;
        if (!apply(f->source, offset, buffer, bytes, &hole))
            return status_error(EIO, "builder: a file cannot be read", f->inode->number);
        status s = hole ? STATUS_OK
                        : run_extend(b, f, offset >> BLOCK_ORDER,
                                     align_up(bytes, BLOCK_BYTES) >> BLOCK_ORDER);
        if (!is_ok(s))
            return s;
    }
    return STATUS_OK;
}

/* Reads every file once, to learn where its holes are. */
static status plan(struct builder *b)
{
    if (b->planned)
        return STATUS_OK;
    u8 *buffer = allocate(b->heap, PLAN_BYTES);
    if (!buffer)
        return status_error(ENOMEM, "builder: no memory for a buffer", PLAN_BYTES);
    status s = STATUS_OK;
    b->runs = b->data_blocks = b->run_sums = 0;
    for (struct build_file *f = b->files; f && is_ok(s); f = f->next) {
        s = file_plan(b, f, buffer);
        for (struct build_run *run = f->runs; run; run = run->next) {
            b->data_blocks += run->blocks;
            run->sums_index = b->run_sums;
            b->run_sums += run->blocks > INLINE_BLOCKS_MOST ? run->blocks : 0;
        }
    }
    deallocate(b->heap, buffer, PLAN_BYTES);
    b->planned = is_ok(s);
    return s;
}

static void layout_make(struct builder *b, const struct builder_options *o, struct layout *l)
{
    u32 segment = o->segment_blocks ? o->segment_blocks : SEGMENT_BLOCKS_USUAL;
    *l = (struct layout){.data_block = FIRST_BLOCK,
                         .segment_blocks = max(segment, SEGMENT_BLOCKS_LEAST)};
    l->sums_block = l->data_block + b->data_blocks;
    l->sums_blocks = o->data_checksums ? (b->run_sums + RUN_SUMS - 1) / RUN_SUMS : 0;
    l->log_block = l->sums_block + l->sums_blocks;
    l->log_blocks = l->segment_blocks; /* for counting; segments are as long as they want */
    struct log_writer counter = {.builder = b, .options = o, .layout = l};
    log_write(&counter);
    l->log_blocks = counter.at / BLOCK_BYTES + 1; /* room for a NEXT */
    l->end = max(l->log_block + l->log_blocks, DEVICE_BLOCKS_MIN);
}

u64 builder_size(struct builder *b, const struct builder_options *options)
{
    struct layout l;
    /* A file that cannot be read is reported by builder_write. */
    (void)plan(b);
    layout_make(b, options, &l);
    return l.end << BLOCK_ORDER;
}

/* --- the stream of blocks --------------------------------------------------------------------- */

struct stream {
    struct builder *builder;
    const struct builder_options *options;
    struct block_device *device;
    thunk poll;
    u8 *buffer; /* STREAM_BYTES */
    u64 filled; /* bytes of it */
    u64 block;  /* where its first byte goes */
};

static status stream_flush(struct stream *w)
{
    if (w->filled == 0)
        return STATUS_OK;
    status s =
        builder_io(w->device, w->poll, BLOCK_WRITE, w->block * BLOCK_SECTORS, w->buffer, w->filled);
    w->block += w->filled >> BLOCK_ORDER;
    w->filled = 0;
    return s;
}

/* Reads what the file has for `bytes` from `offset` on, and fills its last block up with zeroes. */
static status file_fill(const struct build_file *f, u64 offset, u8 *to, u64 bytes)
{
    u64 there = min(bytes, f->inode->bytes - offset);
    bool hole = false;
    if (!apply(f->source, offset, to, there, &hole))
        return status_error(EIO, "builder: a file cannot be read", f->inode->number);
    if (hole)
        there = 0;
    memset(to + there, 0, bytes - there);
    return STATUS_OK;
}

static status run_write(struct stream *w, const struct build_file *f, struct build_run *run)
{
    run->disk_block = w->block + (w->filled >> BLOCK_ORDER);
    run->sums = NULL;
    if (w->options->data_checksums) {
        run->sums = arena_allocate(&w->builder->fs.arena, run->blocks * sizeof(u32));
        if (!run->sums)
            return status_error(ENOMEM, "builder: no memory for checksums", f->inode->number);
    }
    for (u64 done = 0; done < run->blocks;) {
        u64 blocks = min(run->blocks - done, (STREAM_BYTES - w->filled) >> BLOCK_ORDER);
        u8 *to = w->buffer + w->filled;
        status s = file_fill(f, (run->file_block + done) << BLOCK_ORDER, to, blocks << BLOCK_ORDER);
        for (u64 n = 0; is_ok(s) && run->sums && n < blocks; n++)
            run->sums[done + n] = (u32)hash64(0, to + (n << BLOCK_ORDER), BLOCK_BYTES);
        w->filled += blocks << BLOCK_ORDER;
        done += blocks;
        if (is_ok(s) && w->filled == STREAM_BYTES)
            s = stream_flush(w);
        if (!is_ok(s))
            return s;
    }
    return STATUS_OK;
}

/* --- checksum blocks -------------------------------------------------------------------------- */

/* Seals the checksum block at the end of the buffer. */
static status sums_end(struct stream *w)
{
    struct checksum_block *c = (struct checksum_block *)(w->buffer + w->filled);
    c->magic = RUN_MAGIC;
    c->block = w->block + (w->filled >> BLOCK_ORDER);
    memcpy(&c->volume, w->options->uuid, sizeof(c->volume));
    c->crc = crc32c((const u8 *)c + offsetof(struct checksum_block, block),
                    BLOCK_BYTES - offsetof(struct checksum_block, block));
    w->filled += BLOCK_BYTES;
    return w->filled == STREAM_BYTES ? stream_flush(w) : STATUS_OK;
}

static status sums_write(struct stream *w)
{
    u32 count = 0;
    status s = STATUS_OK;
    for (struct build_file *f = w->builder->files; f; f = f->next) {
        for (struct build_run *run = f->runs; run; run = run->next) {
            u64 sums = run->blocks > INLINE_BLOCKS_MOST ? run->blocks : 0;
            for (u64 n = 0; n < sums && is_ok(s); n++) {
                struct checksum_block *c = (struct checksum_block *)(w->buffer + w->filled);
                assert(run->sums); /* run_write made them */
                if (count == 0)
                    memset(c, 0, BLOCK_BYTES);
                c->sums[count++] = run->sums[n];
                if (count == RUN_SUMS) {
                    s = sums_end(w);
                    count = 0;
                }
            }
        }
    }
    return is_ok(s) && count ? sums_end(w) : s;
}

static status data_write(struct stream *w, const struct layout *l)
{
    status s = STATUS_OK;
    w->block = l->data_block;
    for (struct build_file *f = w->builder->files; f; f = f->next)
        for (struct build_run *run = f->runs; run && is_ok(s); run = run->next)
            s = run_write(w, f, run);
    if (is_ok(s) && l->sums_blocks)
        s = sums_write(w);
    return is_ok(s) ? stream_flush(w) : s;
}

/* --- superblocks ------------------------------------------------------------------------------ */

/* Both of them, in the stream's buffer. */
static status super_write(struct stream *w, const void *super)
{
    memcpy(w->buffer, super, SUPERBLOCK_BYTES);
    status s = builder_io(w->device, w->poll, BLOCK_WRITE, SUPERBLOCK_A * BLOCK_SECTORS, w->buffer,
                          SUPERBLOCK_BYTES);
    return is_ok(s) ? builder_io(w->device, w->poll, BLOCK_WRITE, SUPERBLOCK_B * BLOCK_SECTORS,
                                 w->buffer, SUPERBLOCK_BYTES)
                    : s;
}

static void super_make(const struct log_writer *log, struct superblock *s)
{
    const struct layout *l = log->layout;
    *s = (struct superblock){
        .features_incompatible = FEATURE_SOCKETS,
        .magic = SUPERBLOCK_MAGIC,
        .version = FORMAT_VERSION,
        .generation = 1,
        .block_order = BLOCK_ORDER,
        .group_order = BLOCK_ORDER,
        .device_blocks = log->device->sectors / BLOCK_SECTORS,
        .checkpoint_block = l->log_block,
        .checkpoint_blocks = (u32)min(l->log_blocks, (u64)l->segment_blocks),
        .checkpoint_sequence = 1,
        .reach_sequence = log->sequence - 1,
        .reach_bytes = log->reach_bytes,
        .head_block = log->segment_block,
        .flags = SUPERBLOCK_CLEAN,
        .created_ns = log->options->created_ns,
        .next_inode = log->builder->next_inode,
    };
    memcpy(s->uuid, log->options->uuid, sizeof(s->uuid));
    s->crc = crc32c(s, sizeof(*s));
}

/* --- public ----------------------------------------------------------------------------------- */

static status device_flush(struct stream *w)
{
    return builder_io(w->device, w->poll, BLOCK_FLUSH, 0, NULL, 0);
}

/* FORMAT.md, section 8; what was on the device before stops being a filesystem first. */
static status image_write(struct stream *w, struct log_writer *log)
{
    static const u8 nothing[SUPERBLOCK_BYTES];
    struct superblock super;
    status s = super_write(w, nothing);
    if (is_ok(s))
        s = device_flush(w);
    if (is_ok(s))
        s = data_write(w, log->layout);
    if (is_ok(s))
        s = device_flush(w);
    if (!is_ok(s))
        return s;
    log_write(log);
    s = log->failure;
    if (is_ok(s))
        s = device_flush(w);
    if (!is_ok(s))
        return s;
    super_make(log, &super);
    s = super_write(w, &super);
    return is_ok(s) ? device_flush(w) : s;
}

status builder_write(struct builder *b, const struct builder_options *options,
                     struct block_device *device, thunk poll)
{
    struct layout l;
    status s = plan(b);
    if (!is_ok(s))
        return s;
    layout_make(b, options, &l);
    if (l.end > device->sectors / BLOCK_SECTORS)
        return status_error(ENOSPC, "builder: the files do not fit on the device",
                            l.end << BLOCK_ORDER);
    u64 group_bytes = GROUP_BYTES_MOST + BLOCK_BYTES;
    struct stream w = {.builder = b, .options = options, .device = device, .poll = poll};
    struct log_writer log = {
        .builder = b, .options = options, .layout = &l, .device = device, .poll = poll};
    w.buffer = allocate(b->heap, STREAM_BYTES);
    log.group = allocate(b->heap, group_bytes);
    s = w.buffer && log.group ? image_write(&w, &log)
                              : status_error(ENOMEM, "builder: no memory for a buffer", 0);
    deallocate(b->heap, w.buffer, STREAM_BYTES);
    deallocate(b->heap, log.group, group_bytes);
    return s;
}
