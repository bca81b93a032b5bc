/* Commits: what changed becomes durable.  fs/log.h has the sequence; FORMAT.md, section 8, the
   order.

   One at a time.  A commit is an operation of the filesystem's scope, from the first request, which
   queues it, until its waiters are answered; so an unmount waits for it.  Whoever asks while one
   runs is answered by the next one, which begins when this one ends: so many syncs become one.

   Each step is a completion that goes on or ends the commit; nothing here waits or is recursive.

   A commit that fails changes nothing that the next one could not do again, and is not repeated by
   itself: the next request or the interval does.  After COMMIT_FAILURES_MOST in a row, or at once
   when the device can no longer be written, the log is given up: fs->broken says why. */
#include "fs/log_state.h"

#include "fs/checkpoint.h"
#include "fs/writeback.h"

#define COMMIT_INTERVAL_NS 5000000000ull

static void commit_groups(struct filesystem *fs);

static struct commit *commit_of(struct filesystem *fs)
{
    return &fs->log->commit;
}

static void warn(const struct filesystem *fs, const char *what, status s)
{
    if (fs->environment.warn)
        fs->environment.warn("fs: %s: %s (%llu)", what, status_text(s),
                             (unsigned long long)s.detail);
}

/* --- the answers ------------------------------------------------------------------------------ */

static bool waits(const struct list *link)
{
    return link->next && link->next != link;
}

static void commits_answer(struct list *from, status s)
{
    struct list answering;
    list_init(&answering);
    while (!list_empty(from))
        list_push_back(&answering, list_pop_front(from));
    for (struct list *l; (l = list_pop_front(&answering));)
        apply(container_of(l, struct commit_wait, link)->done, s);
}

static void rooms_answer(struct commit *c, status s)
{
    struct list answering;
    list_init(&answering);
    while (!list_empty(&c->rooms))
        list_push_back(&answering, list_pop_front(&c->rooms));
    for (struct list *l; (l = list_pop_front(&answering));)
        apply(container_of(l, struct room_wait, link)->done, s);
}

void log_room_changed(struct filesystem *fs, status s)
{
    if (fs->log)
        rooms_answer(commit_of(fs), s);
}

/* A commit that had nothing to do makes no room; the compaction that is under way does, at its end.
 */
static void rooms_end(struct log *log, status s)
{
    struct commit *c = &log->commit;
    if (c->did || !is_ok(s) || !log->fs->checkpoint)
        rooms_answer(c, s);
    else if (!list_empty(&c->rooms))
        checkpoint_consider(log->fs, false);
}

void log_break(struct filesystem *fs, status s)
{
    if (!is_ok(fs->broken))
        return;
    fs->broken = s;
    fs->writable = false;
    warn(fs, "the filesystem can no longer be written and is read-only now", s);
}

static status broken_status(const struct filesystem *fs)
{
    return status_error(EIO, "fs: the log can no longer be written", fs->broken.detail);
}

static void failure_count(struct filesystem *fs, status s)
{
    struct commit *c = commit_of(fs);
    int why = status_errno(s);
    if (fs->unmounted || why == ENOMEM || !is_ok(fs->broken))
        return;
    c->failures++;
    if (c->failures == 1)
        warn(fs, "a commit failed and will be tried again", s);
    if (c->failures >= COMMIT_FAILURES_MOST || why == EROFS || why == ENXIO)
        log_break(fs, s);
}

static void commit_kick(struct filesystem *fs);

/* The commit is over, and another one can begin: from here on who is answered may ask for it. */
closure_method(status_handler, commit_over, struct commit, over, status s)
{
    struct commit *c = owner();
    struct log *log = container_of(c, struct log, commit);
    struct filesystem *fs = log->fs;
    c->landed = NULL;
    log_dirty_unreserve(fs, 0); /* memory that was kept while it ran */
    commits_answer(&c->answering, s);
    rooms_end(log, s);
    if (is_ok(s) && c->did && fs->writable)
        checkpoint_consider(fs, false);
    if (!list_empty(&c->waiting))
        commit_kick(fs);
}

static void commit_end(struct filesystem *fs, status s)
{
    struct commit *c = commit_of(fs);
    if (is_ok(s)) {
        c->failures = 0;
        space_commit_end(fs);
    } else {
        failure_count(fs, s);
        commit_soon(fs);
    }
    apply(c->landed, s);
}

/* --- groups ----------------------------------------------------------------------------------- */

closure_method(status_handler, commit_groups_flushed, struct commit, groups_flushed, status s)
{
    struct commit *c = owner();
    struct log *log = container_of(c, struct log, commit);
    if (!is_ok(s)) {
        commit_end(log->fs, s);
        return;
    }
    log->durable = max(log->durable, stream_write_durable(&c->write));
    commit_groups(log->fs);
}

closure_method(status_handler, commit_groups_written, struct commit, groups_written, status s)
{
    struct commit *c = owner();
    struct filesystem *fs = container_of(c, struct log, commit)->fs;
    if (!is_ok(s)) {
        commit_end(fs, s);
        return;
    }
    init_method(&c->groups_flushed, commit_groups_flushed);
    log_flush_start(fs, &c->flush, c->since, &c->groups_flushed);
}

/* What is sealed, up to a NEXT at a time. */
static void commit_groups(struct filesystem *fs)
{
    struct commit *c = commit_of(fs);
    init_method(&c->groups_written, commit_groups_written);
    c->since = log_flush_failures(fs);
    assert(!log_tail_due(fs->log) || list_empty(&fs->log->stream.groups));
    if (stream_write_start(&c->write, &fs->log->stream, &c->groups_written)) {
        c->did = true;
        return;
    }
    closure_freed(&c->groups_written.header);
    commit_end(fs, STATUS_OK);
}

/* --- data, and what it leaves to log ---------------------------------------------------------- */

/* The data is durable, if there was any. */
static void commit_log(struct filesystem *fs)
{
    struct commit *c = commit_of(fs);
    if (c->has_data)
        data_commit_flushed(fs);
    inodes_commit(fs);
    if (!stream_seal(&fs->log->stream)) {
        log_break(fs, status_error(EIO, "fs: no segment is left for the log", 0));
        commit_end(fs, broken_status(fs));
        return;
    }
    commit_groups(fs);
}

static void commit_flushed(struct filesystem *fs, status s)
{
    struct commit *c = commit_of(fs);
    if (is_ok(s)) {
        commit_log(fs);
        return;
    }
    if (c->has_data)
        data_commit_failed(fs, s);
    commit_end(fs, s);
}

closure_method(status_handler, commit_data_flushed, struct commit, data_flushed, status s)
{
    commit_flushed(container_of(owner(), struct log, commit)->fs, s);
}

/* Its first FLUSH covers the data. */
closure_method(status_handler, commit_super_written, struct commit, super_written, status s)
{
    commit_flushed(container_of(owner(), struct log, commit)->fs, s);
}

static void commit_data(struct filesystem *fs)
{
    struct commit *c = commit_of(fs);
    if (fs->log->super_due) {
        c->did = true;
        c->super.what = 0;
        init_method(&c->super_written, commit_super_written);
        super_update(fs, &c->super, &c->super_written);
    } else if (c->has_data) {
        c->did = true;
        init_method(&c->data_flushed, commit_data_flushed);
        log_flush_start(fs, &c->flush, log_flush_failures(fs), &c->data_flushed);
    } else {
        commit_log(fs);
    }
}

/* --- the beginning ---------------------------------------------------------------------------- */

static bool commit_needed(const struct filesystem *fs)
{
    return !list_empty(&fs->log->stream.groups) || !list_empty(&fs->dirty_inodes);
}

/* What only reads never commits anything, be there a lost tail or orphans. */
static bool commit_may_log(const struct filesystem *fs)
{
    return commit_needed(fs) || fs->space.loose_due ||
           (fs->data && !list_empty(&fs->data->arrived));
}

/* Whoever has asked by now is answered by this commit. */
static void commit_take_waiters(struct commit *c)
{
    while (!list_empty(&c->waiting))
        list_push_back(&c->answering, list_pop_front(&c->waiting));
}

static void commit_order(struct filesystem *fs);

/* What has to come first has come, or could not: the data that a rename needs, the end of a lost
   tail.  Meanwhile there may be more of it, but not more than the log's buffer has room for. */
closure_method(status_handler, commit_ordered, struct commit, ordered, status s)
{
    struct commit *c = owner();
    struct filesystem *fs = container_of(c, struct log, commit)->fs;
    if (is_ok(s)) {
        commit_order(fs);
        return;
    }
    commit_take_waiters(c);
    commit_end(fs, s);
}

static void commit_begin_data(struct filesystem *fs)
{
    struct commit *c = commit_of(fs);
    if (log_tail_due(fs->log) && commit_may_log(fs)) {
        c->did = true;
        init_method(&c->ordered, commit_ordered);
        log_tail_start(fs->log, &c->ordered);
        return;
    }
    commit_take_waiters(c);
    if (fs->orphans && commit_may_log(fs))
        orphans_forget(fs);
    if (fs->space.loose && commit_may_log(fs))
        sums_release(fs);
    status s = log_commit_secure(fs->log);
    if (!is_ok(s)) {
        commit_end(fs, s);
        return;
    }
    c->has_data = data_commit_begin(fs);
    if (!c->has_data && !commit_needed(fs))
        commit_end(fs, STATUS_OK);
    else
        commit_data(fs);
}

static void commit_order(struct filesystem *fs)
{
    struct commit *c = commit_of(fs);
    init_method(&c->ordered, commit_ordered);
    if (fs->data && !data_ordered(fs, &c->ordered))
        return;
    closure_freed(&c->ordered.header);
    commit_begin_data(fs);
}

closure_method(thunk, commit_begin, struct commit, begin)
{
    struct commit *c = owner();
    struct log *log = container_of(c, struct log, commit);
    c->did = c->has_data = false;
    if (!is_ok(log->fs->broken)) {
        commit_take_waiters(c);
        commit_end(log->fs, broken_status(log->fs));
    } else {
        commit_order(log->fs);
    }
}

/* A commit begins soon, unless one is under way. */
static void commit_kick(struct filesystem *fs)
{
    struct commit *c = commit_of(fs);
    if (c->landed)
        return;
    init_method(&c->over, commit_over);
    c->landed = operation_start(&fs->scope, &c->operation, NULL, &c->over);
    if (!c->landed) {
        closure_freed(&c->over.header);
        commits_answer(&c->waiting, device_closing(fs));
        rooms_answer(c, device_closing(fs));
        return;
    }
    init_method(&c->begin, commit_begin);
    executor_later(fs->environment.executor, &c->begin);
    operation_started(&c->operation);
}

/* --- public ----------------------------------------------------------------------------------- */

void commit_init(struct log *log)
{
    list_init(&log->commit.waiting);
    list_init(&log->commit.answering);
    list_init(&log->commit.rooms);
}

void commit_request(struct filesystem *fs, struct commit_wait *w, status_handler done)
{
    if (!fs->log) {
        if (done)
            executor_later_status(fs->environment.executor, done, STATUS_OK);
        return;
    }
    struct commit *c = commit_of(fs);
    if (w) {
        w->done = done;
        list_push_back(&c->waiting, &w->link);
        commit_kick(fs);
    } else if (!c->landed && is_ok(fs->broken)) {
        commit_kick(fs);
    }
}

bool commit_wait_cancel(struct commit_wait *w)
{
    if (!waits(&w->link))
        return false;
    list_remove(&w->link);
    return true;
}

void filesystem_wait_room(struct filesystem *fs, struct room_wait *w, status_handler done)
{
    w->fs = fs;
    w->done = done;
    if (!fs->log) {
        executor_later_status(fs->environment.executor, done,
                              status_error(EROFS, "fs: nothing can be written", fs->volume));
        return;
    }
    if (data_throttled(fs)) {
        data_wait_room(fs, w);
        return;
    }
    list_push_back(&commit_of(fs)->rooms, &w->link);
    commit_kick(fs);
}

bool room_wait_cancel(struct room_wait *w)
{
    if (!waits(&w->link))
        return false;
    list_remove(&w->link);
    return true;
}

/* --- time ------------------------------------------------------------------------------------- */

static void tick_end(struct log_tick *t, status s)
{
    t->runs = false;
    apply(t->landed, s);
}

closure_method(thunk, log_tick_passed, struct log_tick, passed)
{
    tick_end(owner(), STATUS_OK);
}

/* When the timer's thunk is on the way, that ends the operation. */
closure_method(cancel_handler, log_tick_cancel, struct log_tick, cancel, status why)
{
    struct log_tick *t = owner();
    const struct executor *e = t->fs->environment.executor;
    if (e->timer_cancel(e, &t->timer))
        tick_end(t, why);
}

static void log_tick_start(struct filesystem *fs, struct log_tick *t, u64 ns, status_handler done)
{
    const struct executor *e = fs->environment.executor;
    t->fs = fs;
    init_method(&t->cancel, log_tick_cancel);
    init_method(&t->passed, log_tick_passed);
    t->landed = operation_start(&fs->scope, &t->operation, &t->cancel, done);
    if (!t->landed) {
        closure_freed(&done->header);
        return;
    }
    t->runs = true;
    e->timer_set(e, &t->timer, e->now_ns(e) + ns, &t->passed);
    operation_started(&t->operation);
}

closure_method(status_handler, interval_passed, struct log, interval_over, status s)
{
    struct log *log = owner();
    if (is_ok(s) && is_ok(log->fs->broken))
        data_interval(log->fs);
}

void commit_soon(struct filesystem *fs)
{
    struct log *log = fs->log;
    u64 ns = fs->environment.commit_interval_ns;
    if (!log || log->interval.runs || ns == ~0ull || !is_ok(fs->broken) || fs->unmounted)
        return;
    init_method(&log->interval_over, interval_passed);
    log_tick_start(fs, &log->interval, ns ? ns : COMMIT_INTERVAL_NS, &log->interval_over);
}
