/* TCP sockets: Linux's surface of the endpoints of kernel/net/tcp.h.  Bytes are copied once in each
   direction, between the program and the endpoint's memory. */
#include "unix/socket_inet.h"

static const struct socket_operations socket_tcp;

#define SEND_PAGES_LEAST 1024 /* bytes; less is cheaper to copy than to keep track of */

#define LINUX_TIME_WAIT 6 /* include/net/tcp_states.h */

closure_method(net_changed, tcp_changed, struct socket_inet, changed, u32 events)
{
    socket_wake(&owner()->socket, socket_inet_events(events));
}

/* --- life ------------------------------------------------------------------------------------- */

static struct socket_inet *tcp_socket(u16 family)
{
    struct socket *s = socket_create(&socket_tcp, family, SOCK_STREAM, IPPROTO_TCP);
    if (!s)
        return NULL;
    struct socket_inet *i = socket_inet_of(s);
    init_method(&i->changed, tcp_changed);
    return i;
}

s64 socket_tcp_create(u16 family, struct socket **s)
{
    struct socket_inet *i = tcp_socket(family);
    if (!i)
        return -ENOBUFS;
    i->tcp = net_tcp_create(socket_net_family(&i->socket), &i->changed);
    if (!i->tcp) {
        socket_release(&i->socket);
        return -ENOBUFS;
    }
    *s = &i->socket;
    return 0;
}

static void tcp_close(struct socket *s)
{
    struct socket_inet *i = socket_inet_of(s);
    struct net_tcp_linger linger = {s->linger, s->linger_seconds * NS_PER_SECOND};
    if (i->tcp)
        net_tcp_close(i->tcp, linger);
    i->tcp = NULL;
}

static bool tcp_drained(struct socket *s)
{
    struct socket_inet *i = socket_inet_of(s);
    return !i->tcp || net_tcp_is_drained(i->tcp);
}

/* Both sides have ended it, in order; only its memory of that is left (TIME-WAIT). */
static bool tcp_is_over(const struct socket_inet *i)
{
    struct net_tcp_details d;
    net_tcp_details(i->tcp, &d);
    return d.state == LINUX_TIME_WAIT;
}

static s64 tcp_shutdown(struct socket *s, bool reading, bool writing)
{
    if (tcp_is_over(socket_inet_of(s)))
        return -ENOTCONN;
    s64 r = syscall_status(net_tcp_shutdown(socket_inet_of(s)->tcp, reading, writing));
    if (!r && reading && s->listening) {
        s->listening = false;
        socket_wake(s, SOCKET_READABLE | SOCKET_WRITABLE | POLLHUP);
    }
    return r;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Any address may also be said with no family at all. */
static void family_complete(const struct socket *s, struct socket_address *a)
{
    static const u8 any[4];
    if (s->family == AF_INET && a->bytes >= 16 && a->family == AF_UNSPEC &&
        !memcmp(a->data + 4, any, sizeof(any)))
        a->family = AF_INET;
}

static s64 tcp_bind(struct thread *t, struct socket *s, const struct socket_address *a)
{
    struct socket_address given = *a;
    struct net_address to;
    (void)t;
    family_complete(s, &given);
    s64 r = socket_inet_address_in(s, &given, &to);
    return r ? r : syscall_status(net_tcp_bind(socket_inet_of(s)->tcp, &to));
}

static s64 tcp_listen(struct thread *t, struct socket *s, u32 backlog)
{
    (void)t;
    s64 r = syscall_status(net_tcp_listen(socket_inet_of(s)->tcp, backlog));
    if (!r)
        s->listening = true;
    return r;
}

static s64 tcp_address(struct socket *s, bool remote, struct socket_address *to)
{
    struct socket_inet *i = socket_inet_of(s);
    struct net_address a;
    if (!remote)
        net_tcp_local_address(i->tcp, &a);
    else if (tcp_is_over(i) || !is_ok(net_tcp_remote_address(i->tcp, &a)))
        return -ENOTCONN;
    socket_inet_address_out(s, &a, to);
    return 0;
}

/* --- connecting ------------------------------------------------------------------------------- */

/* AF_UNSPEC: the connection is given up, and the socket is as new. */
static s64 tcp_disconnect(struct socket_inet *i)
{
    struct net_tcp *fresh = net_tcp_create(socket_net_family(&i->socket), &i->changed);
    if (!fresh)
        return -ENOBUFS;
    net_tcp_close(i->tcp, (struct net_tcp_linger){.on = true});
    i->tcp = fresh;
    i->connecting = false;
    i->socket.listening = false;
    socket_inet_changed_all(&i->socket);
    return 0;
}

/* After it was begun. */
static s64 tcp_connect_result(struct socket_inet *i)
{
    struct net_address a;
    u32 events = net_tcp_events(i->tcp);
    if (events & NET_FAILED) {
        i->connecting = false;
        return syscall_status(net_tcp_take_error(i->tcp));
    }
    if (is_ok(net_tcp_remote_address(i->tcp, &a))) {
        i->connecting = false;
        return 0;
    }
    if (!events)
        return SYSCALL_LATER;
    i->connecting = false;
    return -ECONNABORTED;
}

static s64 tcp_connect_begin(struct socket_call *c)
{
    struct socket_inet *i = socket_inet_of(c->socket);
    struct net_address to;
    s64 r = socket_inet_address_in(c->socket, &c->address, &to);
    if (r)
        return r;
    r = syscall_status(net_tcp_connect(i->tcp, &to));
    if (r == -EISCONN && i->connecting) {
        i->connecting = false;
        return 0;
    }
    if (r != -EINPROGRESS && r != -EALREADY)
        return r;
    i->connecting = true;
    c->begun = true;
    c->error = r;
    return tcp_connect_result(i);
}

static s64 tcp_connect(struct socket_call *c)
{
    if (c->begun)
        return tcp_connect_result(socket_inet_of(c->socket));
    if (c->address.bytes < sizeof(c->address.family))
        return -EINVAL;
    if (c->address.family == AF_UNSPEC)
        return tcp_disconnect(socket_inet_of(c->socket));
    return tcp_connect_begin(c);
}

/* What an accepted connection has from its listener, as Linux copies it. */
static void options_inherit(struct socket *to, const struct socket *from)
{
    to->keep_alive = from->keep_alive;
    to->linger = from->linger;
    to->linger_seconds = from->linger_seconds;
    to->low_water = from->low_water;
    to->receive_timeout_ns = from->receive_timeout_ns;
    to->send_timeout_ns = from->send_timeout_ns;
    to->reuse_address = from->reuse_address;
    to->reuse_port = from->reuse_port;
    to->timestamp = from->timestamp;
    to->timestamp_ns = from->timestamp_ns;
}

static s64 tcp_accept(struct socket *s, struct socket **accepted)
{
    struct socket_inet *i = socket_inet_of(s);
    if (!s->listening)
        return -EINVAL;
    if (!(net_tcp_events(i->tcp) & NET_READABLE))
        return -EAGAIN;
    struct socket_inet *to = tcp_socket(s->family);
    if (!to)
        return -ENOBUFS;
    s64 r = syscall_status(net_tcp_accept(i->tcp, &to->changed, &to->tcp));
    if (r) {
        socket_release(&to->socket);
        return r;
    }
    options_inherit(&to->socket, s);
    *accepted = &to->socket;
    return 0;
}

/* --- sending ---------------------------------------------------------------------------------- */

static s64 tcp_send_flags(u32 flags)
{
    return flags & (MSG_OOB | MSG_FASTOPEN) ? -EOPNOTSUPP : 0;
}

/* An error ends it; after bytes were taken it is kept for the next call.  What came before goes, be
   it of this transfer or of those of the same sendfile, which promised more. */
static s64 tcp_send_stop(struct socket_inet *i, struct transfer *x, s64 error)
{
    net_tcp_push(i->tcp);
    if (error == -EAGAIN)
        return socket_wait(&i->socket, x);
    /* Never connected, or no longer: both are a broken pipe. */
    if (error == -EPIPE || error == -ENOTCONN)
        return socket_broken(x);
    return transfer_stop(x, error);
}

/* Pages of a file that are sent as they lie in the cache; they stay what they are while the
   connection or the device needs them, also when the file is cut or has gone. */
struct sent_pages {
    struct thunk released;
    struct page_run run; /* held */
};

closure_method(thunk, sent_pages_released, struct sent_pages, released)
{
    struct sent_pages *p = owner();
    page_run_release(&p->run);
    deallocate(general_heap, p, sizeof(*p));
}

static struct sent_pages *sent_pages_hold(const struct page_run *run)
{
    struct sent_pages *p = allocate(general_heap, sizeof(*p));
    if (!p)
        return NULL;
    init_method(&p->released, sent_pages_released);
    p->run = *run;
    for (u32 n = 0; n < run->count; n++)
        page_hold(run->pages[n]);
    return p;
}

static s64 tcp_send_pages(struct socket_inet *i, struct transfer *x)
{
    struct sent_pages *p = sent_pages_hold(x->run);
    if (!p)
        return -ENOBUFS;
    s64 r = syscall_status(
        net_tcp_send_memory(i->tcp, (const void *)x->at, x->left, x->more, &p->released));
    if (r) {
        page_run_release(&p->run);
        deallocate(general_heap, p, sizeof(*p));
        return tcp_send_stop(i, x, r);
    }
    transfer_skip(x, x->left);
    if (!x->more)
        net_tcp_push(i->tcp);
    return (s64)x->done;
}

static s64 tcp_send(struct socket *s, struct transfer *x)
{
    struct socket_inet *i = socket_inet_of(s);
    bool more = x->from_kernel ? x->more : socket_flags(x) & MSG_MORE;
    s64 r = tcp_send_flags(socket_flags(x));
    if (r)
        return r;
    if (x->run && x->left >= SEND_PAGES_LEAST)
        return tcp_send_pages(i, x);
    do {
        void *memory;
        u64 copied, bytes = x->left;
        if (x->done && net_tcp_events(i->tcp) & NET_FAILED)
            break;
        r = syscall_status(net_tcp_send_room(i->tcp, &memory, &bytes));
        if (r)
            return tcp_send_stop(i, x, r);
        r = transfer_in(x, memory, min(bytes, x->left), &copied);
        net_tcp_send(i->tcp, copied, more || x->left);
        if (r)
            return tcp_send_stop(i, x, r);
    } while (x->left);
    net_tcp_push(i->tcp);
    return (s64)x->done;
}

/* --- receiving -------------------------------------------------------------------------------- */

/* Copies what is there, or with MSG_TRUNC only drops it.  0: as far as it goes. */
static s64 tcp_read(struct socket_inet *i, struct transfer *x, bool *ended)
{
    bool peek = socket_flags(x) & MSG_PEEK, drop = socket_flags(x) & MSG_TRUNC;
    while (x->left) {
        const void *memory;
        u64 bytes, copied;
        /* An error is told after what came before it was read, by a call of its own. */
        if (x->done && net_tcp_events(i->tcp) & NET_FAILED && !net_tcp_received_bytes(i->tcp)) {
            *ended = true;
            return 0;
        }
        s64 r = syscall_status(net_tcp_received(i->tcp, peek ? x->done : 0, &memory, &bytes));
        *ended = !r && !bytes;
        if (r || !bytes)
            return r == -EAGAIN ? 0 : r;
        bytes = min(bytes, x->left);
        copied = bytes;
        if (drop)
            transfer_skip(x, bytes);
        else
            r = transfer_out(x, memory, bytes, &copied);
        if (!peek)
            net_tcp_take(i->tcp, copied);
        if (r)
            return r;
    }
    return 0;
}

static s64 tcp_receive(struct socket *s, struct transfer *x)
{
    struct socket_inet *i = socket_inet_of(s);
    bool ended = false;
    if (s->listening)
        return -ENOTCONN;
    if (socket_flags(x) & MSG_ERRQUEUE)
        return -EAGAIN;
    if (socket_flags(x) & MSG_OOB)
        return -EINVAL; /* no urgent data */
    s64 r = tcp_read(i, x, &ended);
    if (r)
        return transfer_stop(x, r);
    /* A call for nothing waits as one for a byte does. */
    bool there = !x->done && !x->left && net_tcp_events(i->tcp) & NET_READABLE;
    if (ended || there || x->done >= socket_low_water(s, x))
        return (s64)x->done;
    return socket_wait(s, x);
}

/* --- looking ---------------------------------------------------------------------------------- */

static u32 tcp_poll(struct socket *s)
{
    return socket_inet_events(net_tcp_events(socket_inet_of(s)->tcp));
}

static s64 tcp_received(struct socket *s)
{
    return s->listening ? -EINVAL : (s64)net_tcp_received_bytes(socket_inet_of(s)->tcp);
}

static s64 tcp_unsent(struct socket *s)
{
    return s->listening ? -EINVAL : (s64)net_tcp_unsent_bytes(socket_inet_of(s)->tcp);
}

static s32 tcp_error(struct socket *s)
{
    return (s32)status_errno(net_tcp_take_error(socket_inet_of(s)->tcp));
}

static const struct socket_operations socket_tcp = {
    .bytes = sizeof(struct socket_inet),
    .bind = tcp_bind,
    .listen = tcp_listen,
    .connect = tcp_connect,
    .accept = tcp_accept,
    .shutdown = tcp_shutdown,
    .address = tcp_address,
    .send = tcp_send,
    .receive = tcp_receive,
    .poll = tcp_poll,
    .received = tcp_received,
    .unsent = tcp_unsent,
    .option_set = socket_inet_option_set,
    .option_get = socket_inet_option_get,
    .changed = socket_inet_changed,
    .error = tcp_error,
    .close = tcp_close,
    .drained = tcp_drained,
};
