/* The lost tail of the log: groups behind its end that a power cut left, some whole, some not. They
   are overwritten with zeros, and that is flushed, before the log goes on in their place; otherwise
   one of them could follow a new group as if it belonged there.  FORMAT.md, section 7.

   Called by the first commit after a mount that found the log not cleanly ended. */
#include "fs/log_state.h"

static void tail_finish(struct log_tail *t, status s)
{
    status_handler done = t->done;
    apply(done, s);
}

static struct filesystem *tail_filesystem(struct log_tail *t)
{
    return container_of(t, struct log, tail)->fs;
}

closure_method(status_handler, tail_flushed, struct log_tail, landed, status s)
{
    struct log_tail *t = owner();
    if (is_ok(s)) {
        t->at = t->end;
        deallocate(tail_filesystem(t)->environment.heap, t->zeros, GROUP_BYTES_MOST);
        t->zeros = NULL;
    }
    tail_finish(t, s);
}

static void tail_go_on(struct log_tail *t);

closure_method(status_handler, tail_written, struct log_tail, landed, status s)
{
    struct log_tail *t = owner();
    if (is_ok(s))
        tail_go_on(t);
    else
        tail_finish(t, s);
}

/* `written` bytes of it have arrived. */
static void tail_go_on(struct log_tail *t)
{
    if (t->written == t->end - t->at) {
        init_method(&t->landed, tail_flushed);
        log_flush_start(tail_filesystem(t), &t->flush, t->since, &t->landed);
        return;
    }
    u64 bytes = min(t->end - t->at - t->written, (u64)GROUP_BYTES_MOST);
    u64 sector = (t->at + t->written) / SECTOR_BYTES;
    t->written += bytes;
    sg_init(&t->sg, NULL);
    sg_add(&t->sg, t->zeros, bytes);
    init_method(&t->landed, tail_written);
    if (device_start(tail_filesystem(t), &t->device, BLOCK_WRITE, sector, &t->sg, &t->landed))
        return;
    closure_freed(&t->landed.header);
    tail_finish(t, device_closing(tail_filesystem(t)));
}

void log_tail_start(struct log *log, status_handler done)
{
    struct log_tail *t = &log->tail;
    t->done = done;
    t->written = 0;
    t->since = log_flush_failures(log->fs);
    if (!t->zeros)
        t->zeros = allocate_zero(log->fs->environment.heap, GROUP_BYTES_MOST);
    if (t->zeros)
        tail_go_on(t);
    else
        tail_finish(t, status_error(ENOMEM, "fs: no memory for the log", GROUP_BYTES_MOST));
}
