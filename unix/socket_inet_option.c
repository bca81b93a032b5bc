/* Options of TCP and UDP sockets.  Most are a number that the endpoint keeps and checks; a table
   says which.  What would do nothing is ENOPROTOOPT, except where the value says what is so
   anyway. */
#include "kernel/net/net.h"
#include "unix/socket_inet.h"

#define CONGESTION "cubic" /* kernel/net/ has this one alone */

enum option_value {
    VALUE_NUMBER,
    VALUE_TRUTH, /* any number but 0 is 1 */
    VALUE_BYTE,  /* -1 asks for the value of the beginning */
};

struct option_place {
    u16 level, name;
    s16 tcp, udp; /* enum net_tcp_option, enum net_udp_option; NONE: not of this kind */
    enum option_value value;
    u8 initial; /* of VALUE_BYTE */
};
#define NONE (-1)

static const struct option_place places[] = {
    {SOL_TCP, TCP_NODELAY, TCP_SET_NODELAY, NONE, VALUE_TRUTH, 0},
    {SOL_TCP, TCP_CORK, TCP_SET_CORK, NONE, VALUE_TRUTH, 0},
    {SOL_TCP, TCP_QUICKACK, TCP_SET_QUICKACK, NONE, VALUE_TRUTH, 0},
    {SOL_TCP, TCP_MAXSEG, TCP_SET_MAX_SEGMENT, NONE, VALUE_NUMBER, 0},
    {SOL_TCP, TCP_KEEPIDLE, TCP_SET_KEEP_IDLE, NONE, VALUE_NUMBER, 0},
    {SOL_TCP, TCP_KEEPINTVL, TCP_SET_KEEP_INTERVAL, NONE, VALUE_NUMBER, 0},
    {SOL_TCP, TCP_KEEPCNT, TCP_SET_KEEP_COUNT, NONE, VALUE_NUMBER, 0},
    {SOL_TCP, TCP_SYNCNT, TCP_SET_SYN_COUNT, NONE, VALUE_NUMBER, 0},
    {SOL_TCP, TCP_LINGER2, TCP_SET_LINGER2, NONE, VALUE_NUMBER, 0},
    {SOL_TCP, TCP_DEFER_ACCEPT, TCP_SET_DEFER_ACCEPT, NONE, VALUE_NUMBER, 0},
    {SOL_TCP, TCP_USER_TIMEOUT, TCP_SET_USER_TIMEOUT, NONE, VALUE_NUMBER, 0},
    {SOL_TCP, TCP_NOTSENT_LOWAT, TCP_SET_NOTSENT_LOWAT, NONE, VALUE_NUMBER, 0},
    {SOL_IP, IP_TOS, TCP_SET_TOS, UDP_SET_TOS, VALUE_NUMBER, 0},
    {SOL_IP, IP_TTL, TCP_SET_TTL, UDP_SET_TTL, VALUE_BYTE, 64},
    {SOL_IP, IP_MULTICAST_TTL, NONE, UDP_SET_MULTICAST_TTL, VALUE_BYTE, 1},
    {SOL_IP, IP_MULTICAST_LOOP, NONE, UDP_SET_MULTICAST_LOOP, VALUE_TRUTH, 0},
    {SOL_IPV6, IPV6_TCLASS, TCP_SET_TOS, UDP_SET_TOS, VALUE_BYTE, 0},
    {SOL_IPV6, IPV6_UNICAST_HOPS, TCP_SET_TTL, UDP_SET_TTL, VALUE_BYTE, 64},
    {SOL_IPV6, IPV6_MULTICAST_HOPS, NONE, UDP_SET_MULTICAST_TTL, VALUE_BYTE, 1},
    {SOL_IPV6, IPV6_MULTICAST_LOOP, NONE, UDP_SET_MULTICAST_LOOP, VALUE_TRUTH, 0},
    {SOL_IPV6, IPV6_V6ONLY, TCP_SET_V6_ONLY, UDP_SET_V6_ONLY, VALUE_TRUTH, 0},
};

static const struct option_place *place_of(const struct socket_inet *i,
                                           const struct socket_option *o)
{
    if (o->level == SOL_IPV6 && i->socket.family != AF_INET6)
        return NULL;
    for (u32 n = 0; n < countof(places); n++)
        if (places[n].level == o->level && places[n].name == o->name)
            return (i->tcp ? places[n].tcp : places[n].udp) == NONE ? NULL : &places[n];
    return NULL;
}

/* --- SOL_SOCKET ------------------------------------------------------------------------------- */

static s64 changed_tcp(struct socket *s, struct net_tcp *e, u32 name)
{
    switch (name) {
    case SO_REUSEADDR:
        return syscall_status(net_tcp_set(e, TCP_SET_REUSE_ADDRESS, s->reuse_address));
    case SO_REUSEPORT:
        return syscall_status(net_tcp_set(e, TCP_SET_REUSE_PORT, s->reuse_port));
    case SO_KEEPALIVE:
        return syscall_status(net_tcp_set(e, TCP_SET_KEEPALIVE, s->keep_alive));
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
        return syscall_status(net_tcp_set(e, TCP_SET_SEND_BUFFER, s->send_bytes));
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
        return syscall_status(net_tcp_set(e, TCP_SET_RECEIVE_BUFFER, s->receive_bytes));
    }
    return 0;
}

static s64 changed_udp(struct socket *s, struct net_udp *e, u32 name)
{
    switch (name) {
    case SO_REUSEADDR:
        return syscall_status(net_udp_set(e, UDP_SET_REUSE_ADDRESS, s->reuse_address));
    case SO_REUSEPORT:
        return syscall_status(net_udp_set(e, UDP_SET_REUSE_PORT, s->reuse_port));
    case SO_BROADCAST:
        return syscall_status(net_udp_set(e, UDP_SET_BROADCAST, s->broadcast));
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
        return syscall_status(net_udp_set(e, UDP_SET_SEND_BUFFER, s->send_bytes));
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
        return syscall_status(net_udp_set(e, UDP_SET_RECEIVE_BUFFER, s->receive_bytes));
    }
    return 0;
}

s64 socket_inet_changed(struct socket *s, u32 name)
{
    struct socket_inet *i = socket_inet_of(s);
    return i->tcp ? changed_tcp(s, i->tcp, name) : changed_udp(s, i->udp, name);
}

void socket_inet_changed_all(struct socket *s)
{
    static const u32 names[] = {SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE};
    for (u32 n = 0; n < countof(names); n++)
        (void)socket_inet_changed(s, names[n]); /* values that were taken once already */
}

/* --- setting ---------------------------------------------------------------------------------- */

/* A number of four bytes, or of one, as Linux takes it for the levels of IP. */
static s64 number_in(const struct socket_option *o, s32 *number)
{
    if (o->bytes >= sizeof(s32))
        *number = o->number;
    else if (o->bytes && o->level == SOL_IP)
        *number = o->value[0];
    else
        return -EINVAL;
    return 0;
}

static s64 place_set(struct socket_inet *i, const struct option_place *p, s32 number)
{
    if (p->value == VALUE_TRUTH)
        number = number != 0;
    if (p->value == VALUE_BYTE && number == -1)
        number = p->initial;
    if (number < 0)
        return -EINVAL;
    return syscall_status(i->tcp ? net_tcp_set(i->tcp, (enum net_tcp_option)p->tcp, (u64)number)
                                 : net_udp_set(i->udp, (enum net_udp_option)p->udp, (u64)number));
}

/* struct ip_mreq, ip_mreqn and ipv6_mreq. */
static s64 group_set(struct socket_inet *i, const struct socket_option *o)
{
    struct net_address group = {.family = NET_V4};
    u32 interface = 0;
    bool join = o->name == IP_ADD_MEMBERSHIP && o->level == SOL_IP;
    if (o->level == SOL_IPV6) {
        join = o->name == IPV6_ADD_MEMBERSHIP;
        group.family = NET_V6;
        if (o->bytes < 20)
            return -EINVAL;
        memcpy(group.bytes, o->value, 16);
        memcpy(&interface, o->value + 16, sizeof(interface));
        return syscall_status(net_udp_join(i->udp, &group, interface, join));
    }
    if (o->bytes < 8)
        return -EINVAL;
    memcpy(group.bytes, o->value, 4);
    if (o->bytes >= 12)
        memcpy(&interface, o->value + 8, sizeof(interface));
    return syscall_status(net_udp_join(i->udp, &group, interface, join));
}

static bool option_is_group(const struct socket_option *o)
{
    return (o->level == SOL_IP &&
            (o->name == IP_ADD_MEMBERSHIP || o->name == IP_DROP_MEMBERSHIP)) ||
           (o->level == SOL_IPV6 &&
            (o->name == IPV6_ADD_MEMBERSHIP || o->name == IPV6_DROP_MEMBERSHIP));
}

static bool option_is_packet_info(const struct socket_inet *i, const struct socket_option *o)
{
    return !i->tcp && ((o->level == SOL_IP && o->name == IP_PKTINFO) ||
                       (o->level == SOL_IPV6 && o->name == IPV6_RECVPKTINFO));
}

/* What ICMP says about a connected socket is told by its calls, with the option and without;
   glibc's resolver does not go on when it cannot set it.  The queue that MSG_ERRQUEUE reads stays
   empty. */
static bool option_is_errors(const struct socket_inet *i, const struct socket_option *o)
{
    return !i->tcp && ((o->level == SOL_IP && o->name == IP_RECVERR) ||
                       (o->level == SOL_IPV6 && o->name == IPV6_RECVERR));
}

/* Path MTU discovery is on, as Linux begins; errors are told by the calls themselves; and so on:
   the value that says so changes nothing, and another one cannot be had. */
static s64 fixed_value(const struct socket_option *o, s32 *number)
{
    if (o->level == SOL_IP) {
        switch (o->name) {
        case IP_MTU_DISCOVER:
            *number = 1;
            return 0;
        case IP_RECVERR:
        case IP_RECVTTL:
        case IP_RECVTOS:
        case IP_FREEBIND:
        case IP_BIND_ADDRESS_NO_PORT:
            *number = 0;
            return 0;
        }
    } else if (o->level == SOL_IPV6) {
        switch (o->name) {
        case IPV6_MTU_DISCOVER:
            *number = 1;
            return 0;
        case IPV6_RECVERR:
            *number = 0;
            return 0;
        }
    }
    return -ENOPROTOOPT;
}

static s64 fixed_set(const struct socket_option *o, s32 number)
{
    s32 is;
    s64 r = fixed_value(o, &is);
    return r ? r : number == is ? 0 : -ENOPROTOOPT;
}

static s64 congestion_set(const struct socket_option *o)
{
    u64 bytes = min((u64)o->bytes, sizeof(CONGESTION));
    if (!o->bytes)
        return -EINVAL;
    return bytes >= sizeof(CONGESTION) - 1 && !memcmp(o->value, CONGESTION, bytes) ? 0 : -ENOENT;
}

s64 socket_inet_option_set(struct thread *t, struct socket *s, const struct socket_option *o)
{
    struct socket_inet *i = socket_inet_of(s);
    const struct option_place *p = place_of(i, o);
    s32 number;
    (void)t;
    if (i->tcp && o->level == SOL_TCP && o->name == TCP_CONGESTION)
        return congestion_set(o);
    if (i->udp && option_is_group(o))
        return group_set(i, o);
    s64 r = number_in(o, &number);
    if (r)
        return r;
    if (option_is_packet_info(i, o)) {
        i->packet_info = number;
        return 0;
    }
    if (option_is_errors(i, o)) {
        i->errors_asked = number;
        return 0;
    }
    return p ? place_set(i, p, number) : fixed_set(o, number);
}

/* --- getting ---------------------------------------------------------------------------------- */

struct tcp_info { /* linux/tcp.h */
    u8 state, congestion_state, retransmits, probes, backoff, options, scales, flags;
    u32 rto, ato, send_mss, receive_mss;
    u32 unacknowledged, sacked, lost, retransmitted, fackets;
    u32 last_data_sent, last_ack_sent, last_data_received, last_ack_received;
    u32 path_mtu, receive_threshold, rtt, rtt_variation, send_threshold, send_window;
    u32 advertised_mss, reordering, receive_rtt, receive_space, total_retransmits;
    u64 pacing_rate, pacing_rate_most, bytes_acknowledged, bytes_received;
    u32 segments_out, segments_in, not_sent, rtt_least, data_segments_in, data_segments_out;
    u64 delivery_rate, busy_us, window_limited_us, buffer_limited_us;
    u32 delivered, delivered_ce;
    u64 bytes_sent, bytes_retransmitted;
    u32 duplicate_sacks, reorderings, out_of_order, peer_window;
};
_Static_assert(sizeof(struct tcp_info) == 232, "struct tcp_info");

#define INFO_TIMESTAMPS 1
#define INFO_SACK       2
#define INFO_SCALES     4
#define INFO_ECN        8

static void info_fill(const struct socket_inet *i, struct tcp_info *to)
{
    struct net_tcp_details d;
    net_tcp_details(i->tcp, &d);
    *to = (struct tcp_info){
        .state = d.state,
        .retransmits = (u8)min(d.retransmits, 255u),
        .backoff = (u8)min(d.backoff, 255u),
        .options = (u8)((d.timestamps ? INFO_TIMESTAMPS : 0) | (d.sack ? INFO_SACK : 0) |
                        (d.window_scaling ? INFO_SCALES : 0) | (d.ecn ? INFO_ECN : 0)),
        .scales = (u8)((d.send_scale & 15) | (d.receive_scale << 4)),
        .rto = d.rto_us,
        .ato = d.ack_timeout_us,
        .send_mss = d.send_mss,
        .receive_mss = d.receive_mss,
        .unacknowledged = d.unacknowledged,
        .sacked = d.sacked,
        .lost = d.lost,
        .last_data_sent = (u32)(d.last_sent_ns / NS_PER_MS),
        .last_data_received = (u32)(d.last_received_ns / NS_PER_MS),
        .last_ack_received = (u32)(d.last_received_ns / NS_PER_MS),
        .path_mtu = d.send_mss + (i->socket.family == AF_INET ? 40 : 60),
        .rtt = d.rtt_us,
        .rtt_variation = d.rtt_variation_us,
        .send_threshold = d.slow_start_threshold,
        .send_window = d.congestion_window,
        .advertised_mss = d.receive_mss,
        .receive_space = d.receive_space,
        .total_retransmits = d.total_retransmits,
        .bytes_acknowledged = d.bytes_acknowledged,
        .bytes_received = d.bytes_received,
        .segments_out = d.segments_out,
        .segments_in = d.segments_in,
        .data_segments_out = d.data_segments_out,
        .data_segments_in = d.data_segments_in,
        .rtt_least = d.least_rtt_us,
        .bytes_sent = d.bytes_sent,
        .bytes_retransmitted = d.bytes_retransmitted,
        .peer_window = d.send_window,
    };
}

static void value_put(struct socket_option *o, const void *from, u32 bytes)
{
    o->bytes = min(o->bytes, bytes);
    memcpy(o->value, from, o->bytes);
}

/* Of the way to the connected other side: its interface's. */
static s64 mtu_get(const struct socket_inet *i, s32 *number)
{
    struct net_address local, remote;
    s64 r = syscall_status(i->tcp ? net_tcp_remote_address(i->tcp, &remote)
                                  : net_udp_remote_address(i->udp, &remote));
    if (r)
        return -ENOTCONN;
    if (i->tcp)
        net_tcp_local_address(i->tcp, &local);
    else
        net_udp_local_address(i->udp, &local);
    *number = 0;
    for (u32 n = 0; n < net_interface_count(); n++) {
        struct net_interface f;
        for (u32 k = 0; net_interface_get(n, &f) && k < f.address_count; k++)
            if (!memcmp(f.addresses[k].address.bytes, local.bytes, sizeof(local.bytes)))
                *number = (s32)f.mtu;
    }
    return *number ? 0 : -ENOTCONN;
}

static s64 place_get(const struct socket_inet *i, const struct option_place *p, s32 *number)
{
    u64 value;
    s64 r = syscall_status(i->tcp ? net_tcp_get(i->tcp, (enum net_tcp_option)p->tcp, &value)
                                  : net_udp_get(i->udp, (enum net_udp_option)p->udp, &value));
    if (!r)
        *number = (s32)value;
    return r;
}

/* The endpoint tunes its buffers. */
static s64 buffer_get(const struct socket_inet *i, const struct socket_option *o, s32 *number)
{
    u64 value;
    if (!i->tcp || (o->name != SO_SNDBUF && o->name != SO_RCVBUF))
        return -ENOPROTOOPT;
    s64 r = syscall_status(net_tcp_get(
        i->tcp, o->name == SO_SNDBUF ? TCP_SET_SEND_BUFFER : TCP_SET_RECEIVE_BUFFER, &value));
    *number = (s32)value;
    return r;
}

static s64 number_get(struct socket_inet *i, struct socket_option *o, s32 *number)
{
    const struct option_place *p = place_of(i, o);
    if (o->level == SOL_SOCKET)
        return buffer_get(i, o, number);
    if (p)
        return place_get(i, p, number);
    if (option_is_packet_info(i, o)) {
        *number = i->packet_info;
        return 0;
    }
    if (option_is_errors(i, o)) {
        *number = i->errors_asked;
        return 0;
    }
    if ((o->level == SOL_IP && o->name == IP_MTU) || (o->level == SOL_IPV6 && o->name == IPV6_MTU))
        return mtu_get(i, number);
    return fixed_value(o, number);
}

s64 socket_inet_option_get(struct socket *s, struct socket_option *o)
{
    struct socket_inet *i = socket_inet_of(s);
    s32 number;
    if (i->tcp && o->level == SOL_TCP && o->name == TCP_INFO) {
        struct tcp_info info;
        info_fill(i, &info);
        value_put(o, &info, sizeof(info));
        return 0;
    }
    if (i->tcp && o->level == SOL_TCP && o->name == TCP_CONGESTION) {
        static const char name[16] = CONGESTION;
        value_put(o, name, sizeof(name));
        return 0;
    }
    /* Linux's IPv4 knows a level that it does not have from an option that it does not have. */
    bool known = o->level == SOL_SOCKET || o->level == SOL_IP || o->level == s->protocol;
    if (!known && s->family == AF_INET)
        return -EOPNOTSUPP;
    s64 r = number_get(i, o, &number);
    if (!r)
        value_put(o, &number, sizeof(number));
    return r;
}
