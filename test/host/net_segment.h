/* Segments of TCP from the peer to port 80 of the machine, each made by hand, and what the machine
   answers: for tests that say exactly what is on the wire. */
#pragma once

#include "kernel/net/tcp.h"
#include "test/host/net_packet.h"

enum { NET_TCP_FIN = 1, NET_TCP_SYN = 2, NET_TCP_RST = 4, NET_TCP_ACK = 16 };

struct net_segment {
    u16 from;
    u32 sequence, acknowledged;
    u8 flags;
    const void *options, *data;
    u32 option_bytes, data_bytes;
};

/* Starts the machine, 10.0.2.15 on that wire without offloads, with somebody who listens on
 * port 80. */
struct net_tcp *net_segment_server(struct net_wire *w, net_changed changed, u32 backlog);
void net_segment_send(struct net_wire *w, struct net_segment s);
/* The machine's last segment to that port, valid until the next call; NULL: there is none.  ARP is
   answered, and everything else forgotten. */
const u8 *net_segment_last(struct net_wire *w, u16 port, u32 *bytes);
