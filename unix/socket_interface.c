/* ioctl of sockets about interfaces (netdevice(7)): what may be asked.  Nothing can be changed by
   them: that is ENOTTY. */
#include "kernel/user_copy.h"
#include "unix/socket_netlink.h"

#define NAME_BYTES 16 /* IFNAMSIZ */

struct request_address { /* struct sockaddr, or sockaddr_in */
    u16 family;
    u8 port[2];
    u8 address[4];
    u8 zero[8];
};

struct interface_request { /* struct ifreq */
    char name[NAME_BYTES];
    union {
        struct request_address address;
        struct {
            u16 family;
            u8 bytes[14];
        } hardware;
        s16 flags;
        s32 number;
        u8 room[24];
    };
};
_Static_assert(sizeof(struct interface_request) == 40, "struct ifreq");

struct interface_list { /* struct ifconf */
    s32 bytes, padding;
    u64 address;
};

static bool interface_by_name(const char *name, struct net_interface *to)
{
    for (u32 i = 0; i < net_interface_count(); i++)
        if (net_interface_get(i, to) && !strcmp(to->name, name))
            return true;
    return false;
}

static bool interface_by_number(s32 number, struct net_interface *to)
{
    for (u32 i = 0; i < net_interface_count(); i++)
        if (net_interface_get(i, to) && (s32)to->number == number)
            return true;
    return false;
}

/* The first IPv4 address; NULL: it has none. */
static const struct net_interface_address *address4_of(const struct net_interface *f)
{
    for (u32 i = 0; i < f->address_count; i++)
        if (f->addresses[i].address.family == NET_V4)
            return &f->addresses[i];
    return NULL;
}

static s64 address_get(const struct net_interface *f, u32 request, struct interface_request *q)
{
    const struct net_interface_address *a = address4_of(f);
    if (!a)
        return -EADDRNOTAVAIL;
    u32 mask = a->prefix_bits ? ~0u << (32 - a->prefix_bits) : 0;
    q->address = (struct request_address){.family = AF_INET};
    for (u32 i = 0; i < 4; i++) {
        u8 part = (u8)(mask >> (24 - 8 * i)), own = a->address.bytes[i];
        q->address.address[i] = request == SIOCGIFNETMASK   ? part
                                : request == SIOCGIFBRDADDR ? own | (u8)~part
                                                            : own;
    }
    if (request == SIOCGIFBRDADDR && f->loopback)
        memset(q->address.address, 0, sizeof(q->address.address));
    return 0;
}

static s64 interface_get(const struct net_interface *f, u32 request, struct interface_request *q)
{
    switch (request) {
    case SIOCGIFFLAGS:
        q->flags = (s16)socket_interface_flags(f);
        return 0;
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFBRDADDR:
        return address_get(f, request, q);
    case SIOCGIFMETRIC:
        q->number = 0;
        return 0;
    case SIOCGIFMTU:
        q->number = (s32)f->mtu;
        return 0;
    case SIOCGIFINDEX:
        q->number = (s32)f->number;
        return 0;
    case SIOCGIFTXQLEN:
        q->number = 1000;
        return 0;
    case SIOCGIFHWADDR:
        memset(&q->hardware, 0, sizeof(q->hardware));
        q->hardware.family = socket_interface_type(f);
        if (!f->loopback)
            memcpy(q->hardware.bytes, f->hardware_address, NET_HARDWARE_BYTES);
        return 0;
    }
    return -ENOTTY;
}

static s64 request_one(struct thread *t, u32 request, u64 argument)
{
    struct interface_request q;
    struct net_interface f;
    s64 r = user_prepare(t, argument, sizeof(q), USER_WRITE);
    if (r)
        return r;
    if (copy_in(&q, argument, sizeof(q)))
        return -EFAULT;
    if (request == SIOCGIFNAME) {
        if (!interface_by_number(q.number, &f))
            return -ENODEV;
        memcpy(q.name, f.name, sizeof(q.name));
    } else {
        q.name[NAME_BYTES - 1] = 0;
        if (!interface_by_name(q.name, &f))
            return -ENODEV;
        r = interface_get(&f, request, &q);
    }
    if (r)
        return r;
    return copy_out(argument, &q, sizeof(q)) ? -EFAULT : 0;
}

/* Interfaces that have an IPv4 address, as many as there is room for. */
static s64 request_list(struct thread *t, u64 argument)
{
    struct interface_list list;
    s64 r = user_prepare(t, argument, sizeof(list), USER_WRITE);
    if (!r && copy_in(&list, argument, sizeof(list)))
        r = -EFAULT;
    if (r)
        return r;
    u64 room = NET_INTERFACES_MOST * sizeof(struct interface_request);
    room = list.address ? min((u64)(u32)max(list.bytes, 0), room) : 0;
    if (room)
        r = user_prepare(t, list.address, room, USER_WRITE);
    if (r)
        return r;
    s32 used = 0;
    for (u32 i = 0; i < net_interface_count(); i++) {
        struct interface_request q = {.name = {0}};
        struct net_interface f;
        if (!net_interface_get(i, &f) || address_get(&f, SIOCGIFADDR, &q))
            continue;
        memcpy(q.name, f.name, sizeof(q.name));
        if (list.address && (u64)used + sizeof(q) > room)
            break;
        if (list.address && copy_out(list.address + (u64)used, &q, sizeof(q)))
            return -EFAULT;
        used += (s32)sizeof(q);
    }
    list.bytes = used;
    return copy_out(argument, &list, sizeof(list)) ? -EFAULT : 0;
}

s64 socket_interface_ioctl(struct thread *t, u32 request, u64 argument)
{
    switch (request) {
    case SIOCGIFCONF:
        return request_list(t, argument);
    case SIOCGIFNAME:
    case SIOCGIFFLAGS:
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFMETRIC:
    case SIOCGIFMTU:
    case SIOCGIFHWADDR:
    case SIOCGIFINDEX:
    case SIOCGIFTXQLEN:
        return request_one(t, request, argument);
    }
    return -ENOTTY;
}
