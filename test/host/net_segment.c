/* Segments made by hand: see test/host/net_segment.h. */
#include "test/host/net_segment.h"

#include "test/host/net_machine.h"

#include <string.h>

struct net_tcp *net_segment_server(struct net_wire *w, net_changed changed, u32 backlog)
{
    struct net_address a = {.family = NET_V4, .port = 80};
    net_machine_option("net", "10.0.2.15/24");
    net_machine_start(1);
    net_wire_attach(w, 1, 0);
    struct net_tcp *listener = net_tcp_create(NET_V4, changed);
    net_must(listener && is_ok(net_tcp_bind(listener, &a)));
    net_must(is_ok(net_tcp_listen(listener, backlog)));
    net_machine_pass(NS_PER_SECOND);
    return listener;
}

void net_segment_send(struct net_wire *w, struct net_segment s)
{
    static struct net_packet packet;
    static u8 tcp[1600];
    u8 pseudo[12] = {0};
    memset(tcp, 0, 60);
    u32 header = 20 + s.option_bytes, bytes = header + s.data_bytes;
    net_write16(tcp, s.from);
    net_write16(tcp + 2, 80);
    net_write32(tcp + 4, s.sequence);
    net_write32(tcp + 8, s.acknowledged);
    tcp[12] = (u8)(header / 4 << 4);
    tcp[13] = s.flags;
    net_write16(tcp + 14, 8000);
    if (s.option_bytes)
        memcpy(tcp + 20, s.options, s.option_bytes);
    if (s.data_bytes)
        memcpy(tcp + header, s.data, s.data_bytes);
    net_write32(pseudo, NET_PEER_V4);
    net_write32(pseudo + 4, NET_MACHINE_V4);
    pseudo[9] = 6;
    net_write16(pseudo + 10, (u16)bytes);
    u32 sum = net_packet_sum(pseudo, 12, 0);
    net_write16(tcp + 16, (u16)~net_packet_sum(tcp, bytes, sum));
    net_packet_v4(&packet, w->device.hardware_address,
                  (struct net_packet_v4){NET_PEER_V4, NET_MACHINE_V4, 6, 1, 0}, tcp, bytes);
    net_packet_input(w, &packet, 0);
}

const u8 *net_segment_last(struct net_wire *w, u16 port, u32 *bytes)
{
    static u8 kept[1600];
    static struct net_packet packet;
    bool any = false;
    for (u32 i = 0; i < 2; i++) {
        const struct net_wire_frame *f;
        while ((f = net_wire_take(w))) {
            const u8 *tcp = net_frame_v4(f, 6, bytes);
            if (net_frame_is_arp(f, 1)) {
                net_packet_arp(&packet, w->device.hardware_address, 2, NET_PEER_V4, NET_MACHINE_V4);
                net_packet_input(w, &packet, 0);
            } else if (tcp && net_read16(tcp + 2) == port) {
                must(*bytes <= sizeof(kept));
                memcpy(kept, tcp, *bytes);
                any = true;
            }
        }
    }
    return any ? kept : NULL;
}
