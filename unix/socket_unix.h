/* AF_UNIX sockets: what the parts of the family share.  socket_unix.c makes, connects and closes
   them, socket_unix_name.c knows their names, socket_unix_data.c moves what they send.

   A socket keeps its peer alive as long as it is open itself, and what was sent keeps its sender
   alive; so nothing here is ever followed to memory that is gone.  What a socket has sent and
   nobody has read counts against its send buffer, with Linux's overhead. */
#pragma once

#include "unix/socket.h"

enum socket_unix_state { UNIX_CLOSED, UNIX_LISTENING, UNIX_CONNECTED };

#define UNIX_PATH_BYTES     108
#define UNIX_ADDRESS_FAMILY 2   /* bytes of an address without a name */
#define UNIX_ADDRESS_MOST   110 /* struct sockaddr_un */
#define UNIX_DATAGRAMS_MOST 10  /* net.unix.max_dgram_qlen */

struct socket_unix {
    struct socket socket;
    enum socket_unix_state state;
    bool read_shut, write_shut;
    bool closed;
    s32 error;                        /* positive; told once */
    struct socket_unix *peer;         /* held; NULL: not connected */
    struct list connected, connector; /* datagrams: who is connected here; and among those */
    struct list pieces;               /* received, in order */
    u32 piece_count;
    u64 piece_bytes;                   /* not read yet */
    u64 sent_memory;                   /* of what was sent and is in the queues of others */
    struct list pending, pending_link; /* connections that nobody has accepted; among those */
    u32 pending_count, backlog;
    struct wait_queue room;                /* who waits for room in our queues */
    struct socket_credentials credentials; /* ours, as the other side of a connection sees them */
    struct socket_credentials peer_credentials; /* SO_PEERCRED */
    struct list name_link;                      /* among those with a name */
    struct inode *inode;                        /* held: the name's; NULL: abstract, or no name */
    u64 on_the_way;                             /* socket_unix_collect: its file, in messages */
    bool reached, visited;                      /* and what can be received still */
    struct socket_address name;                 /* bytes 0: none */
};

static inline struct socket_unix *socket_unix_of(struct socket *s)
{
    return container_of(s, struct socket_unix, socket);
}

static inline bool socket_unix_is_stream(const struct socket_unix *u)
{
    return u->socket.type == SOCK_STREAM;
}

/* With connections: streams and SOCK_SEQPACKET. */
static inline bool socket_unix_is_connected_type(const struct socket_unix *u)
{
    return u->socket.type != SOCK_DGRAM;
}

/* What it has sent leaves room for more. */
static inline bool socket_unix_writable(const struct socket_unix *u)
{
    return u->state != UNIX_LISTENING && u->sent_memory * 4 <= u->socket.send_bytes;
}

static inline bool socket_unix_datagrams_full(const struct socket_unix *u)
{
    return u->piece_count > UNIX_DATAGRAMS_MOST;
}

/* Takes s's error, as -errno; 0: none. */
s64 socket_unix_take_error(struct socket_unix *u);
/* The datagram socket's peer is no more. */
void socket_unix_disconnect(struct socket_unix *u);

/* --- names (socket_unix_name.c) -----------------------------------------------------------------
 */

/* Checks an address that names somebody, and ends a path's text where it ends.  0 or -EINVAL. */
s64 socket_unix_address_check(struct socket_address *a);
s64 socket_unix_bind(struct thread *t, struct socket *s, const struct socket_address *a);
/* An abstract name of five digits, for a socket that has none. */
s64 socket_unix_bind_any(struct socket_unix *u);
void socket_unix_unbind(struct socket_unix *u);
/* Who has that name and is of that type, not held.  -ECONNREFUSED, -EPROTOTYPE, or what the path
   gives. */
s64 socket_unix_find(struct thread *t, const struct socket_address *a, u16 type,
                     struct socket_unix **found);

/* --- data (socket_unix_data.c) ------------------------------------------------------------------
 */

s64 socket_unix_stream_send(struct socket *s, struct transfer *x);
s64 socket_unix_stream_receive(struct socket *s, struct transfer *x);
s64 socket_unix_datagram_send(struct socket *s, struct transfer *x);
s64 socket_unix_datagram_receive(struct socket *s, struct transfer *x);
s64 socket_unix_received(struct socket *s);
/* Drops all that was received. */
void socket_unix_purge(struct socket_unix *u);
/* The files in what was received and not read. */
closure_type(socket_file_visitor, void, struct file *f);
void socket_unix_visit_files(struct socket_unix *u, socket_file_visitor visitor);

/* Closes sockets that only messages refer to which nobody can receive (socket_unix_collect.c). */
void socket_unix_collect(void);
