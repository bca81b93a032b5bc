/* AF_NETLINK, NETLINK_ROUTE: what the C library asks about interfaces, addresses and routes.
   socket_netlink.c is the socket, socket_route.c knows the answers. */
#pragma once

#include "kernel/net/net.h"
#include "unix/socket.h"

struct netlink_header { /* struct nlmsghdr */
    u32 bytes;
    u16 type, flags;
    u32 sequence, port;
};

#define NLMSG_NOOP  1
#define NLMSG_ERROR 2
#define NLMSG_DONE  3

#define NLM_F_REQUEST 1
#define NLM_F_MULTI   2
#define NLM_F_ACK     4
#define NLM_F_DUMP    0x300

#define RTM_NEWLINK  16
#define RTM_GETLINK  18
#define RTM_NEWADDR  20
#define RTM_GETADDR  22
#define RTM_NEWROUTE 24
#define RTM_GETROUTE 26

/* An answer that is being made: one datagram.  Beyond NETLINK_ANSWER_MOST the rest is left out,
   which the bounds on interfaces and addresses rule out. */
#define NETLINK_ANSWER_MOST 8192
struct netlink_answer {
    struct list link;
    u32 used;
    u8 bytes[NETLINK_ANSWER_MOST];
};

/* Adds the parts of a dump, without its end.  False: there is no such dump. */
bool socket_route_dump(struct netlink_answer *to, const struct netlink_header *request, u8 family);

/* Flags (IFF_UP ...) and hardware type (ARPHRD_ETHER ...) of an interface, as Linux has them. */
u32 socket_interface_flags(const struct net_interface *f);
u16 socket_interface_type(const struct net_interface *f);
