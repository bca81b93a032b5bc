/* PAWS, RFC 7323, 5: a segment whose timestamp is before the one that its connection saw last has
   been on its way for long, and its sequence number may mean other bytes by now.  It is dropped, as
   in Linux: not when the last one is older than a clock takes for half a turn, and not an
   acknowledgement that another one has just overtaken.

   Called by lwIP where edits/98_stamps.pl says so. */
#include "kernel/net/internal.h"
#include "kernel/net/lwip/hooks.h"
#include "lwip/priv/tcp_priv.h"

#define STAMP_GOOD_S (24 * 24 * 3600u) /* TCP_PAWS_24DAYS of Linux */

static u32 seconds_now(void)
{
    return (u32)(net_time_ns() / NS_PER_SECOND);
}

void net_lwip_stamp_take(struct tcp_pcb *pcb, u32_t stamp)
{
    if (pcb->ts_recent == stamp && pcb->net_stamp_s)
        return;
    pcb->ts_recent = stamp;
    pcb->net_stamp_s = max(seconds_now(), 1u);
}

int net_lwip_stamp_is_old(const struct tcp_pcb *pcb)
{
    /* 0: a side that began so does not keep a clock. */
    if (!pcb->ts_recent || (s32)(net_lwip_options.stamp - pcb->ts_recent) >= 0)
        return false;
    return seconds_now() - pcb->net_stamp_s < STAMP_GOOD_S;
}

/* RFC 7323 has nothing of it; Linux: tcp_disordered_ack. */
static bool overtaken(const struct tcp_pcb *pcb, u32 sequence, u32 acknowledged)
{
    u32 late = pcb->ts_recent - net_lwip_options.stamp;
    return sequence == pcb->rcv_nxt && acknowledged == pcb->lastack &&
           late <= (u32)max(pcb->rto, 0);
}

int net_lwip_segment_is_old(const struct tcp_pcb *pcb, u32_t sequence, u32_t acknowledged,
                            u32_t length)
{
    if (!net_lwip_options.has_stamp || !(pcb->flags & TF_TIMESTAMP) || !net_lwip_stamp_is_old(pcb))
        return false;
    return length || !overtaken(pcb, sequence, acknowledged);
}
