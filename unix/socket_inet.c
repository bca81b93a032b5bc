/* AF_INET and AF_INET6: which sockets there are, and their addresses in both forms. */
#include "unix/socket_inet.h"

#define ADDRESS4_BYTES     16 /* struct sockaddr_in */
#define ADDRESS6_BYTES     28 /* struct sockaddr_in6 */
#define ADDRESS6_BYTES_OLD 24 /* before there were scopes */
#define PROTOCOLS          263

struct address4 {
    u16 family;
    u8 port[2];
    u8 address[4];
    u8 zero[8];
};

struct address6 {
    u16 family;
    u8 port[2];
    u32 flow;
    u8 address[16];
    u32 scope;
};
_Static_assert(sizeof(struct address4) == ADDRESS4_BYTES, "struct sockaddr_in");
_Static_assert(sizeof(struct address6) == ADDRESS6_BYTES, "struct sockaddr_in6");

static u16 port_in(const u8 port[2])
{
    return (u16)(port[0] << 8 | port[1]);
}

s64 socket_inet_address_in(const struct socket *s, const struct socket_address *a,
                           struct net_address *to)
{
    *to = (struct net_address){.family = (u8)socket_net_family(s)};
    u32 least = s->family == AF_INET ? ADDRESS4_BYTES : ADDRESS6_BYTES_OLD;
    if (a->bytes < least)
        return -EINVAL;
    if (a->family != s->family)
        return -EAFNOSUPPORT;
    if (s->family == AF_INET) {
        const struct address4 *four = (const struct address4 *)a->data;
        to->port = port_in(four->port);
        memcpy(to->bytes, four->address, sizeof(four->address));
        return 0;
    }
    const struct address6 *six = (const struct address6 *)a->data;
    to->port = port_in(six->port);
    memcpy(to->bytes, six->address, sizeof(six->address));
    to->scope = six->scope; /* zero beyond what the program gave */
    return 0;
}

void socket_inet_address_out(const struct socket *s, const struct net_address *a,
                             struct socket_address *to)
{
    u8 port[2] = {(u8)(a->port >> 8), (u8)a->port};
    if (s->family == AF_INET) {
        struct address4 four = {.family = AF_INET, .port = {port[0], port[1]}};
        memcpy(four.address, a->bytes, sizeof(four.address));
        memcpy(to->data, &four, sizeof(four));
        to->bytes = sizeof(four);
        return;
    }
    struct address6 six = {.family = AF_INET6, .port = {port[0], port[1]}, .scope = a->scope};
    memcpy(six.address, a->bytes, sizeof(six.address));
    memcpy(to->data, &six, sizeof(six));
    to->bytes = sizeof(six);
}

u32 socket_inet_events(u32 events)
{
    return (events & NET_READABLE ? POLLIN | POLLRDNORM : 0) |
           (events & NET_WRITABLE ? SOCKET_WRITABLE : 0) |
           (events & NET_READ_ENDED ? POLLRDHUP | POLLIN | POLLRDNORM : 0) |
           (events & NET_HUNG_UP ? POLLHUP : 0) | (events & NET_FAILED ? POLLERR : 0) |
           (events & NET_URGENT ? POLLPRI : 0);
}

/* Raw sockets are for those who may; here nobody may.  An echo socket wants a group's permission,
   which nobody has either. */
s64 socket_inet_create(u16 family, u32 type, u32 protocol, struct socket **s)
{
    u32 echo = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    if (protocol >= PROTOCOLS)
        return -EINVAL;
    switch (type) {
    case SOCK_STREAM:
        return protocol && protocol != IPPROTO_TCP ? -EPROTONOSUPPORT
                                                   : socket_tcp_create(family, s);
    case SOCK_DGRAM:
        if (protocol == echo)
            return -EACCES;
        return protocol && protocol != IPPROTO_UDP ? -EPROTONOSUPPORT
                                                   : socket_udp_create(family, s);
    case SOCK_RAW:
        return protocol ? -EPERM : -EPROTONOSUPPORT;
    }
    return -ESOCKTNOSUPPORT;
}
