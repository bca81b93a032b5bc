/* Where lwIP asks us, in the middle of its work.  The functions are in kernel/net/. */
#pragma once

#include "lwip/ip_addr.h"

/* Name servers of DHCP answers and router advertisements: kernel/net/name_servers.c. */
void net_lwip_name_server(u8_t index, const ip_addr_t *server);
#define dns_setserver(index, server) net_lwip_name_server(index, server)
const ip_addr_t *net_lwip_name_server_known(u8_t index); /* of router advertisements */
#define dns_getserver(index) net_lwip_name_server_known(index)

/* Sequence numbers that nobody outside can foretell (RFC 6528). */
u32_t net_lwip_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                   u16_t remote_port);
#define LWIP_HOOK_TCP_ISN net_lwip_isn

/* Added to lwIP by edits/30_routes.pl: false when its table is full. */
struct netif;
int net_lwip_router_add(const ip6_addr_t *address, struct netif *netif);

/* Added by edits/40_icmp.pl: what ICMP says of packets of ours (kernel/net/icmp_errors.c).  The
   message from its first byte on. */
struct pbuf;
void net_lwip_icmp_error(const struct pbuf *p, int is_v6);
