/* Between devices and addresses: ARP, ICMP, fragments, checksums and segments that a device takes
   over, a device without room, loopback, memory that fails. */
#include "kernel/net/net.h"
#include "kernel/net/udp.h"
#include "test/host/net_machine.h"
#include "test/host/net_packet.h"

#include <string.h>

static struct net_wire wire;
static struct net_packet packet;
static u8 payload[NET_PACKET_MOST];

static const u8 *machine_mac(void)
{
    return wire.device.hardware_address;
}

static void begin(u32 offloads)
{
    net_machine_option("net", "10.0.2.15/24,gateway=10.0.2.2,fd00::15/64");
    net_machine_start(1);
    net_wire_attach(&wire, 1, offloads);
    net_machine_pass(3 * NS_PER_SECOND);
    /* The machine knows the peer from now on. */
    net_packet_arp(&packet, machine_mac(), 1, NET_PEER_V4, NET_MACHINE_V4);
    net_packet_input(&wire, &packet, 0);
    net_wire_clear(&wire);
}

static struct net_interface interface_now(u32 index)
{
    struct net_interface i;
    net_must(net_interface_get(index, &i));
    return i;
}

/* --- ARP and ICMP ----------------------------------------------------------------------------- */

static void arp(void)
{
    static const u8 everybody[6] = {255, 255, 255, 255, 255, 255};
    begin(0);
    net_packet_arp(&packet, everybody, 1, NET_PEER_V4, NET_MACHINE_V4);
    net_packet_input(&wire, &packet, 0);
    const struct net_wire_frame *f = net_wire_take(&wire);
    net_must(f && net_frame_is_arp(f, 2) && net_read32(f->data + 28) == NET_MACHINE_V4);
    net_must(!memcmp(f->data + 22, machine_mac(), 6) && !memcmp(f->data, net_peer_mac, 6));
    net_packet_arp(&packet, everybody, 1, NET_PEER_V4, NET_MACHINE_V4 + 1);
    net_packet_input(&wire, &packet, 0);
    net_must(!net_wire_take(&wire));
}

/* An echo in one packet, cut into buffers of that many bytes; whether the right answer came. */
static bool echo(u16 sequence, u32 bytes, u32 piece)
{
    u32 length = net_packet_echo(payload, sequence, bytes), got;
    net_packet_v4(&packet, machine_mac(),
                  (struct net_packet_v4){NET_PEER_V4, NET_MACHINE_V4, 1, 7, 0}, payload, length);
    net_packet_input(&wire, &packet, piece);
    const struct net_wire_frame *f = net_wire_take(&wire);
    while (f && net_frame_is_arp(f, 1)) {
        net_packet_arp(&packet, machine_mac(), 2, NET_PEER_V4, NET_MACHINE_V4);
        net_packet_input(&wire, &packet, 0);
        f = net_wire_take(&wire);
    }
    const u8 *icmp = f ? net_frame_v4(f, 1, &got) : NULL;
    return icmp && got == length && !icmp[0] && !memcmp(icmp + 4, payload + 4, length - 4) &&
           net_packet_sum(icmp, got, 0) == 0xffff;
}

static void echoes(void)
{
    begin(0);
    net_must(echo(1, 56, 0) && echo(2, 0, 0) && echo(3, 1472, 0));
    for (u32 piece = 15; piece < 1500; piece += 13)
        net_must(echo((u16)piece, 1400, piece));
    net_must(!wire.buffers_out);
}

/* Sends an echo of `bytes` in fragments of at most `each`, in the order that `step` gives. */
static void fragments_send(u32 bytes, u32 each, u32 step)
{
    u32 length = net_packet_echo(payload, 9, bytes), count = (length + each - 1) / each;
    for (u32 i = 0; i < count; i++) {
        u32 n = i * step % count, at = n * each, size = min(each, length - at);
        u16 more = at + size < length ? 0x2000 : 0;
        net_packet_v4(&packet, machine_mac(),
                      (struct net_packet_v4){NET_PEER_V4, NET_MACHINE_V4, 1, (u16)(bytes + step),
                                             (u16)(more | at / 8)},
                      payload + at, size);
        net_packet_input(&wire, &packet, 0);
    }
}

/* Puts the answer's fragments together. */
static bool fragments_answered(u32 bytes)
{
    static u8 whole[NET_PACKET_MOST];
    u32 length = bytes + 8, got = 0, size;
    for (const struct net_wire_frame *f; (f = net_wire_take(&wire));) {
        const u8 *part = net_frame_v4(f, 1, &size);
        u32 at = 8u * (net_read16(f->data + 20) & 0x1fff);
        if (!part || at + size > length || f->bytes > 1514)
            return false;
        memcpy(whole + at, part, size);
        got += size;
    }
    return got == length && !whole[0] && net_packet_sum(whole, length, 0) == 0xffff &&
           !memcmp(whole + 4, payload + 4, length - 4);
}

static void fragments(void)
{
    begin(0);
    /* In order, and mixed: 6 and 41 fragments, which share no factor with the steps. */
    static const u32 steps[] = {1, 5};
    for (u32 i = 0; i < countof(steps); i++) {
        fragments_send(8000, 1480, steps[i]);
        net_must(fragments_answered(8000));
        fragments_send(60000, 1480, steps[i] * 2 + 1);
        net_must(fragments_answered(60000));
    }
    net_must(!wire.buffers_out);
}

/* What is never completed is given up after half a minute; what is too much, at once. */
static void fragments_lost(void)
{
    begin(0);
    u32 length = net_packet_echo(payload, 1, 2000);
    for (u32 id = 0; id < 2000; id++) {
        net_packet_v4(&packet, machine_mac(),
                      (struct net_packet_v4){NET_PEER_V4, NET_MACHINE_V4, 1, (u16)id, 0x2000},
                      payload, min(length, 1480u));
        net_packet_input(&wire, &packet, 0);
        net_must(wire.buffers_out <= 300);
    }
    net_must(wire.buffers_out);
    net_machine_pass(40 * NS_PER_SECOND);
    net_must(!wire.buffers_out);
    net_wire_clear(&wire);
    net_must(echo(1, 56, 0));
}

/* --- UDP, checksums, segments ----------------------------------------------------------------- */

struct listener {
    struct net_changed changed;
    u32 told;
    struct net_udp *udp;
};

closure_method(net_changed, listener_changed, struct listener, changed, u32 events)
{
    owner()->told |= events;
}

static struct net_address v4_address(u32 address, u16 port)
{
    struct net_address a = {.family = NET_V4, .port = port};
    net_write32(a.bytes, address);
    return a;
}

static void listener_begin(struct listener *l, u16 port)
{
    init_method(&l->changed, listener_changed);
    l->told = 0;
    l->udp = net_udp_create(NET_V4, &l->changed);
    struct net_address any = v4_address(0, port);
    net_must(l->udp && is_ok(net_udp_bind(l->udp, &any)));
}

static status listener_send(struct listener *l, u32 bytes, u32 to, u16 port)
{
    struct sg_list sg;
    struct net_address a = v4_address(to, port);
    for (u32 i = 0; i < bytes; i++)
        payload[i] = (u8)(i * 3);
    sg_init(&sg, NULL);
    sg_add(&sg, payload, bytes);
    return net_udp_send(l->udp, &sg, &a);
}

/* Takes a datagram out; its bytes, 0: there is none. */
static u64 listener_take(struct listener *l)
{
    struct net_udp_datagram d;
    if (!is_ok(net_udp_received(l->udp, &d)))
        return 0;
    net_udp_take(l->udp);
    return d.bytes;
}

static void datagrams(u32 offloads)
{
    struct listener l;
    u32 bytes;
    begin(offloads);
    listener_begin(&l, 5000);
    net_must(is_ok(listener_send(&l, 100, NET_PEER_V4, 6000)));
    net_machine_run();
    const struct net_wire_frame *f = net_wire_take(&wire);
    net_must(f && net_frame_udp(f, 6000, &bytes) && bytes == 100);
    net_must(f->checksum == !!(offloads & NET_CHECKSUM_OUT) && wire.flushes);
    /* In fragments no device can finish the checksum. */
    net_must(is_ok(listener_send(&l, 5000, NET_PEER_V4, 6000)));
    net_machine_run();
    static u8 whole[8192];
    u32 got = 0;
    while ((f = net_wire_take(&wire))) {
        const u8 *part = net_frame_v4(f, 17, &bytes);
        net_must(part && !f->checksum);
        memcpy(whole + 8u * (net_read16(f->data + 20) & 0x1fff), part, bytes);
        got += bytes;
    }
    net_must(got == 5008);
    u8 pseudo[8];
    net_write32(pseudo, NET_MACHINE_V4);
    net_write32(pseudo + 4, NET_PEER_V4);
    u32 seed = net_packet_sum(pseudo, 8, 17 + 5008);
    net_must(net_packet_sum(whole, 5008, seed) == 0xffff);
}

static void datagrams_software(void)
{
    datagrams(0);
}

static void datagrams_offloaded(void)
{
    datagrams(NET_CHECKSUM_OUT | NET_CHECKSUM_IN);
}

/* A wrong checksum is seen, unless the device says that it looked; of fragments it cannot. */
static void checksums_in(void)
{
    struct listener l;
    begin(NET_CHECKSUM_OUT | NET_CHECKSUM_IN);
    listener_begin(&l, 5000);
    net_packet_udp(&packet, machine_mac(), NET_PEER_V4, 6000, NET_MACHINE_V4, 5000, "hello", 5);
    net_packet_input(&wire, &packet, 0);
    net_must(listener_take(&l) == 5 && l.told & NET_READABLE);
    packet.data[packet.bytes - 1] ^= 1;
    net_packet_input(&wire, &packet, 0);
    net_must(!listener_take(&l));
    net_wire_input(&wire, (struct net_wire_send){packet.data, packet.bytes, 0, true});
    net_must(listener_take(&l) == 5);
    net_packet_input(&wire, &packet, 0);
    net_must(!listener_take(&l)); /* not believed any longer than for that frame */
    for (u32 part = 0; part < 2; part++) {
        u8 udp[16] = {6000 >> 8, 6000 & 255, 5000 >> 8, 5000 & 255, 0, 16, 1, 2};
        net_packet_v4(&packet, machine_mac(),
                      (struct net_packet_v4){NET_PEER_V4, NET_MACHINE_V4, 17, 3, part ? 1 : 0x2000},
                      udp + 8 * part, 8);
        net_wire_input(&wire, (struct net_wire_send){packet.data, packet.bytes, 0, true});
    }
    net_must(!listener_take(&l));
}

/* --- a device without room -------------------------------------------------------------------- */

static void no_room(void)
{
    begin(0);
    wire.hold = true;
    wire.room = 4;
    struct listener l;
    listener_begin(&l, 5000);
    u64 live = net_machine_live();
    for (u32 i = 0; i < 4000; i++)
        listener_send(&l, 64, NET_PEER_V4, 6000);
    net_machine_run();
    net_must(wire.sent - wire.seen == 4 && net_machine_live() < 5000 + live);
    u32 sent = 0;
    while (wire.held_count) {
        net_wire_release(&wire);
        sent += wire.held_count;
    }
    net_must(sent + 4 == 1024 + 4);
    net_wire_clear(&wire);
    wire.hold = false;
    net_must(echo(1, 56, 0));
}

/* A link that goes down gives back what waits. */
static void link_lost(void)
{
    begin(0);
    wire.hold = true;
    wire.room = 4;
    struct listener l;
    listener_begin(&l, 5000);
    for (u32 i = 0; i < 100; i++)
        listener_send(&l, 64, NET_PEER_V4, 6000);
    net_wire_link(&wire, false);
    net_wire_release(&wire);
    net_must(!wire.held_count && wire.sent - wire.seen == 4);
    wire.hold = false;
    net_wire_clear(&wire);
    net_wire_link(&wire, true);
    net_machine_pass(NS_PER_SECOND);
    net_packet_arp(&packet, machine_mac(), 1, NET_PEER_V4, NET_MACHINE_V4);
    net_packet_input(&wire, &packet, 0);
    net_wire_clear(&wire);
    net_must(echo(1, 56, 0));
}

/* --- loopback --------------------------------------------------------------------------------- */

static void loopback(void)
{
    struct listener a, b;
    begin(NET_CHECKSUM_OUT);
    listener_begin(&a, 5000);
    listener_begin(&b, 5001);
    net_must(is_ok(listener_send(&a, 1000, 0x7f000001, 5001)));
    net_must(!listener_take(&b));
    net_machine_run();
    net_must(listener_take(&b) == 1000);
    /* Our own address is not for the wire. */
    net_must(is_ok(listener_send(&a, 60000, NET_MACHINE_V4, 5001)));
    net_machine_run();
    net_must(listener_take(&b) == 60000 && !net_wire_take(&wire));
    net_must(interface_now(0).statistics.frames_in);
    /* The queue has an end. */
    u64 live = net_machine_live();
    for (u32 i = 0; i < 3000; i++)
        listener_send(&a, 100, 0x7f000001, 5001);
    net_must(net_machine_live() < live + 3 * 1100);
    net_machine_run();
    u32 taken = 0;
    while (listener_take(&b))
        taken++;
    net_must(taken > 100 && taken <= 1024);
    /* 127.0.0.1 from the wire is nobody's. */
    net_packet_udp(&packet, machine_mac(), NET_PEER_V4, 6000, 0x7f000001, 5001, "hello", 5);
    net_packet_input(&wire, &packet, 0);
    net_must(!listener_take(&b));
}

/* --- idle, and without memory ----------------------------------------------------------------- */

/* Nobody answers ARP for these: a bounded number waits, and is given back. */
static void unanswered(void)
{
    struct listener l;
    begin(0);
    listener_begin(&l, 5000);
    u64 live = net_machine_live();
    for (u32 i = 0; i < 3000; i++)
        listener_send(&l, 64, NET_PEER_V4 + 100 + i % 50, 6000);
    net_machine_run();
    net_must(net_machine_live() < live + 5000);
    net_machine_pass(300 * NS_PER_SECOND);
    net_must(net_machine_live() <= live + 300); /* frames are kept for the next ones */
}

static void without_memory(void)
{
    begin(0);
    struct listener l;
    listener_begin(&l, 5000);
    net_must(echo(1, 56, 0));
    u64 n = 0, live = net_machine_live();
    do {
        net_machine_fail(++n);
        echo(1, 1400, 64);
        fragments_send(4000, 1480, 1);
        listener_send(&l, 3000, NET_PEER_V4, 6000);
        listener_send(&l, 300, 0x7f000001, 5000);
        net_packet_udp(&packet, machine_mac(), NET_PEER_V4, 6000, NET_MACHINE_V4, 5000, "hi", 2);
        net_packet_input(&wire, &packet, 0);
        net_machine_pass(40 * NS_PER_SECOND);
        bool failed = net_machine_failed();
        net_machine_fail(0);
        while (listener_take(&l))
            continue;
        net_wire_clear(&wire);
        net_must(echo(2, 56, 0));
        net_must(!wire.buffers_out);
        net_must(net_machine_live() < live + 20);
        net_wire_clear(&wire);
        if (!failed)
            break;
    } while (n < 1000);
    net_must(n > 20 && n < 1000);
}

int main(void)
{
    net_machine_child("ARP is answered for our address alone", arp);
    net_machine_child("echoes, in buffers of any size", echoes);
    net_machine_child("echoes in fragments, in any order", fragments);
    net_machine_child("fragments whose others never come", fragments_lost);
    net_machine_child("datagrams with checksums of ours", datagrams_software);
    net_machine_child("datagrams with checksums of the device's", datagrams_offloaded);
    net_machine_child("checksums of what comes", checksums_in);
    net_machine_child("a device without room", no_room);
    net_machine_child("a link that is lost", link_lost);
    net_machine_child("loopback", loopback);
    net_machine_child("neighbours that do not answer", unanswered);
    net_machine_child("every allocation failed in turn", without_memory);
    return done_testing();
}
