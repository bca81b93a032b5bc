/* The headers that a connection's segments take from the one before (kernel/net/lwip_way.c): right
   in each, and other ones as soon as the neighbour, or what was asked for, is another. */
#include "kernel/net/net.h"
#include "kernel/net/tcp.h"
#include "test/host/net_machine.h"
#include "test/host/net_segment.h"

#include <string.h>

#define PORT 999

static struct net_wire wire;

static struct server {
    struct net_tcp *listener, *tcp;
    struct net_changed changed;
    u32 acknowledged; /* of the machine's bytes, by the peer */
    u32 questions;    /* of the machine's for its neighbour */
} server;

closure_method(net_changed, server_changed, struct server, changed, u32 events)
{
    (void)events;
    (void)owner();
}

static void segment(u32 sequence, u8 flags)
{
    net_segment_send(&wire, (struct net_segment){.from = PORT,
                                                 .sequence = sequence,
                                                 .acknowledged = server.acknowledged,
                                                 .flags = flags});
}

static void begin(void)
{
    u32 bytes;
    init_method(&server.changed, server_changed);
    server.listener = net_segment_server(&wire, &server.changed, 5);
    segment(5000, NET_TCP_SYN);
    const u8 *answer = net_segment_last(&wire, PORT, &bytes);
    net_must(answer && answer[13] == (NET_TCP_SYN | NET_TCP_ACK));
    server.acknowledged = net_read32(answer + 4) + 1;
    segment(5001, NET_TCP_ACK);
    net_must(is_ok(net_tcp_accept(server.listener, &server.changed, &server.tcp)));
    net_wire_clear(&wire);
}

static void neighbour_is(const u8 mac[6], u16 operation)
{
    static struct net_packet packet;
    net_packet_arp(&packet, wire.device.hardware_address, operation, NET_PEER_V4, NET_MACHINE_V4);
    memcpy(packet.data + 6, mac, 6);
    memcpy(packet.data + 22, mac, 6);
    net_packet_input(&wire, &packet, 0);
}

/* The machine's next frame that is not for the neighbour's address, whose questions are answered.
 */
static const struct net_wire_frame *frame_next(void)
{
    const struct net_wire_frame *f;
    net_machine_run();
    while ((f = net_wire_take(&wire)) && net_frame_is_arp(f, 1)) {
        server.questions++;
        neighbour_is(net_peer_mac, 2);
    }
    return f;
}

/* Sends so many bytes, and has them acknowledged: the frame that they went in, which is right as
   far as checksums and lengths say. */
static const struct net_wire_frame *frame_of(u64 count)
{
    static struct net_wire_frame sent;
    void *memory;
    u64 room = count;
    u32 bytes = 0;
    net_must(is_ok(net_tcp_send_room(server.tcp, &memory, &room)) && room >= count);
    memset(memory, 'x', count);
    net_tcp_send(server.tcp, count, false);
    net_tcp_push(server.tcp);
    const struct net_wire_frame *f = frame_next();
    net_must(f != NULL);
    const u8 *tcp = net_frame_v4(f, 6, &bytes);
    net_must(tcp && bytes == 20 + count && tcp[20] == 'x');
    net_must(net_read32(f->data + 26) == NET_MACHINE_V4 && net_read32(f->data + 30) == NET_PEER_V4);
    sent = *f;
    server.acknowledged += (u32)count;
    segment(5001, NET_TCP_ACK);
    return &sent;
}

static bool goes_to(const struct net_wire_frame *f, const u8 mac[6])
{
    return !memcmp(f->data, mac, 6);
}

static void alike(void)
{
    begin();
    u16 number = net_read16(frame_of(5)->data + 18);
    for (u32 i = 1; i <= 300; i++) {
        const struct net_wire_frame *f = frame_of(i);
        net_must(goes_to(f, net_peer_mac) && net_read16(f->data + 18) == (u16)(number + i));
    }
}

static void moved(void)
{
    static const u8 other[6] = {2, 0, 0, 0, 9, 9};
    begin();
    for (u32 i = 0; i < 3; i++)
        net_must(goes_to(frame_of(7), net_peer_mac));
    neighbour_is(other, 1);
    while (net_wire_take(&wire))
        ;
    for (u32 i = 0; i < 3; i++)
        net_must(goes_to(frame_of(7), other));
}

static void asked_for(void)
{
    begin();
    frame_of(7);
    net_must(is_ok(net_tcp_set(server.tcp, TCP_SET_TTL, 7)));
    net_must(frame_of(7)->data[22] == 7 && frame_of(7)->data[22] == 7);
    net_must(is_ok(net_tcp_set(server.tcp, TCP_SET_TOS, 16)));
    net_must(frame_of(7)->data[15] == 16 && frame_of(7)->data[15] == 16);
}

/* Neighbours are asked again before they are too old, however busy they are. */
static void grows_old(void)
{
    begin();
    frame_of(7);
    server.questions = 0;
    for (u32 i = 0; i < 1400; i++) {
        net_machine_pass(NS_PER_SECOND / 4);
        while (frame_next())
            ;
        frame_of(7);
    }
    net_must(server.questions >= 1);
}

int main(void)
{
    net_machine_child("each segment has headers that are right", alike);
    net_machine_child("a neighbour that moves is followed at once", moved);
    net_machine_child("what is asked for is in the next segment", asked_for);
    net_machine_child("a busy neighbour is asked for, too", grows_old);
    return done_testing();
}
