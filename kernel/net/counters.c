/* What /proc/net/snmp shows, by Linux's names, and the census of the network. */
#include "kernel/census.h"
#include "kernel/net/internal.h"
#include "kernel/net/lwip_port.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"

/* --- counters --------------------------------------------------------------------------------- */

/* A group in the order of Linux's line; NULL: we count no such thing, and say 0, or what is
   fixed. */
struct counter {
    const char *group, *name;
    const u32 *value;
    u64 fixed;
};

#define MIB(counted) &lwip_stats.mib2.counted

static const struct counter counters[] = {
    {"Ip", "Forwarding", NULL, 2},
    {"Ip", "DefaultTTL", NULL, IP_DEFAULT_TTL},
    {"Ip", "InReceives", MIB(ipinreceives), 0},
    {"Ip", "InHdrErrors", MIB(ipinhdrerrors), 0},
    {"Ip", "InAddrErrors", MIB(ipinaddrerrors), 0},
    {"Ip", "ForwDatagrams", NULL, 0},
    {"Ip", "InUnknownProtos", MIB(ipinunknownprotos), 0},
    {"Ip", "InDiscards", MIB(ipindiscards), 0},
    {"Ip", "InDelivers", MIB(ipindelivers), 0},
    {"Ip", "OutRequests", MIB(ipoutrequests), 0},
    {"Ip", "OutDiscards", MIB(ipoutdiscards), 0},
    {"Ip", "OutNoRoutes", MIB(ipoutnoroutes), 0},
    {"Ip", "ReasmTimeout", NULL, 0},
    {"Ip", "ReasmReqds", MIB(ipreasmreqds), 0},
    {"Ip", "ReasmOKs", MIB(ipreasmoks), 0},
    {"Ip", "ReasmFails", MIB(ipreasmfails), 0},
    {"Ip", "FragOKs", MIB(ipfragoks), 0},
    {"Ip", "FragFails", MIB(ipfragfails), 0},
    {"Ip", "FragCreates", MIB(ipfragcreates), 0},
    {"Icmp", "InMsgs", MIB(icmpinmsgs), 0},
    {"Icmp", "InErrors", MIB(icmpinerrors), 0},
    {"Icmp", "InCsumErrors", &lwip_stats.icmp.chkerr, 0},
    {"Icmp", "InDestUnreachs", MIB(icmpindestunreachs), 0},
    {"Icmp", "InTimeExcds", MIB(icmpintimeexcds), 0},
    {"Icmp", "InParmProbs", MIB(icmpinparmprobs), 0},
    {"Icmp", "InSrcQuenchs", MIB(icmpinsrcquenchs), 0},
    {"Icmp", "InRedirects", MIB(icmpinredirects), 0},
    {"Icmp", "InEchos", MIB(icmpinechos), 0},
    {"Icmp", "InEchoReps", MIB(icmpinechoreps), 0},
    {"Icmp", "InTimestamps", MIB(icmpintimestamps), 0},
    {"Icmp", "InTimestampReps", MIB(icmpintimestampreps), 0},
    {"Icmp", "InAddrMasks", MIB(icmpinaddrmasks), 0},
    {"Icmp", "InAddrMaskReps", MIB(icmpinaddrmaskreps), 0},
    {"Icmp", "OutMsgs", MIB(icmpoutmsgs), 0},
    {"Icmp", "OutErrors", MIB(icmpouterrors), 0},
    {"Icmp", "OutDestUnreachs", MIB(icmpoutdestunreachs), 0},
    {"Icmp", "OutTimeExcds", MIB(icmpouttimeexcds), 0},
    {"Icmp", "OutEchos", MIB(icmpoutechos), 0},
    {"Icmp", "OutEchoReps", MIB(icmpoutechoreps), 0},
    {"Tcp", "RtoAlgorithm", NULL, 4}, /* Van Jacobson's */
    {"Tcp", "RtoMin", NULL, 200},
    {"Tcp", "RtoMax", NULL, 120000},
    {"Tcp", "MaxConn", NULL, (u64)-1},
    {"Tcp", "ActiveOpens", MIB(tcpactiveopens), 0},
    {"Tcp", "PassiveOpens", MIB(tcppassiveopens), 0},
    {"Tcp", "AttemptFails", MIB(tcpattemptfails), 0},
    {"Tcp", "EstabResets", MIB(tcpestabresets), 0},
    {"Tcp", "CurrEstab", NULL, 0}, /* counted when it is asked for */
    {"Tcp", "InSegs", MIB(tcpinsegs), 0},
    {"Tcp", "OutSegs", MIB(tcpoutsegs), 0},
    {"Tcp", "RetransSegs", MIB(tcpretranssegs), 0},
    {"Tcp", "InErrs", MIB(tcpinerrs), 0},
    {"Tcp", "OutRsts", MIB(tcpoutrsts), 0},
    {"Tcp", "InCsumErrors", &lwip_stats.tcp.chkerr, 0},
    {"Udp", "InDatagrams", MIB(udpindatagrams), 0},
    {"Udp", "NoPorts", MIB(udpnoports), 0},
    {"Udp", "InErrors", MIB(udpinerrors), 0},
    {"Udp", "OutDatagrams", MIB(udpoutdatagrams), 0},
    {"Udp", "RcvbufErrors", NULL, 0},
    {"Udp", "SndbufErrors", NULL, 0},
    {"Udp", "InCsumErrors", &lwip_stats.udp.chkerr, 0},
    {"Udp", "IgnoredMulti", NULL, 0},
    {"Udp", "MemErrors", &lwip_stats.udp.memerr, 0},
};

static u64 connections_in(enum tcp_state least, enum tcp_state most)
{
    u64 count = 0;
    for (const struct tcp_pcb *p = tcp_active_pcbs; p; p = p->next)
        count += p->state >= least && p->state <= most;
    return count;
}

u32 net_counter_count(void)
{
    return countof(counters);
}

bool net_counter_get(u32 index, struct net_counter *to)
{
    if (index >= countof(counters))
        return false;
    const struct counter *c = &counters[index];
    *to = (struct net_counter){c->group, c->name, c->value ? *c->value : c->fixed};
    if (!strcmp(c->name, "CurrEstab"))
        to->value =
            connections_in(ESTABLISHED, ESTABLISHED) + connections_in(CLOSE_WAIT, CLOSE_WAIT);
    return true;
}

/* --- the census ------------------------------------------------------------------------------- */

#define COUNTED_MOST 100000u

struct list_count {
    u32 states[TIME_WAIT + 1];
};

static void count_list(struct list_count *c, const struct tcp_pcb *p)
{
    for (u32 i = 0; p && i < COUNTED_MOST; p = p->next, i++)
        c->states[min((u32)p->state, (u32)TIME_WAIT)]++;
}

static void census_connections(void)
{
    struct list_count c = {0};
    count_list(&c, tcp_active_pcbs);
    count_list(&c, tcp_tw_pcbs);
    u32 listeners = 0;
    for (const struct tcp_pcb_listen *p = tcp_listen_pcbs.listen_pcbs;
         p && listeners < COUNTED_MOST; p = p->next)
        listeners++;
    u32 opening = c.states[SYN_SENT] + c.states[SYN_RCVD];
    u32 closing = c.states[FIN_WAIT_1] + c.states[FIN_WAIT_2] + c.states[CLOSING] +
                  c.states[LAST_ACK] + c.states[CLOSE_WAIT];
    census_line("  TCP: %u listening, %u opening, %u established, %u closing, %u in TIME-WAIT, "
                "%u segments retransmitted",
                listeners, opening, c.states[ESTABLISHED], closing, c.states[TIME_WAIT],
                lwip_stats.mib2.tcpretranssegs);
}

static void census_link(const struct net_link *l)
{
    u64 in = l->device ? l->device->statistics.frames_in : l->packets;
    u64 out = l->device ? l->device->statistics.frames_out : l->packets;
    census_line("  %s: %s, link %s, %llu frames in, %llu out, %llu+%llu dropped, %llu malformed, "
                "%u wait",
                l->name, netif_is_up(&l->netif) ? "up" : "down",
                netif_is_link_up(&l->netif) ? "up" : "down", (unsigned long long)in,
                (unsigned long long)out, (unsigned long long)l->dropped_in,
                (unsigned long long)l->dropped_out, (unsigned long long)l->malformed,
                l->device ? l->waiting_count : net_loopback_queued());
}

void net_census(void)
{
    for (u32 i = 0; i < net_link_count; i++)
        census_link(net_links[i]);
    census_connections();
    if (net_complaints)
        census_line("  what should not be, as lwIP saw it: %llu times",
                    (unsigned long long)net_complaints);
}
