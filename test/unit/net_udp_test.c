/* Endpoints of UDP: over loopback, and what ICMP says of a port that nobody has. */
#include "kernel/net/udp.h"
#include "test/host/net_machine.h"
#include "test/host/net_mirror.h"
#include "test/host/net_packet.h"

#include <string.h>

struct end {
    struct net_udp *udp;
    struct net_changed changed;
    u32 told;
};

static struct net_mirror mirror;
static struct end a, b, c;
static u8 bytes[70000];

closure_method(net_changed, end_changed, struct end, changed, u32 events)
{
    owner()->told |= events;
}

static void end_create(struct end *e, enum net_family family)
{
    *e = (struct end){0};
    init_method(&e->changed, end_changed);
    e->udp = net_udp_create(family, &e->changed);
    net_must(e->udp);
}

static struct net_address local_v4(u16 port)
{
    struct net_address to = {.family = NET_V4, .port = port};
    net_write32(to.bytes, 0x7f000001);
    return to;
}

static status send(struct end *e, u64 count, const struct net_address *to)
{
    struct sg_list sg;
    sg_init(&sg, NULL);
    net_must(sg_add(&sg, bytes, count));
    status s = net_udp_send(e->udp, &sg, to);
    net_mirror_run(&mirror);
    return s;
}

/* The length of the next datagram, with its bytes in `bytes`; a negative errno. */
static s64 receive(struct end *e, struct net_udp_datagram *d)
{
    status s = net_udp_received(e->udp, d);
    if (!is_ok(s))
        return -status_errno(s);
    for (u64 at = 0, here; at < d->bytes; at += here) {
        const void *from;
        net_udp_received_piece(e->udp, at, &from, &here);
        net_must(from && here);
        memcpy(bytes + at, from, here);
    }
    net_udp_take(e->udp);
    return (s64)d->bytes;
}

static status bind_any(struct end *e, enum net_family family, u16 port)
{
    const struct net_address any = {.family = (u8)family, .port = port};
    return net_udp_bind(e->udp, &any);
}

static void begin(void)
{
    net_mirror_start(&mirror, 0, 1);
    end_create(&a, NET_V4);
    end_create(&b, NET_V4);
    net_must(is_ok(bind_any(&b, NET_V4, 53)));
}

static void end_all(void)
{
    net_udp_close(a.udp);
    net_udp_close(b.udp);
}

static void talk(void)
{
    struct net_address to = local_v4(53);
    struct net_udp_datagram d;
    static const u32 lengths[] = {0, 1, 1000, 9000, 65507};
    begin();
    u64 live = net_machine_live();
    for (u32 i = 0; i < countof(lengths); i++) {
        memset(bytes, (int)i + 1, sizeof(bytes));
        net_must(is_ok(send(&a, lengths[i], &to)) && b.told & NET_READABLE);
        memset(bytes, 0, sizeof(bytes));
        net_must(receive(&b, &d) == (s64)lengths[i] && d.to.port == 53);
        net_must(net_read32(d.from.bytes) == 0x7f000001 && d.from.port >= 32768);
        net_must(!lengths[i] || bytes[lengths[i] - 1] == i + 1);
    }
    net_must(receive(&b, &d) == -EAGAIN);
    net_must(status_errno(send(&a, 65508, &to)) == EMSGSIZE);
    net_must(status_errno(send(&a, 1, NULL)) == EDESTADDRREQ);
    end_all();
    net_must(net_machine_live() < live);
}

static void connected(void)
{
    struct net_address nobody = local_v4(54), to = local_v4(53), seen;
    struct net_udp_datagram d;
    begin();
    net_must(is_ok(net_udp_connect(a.udp, &nobody)) && is_ok(send(&a, 3, NULL)));
    net_must(a.told & NET_FAILED && net_udp_events(a.udp) & NET_FAILED);
    net_must(receive(&a, &d) == -ECONNREFUSED && receive(&a, &d) == -EAGAIN);
    net_must(is_ok(net_udp_connect(a.udp, &to)) && is_ok(send(&a, 3, NULL)));
    net_udp_local_address(a.udp, &seen);
    net_must(net_read32(seen.bytes) == 0x7f000001 && receive(&b, &d) == 3);
    net_must(!memcmp(&seen, &d.from, sizeof(seen)));
    /* Only the other side of a connected endpoint is heard. */
    end_create(&c, NET_V4);
    net_must(is_ok(send(&c, 5, &seen)) && receive(&a, &d) == -EAGAIN);
    net_must(is_ok(send(&b, 5, &seen)) && receive(&a, &d) == 5);
    net_udp_close(c.udp);
    end_all();
}

/* What does not fit is dropped and counted, by memory and not by bytes alone. */
static void queue_is_bounded(void)
{
    struct net_address to = local_v4(53);
    struct net_udp_datagram d;
    begin();
    net_must(is_ok(net_udp_set(b.udp, UDP_SET_RECEIVE_BUFFER, 20000)));
    for (u32 i = 0; i < 500; i++)
        net_must(is_ok(send(&a, 1, &to)));
    u32 count = 0;
    while (receive(&b, &d) == 1)
        count++;
    net_must(count > 10 && count < 100);
    net_must(is_ok(send(&a, 1, &to)) && receive(&b, &d) == 1);
    end_all();
}

static void ports(void)
{
    begin();
    net_must(status_errno(bind_any(&a, NET_V4, 53)) == EADDRINUSE);
    net_must(is_ok(net_udp_set(a.udp, UDP_SET_REUSE_PORT, 1)));
    net_must(status_errno(bind_any(&a, NET_V4, 53)) == EADDRINUSE);
    net_must(is_ok(net_udp_set(b.udp, UDP_SET_REUSE_PORT, 1)));
    net_must(is_ok(bind_any(&a, NET_V4, 53)));
    net_must(status_errno(bind_any(&a, NET_V4, 55)) == EINVAL);
    /* Many senders reach both; each always the same one. */
    struct net_address to = local_v4(53);
    struct net_udp_datagram d;
    u32 at_a = 0, at_b = 0;
    for (u32 i = 0; i < 64; i++) {
        end_create(&c, NET_V4);
        net_must(is_ok(send(&c, 1, &to)) && is_ok(send(&c, 1, &to)));
        u32 here = receive(&a, &d) == 1;
        net_must((receive(&a, &d) == 1) == here);
        net_must((receive(&b, &d) == 1) != here && (receive(&b, &d) == 1) != here);
        at_a += here;
        at_b += !here;
        net_udp_close(c.udp);
    }
    net_must(at_a > 8 && at_b > 8);
    end_all();
}

static void dual_stack(void)
{
    struct net_address to = local_v4(60), six = {.family = NET_V6, .port = 60};
    struct net_udp_datagram d;
    begin();
    six.bytes[15] = 1;
    end_create(&c, NET_V6);
    net_must(is_ok(bind_any(&c, NET_V6, 60)) && is_ok(send(&a, 4, &to)));
    net_must(receive(&c, &d) == 4 && d.from.family == NET_V6 && d.from.bytes[10] == 0xff);
    /* And back, to the address as it was seen. */
    net_must(is_ok(send(&c, 6, &d.from)) && receive(&a, &d) == 6);
    struct end six_end;
    end_create(&six_end, NET_V6);
    net_must(is_ok(send(&six_end, 7, &six)) && receive(&c, &d) == 7);
    net_udp_close(six_end.udp);
    net_udp_close(c.udp);
    end_all();
}

static void to_many(void)
{
    struct net_address all = {.family = NET_V4, .port = 53}, group = all;
    struct net_udp_datagram d;
    begin();
    net_write32(all.bytes, 0xffffffff);
    net_write32(group.bytes, 0xe0010203);
    net_must(status_errno(send(&a, 1, &all)) == EACCES);
    net_must(is_ok(net_udp_set(a.udp, UDP_SET_BROADCAST, 1)) && is_ok(send(&a, 1, &all)));
    net_must(is_ok(net_udp_join(b.udp, &group, 0, true)));
    net_must(status_errno(net_udp_join(b.udp, &group, 0, true)) == EADDRINUSE);
    net_must(is_ok(send(&a, 9, &group)) && receive(&b, &d) == 9);
    net_must(net_read32(d.to.bytes) == 0xe0010203);
    net_must(is_ok(net_udp_join(b.udp, &group, 0, false)));
    net_must(status_errno(net_udp_join(b.udp, &group, 0, false)) == EADDRNOTAVAIL);
    net_must(is_ok(send(&a, 9, &group)) && receive(&b, &d) == -EAGAIN);
    end_all();
}

static void memory_fails(void)
{
    net_mirror_start(&mirror, 0, 1);
    struct net_address to = local_v4(53);
    struct net_udp_datagram d;
    for (u32 n = 1; n < 100; n++) {
        net_machine_fail(n);
        struct net_udp *e = net_udp_create(NET_V4, &a.changed);
        if (e)
            net_udp_close(e);
        bool failed = net_machine_failed();
        net_machine_fail(0);
        if (!failed)
            break;
    }
    end_create(&a, NET_V4);
    end_create(&b, NET_V4);
    net_must(is_ok(bind_any(&b, NET_V4, 53)));
    for (u32 n = 1; n < 100; n++) {
        net_machine_fail(n);
        status s = send(&a, 100, &to);
        bool failed = net_machine_failed();
        net_machine_fail(0);
        net_must(is_ok(s) || (failed && status_errno(s) == ENOBUFS));
        s64 got = receive(&b, &d);
        net_must(got == 100 || (failed && got == -EAGAIN));
        if (!failed)
            break;
    }
    end_all();
}

int main(void)
{
    net_machine_child("datagrams of any length", talk);
    net_machine_child("connected endpoints, and a port that nobody has", connected);
    net_machine_child("the queue is bounded", queue_is_bounded);
    net_machine_child("ports, and who shares them", ports);
    net_machine_child("an endpoint of both families", dual_stack);
    net_machine_child("to many at once", to_many);
    net_machine_child("each allocation fails", memory_fails);
    return done_testing();
}
