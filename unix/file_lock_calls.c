/* fcntl's lock commands and flock.

   There is one process, so a classic lock (owned by the process) never conflicts with another
   classic one; open-file locks and flock do conflict between descriptions.  Waiting for one
   (F_OFD_SETLKW, flock without LOCK_NB) would need another thread to let go: the waiter looks
   again whenever a lock is given back. */
#include "kernel/run_loop.h"
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/wait.h"

struct user_flock { /* struct flock of the kernel's interface */
    s16 type;
    s16 whence;
    s64 start;
    s64 length;
    s32 pid;
};

/* The calls that wait are started again from their registers when a lock was given back. */
struct lock_wait {
    struct thread *thread;
    struct waiter waiter;
    struct wake_handler woken;
    status_handler landed;
    struct cancel_handler cancel;
    struct status_handler done;
};

static struct wait_queue lock_waiters;

closure_method(wake_handler, lock_woken, struct lock_wait, woken, struct waiter *waiter)
{
    (void)waiter;
    apply(owner()->landed, STATUS_OK);
}

closure_method(cancel_handler, lock_cancel, struct lock_wait, cancel, status why)
{
    struct lock_wait *w = owner();
    if (waiter_waits(&w->waiter)) {
        waiter_remove(&w->waiter);
        apply(w->landed, why);
    }
}

closure_method(status_handler, lock_done, struct lock_wait, done, status s)
{
    struct lock_wait *w = owner();
    if (is_ok(s))
        syscall_restart(w->thread);
    else
        syscall_return(w->thread, syscall_status(s));
}

static s64 lock_wait(struct thread *t)
{
    struct lock_wait *w = thread_operation(t, struct lock_wait);
    if (!lock_waiters.waiters.next)
        wait_queue_init(&lock_waiters);
    w->thread = t;
    init_method(&w->woken, lock_woken);
    init_method(&w->cancel, lock_cancel);
    init_method(&w->done, lock_done);
    w->landed = thread_wait(t, &w->cancel, 0, &w->done);
    if (!w->landed)
        return -EINTR;
    w->waiter = (struct waiter){.wake = &w->woken, .events = POLLIN};
    wait_queue_add(&lock_waiters, &w->waiter);
    thread_wait_started(t);
    return SYSCALL_LATER;
}

static void locks_changed(void)
{
    if (lock_waiters.waiters.next)
        wait_queue_wake(&lock_waiters, POLLIN);
}

/* The range of bytes that a struct flock names. */
static s64 flock_range(struct file *f, const struct user_flock *k, range *bytes)
{
    s64 base = 0;
    if (k->whence == SEEK_CUR)
        base = (s64)f->position;
    else if (k->whence == SEEK_END)
        base = f->node.inode ? (s64)inode_bytes(f->node.inode) : 0;
    else if (k->whence != SEEK_SET)
        return -EINVAL;
    s64 start, end;
    if (__builtin_add_overflow(base, k->start, &start))
        return -EOVERFLOW;
    if (__builtin_add_overflow(start, k->length, &end))
        return -EOVERFLOW;
    if (k->length < 0) {
        s64 swapped = start;
        start = end;
        end = swapped;
    }
    if (start < 0)
        return -EINVAL;
    *bytes = range_of((u64)start, k->length ? (u64)end : ~0ull);
    return 0;
}

static s64 lock_query(struct thread *t, const struct file_lock *wanted, struct user_flock *k,
                      u64 address)
{
    const struct file_lock *other = file_lock_conflict(&t->process->files->locks, wanted);
    if (!other) {
        k->type = F_UNLCK;
    } else {
        k->type = other->type == FILE_LOCK_WRITE ? F_WRLCK : F_RDLCK;
        k->whence = SEEK_SET;
        k->start = (s64)other->bytes.start;
        k->length = other->bytes.end == ~0ull ? 0 : (s64)(other->bytes.end - other->bytes.start);
        k->pid = (s32)other->pid;
    }
    return copy_out(address, k, sizeof(*k)) ? -EFAULT : 0;
}

static s64 lock_change(struct thread *t, struct file *f, struct file_lock *wanted, s16 type,
                       bool wait)
{
    struct file_locks *locks = &t->process->files->locks;
    if (type == F_UNLCK) {
        s64 r = file_lock_clear(locks, wanted->file, wanted->owner, wanted->bytes);
        locks_changed();
        return r;
    }
    if (type == F_RDLCK && !file_readable(f))
        return -EBADF;
    if (type == F_WRLCK && !file_writable(f))
        return -EBADF;
    s64 r = file_lock_set(locks, wanted);
    return r == -EAGAIN && wait ? lock_wait(t) : r;
}

s64 file_lock_control(struct thread *t, struct file *f, u32 command, u64 argument)
{
    struct user_flock k;
    s64 r = user_prepare(t, argument, sizeof(k), USER_WRITE);
    if (r)
        return r;
    if (copy_in(&k, argument, sizeof(k)))
        return -EFAULT;
    bool of_file = command >= F_OFD_GETLK;
    if (of_file && k.pid)
        return -EINVAL;
    struct file_lock wanted = {
        .file = f->node.inode,
        .owner = of_file ? (const void *)f : (const void *)t->process,
        .of_process = !of_file,
        .pid = of_file ? ~0u : t->process->pid,
        .type = k.type == F_WRLCK ? FILE_LOCK_WRITE : FILE_LOCK_READ,
    };
    bool query = command == F_GETLK || command == F_OFD_GETLK;
    if (k.type < F_RDLCK || k.type > F_UNLCK || (query && k.type == F_UNLCK && !of_file))
        return -EINVAL;
    r = flock_range(f, &k, &wanted.bytes);
    if (r)
        return r;
    if (query)
        return lock_query(t, &wanted, &k, argument);
    return lock_change(t, f, &wanted, k.type, command == F_SETLKW || command == F_OFD_SETLKW);
}

/* flock: whole files, owned by descriptions.  All descriptions are this process's. */
static bool flock_conflict(struct process *p, struct file *f, u32 kind)
{
    for (u32 fd = 0; fd < p->files->capacity; fd++) {
        struct file *g = p->files->entries[fd].file;
        if (g && g != f && g->flock && f->node.inode && g->node.inode == f->node.inode &&
            (kind == LOCK_EX || g->flock == LOCK_EX))
            return true;
    }
    return false;
}

s64 sys_flock(struct thread *t, s32 fd, u32 operation)
{
    struct file *f = descriptor_get(t->process, fd);
    u32 kind = operation & ~(u32)LOCK_NB;
    if (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN)
        return -EINVAL;
    if (!f)
        return -EBADF;
    if (kind == LOCK_UN) {
        f->flock = 0;
        locks_changed();
        return 0;
    }
    if (flock_conflict(t->process, f, kind))
        return operation & LOCK_NB ? -EAGAIN : lock_wait(t);
    bool weaker = f->flock == LOCK_EX && kind == LOCK_SH;
    f->flock = kind;
    if (weaker)
        locks_changed();
    return 0;
}
