/* What TCP's loss recovery and congestion control keep of a connection: kernel/net/lwip_recovery.c,
   called from edits/95_recovery.pl.  lwip/tcp.h includes this for struct tcp_pcb. */
#pragma once

/* Bytes that the other side has not got, below some that it has.  kernel/net/holes.h. */
struct net_hole {
    u32_t begin, end;
    u32_t next;       /* of a lost one: what is below was sent again */
    u32_t resent_nxt; /* snd_nxt when it was last sent again */
    u32_t resent_ms;  /* when that was */
    u32_t first_ms;   /* when it was sent again for the first time */
    u32_t seen_ms;    /* when something above it arrived */
    u8_t lost;
};

struct net_holes {
    struct net_hole own;    /* there is room for one hole without memory */
    struct net_hole *holes; /* in the stream's order */
    u16_t count, room;
    u32_t una;          /* everything below is acknowledged */
    u32_t end;          /* what lies between una and here is in a hole, or has arrived */
    u32_t delivered_ms; /* of what was sent again and has arrived: the latest time */
    u32_t passed_ms;    /* first_ms of the hole that the last acknowledgement filled; 0: none */
};

/* Segments of a connection; of these, with payload.  What the device joins or cuts is counted as
   what is on the wire. */
struct net_segments {
    u32_t all, data;
};

static inline void net_segments_count(struct net_segments *s, u32_t bytes, u32_t mss)
{
    u32_t count = bytes <= mss || !mss ? 1 : (bytes + mss - 1) / mss;
    s->all += count;
    s->data += bytes ? count : 0;
}

enum net_recovery_state {
    NET_RECOVERY_OPEN,
    NET_RECOVERY_FAST, /* losses were seen from what arrived: RFC 6675, 6937 */
    NET_RECOVERY_LOSS, /* the retransmission time-out was over */
};

struct net_recovery {
    struct net_holes holes;
    u8_t state; /* enum net_recovery_state */
    u8_t begun;
    u8_t reordering; /* segments that overtake one do not mean that it is lost: fewer than these */
    u8_t urgent;     /* one segment may go whatever the congestion window says */
    u8_t probed;     /* the tail was probed up to probe_end */
    u8_t late;       /* the time-out came late, and was put off for that */
    u8_t resent;     /* bytes went out twice; cleared by who has seen it */
    u8_t dups;       /* acknowledgements that say nothing new, without SACK */
    u32_t point;     /* recovery is over when it is acknowledged */
    u32_t probe_end;
    u32_t probe_ms;
    u32_t prior_cwnd, prior_ssthresh; /* should it turn out that nothing was lost; 0: cannot */
    u32_t prr_delivered, prr_out, prr_flight, prr_nxt;
    u32_t least_rtt_ms; /* 0: not known */
    /* CUBIC: kernel/net/lwip_cubic.c */
    u32_t cubic_most;     /* window before the last reduction */
    u32_t cubic_origin;   /* where its curve is flat */
    u32_t cubic_reno;     /* what Reno would have */
    u32_t cubic_epoch_ms; /* the curve's beginning; 0: there is none yet */
    u32_t cubic_k_ms;     /* from there to the flat part */
    u64_t cubic_credit;
    /* RFC 9406's rounds */
    u32_t round_end, round_least_ms, round_last_ms;
    u32_t cautious_ms;
    u16_t round_samples;
    u8_t cautious_rounds; /* of slow start that is slower still */
    u16_t spurious;       /* times that recovery was taken back */
    u32_t resent_segments;
    u64_t resent_bytes;
    struct net_segments segments_in, segments_out;
};
