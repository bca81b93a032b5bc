/* How the segments of a connection leave: the headers in front of TCP's, as they were made for the
   last one.  kernel/net/lwip_way.c, called from edits/25_ways.pl; lwip/tcp.h includes this for
   struct tcp_pcb. */
#pragma once

#define NET_WAY_BYTES 34 /* Ethernet's header and IPv4's, which has no options */

struct net_way {
    u32_t era; /* while nothing has changed that they depend on; 0: there are none */
    u16_t sum; /* of IP's header without its length, number and checksum */
    u8_t ttl, tos;
    const struct netif *on;
    u8_t headers[NET_WAY_BYTES];
};
