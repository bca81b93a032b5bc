/* Inside kernel/net/ only: what ICMP says about packets of ours, for the endpoints that sent them.
   lwIP hands the messages over (lwip/edits/40_icmp.pl) and does not look itself. */
#pragma once

#include "kernel/net/address.h"
#include "lwip/ip_addr.h"
#include "runtime/status.h"

/* A packet of ours that did not get through, by what ICMP quotes of it. */
struct net_icmp_error {
    ip_addr_t local, remote;
    u16 local_port, remote_port;
    u32 sequence; /* of TCP */
    status error;
    bool final; /* the other side has spoken, not somebody on the way */
    u32 mtu;    /* not 0: packets must be no longer than that; there is no error */
};

/* The protocols'. */
void net_tcp_icmp_error(const struct net_icmp_error *i);
void net_udp_icmp_error(const struct net_icmp_error *i);
