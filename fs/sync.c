/* Making durable: a sync writes back what is dirty, and then it needs a commit, or no more than a
   FLUSH when the log has nothing to say about what was written (fdatasync in place).

   A sync of a file waits for the pages that were dirty when it began, each of which is written
   once; so who writes the same file at full speed meanwhile does not keep it from ending.  Syncs
   that wait for a FLUSH at the same time share it, as those that wait for a commit do.  Syncs of
   everything come one after the other.

   Each is an operation in the filesystem's scope.  Who waits may give up; the sync goes on. */
#include "fs/writeback.h"

struct sync {
    struct operation operation;
    struct status_handler over;
    status_handler landed;
    struct writeback writeback;
    struct status_handler written, durable;
    struct commit_wait commit;
    struct data_promise promise;
    struct list link; /* data.syncs, or data_flush's */
    struct filesystem *fs;
    struct inode *inode; /* held; NULL: everything */
    enum sync_kind kind;
    struct sync_wait *wait; /* NULL: nobody waits any more */
    status_handler done;    /* NULL: as well */
};

closure_method(status_handler, sync_over, struct sync, over, status s)
{
    struct sync *y = owner();
    struct filesystem *fs = y->fs;
    struct inode *i = y->inode;
    status_handler done = y->done;
    if (y->wait)
        y->wait->sync = NULL;
    deallocate(fs->environment.heap, y, sizeof(*y));
    if (i)
        inode_release(i);
    if (done)
        apply(done, s);
}

static void sync_all_start(struct sync *y);

static void sync_end(struct sync *y, status s)
{
    struct data *d = y->fs->data;
    status_handler landed = y->landed;
    bool was_first = !y->inode && d && d->syncs.next == &y->link;
    list_remove(&y->promise.link);
    list_remove(&y->link);
    if (was_first && !list_empty(&d->syncs))
        sync_all_start(container_of(d->syncs.next, struct sync, link));
    apply(landed, s);
}

closure_method(status_handler, sync_durable, struct sync, durable, status s)
{
    struct sync *y = owner();
    sync_end(y, s);
}

/* --- a FLUSH for data that is in its place ---------------------------------------------------- */

static void flush_start(struct filesystem *fs);

static void flush_answer(struct data_flush *f, status s)
{
    struct list answering, *first;
    list_init(&answering);
    while ((first = list_pop_front(&f->answering)))
        list_push_back(&answering, first);
    while ((first = list_pop_front(&answering)))
        sync_end(container_of(first, struct sync, link), s);
}

static void flush_landed(struct data *d, status s)
{
    struct filesystem *fs = d->fs;
    struct data_flush *f = &d->flush;
    while (!list_empty(&f->writes)) {
        struct data_write *w = container_of(f->writes.next, struct data_write, state);
        data_write_settled(w); /* after a failure none is left */
    }
    f->runs = false;
    flush_answer(f, s);
    if (!f->runs && !list_empty(&f->waiting))
        flush_start(fs);
    data_room(fs);
}

closure_method(status_handler, flush_device_landed, struct data, flush.landed, status s)
{
    struct data *d = owner();
    flush_landed(d, s);
}

static void flush_start(struct filesystem *fs)
{
    struct data *d = fs->data;
    struct data_flush *f = &d->flush;
    struct list *first;
    f->runs = true;
    while ((first = list_pop_front(&f->waiting)))
        list_push_back(&f->answering, first);
    list_for_each_safe (&d->arrived, at) {
        if (container_of(at, struct data_write, state)->kind != WRITE_IN_PLACE)
            continue;
        list_remove(at);
        list_push_back(&f->writes, at);
    }
    init_method(&d->flush.landed, flush_device_landed);
    log_flush_start(fs, &f->flush, log_flush_failures(fs), &f->landed);
}

/* --- one file --------------------------------------------------------------------------------- */

/* Reading it again after a power cut needs something that the log does not have yet. */
static bool log_needed(const struct sync *y)
{
    const struct inode *i = y->inode;
    const struct inode_live *l = i->live;
    if (y->kind == SYNC_ALL && !list_empty(&l->dirty))
        return true;
    if (i->bytes != l->logged_bytes || l->position > log_durable(y->fs))
        return true;
    list_for_each (&l->writes, at)
        if (container_of(at, struct data_write, link)->kind != WRITE_IN_PLACE)
            return true;
    return false;
}

/* The data has arrived at the device. */
static void sync_written(struct sync *y, status s)
{
    struct filesystem *fs = y->fs;
    y->promise.until = y->writeback.until;
    if (!is_ok(s) || y->kind == SYNC_WRITE) {
        sync_end(y, s);
        return;
    }
    init_method(&y->durable, sync_durable);
    if (!y->inode || log_needed(y)) {
        commit_request(fs, &y->commit, &y->durable);
        return;
    }
    closure_freed(&y->durable.header);
    if (list_empty(&y->inode->live->writes)) {
        sync_end(y, STATUS_OK); /* somebody else's FLUSH has covered it */
        return;
    }
    list_push_back(&fs->data->flush.waiting, &y->link);
    if (!fs->data->flush.runs)
        flush_start(fs);
}

closure_method(status_handler, sync_data_written, struct sync, written, status s)
{
    struct sync *y = owner();
    sync_written(y, s);
}

/* An operation of the filesystem; NULL: `done` has been applied. */
static struct sync *sync_make(struct filesystem *fs, struct inode *i, struct sync_wait *w,
                              status_handler done)
{
    w->sync = NULL;
    struct sync *y = allocate_zero(fs->environment.heap, sizeof(*y));
    status s = y ? data_need(fs) : status_error(ENOMEM, "fs: no memory for a sync", 0);
    if (is_ok(s)) {
        y->fs = fs;
        y->inode = i;
        y->wait = w;
        y->done = done;
        list_init(&y->link);
        list_init(&y->promise.link);
        init_method(&y->over, sync_over);
        y->landed = operation_start(&fs->scope, &y->operation, NULL, &y->over);
        if (y->landed) {
            w->sync = y;
            if (i)
                inode_hold(i);
            return y;
        }
        closure_freed(&y->over.header);
        s = device_closing(fs);
    }
    deallocate(fs->environment.heap, y, sizeof(*y));
    apply(done, s);
    return NULL;
}

/* Nothing of it was changed since it was made durable. */
static bool file_is_durable(const struct inode *i)
{
    const struct inode_live *l = i->live;
    if (!i->fs->log)
        return true;
    if (!l) /* it may be new, or have a new name: nobody has kept where the log says so */
        return log_position(i->fs) <= log_durable(i->fs);
    return l->dirty_pages == 0 && list_empty(&l->writes) && list_empty(&l->dirty) &&
           l->position <= log_durable(i->fs) &&
           (i->type != INODE_FILE || i->bytes == l->logged_bytes);
}

/* The whole file when it has grown: what is before the range decides what length can be logged. */
static void sync_range(struct sync *y, u64 first, u64 end)
{
    struct inode *i = y->inode;
    struct inode_live *l = i->live;
    bool grown = i->type == INODE_FILE && i->bytes > l->logged_bytes && y->kind != SYNC_WRITE;
    if (grown) {
        first = min(first, l->logged_bytes >> BLOCK_ORDER);
        end = ~0ull;
        y->promise.bytes = i->bytes;
        list_push_back(&l->promises, &y->promise.link);
    }
    y->writeback.inode = i;
    y->writeback.first = first;
    y->writeback.end = min(end, file_pages(i));
}

void file_sync(struct inode *i, u64 first, u64 end, enum sync_kind kind, struct sync_wait *w,
               status_handler done)
{
    struct filesystem *fs = i->fs;
    w->sync = NULL;
    if (file_is_durable(i)) {
        apply(done, STATUS_OK);
        return;
    }
    if (!inode_live(i)) {
        apply(done, status_error(ENOMEM, "fs: no memory for a sync", i->number));
        return;
    }
    struct sync *y = sync_make(fs, i, w, done);
    if (!y)
        return;
    y->kind = kind;
    if (i->type == INODE_FILE)
        sync_range(y, first, end);
    if (i->live->dirty_pages == 0 && list_empty(&i->live->writes)) {
        y->writeback.until = fs->data->number;
        sync_written(y, STATUS_OK);
    } else {
        init_method(&y->written, sync_data_written);
        y->writeback.most = FLIGHT_SYNC;
        y->writeback.done = &y->written;
        fs->data->failing = false;
        writeback_start(fs, &y->writeback);
    }
    operation_started(&y->operation);
}

/* --- everything ------------------------------------------------------------------------------- */

/* Files of which everything is on its way already: the writeback will not come to them. */
static void issued_note(struct filesystem *fs)
{
    list_for_each (&fs->dirty_inodes, at) {
        struct inode_live *l = container_of(at, struct inode_live, dirty);
        if (l->inode->type != INODE_FILE || l->dirty_pages)
            continue;
        l->issued_bytes = l->inode->bytes;
        l->issued_until = fs->data->number;
    }
}

static void sync_all_start(struct sync *y)
{
    issued_note(y->fs);
    init_method(&y->written, sync_data_written);
    y->writeback.most = FLIGHT_SYNC;
    y->writeback.promises = true;
    y->writeback.done = &y->written;
    y->fs->data->failing = false;
    writeback_start(y->fs, &y->writeback);
}

void filesystem_sync(struct filesystem *fs, struct sync_wait *w, status_handler done)
{
    w->sync = NULL;
    if (!fs->log) {
        apply(done, STATUS_OK);
        return;
    }
    struct sync *y = sync_make(fs, NULL, w, done);
    if (!y)
        return;
    y->kind = SYNC_ALL;
    bool first = list_empty(&fs->data->syncs);
    list_push_back(&fs->data->syncs, &y->link);
    if (first)
        sync_all_start(y);
    operation_started(&y->operation);
}

bool sync_wait_cancel(struct sync_wait *w)
{
    struct sync *y = w->sync;
    if (!y)
        return false;
    y->wait = NULL;
    y->done = NULL;
    w->sync = NULL;
    return true;
}

/* --- failures --------------------------------------------------------------------------------- */

u64 inode_failures_seen(const struct inode *i)
{
    return i->live ? i->live->failures : 0;
}

status inode_failure(const struct inode *i, u64 *seen)
{
    u64 failures = inode_failures_seen(i);
    bool news = failures != *seen;
    *seen = failures;
    return news ? i->live->failure : STATUS_OK;
}
