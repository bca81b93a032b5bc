/* /proc/net: connections, interfaces, routes and counters, in Linux's form, since programs parse
   them.  Which socket a connection is of is not known here, so inode numbers of TCP and UDP are 0.
 */
#include "kernel/net/tcp.h"
#include "kernel/net/udp.h"
#include "runtime/format.h"
#include "unix/proc.h"
#include "unix/socket_list.h"
#include "unix/socket_netlink.h"
#include "unix/socket_unix.h"

#define LINE_BYTES 300

/* --- connections ------------------------------------------------------------------------------ */

/* As Linux shows it: words of the machine's own order. */
static void address_text(const struct net_address *a, char *to, u64 most)
{
    u32 words[4];
    memcpy(words, a->bytes, sizeof(words));
    if (a->family == NET_V4)
        format_text(to, most, "%08X:%04X", words[0], a->port);
    else
        format_text(to, most, "%08X%08X%08X%08X:%04X", words[0], words[1], words[2], words[3],
                    a->port);
}

/* The lines so far, and which are wanted. */
struct lines {
    struct text *to;
    u8 family; /* enum net_family */
    u32 count;
};

struct line {
    const struct net_address *local, *remote;
    u32 state, retransmits;
    u64 sent, received, dropped;
    bool datagrams;
};

static void line_add(struct lines *l, const struct line *c)
{
    char local[48], remote[48], line[LINE_BYTES];
    if (c->local->family != l->family)
        return;
    address_text(c->local, local, sizeof(local));
    address_text(c->remote, remote, sizeof(remote));
    u64 at = format_text(line, sizeof(line), "%*u: %s %s %02X %08X:%08X 00:00000000 %08X",
                         c->datagrams ? 5 : 4, l->count++, local, remote, c->state, (u32)c->sent,
                         (u32)c->received, c->retransmits);
    at = min(at, sizeof(line) - 1);
    if (c->datagrams)
        format_text(line + at, sizeof(line) - at, "     0        0 0 2 0000000000000000 %lu",
                    c->dropped);
    else
        format_text(line + at, sizeof(line) - at,
                    "     0        0 0 1 0000000000000000 20 4 0 10 %d", -1);
    if (l->family == NET_V4)
        text_add(l->to, "%-*s\n", c->datagrams ? 127 : 149, line);
    else
        text_add(l->to, "%s\n", line);
}

closure_function(net_tcp_visitor, tcp_line, (struct lines * lines), const struct net_tcp_seen *seen)
{
    struct line c = {.local = &seen->local,
                     .remote = &seen->remote,
                     .state = seen->details.state,
                     .retransmits = seen->details.retransmits,
                     .sent = seen->unsent_bytes,
                     .received = seen->received_bytes};
    line_add(bound(lines), &c);
}

closure_function(net_udp_visitor, udp_line, (struct lines * lines), const struct net_udp_seen *seen)
{
    struct line c = {.local = &seen->local,
                     .remote = &seen->remote,
                     .state = seen->remote.port ? 1 : 7, /* TCP_ESTABLISHED, TCP_CLOSE */
                     .received = seen->queued_bytes,
                     .dropped = seen->dropped,
                     .datagrams = true};
    line_add(bound(lines), &c);
}

#define HEAD_REST "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
#define HEAD4     "local_address rem_address   "
#define HEAD6     "local_address                         remote_address                        "

void net_tcp_text(struct thread *t, u32 index, struct text *to)
{
    struct lines l = {to, NET_V4, 0};
    (void)t, (void)index;
    text_add(to, "%-149s\n", "  sl  " HEAD4 HEAD_REST);
    net_tcp_visit(stack_closure(tcp_line, &l));
}

void net_tcp6_text(struct thread *t, u32 index, struct text *to)
{
    struct lines l = {to, NET_V6, 0};
    (void)t, (void)index;
    text_add(to, "  sl  " HEAD6 HEAD_REST "\n");
    net_tcp_visit(stack_closure(tcp_line, &l));
}

void net_udp_text(struct thread *t, u32 index, struct text *to)
{
    struct lines l = {to, NET_V4, 0};
    (void)t, (void)index;
    text_add(to, "%-127s\n", "   sl  " HEAD4 HEAD_REST " ref pointer drops");
    net_udp_visit(stack_closure(udp_line, &l));
}

void net_udp6_text(struct thread *t, u32 index, struct text *to)
{
    struct lines l = {to, NET_V6, 0};
    (void)t, (void)index;
    text_add(to, "  sl  " HEAD6 HEAD_REST " ref pointer drops\n");
    net_udp_visit(stack_closure(udp_line, &l));
}

/* --- sockets of the machine itself ------------------------------------------------------------ */

#define FLAG_ACCEPTS 0x10000u /* __SO_ACCEPTCON */
enum { STATE_UNCONNECTED = 1, STATE_CONNECTED = 3 };

void net_unix_text(struct thread *t, u32 index, struct text *to)
{
    (void)t, (void)index;
    text_add(to, "Num       RefCount Protocol Flags    Type St Inode Path\n");
    list_for_each (socket_list(), link) {
        struct socket *s = container_of(link, struct socket, link);
        if (s->family != AF_UNIX)
            continue;
        const struct socket_unix *u = socket_unix_of(s);
        text_add(to, "0000000000000000: %08X 00000000 %08X %04X %02X %5lu", s->references,
                 u->state == UNIX_LISTENING ? FLAG_ACCEPTS : 0, s->type,
                 u->state == UNIX_CONNECTED ? STATE_CONNECTED : STATE_UNCONNECTED, s->number);
        u32 bytes = max(u->name.bytes, (u32)UNIX_ADDRESS_FAMILY) - UNIX_ADDRESS_FAMILY;
        const u8 *name = u->name.data + UNIX_ADDRESS_FAMILY;
        if (bytes && name[0])
            bytes--; /* a path's terminator */
        for (u32 i = 0; i < bytes; i++)
            text_add(to, "%s%c", i ? "" : " ", name[i] ? name[i] : '@');
        text_add(to, "\n");
    }
}

/* --- interfaces ------------------------------------------------------------------------------- */

void net_device_text(struct thread *t, u32 index, struct text *to)
{
    struct net_interface f;
    (void)t, (void)index;
    text_add(to, "Inter-|   Receive                                                |  Transmit\n"
                 " face |bytes    packets errs drop fifo frame compressed multicast|bytes    "
                 "packets errs drop fifo colls carrier compressed\n");
    for (u32 i = 0; i < net_interface_count(); i++) {
        if (!net_interface_get(i, &f))
            continue;
        const struct net_device_statistics *s = &f.statistics;
        text_add(to, "%6s: %7lu %7lu %4lu %4lu %4u %5u %10u %9u ", f.name, s->bytes_in,
                 s->frames_in, s->malformed, s->dropped_in, 0, 0, 0, 0);
        text_add(to, "%8lu %7lu %4u %4u %4u %5u %7u %10u\n", s->bytes_out, s->frames_out, 0, 0, 0,
                 0, 0, 0);
    }
}

enum { ROUTE_UP = 1, ROUTE_GATEWAY = 2 };

static void route_add(struct text *to, const char *name, const u32 route[3], u32 flags)
{
    char line[LINE_BYTES];
    format_text(line, sizeof(line), "%s\t%08X\t%08X\t%04X\t0\t0\t0\t%08X\t0\t0\t0", name, route[0],
                route[1], flags, route[2]);
    text_add(to, "%-127s\n", line);
}

void net_route_text(struct thread *t, u32 index, struct text *to)
{
    struct net_interface f;
    (void)t, (void)index;
    text_add(to, "%-127s\n",
             "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
    for (u32 i = 0; i < net_interface_count(); i++) {
        if (!net_interface_get(i, &f) || f.loopback)
            continue;
        u32 gateway;
        memcpy(&gateway, f.gateway.bytes, sizeof(gateway));
        if (f.gateway.family == NET_V4)
            route_add(to, f.name, (u32[]){0, gateway, 0}, ROUTE_UP | ROUTE_GATEWAY);
        for (u32 k = 0; k < f.address_count; k++) {
            const struct net_interface_address *a = &f.addresses[k];
            if (a->address.family != NET_V4)
                continue;
            u32 mask = a->prefix_bits ? __builtin_bswap32(~0u << (32 - a->prefix_bits)) : 0, own;
            memcpy(&own, a->address.bytes, sizeof(own));
            route_add(to, f.name, (u32[]){own & mask, 0, mask}, ROUTE_UP);
        }
    }
}

void net_inet6_text(struct thread *t, u32 index, struct text *to)
{
    struct net_interface f;
    (void)t, (void)index;
    for (u32 i = 0; i < net_interface_count(); i++) {
        for (u32 k = 0; net_interface_get(i, &f) && k < f.address_count; k++) {
            const struct net_interface_address *a = &f.addresses[k];
            if (a->address.family != NET_V6)
                continue;
            bool link = a->address.bytes[0] == 0xfe && (a->address.bytes[1] & 0xc0) == 0x80;
            for (u32 n = 0; n < 16; n++)
                text_add(to, "%02x", a->address.bytes[n]);
            text_add(to, " %02x %02x %02x %02x %8s\n", f.number, a->prefix_bits,
                     f.loopback ? 0x10
                     : link     ? 0x20
                                : 0,
                     a->tentative ? 0x40 : 0x80, f.name);
        }
    }
}

/* --- counters --------------------------------------------------------------------------------- */

static bool group_in_snmp(const char *group)
{
    static const char *const groups[] = {"Ip", "Icmp", "Tcp", "Udp", "UdpLite"};
    for (u32 i = 0; i < countof(groups); i++)
        if (!strcmp(group, groups[i]))
            return true;
    return false;
}

/* Groups follow each other: a line of names, a line of values. */
static void counters_text(struct text *to, bool snmp)
{
    struct net_counter first, c;
    for (u32 i = 0; net_counter_get(i, &first);) {
        u32 end = i;
        while (net_counter_get(end, &c) && !strcmp(c.group, first.group))
            end++;
        if (group_in_snmp(first.group) == snmp) {
            text_add(to, "%s:", first.group);
            for (u32 n = i; n < end && net_counter_get(n, &c); n++)
                text_add(to, " %s", c.name);
            text_add(to, "\n%s:", first.group);
            for (u32 n = i; n < end && net_counter_get(n, &c); n++)
                text_add(to, " %ld", (s64)c.value);
            text_add(to, "\n");
        }
        i = end;
    }
}

void net_snmp_text(struct thread *t, u32 index, struct text *to)
{
    (void)t, (void)index;
    counters_text(to, true);
}

void net_netstat_text(struct thread *t, u32 index, struct text *to)
{
    (void)t, (void)index;
    counters_text(to, false);
}

struct socket_counts {
    u32 tcp, time_wait, udp;
};

closure_function(net_tcp_visitor, tcp_count, (struct socket_counts * counts),
                 const struct net_tcp_seen *seen)
{
    bool waits = seen->details.state == 6; /* TCP_TIME_WAIT */
    bound(counts)->tcp += !waits;
    bound(counts)->time_wait += waits;
}

closure_function(net_udp_visitor, udp_count, (struct socket_counts * counts),
                 const struct net_udp_seen *seen)
{
    bound(counts)->udp += seen->local.port != 0;
}

void net_sockstat_text(struct thread *t, u32 index, struct text *to)
{
    struct socket_counts c = {0, 0, 0};
    u32 sockets = 0;
    (void)t, (void)index;
    list_for_each (socket_list(), link)
        sockets++;
    net_tcp_visit(stack_closure(tcp_count, &c));
    net_udp_visit(stack_closure(udp_count, &c));
    text_add(to, "sockets: used %u\nTCP: inuse %u orphan 0 tw %u alloc %u mem 0\n", sockets, c.tcp,
             c.time_wait, c.tcp);
    text_add(to, "UDP: inuse %u mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n",
             c.udp);
}

/* --- name servers ----------------------------------------------------------------------------- */

static void server_add(struct text *to, const struct net_address *a)
{
    text_add(to, "nameserver ");
    if (a->family == NET_V4) {
        text_add(to, "%u.%u.%u.%u\n", a->bytes[0], a->bytes[1], a->bytes[2], a->bytes[3]);
        return;
    }
    for (u32 i = 0; i < 16; i += 2)
        text_add(to, "%s%x", i ? ":" : "", a->bytes[i] << 8 | a->bytes[i + 1]);
    text_add(to, "\n");
}

/* As a resolver reads it: an image's /etc/resolv.conf may lead here. */
void net_pnp_text(struct thread *t, u32 index, struct text *to)
{
    struct net_address servers[NET_DNS_MOST];
    u32 count = net_name_servers(servers);
    (void)t, (void)index;
    for (u32 i = 0; i < count; i++)
        server_add(to, &servers[i]);
}
