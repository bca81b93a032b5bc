/* read, write and their relatives: from a descriptor and a program's buffers to a transfer. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"

static inline bool user_range_ok(u64 address, u64 bytes)
{
    return address <= USER_END && bytes <= USER_END - address;
}

/* One buffer.  The struct is the thread's operation, so that a wait finds it there. */
static inline s64 transfer_flat(struct transfer *x, u64 address, u64 bytes)
{
    if (unlikely(!user_range_ok(address, bytes)))
        return -EFAULT;
    x->at = address;
    x->left = x->chunk = min(bytes, (u64)LINUX_IO_MOST);
    return transfer_try(x);
}

/* The thread's transfer, begun; NULL, and -errno in *error.  An offset below 0 is the file's own
   position. */
static inline struct transfer *transfer_open(struct thread *t, s32 fd, bool writing, s64 offset,
                                             s64 *error)
{
    struct file *f = descriptor_get(t->process, fd);
    *error = -EBADF;
    if (unlikely(!f))
        return NULL;
    *error = -ESPIPE;
    if (offset >= 0 && unlikely(!f->operations->positioned))
        return NULL;
    *error = -EBADF;
    if (unlikely(writing ? !file_writable(f) : !file_readable(f)))
        return NULL;
    *error = -EINVAL;
    if (unlikely(writing ? !f->operations->write : !f->operations->read))
        return NULL;
    struct transfer *x = thread_operation(t, struct transfer);
    transfer_init(x, t, f);
    x->writing = writing;
    if (offset >= 0) {
        x->keep_position = true;
        x->position = (u64)offset;
    }
    return x;
}

#define OWN_POSITION (-1)

s64 sys_read(struct thread *t, s32 fd, u64 buffer, u64 bytes)
{
    s64 error;
    struct transfer *x = transfer_open(t, fd, false, OWN_POSITION, &error);
    return likely(x != NULL) ? transfer_flat(x, buffer, bytes) : error;
}

s64 sys_write(struct thread *t, s32 fd, u64 buffer, u64 bytes)
{
    s64 error;
    struct transfer *x = transfer_open(t, fd, true, OWN_POSITION, &error);
    return likely(x != NULL) ? transfer_flat(x, buffer, bytes) : error;
}

s64 sys_pread64(struct thread *t, s32 fd, u64 buffer, u64 bytes, s64 offset)
{
    s64 error;
    if (offset < 0)
        return -EINVAL;
    struct transfer *x = transfer_open(t, fd, false, offset, &error);
    return likely(x != NULL) ? transfer_flat(x, buffer, bytes) : error;
}

s64 sys_pwrite64(struct thread *t, s32 fd, u64 buffer, u64 bytes, s64 offset)
{
    s64 error;
    if (offset < 0)
        return -EINVAL;
    struct transfer *x = transfer_open(t, fd, true, offset, &error);
    return likely(x != NULL) ? transfer_flat(x, buffer, bytes) : error;
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

s64 transfer_vectors_get(struct transfer *x, u64 vectors, u64 count)
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
        x->owes |= OWES_VECTORS;
    }
    r = copy_in(x->vectors, vectors, bytes) ? -EFAULT : vectors_check(x, count);
    if (r) {
        if (x->owes & OWES_VECTORS)
            deallocate(general_heap, x->vectors, bytes);
        x->owes &= (u8)~OWES_VECTORS;
        return r;
    }
    x->next = x->vectors;
    x->vectors_left = (u32)count;
    x->chunk = 0;
    transfer_next_vector(x);
    return 0;
}

static s64 transfer_vectors(struct transfer *x, u64 vectors, u64 count)
{
    s64 r = transfer_vectors_get(x, vectors, count);
    return r ? r : transfer_attempt(x);
}

s64 sys_readv(struct thread *t, s32 fd, u64 vectors, u64 count)
{
    s64 error;
    struct transfer *x = transfer_open(t, fd, false, OWN_POSITION, &error);
    return x ? transfer_vectors(x, vectors, count) : error;
}

s64 sys_writev(struct thread *t, s32 fd, u64 vectors, u64 count)
{
    s64 error;
    struct transfer *x = transfer_open(t, fd, true, OWN_POSITION, &error);
    return x ? transfer_vectors(x, vectors, count) : error;
}

#define RWF_HIPRI  1
#define RWF_DSYNC  2
#define RWF_SYNC   4
#define RWF_NOWAIT 8
#define RWF_APPEND 16

#define RWF_SERVED (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND)

/* preadv and pwritev with their flags; offset -1 of the second forms is the file's own position. */

s64 sys_preadv2(struct thread *t, s32 fd, u64 vectors, u64 count, s64 offset, u64 high, u32 flags)
{
    (void)high; /* the offset's upper half is in its lower one on 64-bit machines */
    s64 r = -EINVAL;
    struct transfer *x = offset < OWN_POSITION ? NULL : transfer_open(t, fd, false, offset, &r);
    if (x && flags & ~(u32)RWF_SERVED)
        return -EOPNOTSUPP;
    return x ? transfer_vectors(x, vectors, count) : r;
}

s64 sys_pwritev2(struct thread *t, s32 fd, u64 vectors, u64 count, s64 offset, u64 high, u32 flags)
{
    (void)high;
    s64 r = -EINVAL;
    struct transfer *x = offset < OWN_POSITION ? NULL : transfer_open(t, fd, true, offset, &r);
    if (!x)
        return r;
    if (flags & ~(u32)RWF_SERVED)
        return -EOPNOTSUPP;
    x->flags |= (flags & RWF_APPEND ? (u32)O_APPEND : 0) | (flags & RWF_DSYNC ? (u32)O_DSYNC : 0) |
                (flags & RWF_SYNC ? (u32)O_SYNC : 0);
    return transfer_vectors(x, vectors, count);
}

s64 sys_preadv(struct thread *t, s32 fd, u64 vectors, u64 count, s64 offset, u64 high)
{
    return offset < 0 ? -EINVAL : sys_preadv2(t, fd, vectors, count, offset, high, 0);
}

s64 sys_pwritev(struct thread *t, s32 fd, u64 vectors, u64 count, s64 offset, u64 high)
{
    return offset < 0 ? -EINVAL : sys_pwritev2(t, fd, vectors, count, offset, high, 0);
}
