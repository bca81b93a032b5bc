/* What AF_UNIX sockets send: pieces in the receiver's queue.  A stream's are joined and cut as the
   reader likes, but never across those that carry descriptors, or come from somebody else when that
   is asked for; a datagram is one piece. */
#include "unix/socket_unix.h"

#include "unix/signal.h"

struct unix_piece {
    struct list link;
    struct socket_unix *sender; /* held */
    struct socket_rights *rights;
    struct socket_credentials credentials;
    u32 bytes, taken;
    u32 memory; /* as it counts for the sender */
    u64 sent_ns;
    u8 data[];
};

#define PIECE_BYTES_MOST (32 * KiB - sizeof(struct unix_piece)) /* of a stream */

/* --- pieces ----------------------------------------------------------------------------------- */

/* What Linux counts for n bytes (skb->truesize): the head in a power of two, and the descriptor. */
static u32 piece_memory(u64 bytes)
{
    u64 head = bytes + 320;
    u64 memory = head <= PAGE_BYTES ? 1ull << ceil_log2(head) : align_up(head, PAGE_BYTES);
    return (u32)memory + 256;
}

static struct unix_piece *piece_allocate(struct socket_unix *sender, u64 bytes)
{
    struct unix_piece *p = allocate(general_heap, sizeof(*p) + bytes);
    if (!p)
        return NULL;
    p->rights = NULL;
    p->bytes = (u32)bytes;
    p->taken = 0;
    p->sender = sender;
    p->memory = piece_memory(bytes);
    sender->sent_memory += p->memory;
    socket_hold(&sender->socket);
    return p;
}

static void piece_free(struct unix_piece *p, u64 allocated)
{
    struct socket_unix *sender = p->sender;
    bool writable = socket_unix_writable(sender);
    sender->sent_memory -= p->memory;
    if (!writable && socket_unix_writable(sender))
        socket_wake(&sender->socket, SOCKET_WRITABLE);
    socket_rights_release(p->rights);
    deallocate(general_heap, p, sizeof(*p) + allocated);
    socket_release(&sender->socket);
}

/* Who sent it, as far as either side wants to know. */
static void piece_sign(struct unix_piece *p, const struct transfer *x, const struct socket_unix *to)
{
    struct socket_message *m = x->message;
    bool wanted = p->sender->socket.pass_credentials || to->socket.pass_credentials;
    if (m && m->credentials_given)
        p->credentials = m->credentials;
    else
        p->credentials = wanted ? socket_credentials_of(x->thread) : SOCKET_NOBODY;
    if (m) {
        p->rights = m->rights;
        m->rights = NULL;
    }
    p->sent_ns = to->socket.timestamp || to->socket.timestamp_ns ? clock_realtime_ns() : 0;
}

static void piece_queue(struct socket_unix *to, struct unix_piece *p)
{
    list_push_back(&to->pieces, &p->link);
    to->piece_count++;
    to->piece_bytes += p->bytes;
    socket_wake(&to->socket, SOCKET_READABLE);
}

static struct unix_piece *piece_first(struct socket_unix *u)
{
    return list_empty(&u->pieces) ? NULL : container_of(u->pieces.next, struct unix_piece, link);
}

/* It was read, or never will be. */
static void piece_remove(struct socket_unix *u, struct unix_piece *p)
{
    bool full = socket_unix_datagrams_full(u);
    list_remove(&p->link);
    u->piece_count--;
    u->piece_bytes -= p->bytes - p->taken;
    piece_free(p, p->bytes);
    if (!full || socket_unix_is_connected_type(u))
        return;
    if (!list_empty(&u->room.waiters))
        wait_queue_wake(&u->room, SOCKET_WRITABLE);
    list_for_each (&u->connected, l)
        socket_wake(&container_of(l, struct socket_unix, connector)->socket, SOCKET_WRITABLE);
}

void socket_unix_purge(struct socket_unix *u)
{
    struct unix_piece *p;
    while ((p = piece_first(u)))
        piece_remove(u, p);
}

void socket_unix_visit_files(struct socket_unix *u, socket_file_visitor visitor)
{
    list_for_each (&u->pieces, l) {
        const struct socket_rights *r = container_of(l, struct unix_piece, link)->rights;
        for (u32 i = 0; r && i < r->count; i++)
            apply(visitor, r->files[i]);
    }
}

s64 socket_unix_received(struct socket *s)
{
    struct socket_unix *u = socket_unix_of(s);
    if (u->state == UNIX_LISTENING)
        return -EINVAL;
    struct unix_piece *first = piece_first(u);
    return socket_unix_is_connected_type(u) ? (s64)u->piece_bytes : first ? (s64)first->bytes : 0;
}

/* What a piece carries besides its bytes goes to the message, or to nobody. */
static s64 piece_tell(struct unix_piece *p, struct transfer *x)
{
    struct socket_message *m = x->message;
    bool peek = socket_flags(x) & MSG_PEEK;
    if (m) {
        m->credentials = p->credentials;
        m->received_ns = p->sent_ns;
    }
    if (!p->rights || (m && m->rights)) /* none, or this is the attempt after the first one */
        return 0;
    if (m && peek) {
        m->rights = socket_rights_copy(p->rights);
        return m->rights ? 0 : -ENOMEM;
    }
    if (m)
        m->rights = p->rights;
    else
        socket_rights_release(p->rights);
    p->rights = NULL;
    return 0;
}

/* --- streams ---------------------------------------------------------------------------------- */

static s64 stream_send_check(struct socket_unix *u, struct transfer *x)
{
    if (socket_flags(x) & MSG_OOB)
        return -EOPNOTSUPP;
    if (x->message && x->message->address.bytes)
        return u->state == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP;
    return u->peer ? 0 : -ENOTCONN;
}

/* One piece.  0, or why it goes no further. */
static s64 stream_send_piece(struct socket_unix *u, struct transfer *x)
{
    u64 copied, bytes = min(x->left, (u64)PIECE_BYTES_MOST);
    bytes = min(bytes, max((u64)u->socket.send_bytes / 2, 128ull) - 64);
    struct unix_piece *p = piece_allocate(u, bytes);
    if (!p)
        return -ENOBUFS;
    s64 error = transfer_in(x, p->data, bytes, &copied);
    if (!copied) {
        piece_free(p, bytes);
        return error;
    }
    if (copied < bytes) { /* the memory ended: what was copied goes into a piece of its size */
        struct unix_piece *cut = piece_allocate(u, copied);
        if (!cut) {
            transfer_back(x, copied);
            piece_free(p, bytes);
            return -ENOBUFS;
        }
        memcpy(cut->data, p->data, copied);
        piece_free(p, bytes);
        p = cut;
    }
    piece_sign(p, x, u->peer);
    piece_queue(u->peer, p);
    return error;
}

s64 socket_unix_stream_send(struct socket *s, struct transfer *x)
{
    struct socket_unix *u = socket_unix_of(s);
    s64 r = stream_send_check(u, x);
    if (r)
        return transfer_stop(x, r);
    if (u->write_shut)
        return socket_broken(x);
    while (x->left) {
        if (u->peer->closed || u->peer->read_shut)
            return socket_broken(x);
        if (u->sent_memory >= s->send_bytes)
            return socket_wait(s, x);
        r = stream_send_piece(u, x);
        if (r)
            return transfer_stop(x, r);
    }
    return (s64)x->done;
}

/* Whether a piece may follow what was read already. */
static bool piece_joins(const struct socket_unix *u, const struct unix_piece *p,
                        const struct transfer *x)
{
    const struct socket_message *m = x->message;
    if (!m || !x->done)
        return true;
    if (m->rights)
        return false;
    return !u->socket.pass_credentials ||
           !memcmp(&m->credentials, &p->credentials, sizeof(p->credentials));
}

/* Reads on in the first piece that has not been.  1: the call is to end there. */
static s64 stream_read_piece(struct socket_unix *u, struct unix_piece *p, u64 skip,
                             struct transfer *x)
{
    bool peek = socket_flags(x) & MSG_PEEK, rights = p->rights != NULL;
    u64 copied;
    if (!piece_joins(u, p, x))
        return 1;
    s64 error = piece_tell(p, x);
    if (error)
        return error;
    error = transfer_out(x, p->data + p->taken + skip, min(p->bytes - p->taken - skip, x->left),
                         &copied);
    if (!peek) {
        p->taken += (u32)copied;
        u->piece_bytes -= copied;
        if (p->taken == p->bytes)
            piece_remove(u, p);
    }
    if (error)
        return error;
    return rights || !x->left;
}

static s64 stream_read(struct socket_unix *u, struct transfer *x)
{
    bool peek = socket_flags(x) & MSG_PEEK;
    u64 skip = peek ? x->done : 0;
    s64 r = 0;
    list_for_each_safe (&u->pieces, l) {
        struct unix_piece *p = container_of(l, struct unix_piece, link);
        u64 there = p->bytes - p->taken;
        if (peek && skip >= there) {
            skip -= there;
            continue;
        }
        r = stream_read_piece(u, p, skip, x);
        if (r)
            break;
        skip = 0;
    }
    return r;
}

s64 socket_unix_stream_receive(struct socket *s, struct transfer *x)
{
    struct socket_unix *u = socket_unix_of(s);
    if (u->state != UNIX_CONNECTED)
        return -EINVAL;
    if (socket_flags(x) & MSG_OOB)
        return -EOPNOTSUPP;
    s64 r = stream_read(u, x);
    if (r < 0)
        return transfer_stop(x, r);
    if (r || x->done >= socket_low_water(s, x))
        return (s64)x->done;
    if (u->error)
        return x->done ? (s64)x->done : socket_unix_take_error(u);
    if (u->read_shut)
        return (s64)x->done;
    return socket_wait(s, x);
}

/* --- datagrams -------------------------------------------------------------------------------- */

/* Who gets it, not held. */
static s64 datagram_target(struct socket_unix *u, struct transfer *x, struct socket_unix **to)
{
    struct socket_message *m = x->message;
    if (u->socket.type == SOCK_SEQPACKET || !m || !m->address.bytes) {
        *to = u->peer;
        bool there = u->peer && (u->socket.type == SOCK_DGRAM || u->state == UNIX_CONNECTED);
        return there ? 0 : -ENOTCONN;
    }
    s64 r = socket_unix_address_check(&m->address);
    return r ? r : socket_unix_find(x->thread, &m->address, SOCK_DGRAM, to);
}

static s64 datagram_target_check(struct socket_unix *u, const struct socket_unix *to)
{
    if (to->closed) {
        if (to == u->peer && u->socket.type == SOCK_DGRAM)
            socket_unix_disconnect(u);
        return socket_unix_is_connected_type(u) ? -EPIPE : -ECONNREFUSED;
    }
    if (to->read_shut)
        return -EPIPE;
    if (u->socket.type == SOCK_DGRAM && to->peer && to->peer != u)
        return -EPERM;
    return 0;
}

static s64 datagram_send_to(struct socket_unix *u, struct transfer *x, struct socket_unix *to)
{
    struct unix_piece *p = piece_allocate(u, x->left);
    if (!p)
        return -ENOBUFS;
    s64 r = socket_copy_in(x, p->data, p->bytes);
    if (r) {
        piece_free(p, p->bytes);
        return r;
    }
    piece_sign(p, x, to);
    piece_queue(to, p);
    return (s64)x->done;
}

s64 socket_unix_datagram_send(struct socket *s, struct transfer *x)
{
    struct socket_unix *u = socket_unix_of(s), *to;
    if (socket_flags(x) & MSG_OOB)
        return -EOPNOTSUPP;
    s64 r = datagram_target(u, x, &to);
    if (r)
        return r;
    if (s->pass_credentials && !u->name.bytes)
        r = socket_unix_bind_any(u);
    if (!r && x->left > s->send_bytes - 32)
        r = -EMSGSIZE;
    if (r)
        return r;
    if (u->write_shut)
        return -EPIPE;
    if (u->sent_memory >= s->send_bytes)
        return socket_wait(s, x);
    r = datagram_target_check(u, to);
    if (r)
        return r;
    if (to != u && to->peer != u && socket_unix_datagrams_full(to))
        return socket_wait_on(s, x, &to->room);
    return datagram_send_to(u, x, to);
}

static s64 datagram_none(struct socket_unix *u, struct transfer *x)
{
    if (u->error)
        return socket_unix_take_error(u);
    bool nonblocking = x->flags & O_NONBLOCK;
    if (u->read_shut && (u->socket.type == SOCK_SEQPACKET || !nonblocking))
        return 0;
    return socket_wait(&u->socket, x);
}

static s64 datagram_read(struct socket_unix *u, struct unix_piece *p, struct transfer *x)
{
    struct socket_message *m = x->message;
    u32 flags = socket_flags(x);
    u64 bytes = p->bytes;
    s64 r = socket_copy_out(x, p->data, min(bytes, x->left));
    if (r == SYSCALL_LATER)
        return r;
    s64 told = piece_tell(p, x);
    if (m) {
        m->flags_out |= bytes > x->done ? MSG_TRUNC : 0;
        m->address = p->sender->name;
    }
    if (!(flags & MSG_PEEK))
        piece_remove(u, p);
    if (r || told)
        return r ? r : told;
    return flags & MSG_TRUNC ? (s64)bytes : (s64)x->done;
}

s64 socket_unix_datagram_receive(struct socket *s, struct transfer *x)
{
    struct socket_unix *u = socket_unix_of(s);
    if (socket_flags(x) & MSG_OOB)
        return -EOPNOTSUPP;
    if (s->type == SOCK_SEQPACKET && u->state != UNIX_CONNECTED)
        return -ENOTCONN;
    struct unix_piece *p = piece_first(u);
    return p ? datagram_read(u, p, x) : datagram_none(u, x);
}
