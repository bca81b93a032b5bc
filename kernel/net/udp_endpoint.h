/* Inside kernel/net/ only: an endpoint of UDP, and how its files divide the work.

   An endpoint has a pcb of lwIP's from the moment it is bound, by its owner or by the first
   datagram that it sends, until it is closed. */
#pragma once

#include "kernel/net/ports.h"
#include "kernel/net/udp.h"
#include "lwip/udp.h"

#define NET_UDP_BUFFER_FIRST 212992u /* net.core.rmem_default */
#define NET_UDP_BUFFER_LEAST 2048u
#define NET_UDP_BUFFER_MOST  (4u << 20)
#define NET_UDP_GROUPS_MOST  20u /* net.ipv4.igmp_max_memberships */

/* A datagram that came. */
struct net_udp_queued {
    struct net_udp_queued *next;
    struct pbuf *packet;
    struct net_udp_datagram datagram;
    u32 memory; /* that it counts for */
};

/* A multicast group that the endpoint is in. */
struct net_udp_group {
    struct net_udp_group *next;
    ip_addr_t address;
    u8 interface;
};

struct net_udp {
    struct udp_pcb *pcb; /* NULL: not bound */
    net_changed changed;
    struct list link; /* of net_udp_all */
    u8 family;        /* enum net_family */
    bool connected;
    bool read_shut, write_shut;
    status error;
    struct net_binding binding;
    struct net_address local, remote;
    u32 options[UDP_OPTION_COUNT];
    struct net_udp_queued *first, *last;
    u32 queued_memory;
    u64 dropped;
    struct net_udp_group *groups;
    u32 group_count;
};

extern struct net_ports net_udp_ports;
extern struct list net_udp_all;

static inline bool net_udp_has(const struct net_udp *e, enum net_udp_option option)
{
    return e->options[option] != 0;
}

/* --- udp.c --- */
/* Binds to any port when it is not bound. */
status net_udp_bind_any(struct net_udp *e);
static inline struct net_udp *net_udp_of_binding(struct list *link)
{
    struct net_binding *b = container_of(link, struct net_binding, link);
    return container_of(b, struct net_udp, binding);
}

/* --- udp_data.c --- */
/* lwIP's: a datagram, which is taken over. */
void net_udp_input(void *endpoint, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from,
                   u16_t port);
void net_udp_queue_drop(struct net_udp *e);

/* --- udp_options.c --- */
void net_udp_options_init(struct net_udp *e);
void net_udp_options_apply(struct net_udp *e);
void net_udp_groups_leave(struct net_udp *e);
