/* Where lwIP asks us, in the middle of its work.  The functions are in kernel/net/. */
#pragma once

#include "lwip/ip_addr.h"

/* Name servers of DHCP answers and router advertisements: kernel/net/name_servers.c. */
void net_lwip_name_server(u8_t index, const ip_addr_t *server);
#define dns_setserver(index, server) net_lwip_name_server(index, server)

/* Sequence numbers that nobody outside can foretell (RFC 6528). */
u32_t net_lwip_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                   u16_t remote_port);
#define LWIP_HOOK_TCP_ISN net_lwip_isn
