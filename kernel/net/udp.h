/* UDP endpoints, as sockets need them.  The rules are those of kernel/net/tcp.h: serialised by the
   surface lock, answered at once, `changed` only wakes.

   Datagrams wait, whole, in a queue of the endpoint with at most its limit of bytes (212,992 in the
   beginning, memory counted, not payload); what does not fit is dropped and counted. */
#pragma once

#include "kernel/net/address.h"
#include "kernel/net/event.h"
#include "runtime/sg.h"
#include "runtime/status.h"

struct net_udp;

struct net_udp *net_udp_create(enum net_family family, net_changed changed);
void net_udp_close(struct net_udp *e);
status net_udp_bind(struct net_udp *e, const struct net_address *a);
/* The other side of all further datagrams; NULL: nobody's, any more (AF_UNSPEC). */
status net_udp_connect(struct net_udp *e, const struct net_address *a);
void net_udp_local_address(const struct net_udp *e, struct net_address *a);
status net_udp_remote_address(const struct net_udp *e, struct net_address *a);
u32 net_udp_events(const struct net_udp *e);
status net_udp_take_error(struct net_udp *e); /* ECONNREFUSED: ICMP said so */
status net_udp_shutdown(struct net_udp *e, bool reading, bool writing);

/* Sends one datagram; the bytes are copied before it returns.  `to` NULL: the connected one.
   EMSGSIZE, EDESTADDRREQ, ENETUNREACH, EACCES (broadcast without the option), EAGAIN (no room now:
   NET_WRITABLE tells), ENOBUFS. */
status net_udp_send(struct net_udp *e, const struct sg_list *bytes, const struct net_address *to);

/* The oldest datagram; EAGAIN: none.  Its memory stays until net_udp_take. */
struct net_udp_datagram {
    struct net_address from, to;
    u32 interface;
    u64 bytes;
    u64 received_ns; /* wall clock */
};
status net_udp_received(struct net_udp *e, struct net_udp_datagram *d);
/* The piece of it at `offset`. */
void net_udp_received_piece(struct net_udp *e, u64 offset, const void **memory, u64 *bytes);
void net_udp_take(struct net_udp *e);
u64 net_udp_received_bytes(const struct net_udp *e); /* FIONREAD: of the oldest */

enum net_udp_option {
    UDP_SET_REUSE_ADDRESS,
    UDP_SET_REUSE_PORT,
    UDP_SET_BROADCAST,
    UDP_SET_SEND_BUFFER,
    UDP_SET_RECEIVE_BUFFER,
    UDP_SET_V6_ONLY,
    UDP_SET_TTL,
    UDP_SET_TOS,
    UDP_SET_MULTICAST_TTL,
    UDP_SET_MULTICAST_LOOP,
    UDP_OPTION_COUNT,
};
status net_udp_set(struct net_udp *e, enum net_udp_option option, u64 value);
status net_udp_get(const struct net_udp *e, enum net_udp_option option, u64 *value);
/* IP_ADD_MEMBERSHIP and IPV6_JOIN_GROUP, and their opposites; interface 0: any. */
status net_udp_join(struct net_udp *e, const struct net_address *group, u32 interface, bool join);

struct net_udp_seen {
    struct net_address local, remote;
    u64 queued_bytes, dropped;
};
closure_type(net_udp_visitor, void, const struct net_udp_seen *seen);
void net_udp_visit(net_udp_visitor visitor);
