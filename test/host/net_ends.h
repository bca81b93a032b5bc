/* Endpoints of TCP as a test holds them: a program's side of kernel/net/tcp.h. */
#pragma once

#include "kernel/net/tcp.h"

struct net_end {
    struct net_tcp *tcp; /* NULL: closed */
    struct net_changed changed;
    u32 told; /* events, since it began */
};

/* A new endpoint; false: out of memory. */
bool net_end_create(struct net_end *e, enum net_family family);
/* The other side's or one's own address for both: 127.0.0.1 or ::1 at the port; at the peer. */
struct net_address net_end_loopback(enum net_family family, u16 port);
struct net_address net_end_peer(u16 port);
/* Binds to any address at the port, with SO_REUSEADDR, and listens. */
bool net_end_listen(struct net_end *e, enum net_family family, u16 port, u32 backlog);
bool net_end_accept(struct net_end *listener, struct net_end *e);
void net_end_close(struct net_end *e);
/* With RST. */
void net_end_abort(struct net_end *e);

/* How many bytes were taken into the send buffer, and pushed. */
u64 net_end_send(struct net_end *e, const void *bytes, u64 count, bool more);
/* How many bytes were there; 0: the end; a negative errno. */
s64 net_end_receive(struct net_end *e, void *bytes, u64 count);
