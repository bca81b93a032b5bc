/* Endpoints of TCP: what ICMP says of their packets (kernel/net/icmp_errors.h).

   As Linux: an attempt to connect ends with the error; a connection that stands goes on, and the
   error is the reason should it time out.  A path with a smaller MTU makes segments smaller. */
#include "kernel/net/icmp_errors.h"
#include "kernel/net/lwip/hooks.h"
#include "kernel/net/tcp_endpoint.h"

#define MTU_LEAST_V4 552u /* net.ipv4.route.min_pmtu: smaller ones are not believed */
#define MTU_LEAST_V6 1280u

static void path_narrowed(struct tcp_pcb *pcb, u32 mtu)
{
    bool v6 = IP_IS_V6_VAL(pcb->remote_ip);
    u32 headers = (v6 ? 40u : 20u) + TCP_HLEN;
    u32 segment = max(mtu, v6 ? MTU_LEAST_V6 : MTU_LEAST_V4) - headers;
    if (pcb->mss <= segment)
        return;
    pcb->mss = (u16_t)segment;
    net_tcp_segments_size(pcb);
}

void net_tcp_icmp_error(const struct net_icmp_error *i)
{
    struct tcp_pcb *pcb =
        net_lwip_find(&i->local, i->local_port, &i->remote, i->remote_port, NETIF_NO_INDEX);
    if (!pcb || pcb->state == SYN_RCVD || pcb->state == TIME_WAIT)
        return;
    /* Nobody who does not see the packets can know what is on its way. */
    if (!TCP_SEQ_BETWEEN(i->sequence, pcb->lastack, pcb->snd_nxt))
        return;
    if (i->mtu) {
        path_narrowed(pcb, i->mtu);
        return;
    }
    struct net_tcp *e = pcb->callback_arg;
    if (!e)
        return;
    if (pcb->state != SYN_SENT) {
        e->soft_error = i->error;
        return;
    }
    status error = i->error;
    tcp_err(pcb, NULL);
    tcp_abandon(pcb, 0);
    net_tcp_fail(e, error);
}
