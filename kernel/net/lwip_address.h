/* Inside kernel/net/ only: addresses as lwIP has them, and as our interfaces do.

   An IPv6 endpoint that also speaks IPv4 sees IPv4 addresses as ::ffff:a.b.c.d; lwIP never does. */
#pragma once

#include "kernel/net/address.h"
#include "lwip/ip_addr.h"

/* ::ffff:a.b.c.d, of family V6. */
bool net_address_is_mapped(const struct net_address *a);
/* All zero, in either family; a mapped 0.0.0.0 too. */
bool net_address_is_any(const struct net_address *a);
/* Mapped addresses become the IPv4 addresses that they stand for. */
struct net_address net_address_unmapped(const struct net_address *a);

/* The address without the port; mapped ones become IPv4. */
void net_address_to_lwip(const struct net_address *a, ip_addr_t *to);
/* As an endpoint of `family` sees it. */
struct net_address net_address_from_lwip(enum net_family family, const ip_addr_t *a, u16 port);

/* Whether it is an address of one of our interfaces (127.0.0.0/8 always is). */
bool net_address_is_ours(const struct net_address *a);
