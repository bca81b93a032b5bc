/* Open file descriptions, their wait queues, and transfers: unix/file.h has the rules. */
#include "unix/file.h"
#include "kernel/run_loop.h"
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/wait.h"

/* A page that was brought in may be evicted before the copy reaches it; that many times in a row
   it is not, and the address is taken for a bad one. */
#define TRANSFER_RETRIES 64

/* --- waiting ---------------------------------------------------------------------------------- */

void wait_queue_init(struct wait_queue *q)
{
    list_init(&q->waiters);
}

void wait_queue_add(struct wait_queue *q, struct waiter *w)
{
    list_push_back(&q->waiters, &w->link);
}

void waiter_remove(struct waiter *w)
{
    list_remove(&w->link);
}

void wait_queue_wake(struct wait_queue *q)
{
    struct list *link;
    while ((link = list_pop_front(&q->waiters))) {
        struct waiter *w = container_of(link, struct waiter, link);
        apply(w->wake, w);
    }
}

/* --- descriptions ----------------------------------------------------------------------------- */

struct file *file_create(const struct file_operations *operations, u32 flags,
                         const struct node *node, const struct node *parent)
{
    static u64 numbers = 1; /* st_ino of pipes and the like */
    struct file *f = allocate_zero(general_heap, operations->bytes);
    if (!f)
        return NULL;
    f->operations = operations;
    f->references = 1;
    f->flags = flags;
    f->number = numbers++;
    if (node)
        f->node = *node;
    if (parent)
        f->parent = *parent;
    node_hold(&f->node);
    node_hold(&f->parent);
    return f;
}

void file_hold(struct file *f)
{
    f->references++;
}

void file_release(struct file *f)
{
    assert(f->references);
    if (--f->references)
        return;
    if (f->operations->close)
        f->operations->close(f);
    node_release(&f->node);
    node_release(&f->parent);
    deallocate(general_heap, f, f->operations->bytes);
}

/* --- one transfer ----------------------------------------------------------------------------- */

static inline void transfer_next_vector(struct transfer *x)
{
    while (!x->chunk && x->vectors_left) {
        x->at = x->next->base;
        x->chunk = min(x->next->bytes, x->left);
        x->next++;
        x->vectors_left--;
    }
}

static inline void transfer_advance(struct transfer *x, u64 bytes)
{
    x->at += bytes;
    x->chunk -= bytes;
    x->left -= bytes;
    x->done += bytes;
    if (bytes)
        x->retries = 0;
    if (unlikely(!x->chunk))
        transfer_next_vector(x);
}

static void transfer_hold(struct transfer *x)
{
    if (!x->waiting)
        file_hold(x->file);
    x->waiting = true;
}

/* The result goes to the caller of the system call; nothing of x may be touched afterwards. */
static inline s64 transfer_finish(struct transfer *x, s64 result)
{
    struct file *f = x->file;
    if (f->operations->positioned && !x->keep_position)
        f->position = x->position;
    if (unlikely(x->vectors_allocated))
        deallocate(general_heap, x->vectors, x->vectors_allocated * sizeof(struct io_vector));
    if (unlikely(x->waiting))
        file_release(f);
    return result;
}

/* Inline for the calls that move one buffer; the others go through transfer_attempt. */
static inline s64 transfer_try(struct transfer *x)
{
    const struct file_operations *o = x->file->operations;
    s64 r = x->writing ? o->write(x->file, x) : o->read(x->file, x);
    return unlikely(r == SYSCALL_LATER) ? r : transfer_finish(x, r);
}

s64 transfer_attempt(struct transfer *x)
{
    return transfer_try(x);
}

static void transfer_go_on(struct transfer *x, s64 error)
{
    struct thread *t = x->thread;
    thread_activate(t);
    s64 r = error ? transfer_finish(x, transfer_stop(x, error)) : transfer_attempt(x);
    if (r != SYSCALL_LATER && x->finished)
        x->finished(x, r);
    else if (r != SYSCALL_LATER)
        syscall_return(t, r);
}

closure_method(status_handler, transfer_came, struct transfer, came, status s)
{
    struct transfer *x = owner();
    transfer_go_on(x, syscall_status(s));
}

static status_handler transfer_later(struct transfer *x)
{
    transfer_hold(x);
    init_method(&x->came, transfer_came);
    return &x->came;
}

s64 transfer_pages(struct transfer *x, struct inode *i, u64 first, u64 count)
{
    thread_fetch(x->thread, i, first, count, transfer_later(x));
    return SYSCALL_LATER;
}

closure_method(status_handler, transfer_waited, struct transfer, waited, status s)
{
    struct transfer *x = owner();
    transfer_go_on(x, is_ok(s) ? 0 : -EINTR);
}

/* Deferred, for the waker is in the middle of a call of its own. */
closure_method(wake_handler, transfer_woken, struct transfer, woken, struct waiter *w)
{
    (void)w;
    run_later_status(owner()->landed, STATUS_OK);
}

closure_method(cancel_handler, transfer_cancel, struct transfer, cancel, status why)
{
    struct transfer *x = owner();
    if (waiter_waits(&x->waiter)) {
        waiter_remove(&x->waiter);
        run_later_status(x->landed, why);
    }
}

s64 transfer_wait(struct transfer *x)
{
    struct file *f = x->file;
    if (f->flags & O_NONBLOCK)
        return transfer_stop(x, -EAGAIN);
    init_method(&x->woken, transfer_woken);
    init_method(&x->cancel, transfer_cancel);
    init_method(&x->waited, transfer_waited);
    x->landed = thread_wait(x->thread, &x->cancel, 0, &x->waited);
    if (!x->landed)
        return transfer_stop(x, -EINTR);
    transfer_hold(x);
    x->waiter.wake = &x->woken;
    wait_queue_add(f->operations->queue(f), &x->waiter);
    thread_wait_started(x->thread);
    return SYSCALL_LATER;
}

/* --- the program's memory --------------------------------------------------------------------- */

/* The kernel's own memory is always there. */
static u64 transfer_copy_in(const struct transfer *x, void *to, u64 bytes)
{
    if (likely(!x->from_kernel))
        return copy_in(to, x->at, bytes);
    memcpy(to, (const void *)x->at, bytes);
    return 0;
}

/* A copy stopped at x->at with `bytes` to go.  0: try it again. */
static s64 transfer_fetch(struct transfer *x, u64 bytes, enum user_access access)
{
    if (x->retries++ > TRANSFER_RETRIES)
        return -EFAULT;
    return user_fetch(x->thread, x->at, min(bytes, USER_PREPARE_MOST), access, transfer_later(x));
}

s64 transfer_out(struct transfer *x, const void *from, u64 bytes, u64 *copied)
{
    *copied = 0;
    while (bytes) {
        u64 piece = min(bytes, x->chunk);
        u64 missed = copy_out(x->at, (const u8 *)from + *copied, piece);
        transfer_advance(x, piece - missed);
        *copied += piece - missed;
        bytes -= piece - missed;
        s64 r = missed ? transfer_fetch(x, missed, USER_WRITE) : 0;
        if (r)
            return r;
    }
    return 0;
}

s64 transfer_in(struct transfer *x, void *to, u64 bytes, u64 *copied)
{
    *copied = 0;
    while (bytes) {
        u64 piece = min(bytes, x->chunk);
        u64 missed = transfer_copy_in(x, (u8 *)to + *copied, piece);
        transfer_advance(x, piece - missed);
        *copied += piece - missed;
        bytes -= piece - missed;
        s64 r = missed ? transfer_fetch(x, missed, USER_READ) : 0;
        if (r)
            return r;
    }
    return 0;
}

s64 transfer_zero(struct transfer *x, u64 bytes, u64 *copied)
{
    *copied = 0;
    while (bytes) {
        u64 piece = min(bytes, x->chunk);
        u64 missed = zero_out(x->at, piece);
        transfer_advance(x, piece - missed);
        *copied += piece - missed;
        bytes -= piece - missed;
        s64 r = missed ? transfer_fetch(x, missed, USER_WRITE) : 0;
        if (r)
            return r;
    }
    return 0;
}

s64 transfer_peek(struct transfer *x, void *to, u64 bytes, u64 *copied)
{
    u64 piece = min(bytes, x->chunk);
    for (;;) {
        u64 missed = transfer_copy_in(x, to, piece);
        *copied = piece - missed;
        if (!missed || *copied) {
            x->retries = 0;
            return 0;
        }
        s64 r = transfer_fetch(x, missed, USER_READ);
        if (r)
            return r;
    }
}

void transfer_skip(struct transfer *x, u64 bytes)
{
    while (bytes) {
        u64 piece = min(bytes, x->chunk);
        transfer_advance(x, piece);
        bytes -= piece;
    }
}

/* --- read and write --------------------------------------------------------------------------- */

static inline void transfer_init(struct transfer *x, struct thread *t, struct file *f)
{
    x->thread = t;
    x->file = f;
    x->position = f->position;
    x->done = 0;
    x->keep_position = false;
    x->waiting = false;
    x->retries = 0;
    x->from_kernel = false;
    x->vectors_left = 0;
    x->vectors_allocated = 0;
    x->finished = NULL;
}

void transfer_begin(struct transfer *x, struct thread *t, struct file *f)
{
    transfer_init(x, t, f);
}

static inline bool user_range_ok(u64 address, u64 bytes)
{
    return address <= USER_END && bytes <= USER_END - address;
}

/* One buffer.  The struct is the thread's operation, so that a wait finds it there. */
static inline s64 transfer_flat(struct transfer *x, u64 address, u64 bytes)
{
    if (unlikely((s64)bytes < 0))
        return -EINVAL;
    if (unlikely(!user_range_ok(address, bytes)))
        return -EFAULT;
    x->at = address;
    x->left = x->chunk = min(bytes, (u64)LINUX_IO_MOST);
    return transfer_try(x);
}

/* The file for reading or writing, or -errno in *error. */
static inline struct file *file_to_read(struct thread *t, s32 fd, s64 *error)
{
    struct file *f = descriptor_get(t->process, fd);
    if (unlikely(!f || !file_readable(f))) {
        *error = -EBADF;
        return NULL;
    }
    *error = -EINVAL;
    return likely(f->operations->read != NULL) ? f : NULL;
}

static inline struct file *file_to_write(struct thread *t, s32 fd, s64 *error)
{
    struct file *f = descriptor_get(t->process, fd);
    if (unlikely(!f || !file_writable(f))) {
        *error = -EBADF;
        return NULL;
    }
    *error = -EINVAL;
    return likely(f->operations->write != NULL) ? f : NULL;
}

s64 sys_read(struct thread *t, s32 fd, u64 buffer, u64 bytes)
{
    s64 error;
    struct file *f = file_to_read(t, fd, &error);
    if (!f)
        return error;
    struct transfer *x = thread_operation(t, struct transfer);
    transfer_init(x, t, f);
    x->writing = false;
    return transfer_flat(x, buffer, bytes);
}

s64 sys_write(struct thread *t, s32 fd, u64 buffer, u64 bytes)
{
    s64 error;
    struct file *f = file_to_write(t, fd, &error);
    if (!f)
        return error;
    struct transfer *x = thread_operation(t, struct transfer);
    transfer_init(x, t, f);
    x->writing = true;
    return transfer_flat(x, buffer, bytes);
}

s64 sys_pread64(struct thread *t, s32 fd, u64 buffer, u64 bytes, s64 offset)
{
    s64 error;
    if (offset < 0)
        return -EINVAL;
    struct file *f = descriptor_get(t->process, fd);
    if (f && !f->operations->positioned)
        return -ESPIPE;
    f = file_to_read(t, fd, &error);
    if (!f)
        return error;
    struct transfer *x = thread_operation(t, struct transfer);
    transfer_init(x, t, f);
    x->writing = false;
    x->keep_position = true;
    x->position = (u64)offset;
    return transfer_flat(x, buffer, bytes);
}

s64 sys_pwrite64(struct thread *t, s32 fd, u64 buffer, u64 bytes, s64 offset)
{
    s64 error;
    if (offset < 0)
        return -EINVAL;
    struct file *f = descriptor_get(t->process, fd);
    if (f && !f->operations->positioned)
        return -ESPIPE;
    f = file_to_write(t, fd, &error);
    if (!f)
        return error;
    struct transfer *x = thread_operation(t, struct transfer);
    transfer_init(x, t, f);
    x->writing = true;
    x->keep_position = true;
    x->position = (u64)offset;
    return transfer_flat(x, buffer, bytes);
}

/* --- vectors ---------------------------------------------------------------------------------- */

/* Checks the lengths; the sum is cut to what one call may move. */
static s64 vectors_check(struct transfer *x, u64 count)
{
    x->left = 0;
    for (u64 i = 0; i < count; i++) {
        struct io_vector *v = &x->vectors[i];
        if ((s64)v->bytes < 0)
            return -EINVAL;
        if (!user_range_ok(v->base, v->bytes))
            return -EFAULT;
        v->bytes = min(v->bytes, (u64)LINUX_IO_MOST - x->left);
        x->left += v->bytes;
    }
    return 0;
}

static s64 vectors_get(struct transfer *x, u64 vectors, u64 count)
{
    if (count > LINUX_IOV_MOST)
        return -EINVAL;
    u64 bytes = count * sizeof(struct io_vector);
    s64 r = count ? user_prepare(x->thread, vectors, bytes, USER_READ) : 0;
    if (r)
        return r;
    x->vectors = x->embedded;
    if (count > TRANSFER_VECTORS) {
        x->vectors = allocate(general_heap, bytes);
        if (!x->vectors)
            return -ENOMEM;
        x->vectors_allocated = (u32)count;
    }
    r = copy_in(x->vectors, vectors, bytes) ? -EFAULT : vectors_check(x, count);
    if (r && x->vectors_allocated)
        deallocate(general_heap, x->vectors, bytes);
    return r;
}

static s64 transfer_vectors(struct transfer *x, u64 vectors, u64 count)
{
    s64 r = vectors_get(x, vectors, count);
    if (r)
        return r;
    x->next = x->vectors;
    x->vectors_left = (u32)count;
    x->chunk = 0;
    transfer_next_vector(x);
    return transfer_attempt(x);
}

s64 sys_readv(struct thread *t, s32 fd, u64 vectors, u64 count)
{
    s64 error;
    struct file *f = file_to_read(t, fd, &error);
    if (!f)
        return error;
    struct transfer *x = thread_operation(t, struct transfer);
    transfer_init(x, t, f);
    x->writing = false;
    return transfer_vectors(x, vectors, count);
}

s64 sys_writev(struct thread *t, s32 fd, u64 vectors, u64 count)
{
    s64 error;
    struct file *f = file_to_write(t, fd, &error);
    if (!f)
        return error;
    struct transfer *x = thread_operation(t, struct transfer);
    transfer_init(x, t, f);
    x->writing = true;
    return transfer_vectors(x, vectors, count);
}

/* preadv and pwritev with their flags; offset -1 of the second forms is the file's own position. */
static s64 vectors_at(struct thread *t, struct file *f, u64 vectors, u64 count, s64 offset,
                      bool writing)
{
    struct transfer *x = thread_operation(t, struct transfer);
    transfer_init(x, t, f);
    x->writing = writing;
    if (offset >= 0) {
        x->keep_position = true;
        x->position = (u64)offset;
    }
    return transfer_vectors(x, vectors, count);
}

#define RWF_HIPRI  1
#define RWF_DSYNC  2
#define RWF_SYNC   4
#define RWF_NOWAIT 8
#define RWF_APPEND 16

static s64 vectors_at_check(struct thread *t, s32 fd, s64 offset, u32 flags)
{
    if (offset < -1)
        return -EINVAL;
    struct file *f = descriptor_get(t->process, fd);
    if (!f)
        return -EBADF;
    if (offset >= 0 && !f->operations->positioned)
        return -ESPIPE;
    return flags & ~(u32)(RWF_HIPRI | RWF_DSYNC | RWF_SYNC) ? -EOPNOTSUPP : 0;
}

s64 sys_preadv2(struct thread *t, s32 fd, u64 vectors, u64 count, s64 offset, u64 high, u32 flags)
{
    (void)high; /* the offset's upper half is in its lower one on 64-bit machines */
    s64 r = vectors_at_check(t, fd, offset, flags);
    struct file *f = r ? NULL : file_to_read(t, fd, &r);
    return f ? vectors_at(t, f, vectors, count, offset, false) : r;
}

s64 sys_pwritev2(struct thread *t, s32 fd, u64 vectors, u64 count, s64 offset, u64 high, u32 flags)
{
    (void)high;
    s64 r = vectors_at_check(t, fd, offset, flags);
    struct file *f = r ? NULL : file_to_write(t, fd, &r);
    return f ? vectors_at(t, f, vectors, count, offset, true) : r;
}

s64 sys_preadv(struct thread *t, s32 fd, u64 vectors, u64 count, s64 offset, u64 high)
{
    return offset < 0 ? -EINVAL : sys_preadv2(t, fd, vectors, count, offset, high, 0);
}

s64 sys_pwritev(struct thread *t, s32 fd, u64 vectors, u64 count, s64 offset, u64 high)
{
    return offset < 0 ? -EINVAL : sys_pwritev2(t, fd, vectors, count, offset, high, 0);
}
