/* Inside kernel/net/ only: the scoreboard of a sending TCP (RFC 2018, 6675): which bytes between
   the oldest unacknowledged one and the newest that arrived are missing at the other side.

   Sequence numbers are modulo 2^32.  There are at most NET_HOLES_MOST holes of a connection, in
   memory of general_heap; what cannot be noted for want of room or memory counts as not arrived. */
#pragma once

#include "lwip/tcp.h"
#include "runtime/types.h"

#define NET_HOLES_MOST 512u

/* Forgets everything; what is below `una` is acknowledged. */
void net_holes_begin(struct net_holes *h, u32 una);
/* Gives the memory back. */
void net_holes_end(struct net_holes *h);

/* Everything below `una` has arrived, or [begin, end), which lies above una; how many bytes are
 * news. */
u32 net_holes_acknowledged(struct net_holes *h, u32 una);
u32 net_holes_arrived(struct net_holes *h, u32 begin, u32 end, u32 now_ms);

/* Holes above which more than `segments - 1` segments' worth, or that many pieces, arrived are
   lost; so are those that have been seen for patience_ms. */
struct net_holes_judgement {
    u32 segment_bytes, segments;
    u32 now_ms, patience_ms;
};
void net_holes_judge(struct net_holes *h, struct net_holes_judgement j);
/* Since when the first hole is seen that is not lost; false: there is none. */
bool net_holes_doubtful(const struct net_holes *h, u32 *seen_ms);
/* All up to `to` is lost, whatever was sent again. */
void net_holes_lose_all(struct net_holes *h, u32 to);
/* [una, to) is lost: what is known without SACK.  False: no memory. */
bool net_holes_lose_first(struct net_holes *h, u32 to);
/* What was sent again `late_ms` before something that has arrived since, or before data beyond
   resent_nxt + `bytes`, is lost again.  How many holes. */
u32 net_holes_judge_again(struct net_holes *h, u32 bytes, u32 late_ms);
/* Takes back what was judged. */
void net_holes_forgive(struct net_holes *h, u32 now_ms);

/* The first one with something to send again; NULL: there is none. */
struct net_hole *net_holes_next(struct net_holes *h);
/* Bytes on their way, of [una, to). */
u32 net_holes_pipe(const struct net_holes *h, u32 to);
