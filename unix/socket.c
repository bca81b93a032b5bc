/* Sockets as files, what is common to all families, and the calls that make them.  The rules are in
   unix/socket.h; the calls that need a family to act in socket_call.c, those that move bytes in
   socket_message.c. */
#include "unix/socket.h"
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/socket_list.h"
#include "unix/wait.h"

#define SOCKET_DEVICE 8 /* the device of sockets: one of the numbers without a disk */

struct socket_file {
    struct file file;
    struct socket *socket;
};

/* --- life ------------------------------------------------------------------------------------- */

static struct list sockets = {&sockets, &sockets};

struct list *socket_list(void)
{
    return &sockets;
}

struct socket *socket_create(const struct socket_operations *o, u16 family, u16 type, u32 protocol)
{
    struct socket *s = allocate_zero(general_heap, o->bytes);
    if (!s)
        return NULL;
    s->operations = o;
    s->references = 1;
    s->family = family;
    s->type = type;
    s->protocol = protocol;
    s->send_bytes = s->receive_bytes = SOCKET_BUFFER_BYTES;
    s->low_water = 1;
    wait_queue_init(&s->queue);
    list_push_back(&sockets, &s->link);
    return s;
}

void socket_release(struct socket *s)
{
    assert(s->references);
    if (--s->references)
        return;
    if (s->operations->destroy)
        s->operations->destroy(s);
    list_remove(&s->link);
    deallocate(general_heap, s, s->operations->bytes);
}

void socket_wake(struct socket *s, u32 events)
{
    if (!list_empty(&s->queue.waiters))
        wait_queue_wake(&s->queue, events);
}

struct socket_credentials socket_credentials_of(struct thread *t)
{
    return (struct socket_credentials){t->process->pid, 0, 0};
}

/* --- waiting ---------------------------------------------------------------------------------- */

s64 socket_wait_on(struct socket *s, struct transfer *x, struct wait_queue *q)
{
    u64 timeout = x->writing ? s->send_timeout_ns : s->receive_timeout_ns;
    if (x->flags & O_NONBLOCK)
        return transfer_stop(x, -EAGAIN);
    if (timeout && !x->deadline_ns)
        x->deadline_ns = clock_monotonic_ns() + timeout;
    return transfer_wait_on(x, q);
}

s64 socket_wait(struct socket *s, struct transfer *x)
{
    return socket_wait_on(s, x, &s->queue);
}

u64 socket_low_water(const struct socket *s, const struct transfer *x)
{
    u64 all = x->done + x->left;
    if (socket_flags(x) & MSG_WAITALL)
        return all;
    return max(min((u64)s->low_water, all), 1ull);
}

s64 socket_broken(struct transfer *x)
{
    if (!x->done && !(socket_flags(x) & MSG_NOSIGNAL))
        signal_raise(x->thread, SIGNAL_PIPE);
    return transfer_stop(x, -EPIPE);
}

/* --- whole datagrams -------------------------------------------------------------------------- */

void transfer_mark(const struct transfer *x, struct transfer_mark *m)
{
    *m = (struct transfer_mark){x->position, x->done,         x->left, x->at,
                                x->chunk,    x->vectors_left, x->next};
}

void transfer_return_to(struct transfer *x, const struct transfer_mark *m)
{
    x->position = m->position;
    x->done = m->done;
    x->left = m->left;
    x->at = m->at;
    x->chunk = m->chunk;
    x->vectors_left = m->vectors_left;
    x->next = m->next;
}

s64 socket_copy_in(struct transfer *x, void *to, u64 bytes)
{
    struct transfer_mark before;
    u64 copied;
    transfer_mark(x, &before);
    s64 r = transfer_in(x, to, bytes, &copied);
    if (r)
        transfer_return_to(x, &before);
    return r;
}

s64 socket_copy_out(struct transfer *x, const void *from, u64 bytes)
{
    struct transfer_mark before;
    u64 copied;
    transfer_mark(x, &before);
    s64 r = transfer_out(x, from, bytes, &copied);
    if (r)
        transfer_return_to(x, &before);
    return r;
}

/* --- the file --------------------------------------------------------------------------------- */

static s64 socket_file_read(struct file *f, struct transfer *x)
{
    struct socket *s = container_of(f, struct socket_file, file)->socket;
    if (!x->message && !x->left && !x->done)
        return 0;
    return s->operations->receive(s, x);
}

static s64 socket_file_write(struct file *f, struct transfer *x)
{
    struct socket *s = container_of(f, struct socket_file, file)->socket;
    return s->operations->send(s, x);
}

static void socket_file_attributes(struct file *f, struct file_attributes *to)
{
    *to = (struct file_attributes){.device = SOCKET_DEVICE,
                                   .number = f->number,
                                   .mode = S_IFSOCK | 0777,
                                   .links = 1,
                                   .block_bytes = PAGE_BYTES};
}

static u32 socket_file_poll(struct file *f)
{
    struct socket *s = container_of(f, struct socket_file, file)->socket;
    return s->operations->poll(s);
}

static struct wait_queue *socket_file_queue(struct file *f)
{
    return &container_of(f, struct socket_file, file)->socket->queue;
}

static s64 socket_number_out(struct thread *t, s64 (*number)(struct socket *s), struct socket *s,
                             u64 argument)
{
    s64 r = number ? number(s) : -ENOTTY;
    return r < 0 ? r : ioctl_number_out(t, argument, (s32)min(r, 0x7fffffffll));
}

static s64 socket_file_ioctl(struct thread *t, struct file *f, u32 request, u64 argument)
{
    struct socket *s = container_of(f, struct socket_file, file)->socket;
    switch (request) {
    case FIONREAD:
        return socket_number_out(t, s->operations->received, s, argument);
    case SIOCOUTQ:
        return socket_number_out(t, s->operations->unsent, s, argument);
    }
    return socket_interface_ioctl(t, request, argument);
}

static void socket_file_close(struct file *f)
{
    struct socket *s = container_of(f, struct socket_file, file)->socket;
    if (!s)
        return;
    s->file = NULL;
    s->operations->close(s);
    socket_wake(s, POLLHUP);
    socket_release(s);
}

static const struct file_operations file_socket = {
    .name = "socket",
    .bytes = sizeof(struct socket_file),
    .read = socket_file_read,
    .write = socket_file_write,
    .attributes = socket_file_attributes,
    .poll = socket_file_poll,
    .queue = socket_file_queue,
    .ioctl = socket_file_ioctl,
    .close = socket_file_close,
};

struct file *socket_file_create(struct socket *s, u32 flags)
{
    struct file *f = file_create(&file_socket, O_RDWR | (flags & O_NONBLOCK), NULL, NULL);
    if (!f) {
        s->operations->close(s);
        socket_release(s);
        return NULL;
    }
    container_of(f, struct socket_file, file)->socket = s;
    s->number = f->number;
    s->file = f;
    return f;
}

struct socket *socket_of(struct file *f)
{
    return f->operations == &file_socket ? container_of(f, struct socket_file, file)->socket : NULL;
}

s64 socket_get(struct thread *t, s32 fd, struct file **f, struct socket **s)
{
    *f = descriptor_get(t->process, fd);
    if (!*f)
        return -EBADF;
    *s = socket_of(*f);
    return *s ? 0 : -ENOTSOCK;
}

/* --- socket and socketpair -------------------------------------------------------------------- */

static s64 socket_type_check(s32 type)
{
    u32 flags = (u32)type & ~(u32)SOCK_TYPE_MASK;
    return flags & ~(u32)(SOCK_CLOEXEC | SOCK_NONBLOCK) ? -EINVAL : 0;
}

static s64 socket_family_check(s32 family, u32 type)
{
    if (family < 0 || family >= AF_MOST)
        return -EAFNOSUPPORT;
    return type > SOCK_PACKET ? -EINVAL : 0;
}

static s64 socket_make(s32 family, u32 type, u32 protocol, struct socket **s)
{
    switch (family) {
    case AF_UNIX:
        return socket_unix_create(type, protocol, s);
    case AF_INET:
    case AF_INET6:
        return socket_inet_create((u16)family, type, protocol, s);
    case AF_NETLINK:
        return socket_netlink_create(type, protocol, s);
    }
    return -EAFNOSUPPORT;
}

s64 sys_socket(struct thread *t, s32 family, s32 type, s32 protocol)
{
    struct socket *s;
    s64 r = socket_type_check(type);
    if (!r)
        r = socket_family_check(family, (u32)type & SOCK_TYPE_MASK);
    if (!r)
        r = socket_make(family, (u32)type & SOCK_TYPE_MASK, (u32)protocol, &s);
    if (r)
        return r;
    struct file *f = socket_file_create(s, (u32)type);
    return f ? descriptor_install(t->process, f, 0, type & SOCK_CLOEXEC) : -ENFILE;
}

/* Both sockets of the family get their files, or neither. */
static s64 pair_files(struct socket *pair[2], u32 flags, struct file *files[2])
{
    files[0] = socket_file_create(pair[0], flags);
    files[1] = socket_file_create(pair[1], flags);
    if (files[0] && files[1])
        return 0;
    for (u32 i = 0; i < 2; i++)
        if (files[i])
            file_release(files[i]);
    return -ENFILE;
}

static s64 pair_install(struct thread *t, struct file *files[2], bool close_on_exec, s32 fds[2])
{
    s64 r = descriptor_install(t->process, files[0], 0, close_on_exec);
    if (r < 0) {
        file_release(files[1]);
        return r;
    }
    fds[0] = (s32)r;
    r = descriptor_install(t->process, files[1], 0, close_on_exec);
    if (r < 0)
        descriptor_close(t->process, fds[0]);
    fds[1] = (s32)r;
    return r < 0 ? r : 0;
}

s64 sys_socketpair(struct thread *t, s32 family, s32 type, s32 protocol, u64 pair)
{
    struct socket *ends[2];
    struct file *files[2];
    s32 fds[2];
    s64 r = socket_type_check(type);
    if (!r)
        r = user_prepare(t, pair, sizeof(fds), USER_WRITE);
    if (!r)
        r = socket_family_check(family, (u32)type & SOCK_TYPE_MASK);
    if (!r && family != AF_UNIX)
        r = family == AF_INET || family == AF_INET6 ? -EOPNOTSUPP : -EAFNOSUPPORT;
    if (!r)
        r = socket_unix_pair(t, (u32)type & SOCK_TYPE_MASK, (u32)protocol, ends);
    if (!r)
        r = pair_files(ends, (u32)type, files);
    if (!r)
        r = pair_install(t, files, type & SOCK_CLOEXEC, fds);
    if (r)
        return r;
    if (!copy_out(pair, fds, sizeof(fds)))
        return 0;
    descriptor_close(t->process, fds[0]);
    descriptor_close(t->process, fds[1]);
    return -EFAULT;
}
