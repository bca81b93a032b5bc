/* Endpoints of TCP as a test holds them: see test/host/net_ends.h. */
#include "test/host/net_ends.h"

#include "test/host/net_packet.h"

#include <string.h>

closure_method(net_changed, end_changed, struct net_end, changed, u32 events)
{
    owner()->told |= events;
}

bool net_end_create(struct net_end *e, enum net_family family)
{
    *e = (struct net_end){0};
    init_method(&e->changed, end_changed);
    e->tcp = net_tcp_create(family, &e->changed);
    return e->tcp;
}

struct net_address net_end_loopback(enum net_family family, u16 port)
{
    struct net_address a = {.family = (u8)family, .port = port};
    if (family == NET_V4)
        net_write32(a.bytes, 0x7f000001);
    else
        a.bytes[15] = 1;
    return a;
}

struct net_address net_end_peer(u16 port)
{
    struct net_address a = {.family = NET_V4, .port = port};
    net_write32(a.bytes, NET_PEER_V4);
    return a;
}

bool net_end_listen(struct net_end *e, enum net_family family, u16 port, u32 backlog)
{
    const struct net_address any = {.family = (u8)family, .port = port};
    return net_end_create(e, family) && is_ok(net_tcp_set(e->tcp, TCP_SET_REUSE_ADDRESS, 1)) &&
           is_ok(net_tcp_bind(e->tcp, &any)) && is_ok(net_tcp_listen(e->tcp, backlog));
}

bool net_end_accept(struct net_end *listener, struct net_end *e)
{
    *e = (struct net_end){0};
    init_method(&e->changed, end_changed);
    return is_ok(net_tcp_accept(listener->tcp, &e->changed, &e->tcp));
}

void net_end_close(struct net_end *e)
{
    if (e->tcp)
        net_tcp_close(e->tcp, (struct net_tcp_linger){.on = false});
    e->tcp = NULL;
}

void net_end_abort(struct net_end *e)
{
    if (e->tcp)
        net_tcp_close(e->tcp, (struct net_tcp_linger){.on = true});
    e->tcp = NULL;
}

u64 net_end_send(struct net_end *e, const void *bytes, u64 count, bool more)
{
    u64 done = 0;
    while (done < count) {
        void *room;
        u64 here = count - done;
        if (!is_ok(net_tcp_send_room(e->tcp, &room, &here)))
            break;
        here = min(here, count - done);
        memcpy(room, (const u8 *)bytes + done, here);
        done += here;
        net_tcp_send(e->tcp, here, more || done < count);
    }
    net_tcp_push(e->tcp);
    return done;
}

s64 net_end_receive(struct net_end *e, void *bytes, u64 count)
{
    u64 done = 0;
    while (done < count) {
        const void *from;
        u64 here;
        status s = net_tcp_received(e->tcp, done, &from, &here);
        if (!is_ok(s) && !done)
            return -status_errno(s);
        if (!is_ok(s) || !here)
            break;
        here = min(here, count - done);
        memcpy((u8 *)bytes + done, from, here);
        done += here;
    }
    net_tcp_take(e->tcp, done);
    return (s64)done;
}
