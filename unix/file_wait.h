/* How a thread waits for the filesystem: for room to change something, for a sync, or for its turn
   to write.  As with pages (unix/wait.h), signals wait until it is over, but a thread that ends
   does not, nor one that a signal kills.

   A thread waits for one thing of the filesystem at a time, so the state of such a wait is in the
   thread, and an operation of the thread's may be waiting in the same struct as its other state. */
#pragma once

#include "fs/fs.h"
#include "runtime/scope.h"

struct thread;
struct file_turn;

struct file_wait {
    struct room_wait room;
    struct sync_wait sync;
    struct list turn; /* with those who wait to write a file, or to go on; alone: with neither */
    struct cancel_handler cancel;
    status_handler landed;
    struct status_handler again; /* starts the system call again: file_retry */
};

/* filesystem_wait_room, file_sync and filesystem_sync for a thread: `done` is applied once, also
   when the thread ends first (ECANCELED) or a signal is about to end the process (EINTR). */
void thread_wait_room(struct thread *t, status_handler done);
void thread_wait_sync(struct thread *t, struct inode *i, range pages, enum sync_kind kind,
                      status_handler done);
void thread_wait_sync_all(struct thread *t, status_handler done);
/* Until file_turns_wake: a write in several steps is under way, and another one is to follow. */
void thread_wait_turn(struct thread *t, status_handler done);
/* Those who wait look again. */
void file_turns_wake(void);
/* Until the closures that wait for this CPU now have been applied. */
void thread_wait_pass(struct thread *t, status_handler done);

/* What a call returns for the status of a change: 0 or -errno; for EAGAIN it waits until trying
   again is worth it and the whole call starts again, so nothing may have been changed before:
   SYSCALL_LATER.  `fetch` (NO_PAGE: none) is a page of i that is needed first. */
s64 file_change_result(struct thread *t, struct inode *i, status s, u64 fetch);
s64 change_result(struct thread *t, status s);
