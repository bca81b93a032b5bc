/* A peer that receives a TCP stream from the machine over a path with delay, rate, loss,
   duplication and reordering: its TCP is written for tests alone, sends SACK, D-SACK and
   timestamps, and checks each byte that comes.  The clock is the test's (net_machine.h). */
#pragma once

#include "runtime/random.h"
#include "test/host/net_packet.h"

#define NET_PEER_FLIGHT 16384u /* packets on the path, each way */
#define NET_PEER_RANGES 4096u  /* that arrived out of order */

struct net_path {
    u64 delay_ns;         /* one way */
    u64 bytes_per_second; /* towards the peer; 0: no limit */
    u32 queue_packets;    /* that wait for that; more are lost */
    u32 loss_ppm, ack_loss_ppm, duplicate_ppm, reorder_ppm;
    u64 reorder_ns; /* how much later those come */
};

struct net_peer_packet {
    u64 due_ns;
    u8 *data;
    u32 bytes;
};

struct net_peer_range {
    u32 begin, end;
};

struct net_peer {
    struct net_wire *wire;
    struct net_path path;
    struct random random;
    struct net_peer_packet to_peer[NET_PEER_FLIGHT], to_machine[NET_PEER_FLIGHT];
    u32 to_peer_count, to_machine_count;
    u64 busy_ns; /* the path is, until then */
    bool sack, timestamps;
    u16 port; /* the peer's */
    u16 machine_port;
    u32 first; /* the machine's first sequence number of data */
    u32 next;  /* expected */
    u32 ours;  /* the peer's own sequence number */
    u32 ts_recent;
    u32 unacknowledged;                            /* segments, since the last acknowledgement */
    u64 delayed_ns;                                /* since when the first of them waits */
    struct net_peer_range ranges[NET_PEER_RANGES]; /* the newest first */
    u32 range_count;
    struct net_peer_range duplicate; /* to be told by D-SACK; empty: nothing */
    bool fin;
    u32 segments, lost, wrong, twice; /* twice: segments that brought nothing new */
    u64 drop_from, drop_to;           /* segments of these bytes are lost the first time */
    u64 dropped_to;
};

/* The stream's byte at that offset. */
u8 net_peer_byte(u64 offset);
void net_peer_init(struct net_peer *p, struct net_wire *w, struct net_path path, u64 seed);
/* Lets that much time pass on the path and in the machine. */
void net_peer_pass(struct net_peer *p, u64 ns);
/* Bytes that came, without a gap. */
u64 net_peer_received(const struct net_peer *p);
