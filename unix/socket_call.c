/* The calls that name a socket or its other side: bind, listen, accept, connect, getsockname,
   getpeername, shutdown.  accept and connect may wait, as a whole: the attempt is made again until
   it says something else than SYSCALL_LATER. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/socket.h"
#include "unix/wait.h"

/* --- a call that waits ------------------------------------------------------------------------ */

static s64 socket_call_wait(struct socket_call *c);

static void socket_call_end(struct socket_call *c, s64 result)
{
    struct thread *t = c->thread;
    bool lingers = c->lingers;
    if (c->holding)
        file_release(c->file);
    syscall_return(t, lingers ? 0 : result);
}

static void socket_call_go_on(struct socket_call *c)
{
    thread_activate(c->thread);
    s64 r = c->attempt(c);
    if (r == SYSCALL_LATER)
        r = socket_call_wait(c);
    if (r != SYSCALL_LATER)
        socket_call_end(c, r);
}

closure_method(status_handler, socket_call_waited, struct socket_call, waited, status s)
{
    struct socket_call *c = owner();
    if (is_ok(s))
        socket_call_go_on(c);
    else
        socket_call_end(c, status_errno(s) == ETIMEDOUT ? c->error : -EINTR);
}

/* Deferred, for the waker is in the middle of a call of its own. */
closure_method(wake_handler, socket_call_woken, struct socket_call, woken, struct waiter *w)
{
    (void)w;
    run_later_status(owner()->landed, STATUS_OK);
}

closure_method(cancel_handler, socket_call_cancel, struct socket_call, cancel, status why)
{
    struct socket_call *c = owner();
    if (waiter_waits(&c->waiter)) {
        waiter_remove(&c->waiter);
        run_later_status(c->landed, why);
    }
}

static s64 socket_call_wait(struct socket_call *c)
{
    init_method(&c->woken, socket_call_woken);
    init_method(&c->cancel, socket_call_cancel);
    init_method(&c->waited, socket_call_waited);
    if (c->timeout_ns && !c->deadline_ns)
        c->deadline_ns = clock_monotonic_ns() + c->timeout_ns;
    c->landed = thread_wait(c->thread, &c->cancel, c->deadline_ns, &c->waited);
    if (!c->landed)
        return -EINTR;
    if (!c->holding)
        file_hold(c->file);
    c->holding = true;
    c->waiter = (struct waiter){.wake = &c->woken, .events = c->events};
    wait_queue_add(c->queue, &c->waiter);
    thread_wait_started(c->thread);
    return SYSCALL_LATER;
}

s64 socket_call_attempt(struct socket_call *c)
{
    s64 r = c->attempt(c);
    if (r != SYSCALL_LATER)
        return r;
    return c->nonblocking ? c->error : socket_call_wait(c);
}

static void socket_call_init(struct socket_call *c, struct thread *t, struct file *f)
{
    c->thread = t;
    c->file = f;
    c->socket = socket_of(f);
    c->nonblocking = f->flags & O_NONBLOCK;
    c->holding = false;
    c->begun = c->lingers = false;
    c->deadline_ns = 0;
    c->queue = &c->socket->queue;
}

/* --- addresses -------------------------------------------------------------------------------- */

s64 socket_address_in(struct thread *t, u64 address, s64 bytes, struct socket_address *to)
{
    to->bytes = 0;
    if (bytes < 0 || bytes > SOCKET_ADDRESS_BYTES)
        return -EINVAL;
    memset(to->data, 0, sizeof(to->data));
    if (!bytes)
        return 0;
    s64 r = user_prepare(t, address, (u64)bytes, USER_READ);
    if (r)
        return r;
    to->bytes = (u32)bytes;
    return copy_in(to->data, address, (u64)bytes) ? -EFAULT : 0;
}

s64 socket_address_prepare(struct thread *t, u64 address, u64 length)
{
    s32 room;
    if (!address)
        return 0;
    s64 r = user_prepare(t, length, sizeof(room), USER_WRITE);
    if (r)
        return r;
    if (copy_in(&room, length, sizeof(room)))
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    u64 bytes = min((u64)room, (u64)SOCKET_ADDRESS_BYTES);
    return bytes ? user_prepare(t, address, bytes, USER_WRITE) : 0;
}

s64 socket_address_out(const struct socket_address *a, u64 address, u64 length)
{
    s32 room;
    if (!address)
        return 0;
    if (copy_in(&room, length, sizeof(room)))
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    u64 bytes = min((u64)room, (u64)a->bytes);
    if (bytes && copy_out(address, a->data, bytes))
        return -EFAULT;
    return copy_out(length, &a->bytes, sizeof(a->bytes)) ? -EFAULT : 0;
}

/* --- bind, listen, shutdown ------------------------------------------------------------------- */

s64 sys_bind(struct thread *t, s32 fd, u64 address, s32 bytes)
{
    struct file *f;
    struct socket *s;
    struct socket_address a;
    s64 r = socket_get(t, fd, &f, &s);
    if (!r)
        r = socket_address_in(t, address, bytes, &a);
    if (!r)
        r = s->operations->bind ? s->operations->bind(t, s, &a) : -EOPNOTSUPP;
    return r;
}

s64 sys_listen(struct thread *t, s32 fd, s32 backlog)
{
    struct file *f;
    struct socket *s;
    s64 r = socket_get(t, fd, &f, &s);
    if (r)
        return r;
    if (!s->operations->listen)
        return -EOPNOTSUPP;
    return s->operations->listen(t, s, min((u32)backlog, (u32)SOMAXCONN));
}

s64 sys_shutdown(struct thread *t, s32 fd, s32 how)
{
    struct file *f;
    struct socket *s;
    s64 r = socket_get(t, fd, &f, &s);
    if (r)
        return r;
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    if (!s->operations->shutdown)
        return -EOPNOTSUPP;
    return s->operations->shutdown(s, how != SHUT_WR, how != SHUT_RD);
}

/* --- getsockname and getpeername -------------------------------------------------------------- */

static s64 socket_name(struct thread *t, s32 fd, bool remote, u64 address, u64 length)
{
    struct file *f;
    struct socket *s;
    struct socket_address a = {.bytes = 0};
    s64 r = socket_get(t, fd, &f, &s);
    if (!r)
        r = s->operations->address ? s->operations->address(s, remote, &a) : -EOPNOTSUPP;
    if (!r)
        r = address ? socket_address_prepare(t, address, length) : -EFAULT;
    return r ? r : socket_address_out(&a, address, length);
}

s64 sys_getsockname(struct thread *t, s32 fd, u64 address, u64 length)
{
    return socket_name(t, fd, false, address, length);
}

s64 sys_getpeername(struct thread *t, s32 fd, u64 address, u64 length)
{
    return socket_name(t, fd, true, address, length);
}

/* --- connect ---------------------------------------------------------------------------------- */

s64 sys_connect(struct thread *t, s32 fd, u64 address, s32 bytes)
{
    struct socket_call *c = thread_operation(t, struct socket_call);
    struct file *f;
    struct socket *s;
    s64 r = socket_get(t, fd, &f, &s);
    if (!r)
        r = socket_address_in(t, address, bytes, &c->address);
    if (r)
        return r;
    if (!s->operations->connect)
        return -EOPNOTSUPP;
    socket_call_init(c, t, f);
    c->attempt = s->operations->connect;
    c->events = POLLOUT | POLLIN;
    c->error = -EINPROGRESS;
    c->timeout_ns = s->send_timeout_ns;
    return socket_call_attempt(c);
}

/* --- accept ----------------------------------------------------------------------------------- */

/* The connection becomes a descriptor, or is closed. */
static s64 accept_install(struct socket_call *c, struct socket *accepted)
{
    struct thread *t = c->thread;
    struct socket_address a = {.bytes = 0};
    s64 r = c->user_address ? accepted->operations->address(accepted, true, &a) : 0;
    struct file *f = socket_file_create(accepted, c->flags & SOCK_NONBLOCK);
    if (!f)
        return -ENFILE;
    if (r)
        r = -ECONNABORTED;
    else
        r = socket_address_out(&a, c->user_address, c->user_length);
    if (r) {
        file_release(f);
        return r;
    }
    return descriptor_install(t->process, f, 0, c->flags & SOCK_CLOEXEC);
}

static s64 accept_attempt(struct socket_call *c)
{
    struct socket *accepted;
    s64 r = descriptor_room(c->thread->process);
    if (!r)
        r = c->socket->operations->accept(c->socket, &accepted);
    if (r == -EAGAIN)
        return SYSCALL_LATER;
    return r ? r : accept_install(c, accepted);
}

s64 sys_accept4(struct thread *t, s32 fd, u64 address, u64 length, s32 flags)
{
    struct socket_call *c = thread_operation(t, struct socket_call);
    struct file *f;
    struct socket *s;
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    s64 r = socket_get(t, fd, &f, &s);
    if (!r && !s->operations->accept)
        r = -EOPNOTSUPP;
    if (!r)
        r = socket_address_prepare(t, address, length);
    if (r && r != -EFAULT) /* which costs the connection, when there is one */
        return r;
    socket_call_init(c, t, f);
    c->attempt = accept_attempt;
    c->events = POLLIN;
    c->error = -EAGAIN;
    c->timeout_ns = s->receive_timeout_ns;
    c->user_address = address;
    c->user_length = length;
    c->flags = (u32)flags;
    return socket_call_attempt(c);
}

s64 sys_accept(struct thread *t, s32 fd, u64 address, u64 length)
{
    return sys_accept4(t, fd, address, length, 0);
}

/* --- closing ---------------------------------------------------------------------------------- */

bool socket_lingers(struct file *f)
{
    struct socket *s = socket_of(f);
    return s && s->linger && s->linger_seconds && s->operations->drained && f->references == 1;
}

static s64 linger_attempt(struct socket_call *c)
{
    return c->socket->operations->drained(c->socket) ? 0 : SYSCALL_LATER;
}

s64 socket_linger(struct thread *t, s32 fd, struct file *f)
{
    struct socket_call *c = thread_operation(t, struct socket_call);
    socket_call_init(c, t, f);
    file_hold(f);
    c->holding = true;
    descriptor_close(t->process, fd);
    /* What nobody will read ends the connection at once, as closing it says. */
    bool unread = c->socket->operations->received(c->socket) > 0;
    if (unread || c->socket->operations->shutdown(c->socket, false, true)) {
        file_release(f);
        return 0;
    }
    c->attempt = linger_attempt;
    c->events = POLLOUT;
    c->error = 0;
    c->nonblocking = false;
    c->lingers = true;
    c->timeout_ns = c->socket->linger_seconds * NS_PER_SECOND;
    s64 r = socket_call_attempt(c);
    if (r == SYSCALL_LATER)
        return r;
    file_release(f);
    return 0;
}
