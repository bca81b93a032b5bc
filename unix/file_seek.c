/* lseek, ioctl, and the calls that advise about or look at open files without moving bytes. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/virtual.h"

/* Of what has no holes of its own (a directory), all is data. */
static s64 seek_sparse(struct file *f, s64 offset, u32 whence)
{
    struct inode *i = f->node.inode;
    u64 size = i ? inode_bytes(i) : 0, found = 0;
    if (offset < 0 || (u64)offset >= size)
        return -ENXIO;
    if (f->operations != &file_regular)
        return whence == SEEK_DATA ? offset : (s64)size;
    status s = whence == SEEK_DATA ? file_seek_data(i, (u64)offset, &found)
                                   : file_seek_hole(i, (u64)offset, &found);
    return is_ok(s) ? (s64)found : syscall_status(s);
}

static s64 seek_target(struct file *f, s64 offset, u32 whence)
{
    s64 size = f->node.inode ? (s64)inode_bytes(f->node.inode) : 0;
    switch (whence) {
    case SEEK_SET:
        return offset;
    case SEEK_CUR:
        return (s64)((u64)f->position + (u64)offset);
    case SEEK_END:
        return (s64)((u64)size + (u64)offset);
    default:
        return seek_sparse(f, offset, whence);
    }
}

s64 sys_lseek(struct thread *t, s32 fd, s64 offset, u32 whence)
{
    struct file *f = descriptor_get(t->process, fd);
    if (!f)
        return -EBADF;
    if (whence > SEEK_HOLE)
        return -EINVAL;
    if (!f->operations->positioned)
        return f->operations->seek_does_nothing ? 0 : -ESPIPE;
    s64 target = seek_target(f, offset, whence);
    if (target < 0)
        return whence >= SEEK_DATA ? target : -EINVAL;
    /* Devices have no length: their position stays at 0, as /dev/null's does. */
    if (node_type(&f->node) == S_IFCHR)
        return 0;
    f->position = (u64)target;
    return target;
}

/* --- ioctl ------------------------------------------------------------------------------------ */

#define FIONBIO  0x5421
#define FIONCLEX 0x5450
#define FIOCLEX  0x5451
#define FIOASYNC 0x5452
#define FIGETBSZ 2

s64 ioctl_number_out(struct thread *t, u64 address, s32 number)
{
    s64 r = user_prepare(t, address, sizeof(number), USER_WRITE);
    if (r)
        return r;
    return copy_out(address, &number, sizeof(number)) ? -EFAULT : 0;
}

static s64 ioctl_nonblocking(struct thread *t, struct file *f, u64 argument)
{
    s32 on;
    s64 r = user_prepare(t, argument, sizeof(on), USER_READ);
    if (r)
        return r;
    if (copy_in(&on, argument, sizeof(on)))
        return -EFAULT;
    f->flags = on ? f->flags | O_NONBLOCK : f->flags & ~(u32)O_NONBLOCK;
    return 0;
}

static s64 ioctl_regular(struct thread *t, struct file *f, u32 request, u64 argument)
{
    switch (request) {
    case FIONREAD:
        return ioctl_number_out(t, argument, (s32)(inode_bytes(f->node.inode) - f->position));
    case FIGETBSZ:
        return ioctl_number_out(t, argument, (s32)PAGE_BYTES);
    }
    return -ENOTTY;
}

s64 sys_ioctl(struct thread *t, s32 fd, u32 request, u64 argument)
{
    struct file *f = descriptor_get(t->process, fd);
    if (!f)
        return -EBADF;
    switch (request) {
    case FIOCLEX:
    case FIONCLEX:
        t->process->files->entries[fd].close_on_exec = request == FIOCLEX;
        return 0;
    case FIONBIO:
        return ioctl_nonblocking(t, f, argument);
    }
    if (f->operations == &file_regular)
        return ioctl_regular(t, f, request, argument);
    return f->operations->ioctl ? f->operations->ioctl(t, f, request, argument) : -ENOTTY;
}

/* --- advice ----------------------------------------------------------------------------------- */

enum { /* linux/fadvise.h */
       FADVISE_WILL_NEED = 3,
       FADVISE_DONT_NEED = 4,
       FADVISE_MOST = 5,
};

/* What else may be advised is left to reading itself, which finds out what is read in order. */
s64 sys_fadvise64(struct thread *t, s32 fd, s64 offset, s64 bytes, u32 advice)
{
    struct file *f = descriptor_get(t->process, fd);
    if (!f)
        return -EBADF;
    if (!f->operations->positioned)
        return -ESPIPE;
    if (bytes < 0 || advice > FADVISE_MOST)
        return -EINVAL;
    if (f->operations != &file_regular || (u64)offset >= inode_bytes(f->node.inode))
        return 0;
    /* 0 bytes: to the end.  A page goes only when all of it, or of the file's end, is named. */
    u64 start = (u64)offset, end = start + (u64)bytes;
    if (bytes == 0 || end < start)
        end = ~0ull;
    u64 last = end < inode_bytes(f->node.inode) ? end >> PAGE_ORDER : ~0ull;
    if (advice == FADVISE_DONT_NEED)
        pages_drop(f->node.inode, align_up(start, PAGE_BYTES) >> PAGE_ORDER, last);
    else if (advice == FADVISE_WILL_NEED)
        file_regular_will_need(f, start >> PAGE_ORDER, (end - start) >> PAGE_ORDER);
    return 0;
}

s64 sys_readahead(struct thread *t, s32 fd, s64 offset, u64 bytes)
{
    struct file *f = descriptor_get(t->process, fd);
    if (!f || !file_readable(f))
        return -EBADF;
    if (f->operations != &file_regular)
        return -EINVAL;
    file_regular_will_need(f, (u64)offset >> PAGE_ORDER, bytes >> PAGE_ORDER);
    return 0;
}
