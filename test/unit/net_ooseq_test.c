/* What comes out of order: each byte in its place, SACK that says what is there, bounds, and no
   walk over all of it for each segment. */
#include "kernel/net/net.h"
#include "kernel/net/tcp.h"
#include "test/host/net_machine.h"
#include "test/host/net_peer.h"
#include "test/host/net_segment.h"

#include <string.h>

#define PORT  2000
#define FIRST 5001u
#define TOTAL 60000u /* within the first window */

static struct net_wire wire;
static struct random chance;
static u32 machine_sequence;

static struct receiver {
    struct net_tcp *listener, *tcp;
    struct net_changed changed;
} receiver;

closure_method(net_changed, receiver_changed, struct receiver, changed, u32 events)
{
    (void)events;
    (void)owner();
}

static void begin(void)
{
    static const u8 options[] = {2, 4, 5, 180, 1, 1, 4, 2};
    u32 bytes;
    random_init(&chance, 7);
    init_method(&receiver.changed, receiver_changed);
    receiver.listener = net_segment_server(&wire, &receiver.changed, 5);
    for (u32 i = 0; i < 2; i++)
        net_segment_send(&wire, (struct net_segment){.from = PORT,
                                                     .sequence = FIRST - 1,
                                                     .flags = NET_TCP_SYN,
                                                     .options = options,
                                                     .option_bytes = sizeof(options)});
    const u8 *answer = net_segment_last(&wire, PORT, &bytes);
    net_must(answer);
    machine_sequence = net_read32(answer + 4) + 1;
    net_segment_send(&wire, (struct net_segment){.from = PORT,
                                                 .sequence = FIRST,
                                                 .acknowledged = machine_sequence,
                                                 .flags = NET_TCP_ACK});
    net_must(is_ok(net_tcp_accept(receiver.listener, &receiver.changed, &receiver.tcp)));
}

static void piece_send(u32 offset, u32 bytes)
{
    u8 data[1460];
    for (u32 i = 0; i < bytes; i++)
        data[i] = net_peer_byte(offset + i);
    net_segment_send(&wire, (struct net_segment){.from = PORT,
                                                 .sequence = FIRST + offset,
                                                 .acknowledged = machine_sequence,
                                                 .flags = NET_TCP_ACK,
                                                 .data = data,
                                                 .data_bytes = bytes});
}

/* Reads what is there; where the stream is then. */
static u32 read_all(u32 from)
{
    const void *memory;
    u64 bytes;
    while (is_ok(net_tcp_received(receiver.tcp, 0, &memory, &bytes)) && bytes) {
        for (u64 i = 0; i < bytes; i++)
            net_must(((const u8 *)memory)[i] == net_peer_byte(from + i));
        net_tcp_take(receiver.tcp, bytes);
        from += (u32)bytes;
    }
    return from;
}

/* The acknowledgement and the blocks that the machine's last segment holds; checks each block
   against what was sent. */
static u32 answer_check(const bool *sent)
{
    u32 bytes;
    const u8 *tcp = net_segment_last(&wire, PORT, &bytes);
    if (!tcp)
        return ~0u;
    u32 header = (tcp[12] >> 4) * 4u;
    for (u32 at = 20; at + 2 <= header && tcp[at]; at += tcp[at] == 1 ? 1 : max(tcp[at + 1], 2)) {
        for (u32 b = 0; tcp[at] == 5 && b + 10 <= tcp[at + 1]; b += 8) {
            u32 left = net_read32(tcp + at + 2 + b) - FIRST,
                right = net_read32(tcp + at + 6 + b) - FIRST;
            net_must(left < right && right <= TOTAL);
            for (u32 i = left; i < right; i++)
                net_must(sent[i]);
        }
    }
    return net_read32(tcp + 8) - FIRST;
}

/* Pieces of any length at any place, again and again, until all is there. */
static void shuffled(void)
{
    static bool sent[TOTAL];
    begin();
    u32 at = 0, end = 0;
    for (u32 i = 0; i < 100000 && at < TOTAL; i++) {
        bool next = !random_below(&chance, 30), last = !random_below(&chance, 2);
        u32 offset = next ? at : last ? end : at + (u32)random_below(&chance, TOTAL - at);
        offset = min(offset, TOTAL - 1);
        u32 bytes = 1 + (u32)random_below(&chance, min(1460u, TOTAL - offset));
        memset(sent + offset, true, bytes);
        end = max(end, offset + bytes);
        piece_send(offset, bytes);
        u32 acknowledged = answer_check(sent);
        at = read_all(at);
        net_must(acknowledged == ~0u || acknowledged <= TOTAL);
    }
    net_must(at == TOTAL);
}

/* One byte here and one there: bounded. */
static void crumbs(void)
{
    begin();
    u64 before = net_machine_live();
    for (u32 offset = TOTAL; offset > 2; offset -= 2) {
        piece_send(offset, 1);
        net_wire_clear(&wire);
    }
    note("%lu blocks for %u crumbs", net_machine_live() - before, TOTAL / 2);
    net_must(wire.buffers_out <= 8192 + 8);
    net_must(!net_tcp_received_bytes(receiver.tcp));
}

/* A peer that sends more than the window has room for, wherever the piece belongs in the queue:
   what lies beyond is not taken, and the stream goes on. */
static void beyond_the_window(const u32 *first, u32 count)
{
    const u32 window = 65535;
    u32 at = 0;
    begin();
    for (u32 i = 0; i < count; i++)
        piece_send(first[i], 1460);
    for (; at < window; at += min(1460u, window - at))
        piece_send(at, min(1460u, window - at));
    net_must(net_tcp_received_bytes(receiver.tcp) == window);
    at = read_all(0);
    net_must(at == window);
    for (u32 i = 0; i < 10; i++, at += 1460)
        piece_send(at, 1460);
    net_must(read_all(window) == at);
}

static void alone_beyond_the_window(void)
{
    beyond_the_window((const u32[]){65535 - 700}, 1);
}

static void before_others_beyond_the_window(void)
{
    beyond_the_window((const u32[]){65535 - 300, 65535 - 900}, 2);
}

static void between_others_beyond_the_window(void)
{
    beyond_the_window((const u32[]){30000, 65535 - 300, 65535 - 900}, 3);
}

static void instead_of_another_beyond_the_window(void)
{
    beyond_the_window((const u32[]){65535 - 300, 65535 - 1, 65535 - 300}, 3);
}

int main(void)
{
    net_machine_child("pieces in any order, each byte in its place", shuffled);
    net_machine_child("crumbs out of order are bounded", crumbs);
    net_machine_child("beyond the window nothing is taken", alone_beyond_the_window);
    net_machine_child("nor before other pieces", before_others_beyond_the_window);
    net_machine_child("nor between them", between_others_beyond_the_window);
    net_machine_child("nor in the place of one", instead_of_another_beyond_the_window);
    return done_testing();
}
