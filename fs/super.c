/* New superblocks, one at a time.  FORMAT.md, section 2.

   The one that is not the newest is overwritten, with the next generation, between two FLUSHes.
   What it says is put together from the last one, from what of the log is durable, and from the
   update.  A failure changes nothing in memory; whether the disk has the new one is not known then,
   so whoever named a new checkpoint keeps both until a later update succeeds.

   Called by commits (CLEAN goes), filesystem_end (CLEAN comes), checkpoint.c (another checkpoint).
 */
#include "fs/log_state.h"

#include "runtime/crc32c.h"

static void super_begin(struct log *log);

static void super_finish(struct log *log, status s)
{
    struct super_update *u = container_of(list_pop_front(&log->supers), struct super_update, link);
    status_handler done = u->done;
    if (!list_empty(&log->supers))
        super_begin(log);
    apply(done, s);
}

closure_method(status_handler, super_durable, struct log, super_step, status s)
{
    struct log *log = owner();
    if (is_ok(s)) {
        log->fs->super = log->super_next;
        log->fs->super_in_b = !log->fs->super_in_b;
        log->super_due = log->super_next.flags & SUPERBLOCK_CLEAN;
    }
    super_finish(log, s);
}

closure_method(status_handler, super_written, struct log, super_step, status s)
{
    struct log *log = owner();
    if (!is_ok(s)) {
        super_finish(log, s);
        return;
    }
    init_method(&log->super_step, super_durable);
    log_flush_start(log->fs, &log->super_flush, log->super_since, &log->super_step);
}

/* The hints about the log's end, and how far it is whole for sure. */
static void super_fill_log(const struct log *log, struct superblock *n)
{
    const struct log_stream *s = &log->stream;
    n->reach_sequence = max(n->reach_sequence, s->durable);
    n->head_block = s->block;
    n->next_inode = log->fs->next_inode;
    if (s->block == n->checkpoint_block && list_empty(&s->groups))
        n->reach_bytes = s->at;
}

static void super_fill(struct log *log, const struct super_update *u)
{
    struct superblock *n = &log->super_next;
    *n = log->fs->super;
    n->generation++;
    n->flags = u->what & SUPER_CLEAN ? SUPERBLOCK_CLEAN : 0;
    if (u->what & SUPER_CHECKPOINT) {
        n->checkpoint_block = u->checkpoint_block;
        n->checkpoint_blocks = u->checkpoint_blocks;
        n->checkpoint_sequence = u->checkpoint_sequence;
        n->reach_bytes = u->reach_bytes;
        n->reach_sequence = max(n->reach_sequence, u->reach_sequence);
    }
    super_fill_log(log, n);
    n->crc = 0;
    n->crc = crc32c(n, sizeof(*n));
    memcpy(log->super_sector, n, sizeof(*n));
}

closure_method(status_handler, super_flushed, struct log, super_step, status s)
{
    struct log *log = owner();
    if (!is_ok(s)) {
        super_finish(log, s);
        return;
    }
    super_fill(log, container_of(log->supers.next, struct super_update, link));
    sg_init(&log->super_sg, NULL);
    sg_add(&log->super_sg, log->super_sector, SUPERBLOCK_BYTES);
    u64 block = log->fs->super_in_b ? SUPERBLOCK_A : SUPERBLOCK_B;
    init_method(&log->super_step, super_written);
    if (device_start(log->fs, &log->super_device, BLOCK_WRITE, block * BLOCK_SECTORS,
                     &log->super_sg, &log->super_step))
        return;
    closure_freed(&log->super_step.header);
    super_finish(log, device_closing(log->fs));
}

static void super_begin(struct log *log)
{
    init_method(&log->super_step, super_flushed);
    log->super_since = log_flush_failures(log->fs);
    log_flush_start(log->fs, &log->super_flush, log->super_since, &log->super_step);
}

void super_update(struct filesystem *fs, struct super_update *u, status_handler done)
{
    struct log *log = fs->log;
    bool idle = list_empty(&log->supers);
    u->done = done;
    list_push_back(&log->supers, &u->link);
    if (idle)
        super_begin(log);
}
