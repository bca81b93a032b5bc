/* Answers of NETLINK_ROUTE: links, addresses and routes, in Linux's messages
   (linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h). */
#include "unix/socket_netlink.h"

enum { IFLA_ADDRESS = 1, IFLA_BROADCAST = 2, IFLA_IFNAME = 3, IFLA_MTU = 4, IFLA_TXQLEN = 13 };
enum { IFLA_OPERSTATE = 16, IFLA_STATS64 = 23 };
enum { IFA_ADDRESS = 1, IFA_LOCAL = 2, IFA_LABEL = 3, IFA_BROADCAST = 4, IFA_FLAGS = 8 };
enum { RTA_DST = 1, RTA_OIF = 4, RTA_GATEWAY = 5, RTA_PREFSRC = 7, RTA_TABLE = 15 };

#define OPERSTATE_DOWN 2
#define OPERSTATE_UP   6

#define ARPHRD_ETHER    1
#define ARPHRD_LOOPBACK 772

#define IFF_UP        1u
#define IFF_BROADCAST 2u
#define IFF_LOOPBACK  8u
#define IFF_RUNNING   0x40u
#define IFF_MULTICAST 0x1000u
#define IFF_LOWER_UP  0x10000u

#define SCOPE_UNIVERSE 0
#define SCOPE_LINK     253
#define SCOPE_HOST     254

#define FLAG_PERMANENT 0x80 /* IFA_F_PERMANENT */
#define FLAG_TENTATIVE 0x40

#define TABLE_MAIN      254
#define PROTOCOL_KERNEL 2
#define PROTOCOL_DHCP   16
#define ROUTE_UNICAST   1

#define TRANSMIT_QUEUE 1000

u32 socket_interface_flags(const struct net_interface *f)
{
    u32 kind = f->loopback ? IFF_LOOPBACK : IFF_BROADCAST | IFF_MULTICAST;
    u32 running = f->up && f->link_up ? IFF_RUNNING | IFF_LOWER_UP : 0;
    return kind | (f->up ? IFF_UP : 0) | running;
}

u16 socket_interface_type(const struct net_interface *f)
{
    return f->loopback ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
}

/* --- messages of parts ------------------------------------------------------------------------ */

struct attribute { /* struct rtattr */
    u16 bytes, type;
};

static void answer_add(struct netlink_answer *to, const void *from, u32 bytes)
{
    static const u8 zero[4];
    u32 padding = (u32)align_up(bytes, 4) - bytes;
    if (to->used + bytes + padding > sizeof(to->bytes))
        return;
    memcpy(to->bytes + to->used, from, bytes);
    memcpy(to->bytes + to->used + bytes, zero, padding);
    to->used += bytes + padding;
}

static void attribute_add(struct netlink_answer *to, u16 type, const void *from, u32 bytes)
{
    struct attribute a = {(u16)(sizeof(a) + bytes), type};
    if (to->used + align_up(a.bytes, 4) > sizeof(to->bytes))
        return;
    memcpy(to->bytes + to->used, &a, sizeof(a));
    to->used += sizeof(a);
    answer_add(to, from, bytes);
}

static void attribute_add_number(struct netlink_answer *to, u16 type, u32 number)
{
    attribute_add(to, type, &number, sizeof(number));
}

/* Where the message begins; its length is put there at its end. */
static u32 message_begin(struct netlink_answer *to, const struct netlink_header *request, u16 type)
{
    struct netlink_header h = {
        .type = type, .flags = NLM_F_MULTI, .sequence = request->sequence, .port = request->port};
    u32 at = to->used;
    answer_add(to, &h, sizeof(h));
    return at;
}

static void message_end(struct netlink_answer *to, u32 at)
{
    u32 bytes = to->used - at;
    memcpy(to->bytes + at, &bytes, sizeof(bytes));
}

/* --- links ------------------------------------------------------------------------------------ */

struct link_message { /* struct ifinfomsg */
    u8 family, padding;
    u16 type;
    s32 index;
    u32 flags, change;
};

static void link_statistics_add(struct netlink_answer *to, const struct net_interface *f)
{
    u64 s[24] = {f->statistics.frames_in,  f->statistics.frames_out,
                 f->statistics.bytes_in,   f->statistics.bytes_out,
                 f->statistics.malformed,  0,
                 f->statistics.dropped_in, 0};
    attribute_add(to, IFLA_STATS64, s, sizeof(s));
}

static void link_add(struct netlink_answer *to, const struct netlink_header *request,
                     const struct net_interface *f)
{
    static const u8 all[NET_HARDWARE_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, none[6];
    struct link_message m = {.type = socket_interface_type(f),
                             .index = (s32)f->number,
                             .flags = socket_interface_flags(f)};
    u8 state = f->loopback ? 0 : f->link_up ? OPERSTATE_UP : OPERSTATE_DOWN;
    u32 at = message_begin(to, request, RTM_NEWLINK);
    answer_add(to, &m, sizeof(m));
    attribute_add(to, IFLA_IFNAME, f->name, (u32)strlen(f->name) + 1);
    attribute_add_number(to, IFLA_TXQLEN, TRANSMIT_QUEUE);
    attribute_add(to, IFLA_OPERSTATE, &state, sizeof(state));
    attribute_add_number(to, IFLA_MTU, f->mtu);
    attribute_add(to, IFLA_ADDRESS, f->loopback ? none : f->hardware_address, NET_HARDWARE_BYTES);
    attribute_add(to, IFLA_BROADCAST, f->loopback ? none : all, NET_HARDWARE_BYTES);
    link_statistics_add(to, f);
    message_end(to, at);
}

/* --- addresses -------------------------------------------------------------------------------- */

struct address_message { /* struct ifaddrmsg */
    u8 family, prefix_bits, flags, scope;
    u32 index;
};

static bool address_is_link_local(const struct net_address *a)
{
    return a->family == NET_V6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static void broadcast_of(const struct net_interface_address *a, u8 to[4])
{
    for (u32 i = 0; i < 4; i++) {
        u32 network = min((u32)a->prefix_bits, i * 8 + 8) - min((u32)a->prefix_bits, i * 8);
        to[i] = a->address.bytes[i] | (u8)(0xff >> network);
    }
}

static void address_add(struct netlink_answer *to, const struct netlink_header *request,
                        const struct net_interface *f, const struct net_interface_address *a)
{
    bool four = a->address.family == NET_V4;
    u32 bytes = four ? 4 : 16, flags = a->tentative ? FLAG_TENTATIVE : FLAG_PERMANENT;
    struct address_message m = {.family = four ? AF_INET : AF_INET6,
                                .prefix_bits = a->prefix_bits,
                                .flags = (u8)flags,
                                .index = f->number};
    m.scope = f->loopback                          ? SCOPE_HOST
              : address_is_link_local(&a->address) ? SCOPE_LINK
                                                   : SCOPE_UNIVERSE;
    u32 at = message_begin(to, request, RTM_NEWADDR);
    answer_add(to, &m, sizeof(m));
    attribute_add(to, IFA_ADDRESS, a->address.bytes, bytes);
    if (four) {
        u8 broadcast[4];
        attribute_add(to, IFA_LOCAL, a->address.bytes, bytes);
        broadcast_of(a, broadcast);
        if (!f->loopback)
            attribute_add(to, IFA_BROADCAST, broadcast, sizeof(broadcast));
        attribute_add(to, IFA_LABEL, f->name, (u32)strlen(f->name) + 1);
    }
    attribute_add_number(to, IFA_FLAGS, flags);
    message_end(to, at);
}

/* --- routes ----------------------------------------------------------------------------------- */

struct route_message { /* struct rtmsg */
    u8 family, destination_bits, source_bits, service;
    u8 table, protocol, scope, type;
    u32 flags;
};

/* `gateway` NULL: to the interface's own network, which `a` is of. */
static void route_add(struct netlink_answer *to, const struct netlink_header *request,
                      const struct net_interface *f, const struct net_interface_address *a,
                      const struct net_address *gateway)
{
    bool four = (gateway ? gateway->family : a->address.family) == NET_V4;
    u32 bytes = four ? 4 : 16;
    struct route_message m = {.family = four ? AF_INET : AF_INET6,
                              .destination_bits = gateway ? 0 : a->prefix_bits,
                              .table = TABLE_MAIN,
                              .protocol = gateway ? PROTOCOL_DHCP : PROTOCOL_KERNEL,
                              .scope = gateway ? SCOPE_UNIVERSE : SCOPE_LINK,
                              .type = ROUTE_UNICAST};
    u32 at = message_begin(to, request, RTM_NEWROUTE);
    answer_add(to, &m, sizeof(m));
    attribute_add_number(to, RTA_TABLE, TABLE_MAIN);
    if (gateway) {
        attribute_add(to, RTA_GATEWAY, gateway->bytes, bytes);
    } else {
        u8 network[16];
        for (u32 i = 0; i < bytes; i++) {
            u32 end = min((u32)a->prefix_bits, i * 8 + 8), begin = min((u32)a->prefix_bits, i * 8);
            network[i] = a->address.bytes[i] & (u8) ~(0xff >> (end - begin));
        }
        attribute_add(to, RTA_DST, network, bytes);
        attribute_add(to, RTA_PREFSRC, a->address.bytes, bytes);
    }
    attribute_add_number(to, RTA_OIF, f->number);
    message_end(to, at);
}

/* --- dumps ------------------------------------------------------------------------------------ */

static bool family_asked(u8 asked, const struct net_address *a)
{
    return asked == AF_UNSPEC || asked == (a->family == NET_V4 ? AF_INET : AF_INET6);
}

static void interface_dump(struct netlink_answer *to, const struct netlink_header *request,
                           u8 family, const struct net_interface *f)
{
    if (request->type == RTM_GETLINK) {
        link_add(to, request, f);
        return;
    }
    bool routes = request->type == RTM_GETROUTE;
    if (routes && f->gateway.family && family_asked(family, &f->gateway))
        route_add(to, request, f, NULL, &f->gateway);
    for (u32 i = 0; i < f->address_count; i++) {
        if (!family_asked(family, &f->addresses[i].address))
            continue;
        if (!routes)
            address_add(to, request, f, &f->addresses[i]);
        else if (!f->loopback)
            route_add(to, request, f, &f->addresses[i], NULL);
    }
}

bool socket_route_dump(struct netlink_answer *to, const struct netlink_header *request, u8 family)
{
    struct net_interface f;
    if (request->type != RTM_GETLINK && request->type != RTM_GETADDR &&
        request->type != RTM_GETROUTE)
        return false;
    for (u32 i = 0; i < net_interface_count(); i++)
        if (net_interface_get(i, &f))
            interface_dump(to, request, family, &f);
    return true;
}
