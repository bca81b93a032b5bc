/* The descriptor table: unix/descriptor.h has the rules.  And the system calls that are about
   descriptors alone: close, dup, fcntl. */
#include "unix/descriptor.h"
#include "kernel/machine.h"
#include "kernel/user_copy.h"
#include "unix/socket.h"
#include "unix/virtual.h"

#define DESCRIPTORS_FIRST    64 /* entries of a new table */
#define DESCRIPTORS_MOST     (1u << 20)
#define DESCRIPTORS_OF_LINUX 1024

/* --- the table -------------------------------------------------------------------------------- */

/* Linux begins with 1,024, since programs that use select cannot do with more; who wants more
   raises it, and a program that does not is started by a shell that does: the boot option. */
static u64 descriptors_allowed(void)
{
    u64 asked = boot_option_number("open_files");
    return asked ? min(asked, (u64)DESCRIPTORS_MOST) : DESCRIPTORS_OF_LINUX;
}

static void limits_init(struct fd_table *files)
{
    for (u32 i = 0; i < LIMITS; i++)
        files->limits[i] = (struct limit){LIMIT_NONE, LIMIT_NONE};
    files->limits[LIMIT_STACK].soft = 8 * MiB;
    files->limits[LIMIT_NOFILE] = (struct limit){descriptors_allowed(), DESCRIPTORS_MOST};
    files->limits[4] = (struct limit){0, LIMIT_NONE};    /* RLIMIT_CORE */
    files->limits[6] = (struct limit){1024, 1024};       /* RLIMIT_NPROC */
    files->limits[8] = (struct limit){8 * MiB, 8 * MiB}; /* RLIMIT_MEMLOCK */
    files->limits[11] = (struct limit){1024, 1024};      /* RLIMIT_SIGPENDING */
    files->limits[12] = (struct limit){819200, 819200};  /* RLIMIT_MSGQUEUE */
    files->limits[13] = (struct limit){0, 0};            /* RLIMIT_NICE */
    files->limits[14] = (struct limit){0, 0};            /* RLIMIT_RTPRIO */
}

static s64 table_grow(struct fd_table *files, u32 least)
{
    u32 capacity = max(files->capacity * 2, (u32)DESCRIPTORS_FIRST);
    while (capacity <= least)
        capacity *= 2;
    struct descriptor *grown = allocate_zero(general_heap, capacity * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    if (files->capacity)
        memcpy(grown, files->entries, files->capacity * sizeof(*grown));
    deallocate(general_heap, files->entries, files->capacity * sizeof(*grown));
    files->entries = grown;
    files->capacity = capacity;
    return 0;
}

s64 files_create(struct process *p)
{
    struct fd_table *files = allocate_zero(general_heap, sizeof(*files));
    if (!files)
        return -ENOMEM;
    p->files = files;
    p->umask = 022;
    limits_init(files);
    file_locks_init(&files->locks, general_heap);
    s64 r = table_grow(files, DESCRIPTORS_FIRST - 1);
    for (u32 stream = 0; stream < 3 && !r; stream++) {
        struct file *f = console_file_create(stream, stream ? O_WRONLY : O_RDONLY);
        s64 fd = f ? descriptor_install(p, f, 0, false) : -ENOMEM;
        r = fd < 0 ? fd : 0;
    }
    if (r)
        files_destroy(p);
    return r;
}

void files_destroy(struct process *p)
{
    struct fd_table *files = p->files;
    if (!files)
        return;
    for (u32 fd = 0; fd < files->capacity; fd++)
        if (files->entries[fd].file)
            descriptor_close(p, (s32)fd);
    deallocate(general_heap, files->entries, files->capacity * sizeof(*files->entries));
    file_locks_destroy(&files->locks);
    if (files->cwd_above)
        inode_release(files->cwd_above);
    p->files = NULL;
    deallocate(general_heap, files, sizeof(*files));
}

u32 files_close_sockets(struct process *p)
{
    u32 closed = 0;
    for (u32 fd = 0; fd < p->files->capacity; fd++) {
        struct file *f = p->files->entries[fd].file;
        if (f && socket_of(f)) {
            descriptor_close(p, (s32)fd);
            closed++;
        }
    }
    return closed;
}

static u32 descriptor_free(const struct fd_table *files, u32 lowest)
{
    u32 fd = max(lowest, files->lowest);
    while (fd < files->capacity && files->entries[fd].file)
        fd++;
    return fd;
}

s64 descriptor_room(struct process *p)
{
    return descriptor_free(p->files, 0) < p->files->limits[LIMIT_NOFILE].soft ? 0 : -EMFILE;
}

s64 descriptor_install(struct process *p, struct file *f, u32 lowest, bool close_on_exec)
{
    struct fd_table *files = p->files;
    u64 limit = files->limits[LIMIT_NOFILE].soft;
    u32 fd = descriptor_free(files, lowest);
    s64 r = fd >= limit ? -EMFILE : fd >= files->capacity ? table_grow(files, fd) : 0;
    if (r) {
        file_release(f);
        return r;
    }
    if (lowest <= files->lowest)
        files->lowest = fd + 1;
    files->entries[fd] = (struct descriptor){f, close_on_exec};
    return fd;
}

s64 descriptor_replace(struct process *p, u32 fd, struct file *f, bool close_on_exec)
{
    struct fd_table *files = p->files;
    s64 r = fd >= files->limits[LIMIT_NOFILE].soft ? -EBADF : 0;
    if (!r && fd >= files->capacity)
        r = table_grow(files, fd);
    if (r) {
        file_release(f);
        return r;
    }
    descriptor_close(p, (s32)fd);
    if (fd == files->lowest)
        files->lowest = fd + 1;
    files->entries[fd] = (struct descriptor){f, close_on_exec};
    return fd;
}

s64 descriptor_close(struct process *p, s32 fd)
{
    struct file *f = descriptor_file(p, fd);
    if (!f)
        return -EBADF;
    p->files->entries[fd] = (struct descriptor){NULL, false};
    p->files->lowest = min(p->files->lowest, (u32)fd);
    if (f->node.inode && p->files->locks.count)
        file_lock_forget(&p->files->locks, f->node.inode, p);
    if (f->references == 1 && f->node.inode && p->files->locks.count)
        file_lock_forget(&p->files->locks, f->node.inode, f);
    file_release(f);
    return 0;
}

/* --- close and dup ---------------------------------------------------------------------------- */

s64 sys_close(struct thread *t, s32 fd)
{
    struct file *f = descriptor_file(t->process, fd);
    if (f && unlikely(socket_lingers(f)))
        return socket_linger(t, fd, f);
    return descriptor_close(t->process, fd);
}

#define CLOSE_RANGE_UNSHARE 2
#define CLOSE_RANGE_CLOEXEC 4

s64 sys_close_range(struct thread *t, u32 first, u32 last, u32 flags)
{
    if (flags & ~(u32)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
        return -EINVAL;
    struct fd_table *files = t->process->files;
    for (u32 fd = first; fd < files->capacity && fd <= last; fd++) {
        if (!files->entries[fd].file)
            continue;
        if (flags & CLOSE_RANGE_CLOEXEC)
            files->entries[fd].close_on_exec = true;
        else
            descriptor_close(t->process, (s32)fd);
    }
    return 0;
}

static s64 descriptor_copy(struct thread *t, s32 fd, u32 lowest, bool close_on_exec)
{
    struct file *f = descriptor_file(t->process, fd);
    if (!f)
        return -EBADF;
    file_hold(f);
    return descriptor_install(t->process, f, lowest, close_on_exec);
}

s64 sys_dup(struct thread *t, s32 fd)
{
    return descriptor_copy(t, fd, 0, false);
}

s64 sys_dup3(struct thread *t, s32 from, s32 to, u32 flags)
{
    if (flags & ~(u32)O_CLOEXEC || from == to)
        return -EINVAL;
    if ((u32)to >= t->process->files->limits[LIMIT_NOFILE].soft)
        return -EBADF;
    struct file *f = descriptor_file(t->process, from);
    if (!f)
        return -EBADF;
    file_hold(f);
    return descriptor_replace(t->process, (u32)to, f, flags & O_CLOEXEC);
}

s64 sys_dup2(struct thread *t, s32 from, s32 to)
{
    if (from == to)
        return descriptor_file(t->process, from) ? from : -EBADF;
    return sys_dup3(t, from, to, 0);
}

/* --- fcntl ------------------------------------------------------------------------------------ */

#define FLAGS_SETTABLE (O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME)

static s64 flags_set(struct file *f, u32 flags)
{
    if (flags & O_DIRECT && f->operations != &file_regular)
        return -EINVAL;
    if (flags & O_ASYNC)
        return -EINVAL; /* SIGIO is not sent; better refused than silent */
    f->flags = (f->flags & ~(u32)FLAGS_SETTABLE) | (flags & FLAGS_SETTABLE);
    return 0;
}

static s64 descriptor_flags(struct thread *t, s32 fd, u32 command, u64 argument)
{
    struct descriptor *d = &t->process->files->entries[fd];
    if (command == F_GETFD)
        return d->close_on_exec ? FD_CLOEXEC : 0;
    d->close_on_exec = argument & FD_CLOEXEC;
    return 0;
}

s64 sys_fcntl(struct thread *t, s32 fd, u32 command, u64 argument)
{
    struct file *f = descriptor_file(t->process, fd);
    if (!f)
        return -EBADF;
    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if (argument >= t->process->files->limits[LIMIT_NOFILE].soft)
            return -EINVAL;
        return descriptor_copy(t, fd, (u32)argument, command == F_DUPFD_CLOEXEC);
    case F_GETFD:
    case F_SETFD:
        return descriptor_flags(t, fd, command, argument);
    case F_GETFL:
        return f->flags & ~(u32)O_CLOEXEC;
    }
    if (f->flags & O_PATH)
        return -EBADF;
    switch (command) {
    case F_SETFL:
        return flags_set(f, (u32)argument);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return file_lock_control(t, f, command, argument);
    case F_GETPIPE_SZ:
    case F_SETPIPE_SZ:
        return pipe_control(f, command, argument);
    case F_GETOWN:
        return 0;
    }
    return -EINVAL;
}
