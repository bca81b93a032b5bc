/* UDP sockets: Linux's surface of the endpoints of kernel/net/udp.h.  A datagram is copied whole or
   not at all: what is being brought in meanwhile is waited for before it is taken from the queue.
 */
#include "kernel/net/net.h"
#include "unix/socket_inet.h"

static const struct socket_operations socket_udp;

#define DATAGRAM_MOST 65535u

closure_method(net_changed, udp_changed, struct socket_inet, changed, u32 events)
{
    socket_wake(&owner()->socket, socket_inet_events(events));
}

s64 socket_udp_create(u16 family, struct socket **s)
{
    *s = socket_create(&socket_udp, family, SOCK_DGRAM, IPPROTO_UDP);
    if (!*s)
        return -ENOBUFS;
    struct socket_inet *i = socket_inet_of(*s);
    init_method(&i->changed, udp_changed);
    i->udp = net_udp_create(socket_net_family(*s), &i->changed);
    if (i->udp)
        return 0;
    socket_release(*s);
    return -ENOBUFS;
}

static void udp_close(struct socket *s)
{
    struct socket_inet *i = socket_inet_of(s);
    if (i->udp)
        net_udp_close(i->udp);
    i->udp = NULL;
}

/* --- names ------------------------------------------------------------------------------------ */

static s64 udp_bind(struct thread *t, struct socket *s, const struct socket_address *a)
{
    static const u8 any[4];
    struct socket_address given = *a;
    struct net_address to;
    (void)t;
    if (s->family == AF_INET && a->bytes >= 16 && a->family == AF_UNSPEC &&
        !memcmp(a->data + 4, any, sizeof(any)))
        given.family = AF_INET;
    s64 r = socket_inet_address_in(s, &given, &to);
    return r ? r : syscall_status(net_udp_bind(socket_inet_of(s)->udp, &to));
}

static s64 udp_connect(struct socket_call *c)
{
    struct socket_inet *i = socket_inet_of(c->socket);
    struct net_address to;
    if (c->address.bytes < sizeof(c->address.family))
        return -EINVAL;
    if (c->address.family == AF_UNSPEC)
        return syscall_status(net_udp_connect(i->udp, NULL));
    s64 r = socket_inet_address_in(c->socket, &c->address, &to);
    return r ? r : syscall_status(net_udp_connect(i->udp, &to));
}

static s64 udp_address(struct socket *s, bool remote, struct socket_address *to)
{
    struct socket_inet *i = socket_inet_of(s);
    struct net_address a;
    if (!remote)
        net_udp_local_address(i->udp, &a);
    else if (!is_ok(net_udp_remote_address(i->udp, &a)))
        return -ENOTCONN;
    socket_inet_address_out(s, &a, to);
    return 0;
}

static s64 udp_shutdown(struct socket *s, bool reading, bool writing)
{
    return syscall_status(net_udp_shutdown(socket_inet_of(s)->udp, reading, writing));
}

/* --- sending ---------------------------------------------------------------------------------- */

/* IP_PKTINFO names the address that a datagram leaves with: that is the one it has anyway, or
   refused. */
static s64 source_check(struct socket_inet *i, const struct socket_message *m)
{
    static const u8 any[16];
    struct net_address local;
    if (!m || !m->packet_family || !memcmp(m->packet_address, any, sizeof(any)))
        return 0;
    for (u32 n = 0; n < net_interface_count(); n++) {
        struct net_interface f;
        for (u32 k = 0; net_interface_get(n, &f) && k < f.address_count; k++)
            if (!memcmp(f.addresses[k].address.bytes, m->packet_address, sizeof(any)))
                return 0;
    }
    net_udp_local_address(i->udp, &local);
    return memcmp(local.bytes, m->packet_address, sizeof(any)) ? -EINVAL : 0;
}

static s64 udp_target(struct socket *s, struct transfer *x, struct net_address *to, bool *given)
{
    struct socket_message *m = x->message;
    *given = m && m->address.bytes;
    if (m && m->flags & (s->family == AF_INET ? MSG_OOB | MSG_MORE : MSG_MORE))
        return -EOPNOTSUPP;
    s64 r = source_check(socket_inet_of(s), m);
    if (r || !*given)
        return r;
    /* Linux takes AF_UNSPEC for AF_INET here. */
    if (s->family == AF_INET && m->address.bytes >= 16 && m->address.family == AF_UNSPEC)
        m->address.family = AF_INET;
    r = socket_inet_address_in(s, &m->address, to);
    return r == -EAFNOSUPPORT && s->family == AF_INET6 ? -EINVAL : r;
}

static s64 udp_send_flat(struct socket_inet *i, struct transfer *x, u8 *bytes, u64 count,
                         const struct net_address *to)
{
    struct sg_list sg;
    s64 r = socket_copy_in(x, bytes, count);
    if (r)
        return r;
    sg_init(&sg, NULL);
    if (count && !sg_add(&sg, bytes, count))
        return -ENOBUFS;
    return syscall_status(net_udp_send(i->udp, &sg, to));
}

static s64 udp_send(struct socket *s, struct transfer *x)
{
    struct socket_inet *i = socket_inet_of(s);
    struct net_address to;
    struct transfer_mark before;
    bool given;
    u64 count = x->left;
    if (count > DATAGRAM_MOST)
        return -EMSGSIZE;
    s64 r = udp_target(s, x, &to, &given);
    if (r)
        return r;
    u8 *bytes = allocate(general_heap, max(count, 1ull));
    if (!bytes)
        return -ENOBUFS;
    transfer_mark(x, &before);
    r = udp_send_flat(i, x, bytes, count, given ? &to : NULL);
    deallocate(general_heap, bytes, max(count, 1ull));
    if (!r)
        return (s64)count;
    if (r == SYSCALL_LATER)
        return r;
    transfer_return_to(x, &before);
    return r == -EAGAIN ? socket_wait(s, x) : r;
}

/* --- receiving -------------------------------------------------------------------------------- */

static void datagram_tell(struct socket_inet *i, const struct net_udp_datagram *d,
                          struct socket_message *m)
{
    struct socket *s = &i->socket;
    if (!d->from.family)
        return;
    socket_inet_address_out(s, &d->from, &m->address);
    m->received_ns = s->timestamp || s->timestamp_ns ? d->received_ns : 0;
    if (!i->packet_info)
        return;
    m->packet_family = (u8)s->family;
    m->packet_interface = d->interface;
    memcpy(m->packet_address, d->to.bytes, sizeof(m->packet_address));
}

/* All of its pieces, or as many bytes as the program has room for; or nothing. */
static s64 datagram_copy(struct socket_inet *i, struct transfer *x, u64 bytes)
{
    struct transfer_mark before;
    u64 at = 0;
    transfer_mark(x, &before);
    while (at < bytes && x->left) {
        const void *memory;
        u64 piece, copied;
        net_udp_received_piece(i->udp, at, &memory, &piece);
        if (!piece)
            break;
        piece = min(piece, bytes - at);
        piece = min(piece, x->left);
        s64 r = transfer_out(x, memory, piece, &copied);
        if (r) {
            transfer_return_to(x, &before);
            return r;
        }
        at += piece;
    }
    return 0;
}

static s64 udp_receive(struct socket *s, struct transfer *x)
{
    struct socket_inet *i = socket_inet_of(s);
    struct net_udp_datagram d;
    u32 flags = socket_flags(x);
    if (flags & MSG_ERRQUEUE)
        return -EAGAIN;
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    s64 r = syscall_status(net_udp_received(i->udp, &d));
    if (r)
        return r == -EAGAIN ? socket_wait(s, x) : r;
    r = datagram_copy(i, x, d.bytes);
    if (r == SYSCALL_LATER)
        return r;
    if (x->message) {
        datagram_tell(i, &d, x->message);
        x->message->flags_out |= d.bytes > x->done ? MSG_TRUNC : 0;
    }
    if (!(flags & MSG_PEEK))
        net_udp_take(i->udp);
    if (r)
        return r;
    return flags & MSG_TRUNC ? (s64)d.bytes : (s64)x->done;
}

/* --- looking ---------------------------------------------------------------------------------- */

static u32 udp_poll(struct socket *s)
{
    return socket_inet_events(net_udp_events(socket_inet_of(s)->udp));
}

static s64 udp_received(struct socket *s)
{
    return (s64)net_udp_received_bytes(socket_inet_of(s)->udp);
}

/* What is sent leaves at once. */
static s64 udp_unsent(struct socket *s)
{
    (void)s;
    return 0;
}

static s32 udp_error(struct socket *s)
{
    return (s32)status_errno(net_udp_take_error(socket_inet_of(s)->udp));
}

static const struct socket_operations socket_udp = {
    .bytes = sizeof(struct socket_inet),
    .bind = udp_bind,
    .connect = udp_connect,
    .shutdown = udp_shutdown,
    .address = udp_address,
    .send = udp_send,
    .receive = udp_receive,
    .poll = udp_poll,
    .received = udp_received,
    .unsent = udp_unsent,
    .option_set = socket_inet_option_set,
    .option_get = socket_inet_option_get,
    .changed = socket_inet_changed,
    .error = udp_error,
    .close = udp_close,
};
