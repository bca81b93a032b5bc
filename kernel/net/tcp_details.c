/* Endpoints of TCP: what can be known of connections, for TCP_INFO and /proc/net/tcp. */
#include "kernel/clock.h"
#include "kernel/net/lwip_address.h"
#include "kernel/net/tcp_endpoint.h"

#define TICK_US (TCP_SLOW_INTERVAL * 1000u)

/* Linux's numbers (include/net/tcp_states.h). */
static const u8 linux_states[] = {
    [CLOSED] = 7,      [LISTEN] = 10,    [SYN_SENT] = 2,   [SYN_RCVD] = 3,
    [ESTABLISHED] = 1, [FIN_WAIT_1] = 4, [FIN_WAIT_2] = 5, [CLOSE_WAIT] = 8,
    [CLOSING] = 11,    [LAST_ACK] = 9,   [TIME_WAIT] = 6,
};

static void details_of_pcb(const struct tcp_pcb *pcb, struct net_tcp_details *to)
{
    u32 mss = max(tcp_mss(pcb), 1);
    to->state = linux_states[pcb->state];
    to->retransmits = pcb->nrtx;
    to->backoff = pcb->nrtx;
    to->rto_us = (u32)max(pcb->rto, 0) * TICK_US;
    to->ack_timeout_us = 40000;
    to->rtt_us = (u32)max(pcb->sa, 0) * TICK_US / 8;
    to->rtt_variation_us = (u32)max(pcb->sv, 0) * TICK_US / 4;
    to->least_rtt_us = pcb->net_recovery.least_rtt_ms * 1000;
    to->total_retransmits = pcb->net_recovery.resent_segments;
    to->bytes_retransmitted = pcb->net_recovery.resent_bytes;
    to->segments_in = pcb->net_recovery.segments_in.all;
    to->data_segments_in = pcb->net_recovery.segments_in.data;
    to->segments_out = pcb->net_recovery.segments_out.all;
    to->data_segments_out = pcb->net_recovery.segments_out.data;
    to->send_mss = to->receive_mss = mss;
    to->unacknowledged = (pcb->snd_nxt - pcb->lastack + mss - 1) / mss;
    to->congestion_window = pcb->cwnd / mss;
    to->slow_start_threshold = pcb->ssthresh / mss;
    to->send_scale = pcb->snd_scale;
    to->receive_scale = pcb->rcv_scale;
    to->send_window = pcb->snd_wnd;
    to->timestamps = tcp_is_flag_set(pcb, TF_TIMESTAMP);
    to->sack = tcp_is_flag_set(pcb, TF_SACK);
    to->window_scaling = tcp_is_flag_set(pcb, TF_WND_SCALE);
}

void net_tcp_details(const struct net_tcp *e, struct net_tcp_details *to)
{
    *to = (struct net_tcp_details){.state = linux_states[CLOSED]};
    if (e->pcb)
        details_of_pcb(e->pcb, to);
    else if (e->role == NET_TCP_LISTENING) {
        /* As in Linux: what waits to be accepted, and the bound of that. */
        to->state = linux_states[LISTEN];
        to->unacknowledged = e->accept_count;
        to->sacked = e->backlog;
    }
    u64 now = clock_monotonic_ns();
    to->bytes_acknowledged = e->bytes_acknowledged;
    to->bytes_received = e->bytes_received;
    to->bytes_sent = e->bytes_sent;
    to->receive_space = e->window;
    to->last_sent_ns = now - e->progress_ns;
    to->last_received_ns = now - e->received_ns;
}

/* --- all of them ------------------------------------------------------------------------------ */

static enum net_family family_of(const ip_addr_t *a)
{
    return IP_IS_V6(a) ? NET_V6 : NET_V4;
}

/* A pcb, with what its endpoint knows when it has one. */
static void visit_pcb(net_tcp_visitor visitor, const struct tcp_pcb *pcb)
{
    struct net_tcp_seen seen = {0};
    /* While the handshake lasts the argument is the listener's. */
    const struct net_tcp *e = pcb->state == SYN_RCVD ? NULL : pcb->callback_arg;
    enum net_family family = e ? (enum net_family)e->family : family_of(&pcb->local_ip);
    seen.local = net_address_from_lwip(family, &pcb->local_ip, pcb->local_port);
    seen.remote = net_address_from_lwip(family, &pcb->remote_ip, pcb->remote_port);
    if (e) {
        net_tcp_details(e, &seen.details);
        seen.received_bytes = e->received_bytes;
        seen.unsent_bytes = e->queued;
    } else {
        details_of_pcb(pcb, &seen.details);
    }
    apply(visitor, &seen);
}

void net_tcp_visit(net_tcp_visitor visitor)
{
    list_for_each (&net_tcp_all, link) {
        const struct net_tcp *e = container_of(link, struct net_tcp, link);
        if (e->role != NET_TCP_LISTENING)
            continue;
        struct net_tcp_seen seen = {.local = e->local, .remote = {.family = e->family}};
        net_tcp_details(e, &seen.details);
        apply(visitor, &seen);
    }
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next)
        visit_pcb(visitor, pcb);
    for (const struct tcp_pcb *pcb = tcp_tw_pcbs; pcb; pcb = pcb->next)
        visit_pcb(visitor, pcb);
}
