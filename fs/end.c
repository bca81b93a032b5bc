/* The end of a mount: everything durable and CLEAN, or everything given up.

   Called by the kernel when the program has ended, and by tools and tests. */
#include "fs/log_state.h"

#include "fs/checkpoint.h"
#include "fs/writeback.h"

/* --- unmount ---------------------------------------------------------------------------------- */

closure_method(status_handler, filesystem_closed, struct filesystem, closed, status s)
{
    struct filesystem *fs = owner();
    status_handler unmounted = fs->unmounted;
    heap h = fs->environment.heap;
    assert(fs->reads_in_flight == 0);
    data_stop(fs);
    while (!list_empty(&fs->live))
        inode_live_drop(container_of(fs->live.next, struct inode_live, link)->inode);
    log_release(fs);
    segments_release(fs);
    inodes_release(fs);
    space_destroy(&fs->space);
    arena_release(&fs->arena);
    deallocate(h, fs, sizeof(*fs));
    apply(unmounted, s);
}

void filesystem_unmount(struct filesystem *fs, status_handler done)
{
    fs->unmounted = done;
    fs->writable = false;
    init_method(&fs->closed, filesystem_closed);
    scope_close(&fs->scope, &fs->closed);
}

/* --- the orderly end -------------------------------------------------------------------------- */

static struct filesystem *ending_filesystem(struct filesystem_ending *e)
{
    return container_of(e, struct log, ending_state)->fs;
}

closure_method(status_handler, ending_marked, struct filesystem_ending, marked, status s)
{
    apply(owner()->landed, s);
}

/* Nothing is to be marked when nothing was logged: the disk says CLEAN or it does not, as it did.
 */
closure_method(status_handler, ending_synced, struct filesystem_ending, synced, status s)
{
    struct filesystem_ending *e = owner();
    struct filesystem *fs = ending_filesystem(e);
    fs->writable = false;
    if (!is_ok(s) || fs->super.flags & SUPERBLOCK_CLEAN || fs->log->durable == 0) {
        apply(e->landed, s);
        return;
    }
    e->super.what = SUPER_CLEAN;
    init_method(&e->marked, ending_marked);
    super_update(fs, &e->super, &e->marked);
}

static void ending_refuse(struct filesystem *fs, status_handler done, status s)
{
    executor_later_status(fs->environment.executor, done, s);
}

void filesystem_end(struct filesystem *fs, status_handler done)
{
    struct log *log = fs->log;
    if (!log || log->ending) {
        ending_refuse(fs, done, STATUS_OK);
        return;
    }
    struct filesystem_ending *e = &log->ending_state;
    status_handler landed = operation_start(&fs->scope, &e->operation, NULL, done);
    if (!landed) {
        ending_refuse(fs, done, device_closing(fs));
        return;
    }
    e->landed = landed;
    log->ending = true;
    if (fs->checkpoint)
        checkpoint_abandon(fs);
    init_method(&e->synced, ending_synced);
    filesystem_sync(fs, &e->sync, &e->synced);
    operation_started(&e->operation);
}
