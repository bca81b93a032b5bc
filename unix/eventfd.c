/* eventfd: a counter as a file.  A read takes all of it, or one with EFD_SEMAPHORE; a write adds,
   and waits while the sum would not fit.

   The eight bytes move as one: where the program's memory has to be fetched in their middle, the
   part is taken back and the attempt begins anew, for the counter may be another one by then. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"

#define EFD_SEMAPHORE 1u          /* linux/eventfd.h; the other flags are open's */
#define EVENTFD_MOST  (~0ull - 1) /* what the counter can be */

struct eventfd {
    struct file file;
    u64 count;
    bool semaphore;
    struct wait_queue queue;
};

static struct eventfd *eventfd_of(struct file *f)
{
    return container_of(f, struct eventfd, file);
}

static s64 eventfd_read(struct file *f, struct transfer *x)
{
    struct eventfd *e = eventfd_of(f);
    if (x->left < sizeof(u64))
        return -EINVAL;
    if (!e->count)
        return transfer_wait(x);
    u64 value = e->semaphore ? 1 : e->count, copied;
    bool whole = x->chunk >= sizeof(value);
    s64 error = transfer_out(x, &value, sizeof(value), &copied);
    if (error) {
        if (whole)
            transfer_back(x, copied);
        return error;
    }
    e->count -= value;
    wait_queue_wake(&e->queue, POLLOUT | POLLWRNORM);
    return (s64)x->done;
}

static s64 eventfd_write(struct file *f, struct transfer *x)
{
    struct eventfd *e = eventfd_of(f);
    u64 value, copied;
    if (x->left < sizeof(value))
        return -EINVAL;
    bool whole = x->chunk >= sizeof(value);
    s64 error = transfer_in(x, &value, sizeof(value), &copied);
    if (error) {
        if (whole)
            transfer_back(x, copied);
        return error;
    }
    if (value > EVENTFD_MOST)
        return -EINVAL;
    if (value > EVENTFD_MOST - e->count) {
        if (whole)
            transfer_back(x, copied);
        return whole ? transfer_wait(x) : -EAGAIN;
    }
    e->count += value;
    if (value)
        wait_queue_wake(&e->queue, POLLIN | POLLRDNORM);
    return (s64)x->done;
}

static u32 eventfd_poll(struct file *f)
{
    const struct eventfd *e = eventfd_of(f);
    return (e->count ? POLLIN | POLLRDNORM : 0) |
           (e->count < EVENTFD_MOST ? POLLOUT | POLLWRNORM : 0);
}

static struct wait_queue *eventfd_queue(struct file *f)
{
    return &eventfd_of(f)->queue;
}

static void eventfd_attributes(struct file *f, struct file_attributes *to)
{
    *to = (struct file_attributes){
        .number = f->number, .mode = 0600, .links = 1, .block_bytes = PAGE_BYTES};
}

static const struct file_operations file_eventfd = {
    .name = "anon_inode:[eventfd]",
    .bytes = sizeof(struct eventfd),
    .read = eventfd_read,
    .write = eventfd_write,
    .seek_does_nothing = true,
    .attributes = eventfd_attributes,
    .poll = eventfd_poll,
    .queue = eventfd_queue,
};

s64 sys_eventfd2(struct thread *t, u32 count, u32 flags)
{
    if (flags & ~(u32)(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    struct file *f = file_create(&file_eventfd, O_RDWR | (flags & O_NONBLOCK), NULL, NULL);
    if (!f)
        return -ENOMEM;
    struct eventfd *e = eventfd_of(f);
    e->count = count;
    e->semaphore = flags & EFD_SEMAPHORE;
    wait_queue_init(&e->queue);
    return descriptor_install(t->process, f, 0, flags & O_CLOEXEC);
}

s64 sys_eventfd(struct thread *t, u32 count)
{
    return sys_eventfd2(t, count, 0);
}
