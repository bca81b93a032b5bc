/* TCP's loss recovery for the sender: what an acknowledgement says goes into a scoreboard of
   sequence numbers (kernel/net/holes.h), and what is lost is sent again from there, in packets made
   for it, as many as the congestion window lets go.  Segments stay on lwIP's unacknowledged queue
   meanwhile, however long they are.

   RFC 6675 (SACK), RFC 6937 (how fast during recovery), RFC 3042 and 8985 (the tail), RFC 3522
   (recovery that was for nothing is taken back); without SACK RFC 6582. Called by lwIP where
   edits/95_recovery.pl says so, and by kernel/net/lwip_timers.c. */
#include "kernel/net/lwip_recovery.h"
#include "kernel/net/holes.h"
#include "kernel/net/lwip/hooks.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"
#include "lwip/sys.h"

#define REORDERING_FIRST  3u
#define REORDERING_MOST   100u
#define RTT_MS_MOST       60000u
#define PATIENCE_LEAST_MS 2u
#define PROBE_ALONE_MS    200u /* one segment in flight: its acknowledgement may be delayed */

struct net_lwip_options net_lwip_options;

static struct net_holes *holes_of(struct tcp_pcb *pcb)
{
    return &pcb->net_recovery.holes;
}

static u32 pipe_of(const struct tcp_pcb *pcb)
{
    u32 pipe = net_holes_pipe(&pcb->net_recovery.holes, pcb->snd_nxt);
    u32 beyond = pcb->flags & TF_SACK ? 0 : (u32)pcb->net_recovery.dups * pcb->mss;
    return pipe > beyond ? pipe - beyond : 0;
}

u32_t net_lwip_send_window(const struct tcp_pcb *pcb)
{
    if (!pcb->net_recovery.begun)
        return min(pcb->snd_wnd, pcb->cwnd);
    u32 pipe = pipe_of(pcb);
    u64 window = (u64)pcb->cwnd + (pcb->snd_nxt - pcb->lastack) - pipe;
    return (u32)min(window, (u64)pcb->snd_wnd);
}

/* --- beginning and ending --------------------------------------------------------------------- */

static void recovery_prepare(struct tcp_pcb *pcb, u32 una)
{
    struct net_recovery *r = &pcb->net_recovery;
    if (r->begun)
        return;
    r->begun = true;
    r->reordering = REORDERING_FIRST;
    net_holes_begin(&r->holes, una);
}

void net_lwip_recovery_end(struct tcp_pcb *pcb)
{
    net_holes_end(holes_of(pcb));
}

/* What there was before, should it be taken back. */
static void recovery_remember(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    r->prior_cwnd = pcb->cwnd;
    r->prior_ssthresh = pcb->ssthresh;
    pcb->ssthresh = net_lwip_cubic_reduced(pcb);
}

static void recovery_enter(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    recovery_remember(pcb);
    r->state = NET_RECOVERY_FAST;
    r->point = pcb->snd_nxt;
    r->prr_flight = max(pcb->snd_nxt - pcb->lastack, 1u);
    r->prr_delivered = r->prr_out = 0;
    r->prr_nxt = pcb->snd_nxt;
    r->urgent = true;
    pcb->rtime = 0;
    pcb->rtime_since = tcp_ticks;
}

static void recovery_leave(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    if (r->state == NET_RECOVERY_FAST)
        pcb->cwnd = pcb->ssthresh;
    r->state = NET_RECOVERY_OPEN;
    r->prior_cwnd = 0;
    r->urgent = false;
}

void net_lwip_recovery_timeout(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    recovery_prepare(pcb, pcb->lastack);
    if (r->state == NET_RECOVERY_OPEN)
        recovery_remember(pcb);
    r->state = NET_RECOVERY_LOSS;
    r->point = pcb->snd_nxt;
    r->urgent = true;
    r->dups = 0;
    net_holes_lose_all(&r->holes, pcb->snd_nxt);
    pcb->cwnd = pcb->mss;
    pcb->rttest = 0;
    if (pcb->nrtx < 0xff)
        pcb->nrtx++;
    tcp_output(pcb);
}

/* --- recovery that was for nothing ------------------------------------------------------------ */

static void reordering_seen(struct net_recovery *r, u32 segments)
{
    r->reordering = (u8)min(max(r->reordering + 1u, segments), REORDERING_MOST);
}

/* The other side had the bytes before they were sent again: its answer is to the first sending. */
static bool resent_for_nothing(const struct tcp_pcb *pcb)
{
    const struct net_recovery *r = &pcb->net_recovery;
    return r->prior_cwnd && r->holes.passed_ms && net_lwip_options.has_echo &&
           (s32)(net_lwip_options.echo - r->holes.passed_ms) < 0;
}

static void recovery_take_back(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    reordering_seen(r, r->reordering * 2u);
    r->spurious++;
    pcb->cwnd = max(pcb->cwnd, r->prior_cwnd);
    pcb->ssthresh = max(pcb->ssthresh, r->prior_ssthresh);
    r->cubic_most = max(r->cubic_most, r->prior_cwnd);
    r->state = NET_RECOVERY_OPEN;
    r->prior_cwnd = 0;
    net_holes_forgive(&r->holes, sys_now());
}

/* --- what an acknowledgement says ------------------------------------------------------------- */

/* RFC 2883: the first block tells of bytes that came twice. */
static bool block_is_duplicate(const struct tcp_pcb *pcb, u32 i)
{
    const struct net_lwip_options *o = &net_lwip_options;
    if (i)
        return false;
    if (TCP_SEQ_LEQ(o->sacks[0].end, pcb->lastack))
        return true;
    return o->sack_count > 1 && TCP_SEQ_GEQ(o->sacks[0].begin, o->sacks[1].begin) &&
           TCP_SEQ_LEQ(o->sacks[0].end, o->sacks[1].end);
}

/* How many bytes are news. */
static u32 blocks_note(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    u32 news = 0;
    if (!(pcb->flags & TF_SACK))
        return 0;
    for (u32 i = 0; i < net_lwip_options.sack_count; i++) {
        u32 begin = net_lwip_options.sacks[i].begin, end = net_lwip_options.sacks[i].end;
        if (!TCP_SEQ_LT(begin, end) || TCP_SEQ_GT(end, pcb->snd_nxt))
            continue;
        if (block_is_duplicate(pcb, i)) {
            if (r->resent_segments)
                reordering_seen(r, 0);
            continue;
        }
        if (TCP_SEQ_GT(begin, pcb->lastack))
            news += net_holes_arrived(&r->holes, begin, end, sys_now());
    }
    return news;
}

/* Without SACK: a segment for each acknowledgement that says nothing new.  RFC 6582. */
static u32 duplicate_note(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    if (r->dups < 255)
        r->dups++;
    if (r->dups == REORDERING_FIRST && r->state == NET_RECOVERY_OPEN) {
        u32 outstanding = pcb->snd_nxt - pcb->lastack;
        net_holes_lose_first(&r->holes, pcb->lastack + min((u32)pcb->mss, outstanding));
        recovery_enter(pcb);
    }
    return pcb->mss;
}

static void rtt_note(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    u32 rtt = sys_now() - net_lwip_options.echo;
    if (!net_lwip_options.has_echo || !net_lwip_options.echo || rtt > RTT_MS_MOST)
        return;
    if (!r->least_rtt_ms || rtt < r->least_rtt_ms)
        r->least_rtt_ms = max(rtt, 1u);
    if (!pcb->rttest)
        net_lwip_rtt_measured(pcb, (s32)rtt);
    net_lwip_cubic_rtt(pcb, rtt);
}

/* RFC 6937: as much goes out as has arrived, in proportion to the reduction. */
static void reduction_step(struct tcp_pcb *pcb, u32 delivered, bool progress)
{
    struct net_recovery *r = &pcb->net_recovery;
    u32 pipe = pipe_of(pcb);
    r->prr_delivered += delivered;
    r->prr_out += pcb->snd_nxt - r->prr_nxt;
    r->prr_nxt = pcb->snd_nxt;
    s64 allowed;
    if (pipe > pcb->ssthresh) {
        allowed = ((s64)r->prr_delivered * pcb->ssthresh + r->prr_flight - 1) / r->prr_flight -
                  r->prr_out;
    } else {
        s64 most = max((s64)r->prr_delivered - r->prr_out, (s64)delivered);
        most += progress ? pcb->mss : 0;
        allowed = min((s64)pcb->ssthresh - pipe, most);
    }
    pcb->cwnd = max(pipe + (u32)max(allowed, 0), (u32)pcb->mss);
}

/* How long what something has overtaken may still come by itself: RFC 8985, 6.2. */
static u32 patience_ms(const struct tcp_pcb *pcb)
{
    const struct net_recovery *r = &pcb->net_recovery;
    u32 ms = r->least_rtt_ms * (r->reordering - REORDERING_FIRST + 1u) / 4;
    return max(min(ms, (u32)(pcb->sa >> 3)), PATIENCE_LEAST_MS);
}

static void losses_judge(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    if (!r->holes.count || !(pcb->flags & TF_SACK))
        return;
    net_holes_judge(&r->holes, (struct net_holes_judgement){.segment_bytes = pcb->mss,
                                                            .segments = r->reordering,
                                                            .now_ms = sys_now(),
                                                            .patience_ms = patience_ms(pcb)});
    u32 late_ms = max(r->least_rtt_ms / 4, 2u);
    net_holes_judge_again(&r->holes, r->reordering * pcb->mss, late_ms);
    if (r->state == NET_RECOVERY_OPEN && net_holes_next(&r->holes))
        recovery_enter(pcb);
}

static void window_adjust(struct tcp_pcb *pcb, u32 delivered, u32 flight, bool progress)
{
    struct net_recovery *r = &pcb->net_recovery;
    switch (r->state) {
    case NET_RECOVERY_FAST:
        reduction_step(pcb, delivered, progress);
        break;
    case NET_RECOVERY_LOSS:
        if (delivered)
            net_lwip_cubic_grow(pcb, delivered, max(flight, (u32)pcb->cwnd));
        break;
    default:
        if (delivered)
            net_lwip_cubic_grow(pcb, delivered, flight);
        break;
    }
}

/* The oldest unacknowledged bytes moved on. */
static void progress_note(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    r->dups = 0;
    r->late = false;
    rtt_note(pcb);
    if (r->probed && TCP_SEQ_GEQ(pcb->lastack, r->probe_end))
        r->probed = false;
    if (r->state == NET_RECOVERY_OPEN)
        return;
    if (resent_for_nothing(pcb)) {
        recovery_take_back(pcb);
        return;
    }
    if (TCP_SEQ_GEQ(pcb->lastack, r->point)) {
        recovery_leave(pcb);
        return;
    }
    if (!(pcb->flags & TF_SACK) && !r->holes.count) {
        u32 outstanding = pcb->snd_nxt - pcb->lastack;
        net_holes_lose_first(&r->holes, pcb->lastack + min((u32)pcb->mss, outstanding));
    }
}

void net_lwip_acknowledged(struct tcp_pcb *pcb, u32_t before, int duplicate)
{
    struct net_recovery *r = &pcb->net_recovery;
    recovery_prepare(pcb, before);
    bool progress = pcb->lastack != before;
    if (!progress && !duplicate && !net_lwip_options.sack_count)
        return;
    u32 flight = net_holes_pipe(&r->holes, pcb->snd_nxt);
    u32 delivered = net_holes_acknowledged(&r->holes, pcb->lastack);
    delivered += blocks_note(pcb);
    if (duplicate && !(pcb->flags & TF_SACK))
        delivered += duplicate_note(pcb);
    if (progress)
        progress_note(pcb);
    losses_judge(pcb);
    window_adjust(pcb, delivered, flight, progress);
}

/* --- sending again ---------------------------------------------------------------------------- */

static u32 segment_begin(const struct tcp_seg *seg)
{
    return lwip_ntohl(seg->tcphdr->seqno);
}

static struct tcp_seg *segment_find(const struct tcp_pcb *pcb, u32 at)
{
    struct tcp_seg *seg = pcb->unacked;
    while (seg && TCP_SEQ_LEQ(segment_begin(seg) + TCP_TCPLEN(seg), at))
        seg = seg->next;
    return seg && TCP_SEQ_LEQ(segment_begin(seg), at) ? seg : NULL;
}

static u16_t options_bytes(const struct tcp_pcb *pcb)
{
    return pcb->flags & TF_TIMESTAMP ? LWIP_TCP_OPT_LEN_TS_OUT : 0;
}

/* The header of a packet that has room for options already.  False: no memory. */
static bool header_add(struct tcp_pcb *pcb, struct pbuf *p, u32 sequence, u8 flags)
{
    if (pbuf_add_header(p, TCP_HLEN))
        return false;
    struct tcp_hdr *tcp = p->payload;
    u16 options = options_bytes(pcb);
    *tcp = (struct tcp_hdr){.src = lwip_htons(pcb->local_port),
                            .dest = lwip_htons(pcb->remote_port),
                            .seqno = lwip_htonl(sequence),
                            .ackno = lwip_htonl(pcb->rcv_nxt),
                            .wnd = lwip_htons(TCPWND_MIN16(RCV_WND_SCALE(pcb, pcb->rcv_ann_wnd)))};
    TCPH_HDRLEN_FLAGS_SET(tcp, 5 + options / 4, flags);
    pcb->rcv_ann_right_edge = pcb->rcv_nxt + pcb->rcv_ann_wnd;
    if (options) {
        u32_t *stamp = (u32_t *)(void *)(tcp + 1);
        stamp[0] = PP_HTONL(0x0101080A);
        stamp[1] = lwip_htonl(sys_now());
        stamp[2] = lwip_htonl(pcb->ts_recent);
        pcb->ts_lastacksent = pcb->rcv_nxt;
    }
    return true;
}

static void resent_count(struct tcp_pcb *pcb, u32 bytes)
{
    struct net_recovery *r = &pcb->net_recovery;
    r->resent = true;
    r->resent_segments++;
    r->resent_bytes += bytes;
    pcb->rttest = 0; /* Karn: nobody can know which of them is answered */
    MIB2_STATS_INC(mib2.tcpretranssegs);
    if (pcb->rtime >= 0)
        return;
    pcb->rtime = 0;
    pcb->rtime_since = tcp_ticks;
}

/* At most a segment of [begin, end); how much it was, 0: it could not be sent now. */
static u32 resend(struct tcp_pcb *pcb, u32 begin, u32 end)
{
    struct tcp_seg *seg = segment_find(pcb, begin);
    if (!seg)
        return 0;
    u16 options = options_bytes(pcb);
    u32 at = begin - segment_begin(seg);
    u32 most = max((u32)pcb->mss, options + 1u) - options;
    u32 wanted = min(min(end - begin, most), TCP_TCPLEN(seg) - at);
    u32 bytes = at < seg->len ? min(wanted, seg->len - at) : 0;
    bool fin = TCPH_FLAGS(seg->tcphdr) & TCP_FIN && at + wanted > seg->len;
    u8 flags = TCP_ACK | (bytes ? TCP_PSH : 0) | (fin ? TCP_FIN : 0);
    struct pbuf *p = net_lwip_segment_slice(seg, (u16)at, (u16)bytes, options);
    if (!p)
        return 0;
    if (!header_add(pcb, p, begin, flags)) {
        pbuf_free(p);
        return 0;
    }
    if (net_lwip_output_packet(pcb, p) != ERR_OK)
        return 0;
    resent_count(pcb, bytes);
    return bytes + fin;
}

void net_lwip_resend_lost(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    struct net_hole *hole;
    if (!r->begun || r->state == NET_RECOVERY_OPEN)
        return;
    u32 pipe = pipe_of(pcb);
    while ((hole = net_holes_next(&r->holes)) && (r->urgent || pipe + pcb->mss <= pcb->cwnd)) {
        u32 sent = resend(pcb, hole->next, hole->end);
        if (!sent) {
            tcp_set_flags(pcb, TF_NAGLEMEMERR); /* tried again soon */
            return;
        }
        u32 now = sys_now();
        hole->next += sent;
        hole->resent_ms = now;
        hole->resent_nxt = pcb->snd_nxt;
        if (!hole->first_ms)
            hole->first_ms = now ? now : 1;
        pipe += sent;
        r->prr_out += sent;
        r->urgent = false;
    }
}

/* --- the tail --------------------------------------------------------------------------------- */

/* After how long without a word the tail is probed, from rtime_since on; 0: it is not.  RFC
 * 8985, 7. */
static u32 probe_ms(const struct tcp_pcb *pcb)
{
    const struct net_recovery *r = &pcb->net_recovery;
    bool wanted = r->begun && !r->probed && r->state == NET_RECOVERY_OPEN && !r->holes.count &&
                  pcb->flags & TF_SACK && pcb->sa && pcb->unacked && !pcb->nrtx;
    if (!wanted)
        return 0;
    u32 rtt = (u32)(pcb->sa >> 3);
    /* Before what round trips vary by is over, a probe would be for nothing: the other side is
       busy, or we are. */
    u32 variation = (u32)max(pcb->sv, 0);
    u32 ms = rtt + max(rtt, variation) + NET_PROBE_LEAST_MS;
    if (pcb->snd_nxt - pcb->lastack <= pcb->mss)
        ms += PROBE_ALONE_MS;
    return ms < (u32)pcb->rto ? ms : 0;
}

/* Whether a hole may turn out to be lost by waiting, and until when. */
static bool doubt_ends(const struct tcp_pcb *pcb, u32 *ms)
{
    const struct net_recovery *r = &pcb->net_recovery;
    /* Without SACK nothing is judged by waiting: the time-out decides. */
    if (!(pcb->flags & TF_SACK) || r->state == NET_RECOVERY_LOSS ||
        !net_holes_doubtful(&r->holes, ms))
        return false;
    *ms += patience_ms(pcb);
    return true;
}

u32 net_lwip_recovery_deadline(const struct tcp_pcb *pcb)
{
    u32 probe = probe_ms(pcb), ms;
    u32 deadline = pcb->rtime_since + (probe ? probe : (u32)pcb->rto);
    if (doubt_ends(pcb, &ms) && (s32)(ms - deadline) < 0)
        return ms;
    return deadline;
}

static void tail_probe(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    u32 outstanding = pcb->snd_nxt - pcb->lastack;
    u32 from = pcb->snd_nxt - min(outstanding, (u32)pcb->mss);
    r->probed = true;
    r->probe_end = pcb->snd_nxt;
    pcb->rtime_since = tcp_ticks; /* the time-out follows the probe */
    const struct tcp_seg *seg = segment_find(pcb, from);
    if (!seg)
        return;
    /* The end of the last segment, in one packet. */
    u32 end = segment_begin(seg) + TCP_TCPLEN(seg);
    resend(pcb, end == pcb->snd_nxt ? from : end, pcb->snd_nxt);
}

bool net_lwip_recovery_tick(struct tcp_pcb *pcb)
{
    u32 now = tcp_ticks, ms;
    if (doubt_ends(pcb, &ms) && (s32)(now - ms) >= 0) {
        losses_judge(pcb);
        tcp_output(pcb);
        return true;
    }
    if (!probe_ms(pcb))
        return false;
    tail_probe(pcb);
    return true;
}
