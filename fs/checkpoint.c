/* The steps of a compaction.  See fs/checkpoint.h and FORMAT.md, section 9.

       begin        the cut; then a commit, which makes it durable
       step         records, STEP_BYTES at a time, until BATCH_GROUPS groups are full
       written      these are on the device;  flushed: and durable;  then the next step
       caught_up    everything was said and is durable, and what changed meanwhile is logged and
                    durable too
       switched     the superblock names the checkpoint: the old segments are free

   It is an operation of the filesystem's scope, so the end of the filesystem waits for it, and
   cancels it.  Called by commits and by who needs room in the log. */
#include "fs/checkpoint_state.h"

static void checkpoint_step_soon(struct checkpoint *c);
static void checkpoint_catch_up(struct checkpoint *c);

/* --- the end ---------------------------------------------------------------------------------- */

/* Nothing is on its way any more. */
static void checkpoint_end(struct checkpoint *c, status s)
{
    struct filesystem *fs = c->fs;
    if (!c->switching)
        segments_abandoned(fs);
    fs->checkpoint_epoch = 0;
    apply(c->landed, s);
}

closure_method(status_handler, checkpoint_over, struct checkpoint, over, status s)
{
    struct checkpoint *c = owner();
    struct filesystem *fs = c->fs;
    (void)s;
    stream_release(&c->stream);
    fs->checkpoint = NULL;
    deallocate(fs->environment.heap, c, sizeof(*c));
    log_room_changed(fs, STATUS_OK);
}

void checkpoint_fail(struct checkpoint *c, status s)
{
    struct filesystem *fs = c->fs;
    if (!is_ok(c->failure) || c->switching)
        return;
    c->failure = s;
    fs->checkpoint_epoch = 0; /* nobody need tell of changes any more */
    fs->segments->retry_position = log_position(fs) + RETRY_BYTES;
}

closure_method(cancel_handler, checkpoint_cancelled, struct checkpoint, cancelled, status why)
{
    checkpoint_fail(owner(), why);
}

/* Every step begins with this: true, it was the last one. */
static bool checkpoint_failed(struct checkpoint *c, status s)
{
    if (!is_ok(s))
        checkpoint_fail(c, s);
    if (is_ok(c->failure))
        return false;
    checkpoint_end(c, c->failure);
    return true;
}

/* --- the superblock --------------------------------------------------------------------------- */

/* Which superblock is on the disk is not known any more: neither chain is used for anything else
   until one is, or nothing is written at all. */
static void checkpoint_switch_failed(struct checkpoint *c, status s)
{
    struct filesystem *fs = c->fs;
    bool over = !is_ok(fs->broken) || status_errno(s) == ECANCELED;
    if (!over && ++c->switch_failures < SWITCH_FAILURES_MOST) {
        checkpoint_catch_up(c);
        return;
    }
    if (!over)
        log_break(fs, s);
    checkpoint_end(c, s);
}

closure_method(status_handler, checkpoint_switched, struct checkpoint, switched, status s)
{
    struct checkpoint *c = owner();
    struct filesystem *fs = c->fs;
    if (is_ok(s)) {
        fs->segments->epoch_whole = fs->segments->epoch;
        segments_switched(fs);
        checkpoint_end(c, STATUS_OK);
    } else {
        checkpoint_switch_failed(c, s);
    }
}

static void checkpoint_switch(struct checkpoint *c)
{
    c->switching = true;
    c->fs->checkpoint_epoch = 0;
    c->super = (struct super_update){.what = SUPER_CHECKPOINT,
                                     .checkpoint_block = c->first_block,
                                     .checkpoint_blocks = c->first_blocks,
                                     .checkpoint_sequence = c->cut.from_sequence,
                                     .reach_sequence = c->stream.durable};
    init_method(&c->switched, checkpoint_switched);
    super_update(c->fs, &c->super, &c->switched);
}

closure_method(status_handler, checkpoint_caught_up, struct checkpoint, caught_up, status s)
{
    struct checkpoint *c = owner();
    if (c->switching && !is_ok(s))
        checkpoint_switch_failed(c, s);
    else if (!checkpoint_failed(c, s))
        checkpoint_switch(c);
}

static void checkpoint_catch_up(struct checkpoint *c)
{
    init_method(&c->caught_up, checkpoint_caught_up);
    commit_request(c->fs, &c->commit, &c->caught_up);
}

/* --- writing ---------------------------------------------------------------------------------- */

closure_method(status_handler, checkpoint_flushed, struct checkpoint, flushed, status s)
{
    struct checkpoint *c = owner();
    if (checkpoint_failed(c, s))
        return;
    stream_write_durable(&c->write);
    if (c->ended && list_empty(&c->stream.groups))
        checkpoint_catch_up(c);
    else
        checkpoint_step_soon(c);
}

closure_method(status_handler, checkpoint_written, struct checkpoint, written, status s)
{
    struct checkpoint *c = owner();
    if (checkpoint_failed(c, s))
        return;
    init_method(&c->flushed, checkpoint_flushed);
    log_flush_start(c->fs, &c->flush, c->since, &c->flushed);
}

/* Everything that was gathered. */
static void checkpoint_write(struct checkpoint *c)
{
    if (!stream_seal(&c->stream)) {
        checkpoint_failed(c, status_error(ENOSPC, "fs: no segment is left for a checkpoint", 0));
        return;
    }
    if (c->ended)
        stream_turn(&c->stream, c->cut.block, c->cut.blocks, c->cut.to_sequence);
    init_method(&c->written, checkpoint_written);
    c->since = log_flush_failures(c->fs);
    bool started = stream_write_start(&c->write, &c->stream, &c->written);
    assert(started);
}

closure_method(thunk, checkpoint_step, struct checkpoint, step)
{
    struct checkpoint *c = owner();
    if (checkpoint_failed(c, STATUS_OK))
        return;
    c->ended = checkpoint_say_more(c);
    if (checkpoint_failed(c, STATUS_OK))
        return;
    if (c->ended || c->stream.count > BATCH_GROUPS)
        checkpoint_write(c);
    else
        checkpoint_step_soon(c);
}

static void checkpoint_step_soon(struct checkpoint *c)
{
    init_method(&c->step, checkpoint_step);
    executor_later(c->fs->environment.executor, &c->step);
}

/* --- the cut ---------------------------------------------------------------------------------- */

closure_method(status_handler, checkpoint_cut_durable, struct checkpoint, cut_durable, status s)
{
    struct checkpoint *c = owner();
    if (is_ok(s) && !log_cut_durable(c->fs, &c->cut))
        s = status_error(EIO, "fs: the log's cut is not durable", c->cut.from_sequence);
    if (checkpoint_failed(c, s))
        return;
    c->stream.durable = c->cut.from_sequence - 1;
    checkpoint_step_soon(c);
}

static status checkpoint_cut(struct checkpoint *c)
{
    struct filesystem *fs = c->fs;
    status s = log_cut(fs, &c->cut);
    if (!is_ok(s))
        return s;
    if (!segment_take_checkpoint(fs, &c->first_block, &c->first_blocks))
        return status_error(ENOSPC, "fs: no segment is left for a checkpoint", 0);
    stream_place(&c->stream, c->first_block, c->first_blocks, 0, c->cut.from_sequence);
    c->epoch = fs->checkpoint_epoch = checkpoint_epoch_next(fs);
    checkpoint_say_begin(c);
    return c->failure;
}

closure_method(thunk, checkpoint_begin, struct checkpoint, step)
{
    struct checkpoint *c = owner();
    struct filesystem *fs = c->fs;
    if (!fs->writable)
        checkpoint_fail(c, status_error(EROFS, "fs: the filesystem cannot be changed", 0));
    if (checkpoint_failed(c, is_ok(c->failure) ? checkpoint_cut(c) : c->failure))
        return;
    init_method(&c->cut_durable, checkpoint_cut_durable);
    commit_request(fs, &c->commit, &c->cut_durable);
}

static void checkpoint_start(struct filesystem *fs)
{
    struct checkpoint *c = allocate_zero(fs->environment.heap, sizeof(*c));
    if (!c)
        return;
    c->fs = fs;
    c->group_bytes = checkpoint_group_bytes(fs);
    stream_init(&c->stream, fs, segment_take_checkpoint);
    init_method(&c->over, checkpoint_over);
    init_method(&c->cancelled, checkpoint_cancelled);
    c->landed = operation_start(&fs->scope, &c->operation, &c->cancelled, &c->over);
    if (!c->landed) {
        closure_freed(&c->over.header);
        deallocate(fs->environment.heap, c, sizeof(*c));
        return;
    }
    fs->checkpoint = c;
    /* Not now: who asks for room may have begun something. */
    init_method(&c->step, checkpoint_begin);
    executor_later(fs->environment.executor, &c->step);
    operation_started(&c->operation);
}

/* --- public ----------------------------------------------------------------------------------- */

void checkpoint_consider(struct filesystem *fs, bool force)
{
    if (!fs->writable || !fs->log || fs->checkpoint)
        return;
    if (force || (segment_compaction_due(fs) && log_position(fs) >= fs->segments->retry_position))
        checkpoint_start(fs);
}

void checkpoint_abandon(struct filesystem *fs)
{
    struct checkpoint *c = fs->checkpoint;
    if (!c)
        return;
    checkpoint_fail(c, status_error(ECANCELED, "fs: the filesystem is being unmounted", 0));
}
