/* AF_INET and AF_INET6: what TCP and UDP sockets share.  The endpoints themselves are in
   kernel/net/ (tcp.h, udp.h); here is Linux's surface around them: addresses, options, polling,
   waiting. */
#pragma once

#include "kernel/net/tcp.h"
#include "kernel/net/udp.h"
#include "unix/socket.h"

struct socket_inet {
    struct socket socket;
    struct net_tcp *tcp; /* one of the two, until it is closed */
    struct net_udp *udp;
    struct net_changed changed;
    bool connecting;   /* TCP: a connect that nobody was told the success of */
    bool packet_info;  /* UDP: IP_PKTINFO or IPV6_RECVPKTINFO */
    bool errors_asked; /* UDP: IP_RECVERR or IPV6_RECVERR */
};

static inline struct socket_inet *socket_inet_of(struct socket *s)
{
    return container_of(s, struct socket_inet, socket);
}

static inline enum net_family socket_net_family(const struct socket *s)
{
    return s->family == AF_INET ? NET_V4 : NET_V6;
}

/* 0; -EINVAL: too short; -EAFNOSUPPORT: of another family. */
s64 socket_inet_address_in(const struct socket *s, const struct socket_address *a,
                           struct net_address *to);
void socket_inet_address_out(const struct socket *s, const struct net_address *a,
                             struct socket_address *to);
/* enum net_event as POLLIN and its like. */
u32 socket_inet_events(u32 events);

s64 socket_tcp_create(u16 family, struct socket **s);
s64 socket_udp_create(u16 family, struct socket **s);

/* The options of both, of every level but SOL_SOCKET (unix/socket_inet_option.c). */
s64 socket_inet_option_set(struct thread *t, struct socket *s, const struct socket_option *o);
s64 socket_inet_option_get(struct socket *s, struct socket_option *o);
/* And of SOL_SOCKET, those that the endpoint has to know. */
s64 socket_inet_changed(struct socket *s, u32 name);
/* Tells a new endpoint all of them. */
void socket_inet_changed_all(struct socket *s);
