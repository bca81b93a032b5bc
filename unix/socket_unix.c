/* AF_UNIX sockets: making, connecting, closing.  The rules are in unix/socket_unix.h; the behaviour
   is Linux's (net/unix/af_unix.c). */
#include "unix/socket_unix.h"
#include "unix/wait.h"

static const struct socket_operations unix_stream, unix_datagram;

/* --- life ------------------------------------------------------------------------------------- */

static struct socket_unix *unix_create(u32 type)
{
    bool stream = type == SOCK_STREAM;
    struct socket *s = socket_create(stream ? &unix_stream : &unix_datagram, AF_UNIX, (u16)type, 0);
    if (!s)
        return NULL;
    struct socket_unix *u = socket_unix_of(s);
    list_init(&u->connected);
    list_init(&u->connector);
    list_init(&u->pieces);
    list_init(&u->pending);
    list_init(&u->pending_link);
    list_init(&u->name_link);
    wait_queue_init(&u->room);
    u->peer_credentials = (struct socket_credentials){0, ~0u, ~0u};
    return u;
}

s64 socket_unix_create(u32 type, u32 protocol, struct socket **s)
{
    if (protocol && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    if (type == SOCK_RAW)
        type = SOCK_DGRAM;
    if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
        return -ESOCKTNOSUPPORT;
    struct socket_unix *u = unix_create(type);
    *s = u ? &u->socket : NULL;
    return u ? 0 : -ENOMEM;
}

s64 socket_unix_take_error(struct socket_unix *u)
{
    s64 error = u->error;
    u->error = 0;
    return -error;
}

static s32 unix_error(struct socket *s)
{
    return (s32)-socket_unix_take_error(socket_unix_of(s));
}

static void unix_peer_set(struct socket_unix *u, struct socket_unix *peer)
{
    socket_hold(&peer->socket);
    u->peer = peer;
    if (!socket_unix_is_connected_type(u))
        list_push_back(&peer->connected, &u->connector);
}

static void unix_peer_drop(struct socket_unix *u)
{
    struct socket_unix *peer = u->peer;
    if (!peer)
        return;
    u->peer = NULL;
    list_remove(&u->connector);
    socket_release(&peer->socket);
}

static void unix_pair(struct socket_unix *a, struct socket_unix *b)
{
    unix_peer_set(a, b);
    unix_peer_set(b, a);
    a->state = b->state = UNIX_CONNECTED;
}

s64 socket_unix_pair(struct thread *t, u32 type, u32 protocol, struct socket *pair[2])
{
    s64 r = socket_unix_create(type, protocol, &pair[0]);
    if (r)
        return r;
    r = socket_unix_create(type, protocol, &pair[1]);
    if (r) {
        socket_release(pair[0]);
        return r;
    }
    struct socket_unix *a = socket_unix_of(pair[0]), *b = socket_unix_of(pair[1]);
    a->peer_credentials = b->peer_credentials = socket_credentials_of(t);
    unix_pair(a, b);
    return 0;
}

/* --- closing ---------------------------------------------------------------------------------- */

/* The other side of a connection learns that this one is gone. */
static void unix_peer_closed(struct socket_unix *peer, bool lost)
{
    peer->read_shut = peer->write_shut = true;
    if (lost)
        peer->error = ECONNRESET;
    socket_wake(&peer->socket, SOCKET_READABLE | SOCKET_WRITABLE | POLLRDHUP | POLLHUP | POLLERR);
}

static void unix_end(struct socket_unix *u, bool accepted)
{
    struct list *first;
    bool lost = u->piece_count || !accepted;
    u->closed = u->read_shut = u->write_shut = true;
    socket_unix_unbind(u);
    if (u->peer && socket_unix_is_connected_type(u))
        unix_peer_closed(u->peer, lost);
    unix_peer_drop(u);
    socket_unix_purge(u);
    while ((first = list_pop_front(&u->pending))) {
        struct socket_unix *waiting = container_of(first, struct socket_unix, pending_link);
        unix_end(waiting, false);
        socket_release(&waiting->socket);
    }
    u->pending_count = 0;
    u->state = UNIX_CLOSED;
    if (!list_empty(&u->room.waiters))
        wait_queue_wake(&u->room, SOCKET_WRITABLE);
}

static void unix_close(struct socket *s)
{
    unix_end(socket_unix_of(s), true);
    if (socket_rights_on_the_way())
        socket_unix_collect();
}

/* A larger buffer may be what a sender waits for. */
static s64 unix_changed(struct socket *s, u32 name)
{
    if (name == SO_SNDBUF || name == SO_SNDBUFFORCE)
        socket_wake(s, SOCKET_WRITABLE);
    return 0;
}

static s64 unix_shutdown(struct socket *s, bool reading, bool writing)
{
    struct socket_unix *u = socket_unix_of(s), *peer = u->peer;
    u->read_shut |= reading;
    u->write_shut |= writing;
    if (peer && socket_unix_is_connected_type(u)) {
        peer->write_shut |= reading;
        peer->read_shut |= writing;
        socket_wake(&peer->socket, (writing ? SOCKET_READABLE | POLLRDHUP : 0) |
                                       (reading ? SOCKET_WRITABLE : 0) |
                                       (reading && writing ? POLLHUP : 0));
    }
    if (reading && !list_empty(&u->room.waiters))
        wait_queue_wake(&u->room, SOCKET_WRITABLE);
    socket_wake(s, SOCKET_READABLE | SOCKET_WRITABLE | POLLRDHUP | POLLHUP);
    return 0;
}

/* --- connecting ------------------------------------------------------------------------------- */

static s64 unix_listen(struct thread *t, struct socket *s, u32 backlog)
{
    struct socket_unix *u = socket_unix_of(s);
    if (!socket_unix_is_connected_type(u))
        return -EOPNOTSUPP;
    if (!u->name.bytes || u->state == UNIX_CONNECTED)
        return -EINVAL;
    bool more = backlog > u->backlog;
    u->backlog = backlog;
    u->state = UNIX_LISTENING;
    s->listening = true;
    u->credentials = socket_credentials_of(t);
    if (more && !list_empty(&u->room.waiters))
        wait_queue_wake(&u->room, SOCKET_WRITABLE);
    return 0;
}

/* The listener's end of a new connection, which waits there to be accepted. */
static s64 unix_connect_to(struct socket_call *c, struct socket_unix *u, struct socket_unix *to)
{
    struct socket_unix *end = unix_create(u->socket.type);
    if (!end)
        return -ENOMEM;
    end->name = to->name;
    end->socket.pass_credentials = to->socket.pass_credentials;
    end->peer_credentials = socket_credentials_of(c->thread);
    u->peer_credentials = to->credentials;
    unix_pair(u, end);
    list_push_back(&to->pending, &end->pending_link);
    to->pending_count++;
    socket_wake(&to->socket, SOCKET_READABLE);
    return 0;
}

static s64 unix_connect_check(const struct socket_unix *u)
{
    return u->state == UNIX_CLOSED ? 0 : u->state == UNIX_CONNECTED ? -EISCONN : -EINVAL;
}

static s64 unix_stream_connect(struct socket_call *c)
{
    struct socket_unix *u = socket_unix_of(c->socket), *to;
    s64 r = socket_unix_address_check(&c->address);
    if (!r && u->socket.pass_credentials)
        r = socket_unix_bind_any(u);
    if (!r)
        r = socket_unix_find(c->thread, &c->address, u->socket.type, &to);
    if (r)
        return r;
    if (to->state != UNIX_LISTENING || to->read_shut)
        return -ECONNREFUSED;
    if (to->pending_count > to->backlog) {
        c->error = -EAGAIN;
        c->queue = &to->room;
        return SYSCALL_LATER;
    }
    r = unix_connect_check(u);
    return r ? r : unix_connect_to(c, u, to);
}

/* What came from the old peer is no longer wanted. */
static void unix_datagram_peer_change(struct socket_unix *u, struct socket_unix *peer)
{
    struct socket_unix *old = u->peer;
    if (peer == old)
        return;
    if (old && u->piece_count) {
        socket_unix_purge(u);
        if (!old->closed && old->peer == u) {
            old->error = ECONNRESET;
            socket_wake(&old->socket, POLLERR);
        }
    }
    unix_peer_drop(u);
    if (peer)
        unix_peer_set(u, peer);
    u->state = peer ? UNIX_CONNECTED : UNIX_CLOSED;
}

void socket_unix_disconnect(struct socket_unix *u)
{
    unix_datagram_peer_change(u, NULL);
}

static s64 unix_datagram_connect(struct socket_call *c)
{
    struct socket_unix *u = socket_unix_of(c->socket), *to = NULL;
    if (c->address.bytes < sizeof(c->address.family))
        return -EINVAL;
    if (c->address.family == AF_UNSPEC) {
        unix_datagram_peer_change(u, NULL);
        return 0;
    }
    s64 r = socket_unix_address_check(&c->address);
    if (!r && u->socket.pass_credentials)
        r = socket_unix_bind_any(u);
    if (!r)
        r = socket_unix_find(c->thread, &c->address, u->socket.type, &to);
    if (!r && to->peer && to->peer != u)
        r = -EPERM;
    if (!r)
        unix_datagram_peer_change(u, to);
    return r;
}

static s64 unix_connect(struct socket_call *c)
{
    bool datagram = c->socket->type == SOCK_DGRAM;
    return datagram ? unix_datagram_connect(c) : unix_stream_connect(c);
}

static s64 unix_accept(struct socket *s, struct socket **accepted)
{
    struct socket_unix *u = socket_unix_of(s);
    if (!socket_unix_is_connected_type(u))
        return -EOPNOTSUPP;
    if (u->state != UNIX_LISTENING || u->read_shut)
        return -EINVAL;
    struct list *first = list_pop_front(&u->pending);
    if (!first)
        return -EAGAIN;
    u->pending_count--;
    if (!list_empty(&u->room.waiters))
        wait_queue_wake(&u->room, SOCKET_WRITABLE);
    *accepted = &container_of(first, struct socket_unix, pending_link)->socket;
    return 0;
}

/* --- looking ---------------------------------------------------------------------------------- */

static s64 unix_address(struct socket *s, bool remote, struct socket_address *to)
{
    struct socket_unix *u = socket_unix_of(s);
    if (remote && !u->peer)
        return -ENOTCONN;
    *to = remote ? u->peer->name : u->name;
    if (!to->bytes) {
        to->bytes = UNIX_ADDRESS_FAMILY;
        to->family = AF_UNIX;
    }
    return 0;
}

/* Both directions over, nothing to read any more, bytes to read, no other side. */
static u32 unix_poll_common(struct socket_unix *u)
{
    bool there = u->piece_count || u->pending_count;
    bool loose = socket_unix_is_connected_type(u) && u->state == UNIX_CLOSED;
    return (u->error ? POLLERR : 0) | (u->read_shut && u->write_shut ? POLLHUP : 0) |
           (u->read_shut ? POLLRDHUP | POLLIN | POLLRDNORM : 0) |
           (there ? POLLIN | POLLRDNORM : 0) | (loose ? POLLHUP : 0);
}

static u32 unix_stream_poll(struct socket *s)
{
    struct socket_unix *u = socket_unix_of(s);
    return unix_poll_common(u) | (socket_unix_writable(u) ? SOCKET_WRITABLE : 0);
}

static u32 unix_datagram_poll(struct socket *s)
{
    struct socket_unix *u = socket_unix_of(s), *peer = u->peer;
    bool full = peer && peer->peer != u && socket_unix_datagrams_full(peer);
    return unix_poll_common(u) | (socket_unix_writable(u) && !full ? SOCKET_WRITABLE : 0);
}

static s64 unix_unsent(struct socket *s)
{
    struct socket_unix *u = socket_unix_of(s);
    return u->state == UNIX_LISTENING ? -EINVAL : (s64)u->sent_memory;
}

static s64 unix_option_get(struct socket *s, struct socket_option *o)
{
    struct socket_unix *u = socket_unix_of(s);
    if (o->level != SOL_SOCKET || o->name != SO_PEERCRED)
        return -ENOPROTOOPT;
    o->bytes = min(o->bytes, (u32)sizeof(u->peer_credentials));
    memcpy(o->value, &u->peer_credentials, o->bytes);
    return 0;
}

static const struct socket_operations unix_stream = {
    .bytes = sizeof(struct socket_unix),
    .bind = socket_unix_bind,
    .listen = unix_listen,
    .connect = unix_connect,
    .accept = unix_accept,
    .shutdown = unix_shutdown,
    .address = unix_address,
    .send = socket_unix_stream_send,
    .receive = socket_unix_stream_receive,
    .poll = unix_stream_poll,
    .received = socket_unix_received,
    .unsent = unix_unsent,
    .option_get = unix_option_get,
    .changed = unix_changed,
    .error = unix_error,
    .close = unix_close,
};

static const struct socket_operations unix_datagram = {
    .bytes = sizeof(struct socket_unix),
    .bind = socket_unix_bind,
    .listen = unix_listen,
    .connect = unix_connect,
    .accept = unix_accept,
    .shutdown = unix_shutdown,
    .address = unix_address,
    .send = socket_unix_datagram_send,
    .receive = socket_unix_datagram_receive,
    .poll = unix_datagram_poll,
    .received = socket_unix_received,
    .unsent = unix_unsent,
    .option_get = unix_option_get,
    .changed = unix_changed,
    .error = unix_error,
    .close = unix_close,
};
