/* Pipes within the process: a ring of bytes with two ends, as Linux's fs/pipe.c behaves.

   A write of up to PIPE_ATOMIC bytes goes in whole or waits.  The ring's memory comes with the
   first write. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/virtual.h"

#define PIPE_ATOMIC     4096 /* PIPE_BUF */
#define PIPE_BYTES      (64 * KiB)
#define PIPE_BYTES_MOST MiB

struct pipe {
    u8 *bytes;          /* NULL until the first write */
    u64 capacity;       /* a power of two */
    u64 taken, written; /* bytes ever read and written; their difference is what is in it */
    u32 readers, writers;
    struct wait_queue readable, writable;
};

struct pipe_end {
    struct file file;
    struct pipe *pipe;
};

static struct pipe *pipe_of(struct file *f)
{
    return container_of(f, struct pipe_end, file)->pipe;
}

static u64 pipe_used(const struct pipe *p)
{
    return p->written - p->taken;
}

static s64 pipe_read(struct file *f, struct transfer *x)
{
    struct pipe *p = pipe_of(f);
    bool was_full = pipe_used(p) == p->capacity || !list_empty(&p->writable.waiters);
    s64 error = 0;
    while (x->left && pipe_used(p) && !error) {
        u64 at = p->taken & (p->capacity - 1), copied;
        u64 most = min(pipe_used(p), x->left);
        u64 piece = min(p->capacity - at, most);
        error = transfer_out(x, p->bytes + at, piece, &copied);
        p->taken += copied;
    }
    if (x->done && was_full)
        wait_queue_wake(&p->writable, POLLOUT | POLLWRNORM);
    if (error)
        return transfer_stop(x, error);
    if (x->done || !x->left || !p->writers)
        return (s64)x->done;
    return transfer_wait(x);
}

static s64 pipe_write(struct file *f, struct transfer *x)
{
    struct pipe *p = pipe_of(f);
    s64 error = 0;
    if (!p->readers) {
        signal_raise(x->thread, SIGNAL_PIPE);
        return transfer_stop(x, -EPIPE);
    }
    if (!p->bytes && !(p->bytes = allocate(page_heap, p->capacity)))
        return transfer_stop(x, -ENOMEM);
    u64 least = !x->done && x->left <= PIPE_ATOMIC ? x->left : 1;
    if (x->left && p->capacity - pipe_used(p) < least)
        return transfer_wait(x);
    while (x->left && pipe_used(p) < p->capacity && !error) {
        u64 at = p->written & (p->capacity - 1), copied;
        u64 most = min(p->capacity - pipe_used(p), x->left);
        u64 piece = min(p->capacity - at, most);
        error = transfer_in(x, p->bytes + at, piece, &copied);
        p->written += copied;
    }
    if (x->done && !list_empty(&p->readable.waiters))
        wait_queue_wake(&p->readable, POLLIN | POLLRDNORM);
    if (error)
        return transfer_stop(x, error);
    return x->left ? transfer_wait(x) : (s64)x->done;
}

static u32 pipe_poll(struct file *f)
{
    struct pipe *p = pipe_of(f);
    if ((f->flags & O_ACCMODE) == O_RDONLY)
        return (pipe_used(p) ? POLLIN | POLLRDNORM : 0) | (p->writers ? 0 : POLLHUP);
    return (p->capacity - pipe_used(p) >= PIPE_ATOMIC ? POLLOUT | POLLWRNORM : 0) |
           (p->readers ? 0 : POLLERR);
}

static struct wait_queue *pipe_queue(struct file *f)
{
    return (f->flags & O_ACCMODE) == O_RDONLY ? &pipe_of(f)->readable : &pipe_of(f)->writable;
}

static s64 pipe_ioctl(struct thread *t, struct file *f, u32 request, u64 argument)
{
    if (request != FIONREAD)
        return -ENOTTY;
    return ioctl_number_out(t, argument, (s32)pipe_used(pipe_of(f)));
}

static void pipe_close(struct file *f)
{
    struct pipe *p = pipe_of(f);
    if ((f->flags & O_ACCMODE) == O_RDONLY)
        p->readers--;
    else
        p->writers--;
    wait_queue_wake(&p->readable, POLLHUP);
    wait_queue_wake(&p->writable, POLLERR);
    if (p->readers || p->writers)
        return;
    deallocate(page_heap, p->bytes, p->capacity);
    deallocate(general_heap, p, sizeof(*p));
}

static const struct file_operations file_pipe = {
    .name = "pipe",
    .bytes = sizeof(struct pipe_end),
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .queue = pipe_queue,
    .ioctl = pipe_ioctl,
    .close = pipe_close,
};

/* Moves what is in the pipe to a ring of another size. */
static s64 pipe_resize(struct pipe *p, u64 wanted)
{
    if (wanted > PIPE_BYTES_MOST)
        return -EPERM;
    u64 capacity = 1ull << ceil_log2(max(wanted, PAGE_BYTES));
    if (pipe_used(p) > capacity)
        return -EBUSY;
    if (p->bytes) {
        u8 *bytes = allocate(page_heap, capacity);
        if (!bytes)
            return -ENOMEM;
        u64 used = pipe_used(p);
        for (u64 i = 0; i < used; i++)
            bytes[i] = p->bytes[(p->taken + i) & (p->capacity - 1)];
        deallocate(page_heap, p->bytes, p->capacity);
        p->bytes = bytes;
        p->taken = 0;
        p->written = used;
    }
    p->capacity = capacity;
    wait_queue_wake(&p->writable, POLLOUT | POLLWRNORM);
    return (s64)capacity;
}

s64 pipe_control(struct file *f, u32 command, u64 argument)
{
    if (f->operations != &file_pipe)
        return -EBADF;
    struct pipe *p = pipe_of(f);
    return command == F_GETPIPE_SZ ? (s64)p->capacity : pipe_resize(p, (u32)argument);
}

static struct file *pipe_end_create(struct pipe *p, u32 flags)
{
    struct file *f = file_create(&file_pipe, flags, NULL, NULL);
    if (!f)
        return NULL;
    container_of(f, struct pipe_end, file)->pipe = p;
    if ((flags & O_ACCMODE) == O_RDONLY)
        p->readers++;
    else
        p->writers++;
    return f;
}

/* Both ends, or neither: ends[0] reads. */
static s64 pipe_create(struct file *ends[2], u32 flags)
{
    struct pipe *p = allocate_zero(general_heap, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->capacity = PIPE_BYTES;
    wait_queue_init(&p->readable);
    wait_queue_init(&p->writable);
    ends[0] = pipe_end_create(p, O_RDONLY | flags);
    ends[1] = ends[0] ? pipe_end_create(p, O_WRONLY | flags) : NULL;
    if (ends[1]) {
        ends[1]->number = ends[0]->number;
        return 0;
    }
    if (ends[0])
        file_release(ends[0]);
    else
        deallocate(general_heap, p, sizeof(*p));
    return -ENFILE;
}

static s64 pipe_install(struct thread *t, struct file *ends[2], bool close_on_exec, s32 fds[2])
{
    struct process *p = t->process;
    s64 r = descriptor_install(p, ends[0], 0, close_on_exec);
    if (r < 0) {
        file_release(ends[1]);
        return r;
    }
    fds[0] = (s32)r;
    r = descriptor_install(p, ends[1], 0, close_on_exec);
    if (r < 0) {
        descriptor_close(p, fds[0]);
        return r;
    }
    fds[1] = (s32)r;
    return 0;
}

s64 sys_pipe2(struct thread *t, u64 address, u32 flags)
{
    struct file *ends[2];
    s32 fds[2];
    if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    s64 r = user_prepare(t, address, sizeof(fds), USER_WRITE);
    if (!r)
        r = pipe_create(ends, flags & O_NONBLOCK);
    if (!r)
        r = pipe_install(t, ends, flags & O_CLOEXEC, fds);
    if (r)
        return r;
    if (!copy_out(address, fds, sizeof(fds)))
        return 0;
    descriptor_close(t->process, fds[0]);
    descriptor_close(t->process, fds[1]);
    return -EFAULT;
}

s64 sys_pipe(struct thread *t, u64 address)
{
    return sys_pipe2(t, address, 0);
}
