/* TCP's timers.  Each connection has one deadline in a queue: the first of all that it has due.
   When it comes, what is due is done, and the next one is found; between deadlines an idle
   connection costs nothing.

   A deadline in the queue may be too early, never too late: what makes one later (an
   acknowledgement, say) leaves the queue alone, and the connection finds out when its time comes.
   So sending and receiving touch the queue seldom.

   Ticks are milliseconds, modulo 2^32.  Called by lwIP where edits/60_timers.pl says so, and by
   kernel/net/timers.c. */
#include "kernel/net/lwip_timers.h"
#include "kernel/net/internal.h"
#include "kernel/net/lwip/hooks.h"
#include "kernel/net/lwip_recovery.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "runtime/assert.h"
#include "runtime/timer_queue.h"

#define DELAYED_ACK_MS 40
#define LATE_MS        2   /* a timer's: the machine was stopped, or others had it */
#define LATE_GRACE_MS  20  /* for what came meanwhile to be looked at */
#define RETRY_MS       10  /* what memory, or room at the device, was missing for */
#define UNSENT_MS      500 /* what no route was there for */
#define A_RUN          512 /* connections, before others have their turn */
#define SYN_ACK_MOST   5   /* retransmissions, as in Linux */
#define ORPHAN_MOST    8   /* likewise */
#define NOTHING_DUE    0x7fffffff

static struct timer_queue deadlines;

static struct timer *timer_of(struct tcp_pcb *pcb)
{
    _Static_assert(sizeof(struct timer) <= sizeof(pcb->net_timer), "struct timer has no room");
    return (struct timer *)(void *)pcb->net_timer;
}

static struct tcp_pcb *pcb_of(struct timer *t)
{
    return (struct tcp_pcb *)(void *)((u8 *)t - offsetof(struct tcp_pcb, net_timer));
}

/* --- round trips ------------------------------------------------------------------------------ */

s32_t net_lwip_rto(const struct tcp_pcb *pcb)
{
    s32 variation = max(pcb->sv, NET_RTO_LEAST_MS);
    return min((pcb->sa >> 3) + variation, NET_RTO_MOST_MS);
}

/* V. Jacobson, "Congestion Avoidance and Control", 1988; RFC 6298 for the first one. */
void net_lwip_rtt_measured(struct tcp_pcb *pcb, s32_t ms)
{
    ms = min(max(ms, 0), NET_RTO_MOST_MS);
    if (!pcb->sa) {
        pcb->sa = ms << 3;
        pcb->sv = ms << 1;
    } else {
        s32 off = ms - (pcb->sa >> 3);
        pcb->sa += off;
        pcb->sv += (off < 0 ? -off : off) - (pcb->sv >> 2);
    }
    pcb->rto = net_lwip_rto(pcb);
}

/* --- what is due when ------------------------------------------------------------------------- */

/* Milliseconds until `since` + `interval`; 0: now, or it is past. */
static s32 left_until(u32 since, u32 interval, u32 now)
{
    s32 left = (s32)(since + interval - now);
    return max(left, 0);
}

static u32 persist_interval(const struct tcp_pcb *pcb)
{
    u32 shift = min((u32)pcb->persist_backoff - 1, 10u);
    return (u32)min((s64)max(pcb->rto, NET_RTO_LEAST_MS) << shift, (s64)NET_RTO_MOST_MS);
}

static bool pcb_has_keepalive(const struct tcp_pcb *pcb)
{
    return ip_get_option(pcb, SOF_KEEPALIVE) &&
           (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT);
}

static bool pcb_is_polled(const struct tcp_pcb *pcb)
{
    return pcb->poll && pcb->pollinterval && pcb->pollinterval != 255;
}

static s32 left_to_send(const struct tcp_pcb *pcb, u32 now)
{
    if (pcb->persist_backoff)
        return left_until(pcb->persist_since, persist_interval(pcb), now);
    if (pcb->rtime >= 0)
        return left_until(net_lwip_recovery_deadline(pcb), 0, now);
    return pcb->unsent && !pcb->unacked ? UNSENT_MS : NOTHING_DUE;
}

static u32 state_interval(const struct tcp_pcb *pcb)
{
    switch (pcb->state) {
    case FIN_WAIT_2: /* after shutdown alone it may last for ever */
        return pcb->flags & TF_RXCLOSED ? TCP_FIN_WAIT_TIMEOUT : 0;
    case LAST_ACK:
    case TIME_WAIT:
        return 2 * TCP_MSL;
    default:
        return 0;
    }
}

static s32 pcb_left(const struct tcp_pcb *pcb, u32 now)
{
    u32 interval = state_interval(pcb);
    /* Nothing else is done in TIME-WAIT: pcb_tick. */
    if (pcb->state == TIME_WAIT)
        return left_until(pcb->tmr, interval, now);
    s32 left = left_to_send(pcb, now);
    if (interval)
        left = min(left, left_until(pcb->tmr, interval, now));
    if (pcb->flags & TF_ACK_DELAY)
        left = min(left, left_until(pcb->ack_since, DELAYED_ACK_MS, now));
    if (pcb->flags & (TF_CLOSEPEND | TF_NAGLEMEMERR) || pcb->refused_data)
        left = min(left, RETRY_MS);
    if (pcb_has_keepalive(pcb)) {
        u32 idle = pcb->keep_idle + pcb->keep_cnt_sent * pcb->keep_intvl;
        left = min(left, left_until(pcb->tmr, idle, now));
    }
    if (pcb_is_polled(pcb))
        left = min(left, left_until(pcb->poll_since, pcb->pollinterval, now));
    return left;
}

/* --- the queue -------------------------------------------------------------------------------- */

void net_lwip_timer_init(struct tcp_pcb *pcb)
{
    pcb->poll_since = net_lwip_ticks();
}

void net_lwip_timer_end(struct tcp_pcb *pcb)
{
    struct timer *t = timer_of(pcb);
    if (!t->pending)
        return;
    timer_queue_remove(&deadlines, t);
}

static bool deadline_is_by(struct tcp_pcb *pcb, u64 due_ns)
{
    const struct timer *t = timer_of(pcb);
    return t->pending && t->expires_ns <= due_ns;
}

/* Unless there is an earlier one. */
static void deadline_set(struct tcp_pcb *pcb, u64 due_ns)
{
    struct timer *t = timer_of(pcb);
    if (deadline_is_by(pcb, due_ns))
        return;
    net_lwip_timer_end(pcb);
    if (timer_queue_insert(&deadlines, t, due_ns))
        net_timers_tcp(due_ns);
}

void net_lwip_timer_update(struct tcp_pcb *pcb)
{
    if (pcb->state == CLOSED || pcb->state == LISTEN)
        return;
    u64 now_ns = net_time_ns();
    s32 left = pcb_left(pcb, (u32)(now_ns / NS_PER_MS));
    if (left == NOTHING_DUE)
        return;
    /* A tick that leaves something due is not repeated at once: others have their turn. */
    deadline_set(pcb, (now_ns / NS_PER_MS + (u32)max(left, 1)) * NS_PER_MS);
}

void net_lwip_timer_within(struct tcp_pcb *pcb, u32_t ms)
{
    u64 due_ns = net_time_ns() + ms * NS_PER_MS;
    if (!deadline_is_by(pcb, due_ns))
        deadline_set(pcb, due_ns / NS_PER_MS * NS_PER_MS);
}

/* How long it is at least from rtime_since on until something is done about what is unacknowledged.
   0: that has to be looked at. */
static u32 recovery_least(const struct tcp_pcb *pcb)
{
    const struct net_recovery *r = &pcb->net_recovery;
    if (r->state != NET_RECOVERY_OPEN || r->holes.count || !pcb->unacked)
        return 0;
    return pcb->snd_nxt - pcb->lastack <= pcb->mss ? NET_RTO_LEAST_MS : NET_PROBE_LEAST_MS;
}

/* Whether the deadline that is set comes before anything that a segment, come or gone, can make
   due. What else makes something due says so to net_lwip_timer_update. */
static bool deadline_stands(const struct tcp_pcb *pcb, const struct timer *t)
{
    const u16 looked_at = TF_CLOSEPEND | TF_NAGLEMEMERR;
    if (!t->pending || pcb->state != ESTABLISHED || pcb->persist_backoff || pcb->refused_data ||
        pcb->flags & looked_at)
        return false;
    u32 due = (u32)(t->expires_ns / NS_PER_MS);
    if (pcb->flags & TF_ACK_DELAY && (s32)(pcb->ack_since + DELAYED_ACK_MS - due) < 0)
        return false;
    if (pcb->rtime < 0)
        return !pcb->unsent;
    u32 least = recovery_least(pcb);
    return least && (s32)(pcb->rtime_since + least - due) >= 0;
}

void net_lwip_timer_touch(struct tcp_pcb *pcb)
{
    if (!deadline_stands(pcb, timer_of(pcb)))
        net_lwip_timer_update(pcb);
}

/* --- doing it --------------------------------------------------------------------------------- */

/* The connection is given up, and its owner told.  It is no more. */
static void pcb_give_up(struct tcp_pcb *pcb, bool reset)
{
    tcp_err_fn told = pcb->errf;
    void *owner = pcb->callback_arg;
    tcp_pcb_purge(pcb);
    TCP_RMV_ACTIVE(pcb);
    if (reset)
        tcp_rst(pcb, pcb->snd_nxt, pcb->rcv_nxt, &pcb->local_ip, &pcb->remote_ip, pcb->local_port,
                pcb->remote_port);
    tcp_free(pcb);
    if (told)
        told(owner, ERR_ABRT);
}

/* A window of the other side's that is too small for what is to be sent. */
static bool persist_expired(struct tcp_pcb *pcb)
{
    bool sent = false;
    if (pcb->persist_probe >= TCP_MAXRTX)
        return false;
    if (!pcb->snd_wnd)
        sent = tcp_zero_window_probe(pcb) == ERR_OK;
    else if (tcp_split_unsent_seg(pcb, (u16_t)min(pcb->snd_wnd, 0xffffu)) == ERR_OK)
        tcp_output(pcb); /* ends the timer */
    pcb->persist_since = net_lwip_ticks();
    if (sent && pcb->persist_backoff)
        pcb->persist_backoff = (u8)min(pcb->persist_backoff + 1, 12);
    return true;
}

static u32 retransmissions_most(const struct tcp_pcb *pcb)
{
    if (pcb->state == SYN_SENT)
        return TCP_SYNMAXRTX;
    if (pcb->state == SYN_RCVD)
        return SYN_ACK_MOST;
    /* Nobody waits for what a closed connection still has to say. */
    return pcb->flags & TF_RXCLOSED && pcb->state > ESTABLISHED ? ORPHAN_MOST : TCP_MAXRTX;
}

static void congestion_window_lower(struct tcp_pcb *pcb)
{
    tcpwnd_size_t flight = min(pcb->cwnd, pcb->snd_wnd);
    pcb->ssthresh = max(flight >> 1, 2u * pcb->mss);
    pcb->cwnd = pcb->mss;
    pcb->bytes_acked = 0;
}

static void rto_back_off(struct tcp_pcb *pcb)
{
    u32 shift = min((u32)pcb->nrtx + 1, 10u);
    pcb->rto = (s32)min((s64)net_lwip_rto(pcb) << shift, (s64)NET_RTO_MOST_MS);
}

/* When the machine was stopped, acknowledgements that came in time lie with the device: they are
   looked at before something is sent again for nothing.  Once for each time-out. */
static bool retransmission_waits(struct tcp_pcb *pcb)
{
    u32 late_ms = net_lwip_ticks() - net_lwip_recovery_deadline(pcb);
    if ((s32)late_ms < LATE_MS || pcb->net_recovery.late) {
        pcb->net_recovery.late = false;
        return false;
    }
    pcb->net_recovery.late = true;
    pcb->rtime_since += late_ms + LATE_GRACE_MS;
    return true;
}

/* False: it was tried often enough. */
static bool retransmission_expired(struct tcp_pcb *pcb)
{
    if (retransmission_waits(pcb))
        return true;
    if (net_lwip_recovery_tick(pcb))
        return true;
    if (pcb->nrtx >= retransmissions_most(pcb))
        return false;
    if (pcb->state >= ESTABLISHED && pcb->unacked) {
        pcb->rtime = 0;
        pcb->rtime_since = net_lwip_ticks();
        rto_back_off(pcb);
        net_lwip_recovery_timeout(pcb);
        return true;
    }
    bool ready = tcp_rexmit_rto_prepare(pcb) == ERR_OK || (!pcb->unacked && pcb->unsent);
    pcb->rtime = 0;
    pcb->rtime_since = net_lwip_ticks();
    if (!ready) {
        /* A device still has a segment: soon again. */
        pcb->rtime_since -= (u32)max(pcb->rto - RETRY_MS, 0);
        return true;
    }
    rto_back_off(pcb);
    congestion_window_lower(pcb);
    tcp_rexmit_rto_commit(pcb);
    return true;
}

/* False: the connection is to be given up. */
static bool sending_tick(struct tcp_pcb *pcb, u32 now)
{
    if (left_to_send(pcb, now) > 0) {
        if (pcb->unsent && (!pcb->unacked || pcb->flags & TF_NAGLEMEMERR))
            tcp_output(pcb);
        return true;
    }
    return pcb->persist_backoff ? persist_expired(pcb) : retransmission_expired(pcb);
}

/* False: the other side has not answered any of the probes. */
static bool keepalive_tick(struct tcp_pcb *pcb, u32 now)
{
    if (!pcb_has_keepalive(pcb))
        return true;
    u32 idle = now - pcb->tmr;
    if (idle < pcb->keep_idle + pcb->keep_cnt_sent * pcb->keep_intvl)
        return true;
    if (pcb->keep_cnt_sent >= pcb->keep_cnt)
        return false;
    /* One that cannot be sent counts as sent and lost: no hurry. */
    tcp_keepalive(pcb);
    pcb->keep_cnt_sent++;
    return true;
}

static bool state_is_over(const struct tcp_pcb *pcb, u32 now)
{
    u32 interval = state_interval(pcb);
    return interval && !left_until(pcb->tmr, interval, now);
}

static void acknowledge_tick(struct tcp_pcb *pcb, u32 now)
{
    if (pcb->flags & TF_ACK_DELAY && !left_until(pcb->ack_since, DELAYED_ACK_MS, now)) {
        tcp_ack_now(pcb);
        tcp_output(pcb);
        tcp_clear_flags(pcb, TF_ACK_DELAY | TF_ACK_NOW);
    }
    if (pcb->flags & TF_CLOSEPEND) {
        tcp_clear_flags(pcb, TF_CLOSEPEND);
        tcp_close_shutdown_fin(pcb);
    }
}

/* False: the pcb is no more. */
static bool owner_tick(struct tcp_pcb *pcb, u32 now)
{
    if (pcb->refused_data && tcp_process_refused_data(pcb) == ERR_ABRT)
        return false;
    if (!pcb_is_polled(pcb) || left_until(pcb->poll_since, pcb->pollinterval, now))
        return true;
    pcb->poll_since = now;
    err_t err = pcb->poll(pcb->callback_arg, pcb);
    if (err == ERR_ABRT)
        return false;
    if (err == ERR_OK)
        tcp_output(pcb);
    return true;
}

static void pcb_tick(struct tcp_pcb *pcb)
{
    u32 now = net_lwip_ticks();
    if (pcb->state == TIME_WAIT) {
        if (!state_is_over(pcb, now)) {
            net_lwip_timer_update(pcb);
            return;
        }
        tcp_pcb_remove(&tcp_tw_pcbs, pcb);
        tcp_free(pcb);
        return;
    }
    bool alive = keepalive_tick(pcb, now);
    if (!alive || state_is_over(pcb, now) || !sending_tick(pcb, now)) {
        pcb_give_up(pcb, !alive);
        return;
    }
    acknowledge_tick(pcb, now);
    if (owner_tick(pcb, now))
        net_lwip_timer_update(pcb);
}

u64 net_lwip_timers_run(u64 now_ns)
{
    struct timer *t;
    for (u32 i = 0; i < A_RUN && (t = timer_queue_expired(&deadlines, now_ns)); i++) {
        t->pending = false;
        struct net_time before = net_time_hold();
        pcb_tick(pcb_of(t));
        net_time_release(before);
    }
    return timer_queue_earliest(&deadlines);
}

void net_lwip_timers_init(void)
{
    timer_queue_init(&deadlines);
}
