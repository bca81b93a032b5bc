/* FLUSHes: all of them go by here, because of what one that fails may have done.

   A FLUSH that fails may have lost, for ever, what it was to make durable, and a later one says
   nothing about that.  So whatever had arrived and was not durable yet counts as never written:
   data is dirty again, groups are written again.  And a FLUSH that succeeds proves nothing to those
   who wrote before another one failed: they pass the count of failures at the time when their
   writes began.

   Called by commits, superblocks, compaction. */
#include "fs/log_state.h"

#include "fs/writeback.h"

closure_method(status_handler, flush_landed, struct log_flush, landed, status s)
{
    struct log_flush *f = owner();
    struct filesystem *fs = f->fs;
    struct log *log = fs->log;
    status_handler done = f->done;
    if (!is_ok(s)) {
        log->flush_failures++;
        data_commit_failed(fs, s);
    } else if (f->since != log->flush_failures) {
        s = status_error(EIO, "fs: another FLUSH failed meanwhile", log->flush_failures);
    }
    apply(done, s);
}

u64 log_flush_failures(const struct filesystem *fs)
{
    return fs->log->flush_failures;
}

void log_flush_start(struct filesystem *fs, struct log_flush *f, u64 since, status_handler done)
{
    f->fs = fs;
    f->since = since;
    f->done = done;
    init_method(&f->landed, flush_landed);
    if (device_start(fs, &f->device, BLOCK_FLUSH, 0, NULL, &f->landed))
        return;
    closure_freed(&f->landed.header);
    data_commit_failed(fs, device_closing(fs));
    apply(done, device_closing(fs));
}
