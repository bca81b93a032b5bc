/* The way out of a connection's segments over IPv4 and Ethernet.  lwIP looks for the neighbour, and
   makes both headers anew, for each; here a segment takes those of the one before, with a length
   and a number of its own, as long as nothing has changed that they depend on.

   What may have changed ends an era, and with it all that is known: a neighbour's entry or an
   address that comes, goes or is another one, and each second's tick, in which neighbours grow
   older.  So at least one segment a second of each connection goes the long way, and asks for its
   neighbour again when it is time to.

   Called by lwIP where edits/25_ways.pl says so. */
#include "kernel/net/internal.h"
#include "kernel/net/lwip/hooks.h"
#include "lwip/ip.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip4.h"
#include "lwip/stats.h"
#include "runtime/memory.h"

_Static_assert(SIZEOF_ETH_HDR + IP_HLEN == NET_WAY_BYTES, "the headers in front of TCP's");

extern u16_t net_lwip_ip4_id; /* lwIP's: the number of the next packet */

static u32 era = 1;

void net_lwip_way_changed(void)
{
    if (!++era)
        era = 1;
}

static bool way_is_known(const struct tcp_pcb *pcb, const struct pbuf *p, const struct netif *on)
{
    const struct net_way *w = &pcb->net_way;
    if (w->era != era || w->on != on || w->ttl != pcb->ttl || w->tos != pcb->tos)
        return false;
    return p->tot_len + IP_HLEN <= on->mtu || net_lwip_device_cuts(on, 0);
}

static err_t way_take(const struct net_way *w, struct pbuf *p, struct netif *on)
{
    if (pbuf_add_header(p, NET_WAY_BYTES))
        return ERR_BUF;
    u8 *headers = p->payload;
    struct ip_hdr *ip = (struct ip_hdr *)(void *)(headers + SIZEOF_ETH_HDR);
    u16 bytes = lwip_htons((u16)(p->tot_len - SIZEOF_ETH_HDR));
    u16 number = lwip_htons(net_lwip_ip4_id);
    u32 sum = (u32)w->sum + bytes + number;
    sum = (sum & 0xffff) + (sum >> 16);
    net_lwip_ip4_id++;
    memcpy(headers, w->headers, NET_WAY_BYTES);
    IPH_LEN_SET(ip, bytes);
    IPH_ID_SET(ip, number);
    IPH_CHKSUM_SET(ip, (u16) ~((sum & 0xffff) + (sum >> 16)));
    MIB2_STATS_INC(mib2.ipoutrequests);
    IP_STATS_INC(ip.xmit);
    return on->linkoutput(on, p);
}

/* From a packet that went the long way.  One that waits for its neighbour, or went to ourselves,
   has no Ethernet header in front of IP's, so `tcp` lies nearer to its first byte. */
static void way_learn(struct tcp_pcb *pcb, const struct pbuf *p, const void *tcp,
                      const struct netif *on)
{
    struct net_way *w = &pcb->net_way;
    const struct eth_hdr *ethernet = p->payload;
    if ((const u8 *)tcp - (const u8 *)p->payload != NET_WAY_BYTES ||
        ethernet->type != PP_HTONS(ETHTYPE_IP))
        return;
    memcpy(w->headers, p->payload, NET_WAY_BYTES);
    struct ip_hdr *ip = (struct ip_hdr *)(void *)(w->headers + SIZEOF_ETH_HDR);
    IPH_LEN_SET(ip, 0);
    IPH_ID_SET(ip, 0);
    IPH_CHKSUM_SET(ip, 0);
    w->sum = net_checksum(ip, IP_HLEN);
    w->on = on;
    w->ttl = pcb->ttl;
    w->tos = pcb->tos;
    w->era = era;
}

err_t net_lwip_way_output(struct tcp_pcb *pcb, struct pbuf *p, struct netif *netif)
{
    net_timers_wake();
    if (likely(way_is_known(pcb, p, netif)))
        return way_take(&pcb->net_way, p, netif);
    const void *tcp = p->payload;
    u32 before = era;
    err_t err =
        ip_output_if(p, &pcb->local_ip, &pcb->remote_ip, pcb->ttl, pcb->tos, IP_PROTO_TCP, netif);
    if (err == ERR_OK && era == before)
        way_learn(pcb, p, tcp, netif);
    return err;
}
