/* Waiting for the filesystem: see unix/file_wait.h. */
#include "unix/file_wait.h"

#include "kernel/run_loop.h"
#include "unix/syscall.h"
#include "unix/wait.h"

/* A call that changes something starts again that many times in a row at most.  Each time a commit
   has made room, which others took; so it is long for one call, and then the disk counts as full.
 */
#define ROOM_TRIES_MOST 60

static struct list turns = {&turns, &turns};

/* Deferred, for the thread is ended in the middle of something. */
closure_method(cancel_handler, file_wait_cancel, struct file_wait, cancel, status why)
{
    struct file_wait *w = owner();
    bool waited = room_wait_cancel(&w->room) || sync_wait_cancel(&w->sync);
    if (!waited && !list_empty(&w->turn)) {
        list_remove(&w->turn);
        waited = true;
    }
    if (waited)
        run_later_status(w->landed, why);
}

/* NULL: the thread is being ended, and `done` is told so. */
static struct file_wait *file_wait_begin(struct thread *t, status_handler done)
{
    struct file_wait *w = &t->file_wait;
    w->room = (struct room_wait){.fs = NULL};
    w->sync = (struct sync_wait){NULL};
    list_init(&w->turn);
    init_method(&w->cancel, file_wait_cancel);
    w->landed = operation_start(&t->scope, &t->fetch, &w->cancel, done);
    if (w->landed)
        return w;
    run_later_status(done, status_error(ECANCELED, "the thread is being ended", t->tid));
    return NULL;
}

void thread_wait_room(struct thread *t, status_handler done)
{
    struct file_wait *w = file_wait_begin(t, done);
    if (!w)
        return;
    filesystem_wait_room(t->process->fs, &w->room, w->landed);
    operation_started(&t->fetch);
}

void thread_wait_sync(struct thread *t, struct inode *i, range pages, enum sync_kind kind,
                      status_handler done)
{
    struct file_wait *w = file_wait_begin(t, done);
    if (!w)
        return;
    file_sync(i, pages.start, pages.end, kind, &w->sync, w->landed);
    operation_started(&t->fetch);
}

void thread_wait_sync_all(struct thread *t, status_handler done)
{
    struct file_wait *w = file_wait_begin(t, done);
    if (!w)
        return;
    filesystem_sync(t->process->fs, &w->sync, w->landed);
    operation_started(&t->fetch);
}

void thread_wait_turn(struct thread *t, status_handler done)
{
    struct file_wait *w = file_wait_begin(t, done);
    if (!w)
        return;
    list_push_back(&turns, &w->turn);
    operation_started(&t->fetch);
}

void file_turns_wake(void)
{
    struct list *first;
    while ((first = list_pop_front(&turns)))
        run_later_status(container_of(first, struct file_wait, turn)->landed, STATUS_OK);
}

/* --- letting others pass --------------------------------------------------------------------- */

static struct passes {
    struct list waiting;
    struct thunk over;
    struct runnable behind;
    bool queued;
} passes = {.waiting = {&passes.waiting, &passes.waiting}, .behind = {.cpus = ~0ull}};

static void passes_end(struct passes *p)
{
    struct list *first;
    p->queued = false;
    while ((first = list_pop_front(&p->waiting)))
        run_later_status(container_of(first, struct file_wait, turn)->landed, STATUS_OK);
}

closure_method(thunk, passes_behind, struct passes, behind.run)
{
    passes_end(owner());
}

/* What came in may have been what a thread waited for. */
closure_method(thunk, passes_over, struct passes, over)
{
    struct passes *p = owner();
    if (!run_loop_others_ready()) {
        passes_end(p);
        return;
    }
    init_method(&p->behind.run, passes_behind);
    run_thread(&p->behind);
}

/* Behind the bottom halves that are there, and so behind all that these queue for this CPU, and
   behind the threads that they make ready. */
void thread_wait_pass(struct thread *t, status_handler done)
{
    struct file_wait *w = file_wait_begin(t, done);
    if (!w)
        return;
    list_push_back(&passes.waiting, &w->turn);
    if (!passes.queued) {
        passes.queued = true;
        init_method(&passes.over, passes_over);
        run_bottom_half(&passes.over);
    }
    operation_started(&t->fetch);
}

/* --- the whole call again --------------------------------------------------------------------- */

closure_method(status_handler, file_wait_again, struct file_wait, again, status s)
{
    struct thread *t = container_of(owner(), struct thread, file_wait);
    if (t->ended || t->process->exiting)
        return;
    if (is_ok(s) && ++t->fetches > ROOM_TRIES_MOST)
        s = status_error(ENOSPC, "others took the room each time", t->tid);
    if (is_ok(s))
        syscall_restart(t);
    else
        syscall_return(t, syscall_status(s));
}

s64 file_change_result(struct thread *t, struct inode *i, status s, u64 fetch)
{
    if (status_errno(s) != EAGAIN)
        return syscall_status(s);
    init_method(&t->file_wait.again, file_wait_again);
    if (fetch == NO_PAGE)
        thread_wait_room(t, &t->file_wait.again);
    else
        thread_fetch(t, i, fetch, 1, &t->file_wait.again);
    return SYSCALL_LATER;
}

s64 change_result(struct thread *t, status s)
{
    return file_change_result(t, NULL, s, NO_PAGE);
}
