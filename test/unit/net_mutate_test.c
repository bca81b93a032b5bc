/* What the outside sends and nobody should: packets of every kind the stack knows, changed by a
   seeded generator, a hundred thousand of them.  Nothing is read or written past a buffer
   (sanitizers), nothing that lwIP takes for impossible happens (it would panic here), nothing is
   kept, and the machine answers as before. */
#include "kernel/net/net.h"
#include "kernel/net/tcp.h"
#include "kernel/net/udp.h"
#include "runtime/random.h"
#include "test/host/net_machine.h"
#include "test/host/net_packet.h"

#include <stdlib.h>
#include <string.h>

#define PACKETS      100000u
#define PACKETS_SOAK 1000000u
#define CONNECTIONS  64u

static struct net_wire wire;
static struct net_packet packet;
static struct random chance;

static struct endpoints {
    struct net_changed changed;
    struct net_tcp *listener;
    struct net_udp *udp, *udp6;
    struct net_tcp *accepted[CONNECTIONS];
    u32 count;
} endpoints;

/* --- packets that are right ------------------------------------------------------------------- */

static const u8 everybody[6] = {255, 255, 255, 255, 255, 255};
static const u8 link_everybody[6] = {0x33, 0x33, 0, 0, 0, 1};
static const u8 peer_v6[16] = {0xfe, 0x80, [15] = 2};
static const u8 machine_v6[16] = {0xfe, 0x80, [11] = 0xff, [12] = 0xfe, [15] = 1};
static const u8 group_v6[16] = {0xff, 2, [15] = 1};

static u32 sequence, acknowledged; /* of the last TCP segment that the machine sent us */

static void make_v6(u8 next, const u8 *to, const u8 *to_mac, const void *payload, u32 bytes)
{
    u8 ip[40] = {0x60, [6] = next, [7] = 255};
    net_write16(ip + 4, (u16)bytes);
    memcpy(ip + 8, peer_v6, 16);
    memcpy(ip + 24, to, 16);
    net_packet_begin(&packet, to_mac, 0x86dd);
    net_packet_add(&packet, ip, 40);
    net_packet_add(&packet, payload, bytes);
}

static void make_echo6(void)
{
    u8 icmp[32] = {128, 0, 0, 0, 1, 2, 3, 4};
    make_v6(58, machine_v6, wire.device.hardware_address, icmp, sizeof(icmp));
}

static void make_solicitation(void)
{
    u8 icmp[32] = {135};
    memcpy(icmp + 8, machine_v6, 16);
    icmp[24] = 1, icmp[25] = 1;
    memcpy(icmp + 26, net_peer_mac, 6);
    make_v6(58, machine_v6, wire.device.hardware_address, icmp, sizeof(icmp));
}

static void make_advertisement(void)
{
    u8 icmp[32] = {136, [4] = 0x60};
    memcpy(icmp + 8, peer_v6, 16);
    icmp[24] = 2, icmp[25] = 1;
    memcpy(icmp + 26, net_peer_mac, 6);
    make_v6(58, machine_v6, wire.device.hardware_address, icmp, sizeof(icmp));
}

static void make_router(void)
{
    u8 icmp[16 + 8 + 32 + 24 + 8] = {134, [4] = 64, [7] = 200};
    u8 *o = icmp + 16;
    o[0] = 5, o[1] = 1, net_write32(o + 4, 1400), o += 8; /* MTU */
    o[0] = 3, o[1] = 4, o[2] = 64, o[3] = 0xc0;           /* prefix */
    net_write32(o + 4, 7200), net_write32(o + 8, 3600);
    net_write32(o + 16, 0x20010db8), o += 32;
    o[0] = 25, o[1] = 3, net_write32(o + 4, 600), net_write32(o + 8, 0x20010db8), o += 24;
    o[0] = 1, o[1] = 1, memcpy(o + 2, net_peer_mac, 6);
    make_v6(58, group_v6, link_everybody, icmp, sizeof(icmp));
}

static void make_listener_query(void)
{
    u8 all[8 + 24] = {58, 0, 5, 2, 0, 0, 1, 0, 130, 0, 0, 0, 3, 232};
    make_v6(0, group_v6, link_everybody, all, sizeof(all));
}

static void make_too_big(void)
{
    u8 icmp[8 + 60] = {2, [6] = 5, [8] = 0x60};
    icmp[14] = 6;
    memcpy(icmp + 16, machine_v6, 16);
    memcpy(icmp + 32, peer_v6, 16);
    make_v6(58, machine_v6, wire.device.hardware_address, icmp, sizeof(icmp));
}

static void make_fragment6(void)
{
    u8 all[8 + 64] = {17};
    net_write16(all + 2, (u16)(random_below(&chance, 40) << 3 | random_below(&chance, 2)));
    net_write32(all + 4, (u32)random_below(&chance, 4));
    make_v6(44, machine_v6, wire.device.hardware_address, all,
            8 + 8 * (u32)random_below(&chance, 9));
}

static void make_udp6(void)
{
    u8 udp[8 + 20] = {6000 >> 8, 6000 & 255, 5001 >> 8, 5001 & 255, 0, 28};
    make_v6(17, machine_v6, wire.device.hardware_address, udp, sizeof(udp));
}

static void make_arp(void)
{
    net_packet_arp(&packet, everybody, (u16)(1 + random_below(&chance, 2)), NET_PEER_V4,
                   NET_MACHINE_V4);
}

static void make_v4(u8 protocol, u16 fragment, const void *payload, u32 bytes)
{
    net_packet_v4(&packet, wire.device.hardware_address,
                  (struct net_packet_v4){NET_PEER_V4, NET_MACHINE_V4, protocol,
                                         (u16)random_below(&chance, 8), fragment},
                  payload, bytes);
}

static void make_echo(void)
{
    static u8 echo[2000];
    u32 length = net_packet_echo(echo, 1, (u32)random_below(&chance, 1400));
    make_v4(1, 0, echo, length);
}

static void make_unreachable(void)
{
    u8 icmp[8 + 28] = {3, (u8)random_below(&chance, 6), [8] = 0x45, [17] = 6};
    icmp[17] = random_below(&chance, 2) ? 6 : 17;
    net_write32(icmp + 8 + 12, NET_MACHINE_V4);
    net_write32(icmp + 8 + 16, NET_PEER_V4);
    net_write16(icmp + 28, 80);
    net_write16(icmp + 30, 6000);
    make_v4(1, 0, icmp, sizeof(icmp));
}

static void make_fragment(void)
{
    static const u8 bytes[1480];
    u16 more = random_below(&chance, 2) ? 0x2000 : 0;
    make_v4(random_below(&chance, 2) ? 17 : 1, (u16)(more | random_below(&chance, 400)), bytes,
            8 * (u32)random_below(&chance, 185) + 8);
}

static void make_group_query(void)
{
    u8 igmp[8] = {0x11, 100};
    make_v4(2, 0, igmp, sizeof(igmp));
}

static void make_udp(void)
{
    u8 bytes[100] = {0};
    net_packet_udp(&packet, wire.device.hardware_address, NET_PEER_V4, 6000, NET_MACHINE_V4,
                   random_below(&chance, 2) ? 5000 : 5555, bytes, (u32)random_below(&chance, 100));
}

static void make_dhcp(void)
{
    static const u8 cookie[4] = {0x63, 0x82, 0x53, 0x63};
    u8 dhcp[300] = {2, 1, 6};
    memcpy(dhcp + 28, wire.device.hardware_address, 6);
    memcpy(dhcp + 236, cookie, 4);
    u8 *o = dhcp + 240;
    *o++ = 53, *o++ = 1, *o++ = (u8)(1 + random_below(&chance, 8));
    *o++ = 52, *o++ = 1, *o++ = (u8)random_below(&chance, 4);
    *o++ = 6, *o++ = (u8)random_below(&chance, 20), o += 4;
    *o++ = 51, *o++ = 4, o += 4;
    *o++ = 255;
    net_packet_udp(&packet, everybody, NET_PEER_V4, 67, 0xffffffff, 68, dhcp, sizeof(dhcp));
}

/* One block, somewhere behind what the peer has. */
static void sack_write(u8 to[12])
{
    static const u8 head[4] = {1, 1, 5, 10};
    u32 left = acknowledged + (u32)random_below(&chance, 4) * 1448;
    memcpy(to, head, sizeof(head));
    net_write32(to + 4, left);
    net_write32(to + 8, left + (u32)random_below(&chance, 4) * 1448);
}

static void make_tcp(void)
{
    static const u8 flags[] = {2, 2, 16, 24, 24, 25, 17, 4, 18, 0, 20, 41};
    u8 tcp[40 + 600] = {0};
    u32 options = 4 * (u32)random_below(&chance, 6), bytes = (u32)random_below(&chance, 600);
    static const u8 some[20] = {2, 4, 5, 180, 3, 3, 7, 1, 4, 2, 8, 10, 0, 0, 1, 1, 0, 0, 0, 0};
    if (random_below(&chance, 2))
        bytes = 0;
    net_write16(tcp, (u16)(6000 + random_below(&chance, 8)));
    net_write16(tcp + 2, random_below(&chance, 20) ? 80 : 81);
    net_write32(tcp + 4, sequence + (u32)random_below(&chance, 3) * 100);
    net_write32(tcp + 8, acknowledged);
    tcp[12] = (u8)((5 + options / 4) << 4);
    tcp[13] = flags[random_below(&chance, sizeof(flags))];
    net_write16(tcp + 14, (u16)random_next(&chance));
    memcpy(tcp + 20, some, options);
    if (options >= 12 && !random_below(&chance, 3))
        sack_write(tcp + 20);
    make_v4(6, 0, tcp, 20 + options + bytes);
}

static void (*const makers[])(void) = {make_tcp,
                                       make_tcp,
                                       make_tcp,
                                       make_tcp,
                                       make_udp,
                                       make_dhcp,
                                       make_echo,
                                       make_fragment,
                                       make_unreachable,
                                       make_group_query,
                                       make_arp,
                                       make_echo6,
                                       make_udp6,
                                       make_solicitation,
                                       make_advertisement,
                                       make_router,
                                       make_listener_query,
                                       make_too_big,
                                       make_fragment6};

/* --- what becomes of them --------------------------------------------------------------------- */

static void byte_change(u8 *at)
{
    static const u8 edges[] = {0, 1, 0x7f, 0x80, 0xff};
    switch (random_below(&chance, 3)) {
    case 0:
        *at ^= (u8)(1 << random_below(&chance, 8));
        break;
    case 1:
        *at = edges[random_below(&chance, sizeof(edges))];
        break;
    default:
        *at = (u8)random_next(&chance);
    }
}

static void packet_change(void)
{
    for (u64 i = random_below(&chance, 4); i; i--) {
        /* Mostly the headers. */
        u32 most = random_below(&chance, 4) ? min(packet.bytes - 12, 80u) : packet.bytes - 12;
        byte_change(packet.data + 12 + random_below(&chance, most));
    }
    if (!random_below(&chance, 10))
        packet.bytes = 14 + (u32)random_below(&chance, packet.bytes - 13);
    if (!random_below(&chance, 20)) {
        u32 more = (u32)random_below(&chance, 100);
        memset(packet.data + packet.bytes, 0xaa, more);
        packet.bytes += more;
    }
}

/* Makes checksums right again, so that the change gets further than to them. */
static void checksums_mend(void)
{
    u8 *ip = packet.data + 14;
    u32 seed = 0, offset = 0, start, bytes;
    u8 protocol;
    if (packet.bytes >= 34 && net_read16(packet.data + 12) == 0x0800) {
        start = 4u * (ip[0] & 15);
        protocol = ip[9];
        if (start < 20 || 14 + start > packet.bytes)
            return;
        net_write16(ip + 10, 0);
        net_write16(ip + 10, (u16)~net_packet_sum(ip, start, 0));
        bytes = min((u32)net_read16(ip + 2), packet.bytes - 14);
        if (bytes < start || net_read16(ip + 6) & 0x3fff)
            return;
        seed = net_packet_sum(ip + 12, 8, 0);
    } else if (packet.bytes >= 54 && net_read16(packet.data + 12) == 0x86dd) {
        start = 40;
        protocol = ip[6];
        bytes = min((u32)net_read16(ip + 4) + 40, packet.bytes - 14);
        if (!protocol && bytes >= 48)
            protocol = ip[40], start = 48;
        seed = net_packet_sum(ip + 8, 32, 0);
    } else {
        return;
    }
    bytes -= min(start, bytes);
    switch (protocol) {
    case 1:
        seed = 0, offset = 2;
        break;
    case 58:
    case 2:
        seed = protocol == 2 ? 0 : seed + 58 + bytes, offset = 2;
        break;
    case 6:
        seed += 6 + bytes, offset = 16;
        break;
    case 17:
        seed += 17 + bytes, offset = 6;
        break;
    default:
        return;
    }
    if (bytes < offset + 2)
        return;
    net_write16(ip + start + offset, 0);
    net_write16(ip + start + offset, (u16)~net_packet_sum(ip + start, bytes, seed));
}

/* --- the machine ------------------------------------------------------------------------------ */

closure_method(net_changed, endpoint_changed, struct endpoints, changed, u32 events)
{
    (void)owner();
    (void)events;
}

static void endpoints_begin(void)
{
    struct net_address any = {.family = NET_V4, .port = 80};
    init_method(&endpoints.changed, endpoint_changed);
    endpoints.listener = net_tcp_create(NET_V4, &endpoints.changed);
    must(is_ok(net_tcp_bind(endpoints.listener, &any)));
    must(is_ok(net_tcp_listen(endpoints.listener, 32)));
    endpoints.udp = net_udp_create(NET_V4, &endpoints.changed);
    any.port = 5000;
    must(is_ok(net_udp_bind(endpoints.udp, &any)));
    endpoints.udp6 = net_udp_create(NET_V6, &endpoints.changed);
    any = (struct net_address){.family = NET_V6, .port = 5001};
    must(is_ok(net_udp_bind(endpoints.udp6, &any)));
}

static void udp_drain(struct net_udp *u)
{
    struct net_udp_datagram d;
    while (is_ok(net_udp_received(u, &d)))
        net_udp_take(u);
}

/* Reads some, sends some, closes some. */
static void connection_use(struct net_tcp *e)
{
    const void *memory;
    void *room;
    u64 bytes;
    if (is_ok(net_tcp_received(e, 0, &memory, &bytes)) && bytes && random_below(&chance, 2))
        net_tcp_take(e, 1 + random_below(&chance, bytes));
    if (!random_below(&chance, 4) && is_ok(net_tcp_send_room(e, &room, &bytes))) {
        bytes = min(bytes, random_below(&chance, 5000) + 1);
        memset(room, 1, bytes);
        net_tcp_send(e, bytes, random_below(&chance, 2));
        net_tcp_push(e);
    }
    if (!random_below(&chance, 50))
        net_tcp_shutdown(e, random_below(&chance, 2), random_below(&chance, 2));
    (void)net_tcp_take_error(e);
}

static void endpoints_use(void)
{
    struct net_tcp *e;
    while (endpoints.count < CONNECTIONS &&
           is_ok(net_tcp_accept(endpoints.listener, &endpoints.changed, &e)))
        endpoints.accepted[endpoints.count++] = e;
    for (u32 i = 0; i < endpoints.count; i++) {
        connection_use(endpoints.accepted[i]);
        if (random_below(&chance, 30))
            continue;
        struct net_tcp_linger linger = {random_below(&chance, 2), 0};
        net_tcp_close(endpoints.accepted[i], linger);
        endpoints.accepted[i] = endpoints.accepted[--endpoints.count];
    }
    udp_drain(endpoints.udp);
    udp_drain(endpoints.udp6);
}

static void endpoints_end(void)
{
    while (endpoints.count)
        net_tcp_close(endpoints.accepted[--endpoints.count], (struct net_tcp_linger){true, 0});
    endpoints_use();
    while (endpoints.count)
        net_tcp_close(endpoints.accepted[--endpoints.count], (struct net_tcp_linger){true, 0});
    net_machine_run();
}

/* What the machine sent last tells the next segments where the window is. */
static void sent_look(void)
{
    u32 bytes;
    for (const struct net_wire_frame *f; (f = net_wire_take(&wire));) {
        const u8 *tcp = net_frame_v4(f, 6, &bytes);
        if (tcp && bytes >= 20) {
            acknowledged = net_read32(tcp + 4) + !!(tcp[13] & 3);
            sequence = net_read32(tcp + 8);
        }
    }
}

static bool still_answers(void)
{
    static u8 echo[100];
    u32 length = net_packet_echo(echo, 7, 56), got;
    net_packet_arp(&packet, wire.device.hardware_address, 1, NET_PEER_V4, NET_MACHINE_V4);
    net_packet_input(&wire, &packet, 0);
    net_wire_clear(&wire);
    make_v4(1, 0, echo, length);
    net_packet_input(&wire, &packet, 0);
    for (const struct net_wire_frame *f; (f = net_wire_take(&wire));) {
        const u8 *icmp = net_frame_v4(f, 1, &got);
        if (icmp && got == length && !icmp[0])
            return true;
    }
    return false;
}

/* --- the test --------------------------------------------------------------------------------- */

static void one_packet(void)
{
    makers[random_below(&chance, countof(makers))]();
    packet_change();
    if (random_below(&chance, 4))
        checksums_mend();
    u32 piece = random_below(&chance, 4) ? 0 : 15 + (u32)random_below(&chance, 200);
    net_wire_input(
        &wire, (struct net_wire_send){packet.data, packet.bytes, piece, !random_below(&chance, 3)});
    sent_look();
    if (!random_below(&chance, 8))
        endpoints_use();
    if (!random_below(&chance, 16))
        net_machine_pass(random_below(&chance, 500) * NS_PER_MS);
    if (!random_below(&chance, 2000))
        net_machine_pass(random_below(&chance, 100) * NS_PER_SECOND);
}

int main(void)
{
    u64 seed = test_seed();
    u32 packets = getenv("SOAK") ? PACKETS_SOAK : PACKETS;
    random_init(&chance, seed);
    net_machine_option("net", "10.0.2.15/24,gateway=10.0.2.2");
    net_machine_start(seed);
    net_wire_attach(&wire, 1, random_below(&chance, 2) ? NET_CHECKSUM_OUT | NET_CHECKSUM_IN : 0);
    net_machine_pass(3 * NS_PER_SECOND);
    endpoints_begin();
    must(still_answers());
    u64 live = net_machine_live();
    for (u32 i = 0; i < packets; i++)
        one_packet();
    ok(still_answers(), "after %u packets the machine answers", packets);
    endpoints_end();
    net_machine_pass(2000 * NS_PER_SECOND);
    if (!is(wire.buffers_out, 0, "every buffer came back")) {
        net_machine_log_clear();
        net_census();
        note("%s", net_machine_log());
    }
    ok(net_machine_live() < live + 400, "nothing is kept (%llu blocks, %llu before)",
       (unsigned long long)net_machine_live(), (unsigned long long)live);
    ok(still_answers(), "and it answers still");
    return done_testing();
}
