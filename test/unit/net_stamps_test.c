/* Old segments of a connection: dropped for their timestamps (PAWS, RFC 7323, 5), as Linux does. */
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
    u32 next; /* of ours, as the machine acknowledges it */
    u32 sequence, acknowledged;
} server;

closure_method(net_changed, server_changed, struct server, changed, u32 events)
{
    (void)events;
    (void)owner();
}

static void segment(u32 stamp, u32 sequence, u8 flags, const char *data)
{
    u8 options[12] = {1, 1, 8, 10};
    net_write32(options + 4, stamp);
    net_segment_send(&wire, (struct net_segment){.from = PORT,
                                                 .sequence = sequence,
                                                 .acknowledged = server.acknowledged,
                                                 .flags = flags,
                                                 .options = options,
                                                 .option_bytes = 12,
                                                 .data = data,
                                                 .data_bytes = (u32)strlen(data)});
}

/* A connection whose other side's clock says `stamp`. */
static void begin(u32 stamp)
{
    init_method(&server.changed, server_changed);
    server.listener = net_segment_server(&wire, &server.changed, 5);
    u32 bytes;
    segment(stamp, 5000, NET_TCP_SYN, "");
    const u8 *answer = net_segment_last(&wire, PORT, &bytes);
    net_must(answer && answer[13] == (NET_TCP_SYN | NET_TCP_ACK));
    server.acknowledged = net_read32(answer + 4) + 1;
    segment(stamp, 5001, NET_TCP_ACK, "");
    net_must(is_ok(net_tcp_accept(server.listener, &server.changed, &server.tcp)));
    net_segment_last(&wire, PORT, &bytes);
}

/* What has come; taken. */
static u64 received(void)
{
    const void *memory;
    u64 length = 0;
    if (!is_ok(net_tcp_received(server.tcp, 0, &memory, &length)))
        return 0;
    net_tcp_take(server.tcp, length);
    return length;
}

/* What the machine acknowledges now; 0: it says nothing. */
static u32 acknowledged(void)
{
    u32 bytes;
    const u8 *answer = net_segment_last(&wire, PORT, &bytes);
    return answer ? net_read32(answer + 8) : 0;
}

static void drops_old(void)
{
    begin(1000);
    segment(1010, 5001, NET_TCP_ACK, "hello");
    net_machine_pass(NS_PER_SECOND / 10);
    net_must(received() == 5 && acknowledged() == 5006);
    segment(1009, 5006, NET_TCP_ACK, "ghost");
    net_must(!received() && acknowledged() == 5006);
    segment(1010, 5006, NET_TCP_ACK, "guest");
    net_must(received() == 5);
}

/* Clocks go round. */
static void wraps(void)
{
    begin(0xfffffff0);
    segment(0xfffffff8, 5001, NET_TCP_ACK, "hello");
    net_must(received() == 5);
    segment(5, 5006, NET_TCP_ACK, "again");
    net_must(received() == 5);
    segment(0xfffffff9, 5011, NET_TCP_ACK, "ghost");
    net_must(!received());
}

/* After more than 24 days nobody can tell. */
static void forgets(void)
{
    begin(0x80000000);
    segment(0x80000001, 5001, NET_TCP_ACK, "hello");
    net_must(received() == 5);
    net_machine_pass(25ull * 24 * 3600 * NS_PER_SECOND);
    segment(0x70000000, 5006, NET_TCP_ACK, "still");
    net_must(received() == 5);
}

/* RST needs no timestamp that fits, and an acknowledgement that was overtaken is nothing old. */
static void exceptions(void)
{
    u32 bytes;
    begin(1000);
    segment(1010, 5001, NET_TCP_ACK, "hello");
    net_must(received() == 5);
    net_segment_last(&wire, PORT, &bytes);
    segment(1005, 5006, NET_TCP_ACK, "");
    net_must(!acknowledged());
    segment(900, 5006, NET_TCP_RST, "");
    net_must(net_tcp_events(server.tcp) & NET_FAILED);
}

static void counts(void)
{
    begin(1000);
    struct net_tcp_details before, after;
    net_tcp_details(server.tcp, &before);
    segment(1010, 5001, NET_TCP_ACK, "hello");
    segment(1010, 5006, NET_TCP_ACK, "");
    net_machine_pass(NS_PER_SECOND);
    net_tcp_details(server.tcp, &after);
    net_must(after.segments_in - before.segments_in == 2);
    net_must(after.data_segments_in - before.data_segments_in == 1);
    net_must(after.segments_out - before.segments_out == 1);
    void *memory;
    u64 room = 3000;
    net_must(is_ok(net_tcp_send_room(server.tcp, &memory, &room)) && room >= 3000);
    memset(memory, 1, 3000);
    net_tcp_send(server.tcp, 3000, false);
    net_tcp_push(server.tcp);
    net_tcp_details(server.tcp, &before);
    net_must(before.data_segments_out == 6); /* of 536 bytes at most: no MSS was said */
    net_must(before.segments_out - after.segments_out == 6);
}

int main(void)
{
    net_machine_child("a segment with an old timestamp is dropped, and answered", drops_old);
    net_machine_child("timestamps go round", wraps);
    net_machine_child("after 24 days none is old", forgets);
    net_machine_child("RST, and an acknowledgement that was overtaken", exceptions);
    net_machine_child("segments are counted", counts);
    return done_testing();
}
