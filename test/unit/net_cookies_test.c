/* A flood of SYNs: it costs no memory beyond the backlog, and whoever means it is served. */
#include "kernel/net/net.h"
#include "kernel/net/tcp.h"
#include "test/host/net_machine.h"
#include "test/host/net_segment.h"

#include <string.h>

#define BACKLOG 8
#define SYN     NET_TCP_SYN
#define RST     NET_TCP_RST
#define ACK     NET_TCP_ACK

static struct net_wire wire;

static struct listener {
    struct net_tcp *tcp;
    struct net_changed changed;
} listener;

closure_method(net_changed, listener_changed, struct listener, changed, u32 events)
{
    (void)events;
    (void)owner();
}

static void begin(void)
{
    init_method(&listener.changed, listener_changed);
    listener.tcp = net_segment_server(&wire, &listener.changed, BACKLOG - 1);
    u32 bytes;
    net_segment_last(&wire, 1, &bytes);
}

static void flood(u32 count)
{
    static const u8 mss[] = {2, 4, 5, 180};
    for (u32 i = 0; i < count; i++) {
        net_segment_send(&wire, (struct net_segment){.from = (u16)(1024 + i % 60000),
                                                     .sequence = i * 7919,
                                                     .flags = SYN,
                                                     .options = mss,
                                                     .option_bytes = 4});
        u32 bytes;
        net_segment_last(&wire, 1, &bytes);
    }
}

/* A handshake with all options; the segment that answers the SYN. */
static const u8 *handshake_begin(u16 port, u32 *bytes)
{
    u8 options[] = {2, 4, 5, 180, 1, 3, 3, 9, 1, 1, 4, 2, 1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0};
    net_segment_send(
        &wire,
        (struct net_segment){
            .from = port, .sequence = 5000, .flags = SYN, .options = options, .option_bytes = 24});
    const u8 *answer = net_segment_last(&wire, port, bytes);
    net_must(answer && answer[13] == (SYN | ACK) && net_read32(answer + 8) == 5001);
    return answer;
}

static void handshake_end(u16 port, const u8 *answer, u32 answer_bytes, const char *data)
{
    u8 stamp[] = {1, 1, 8, 10, 0, 0, 0, 10, 0, 0, 0, 0};
    for (u32 at = 20; at + 10 <= answer_bytes; at++)
        if (answer[at] == 8 && answer[at + 1] == 10)
            memcpy(stamp + 8, answer + at + 2, 4);
    net_segment_send(&wire, (struct net_segment){.from = port,
                                                 .sequence = 5001,
                                                 .acknowledged = net_read32(answer + 4) + 1,
                                                 .flags = ACK,
                                                 .options = stamp,
                                                 .option_bytes = 12,
                                                 .data = data,
                                                 .data_bytes = (u32)strlen(data)});
}

static struct net_tcp *accepted(void)
{
    struct net_tcp *e = NULL;
    return is_ok(net_tcp_accept(listener.tcp, &listener.changed, &e)) ? e : NULL;
}

static void serves_in_flood(void)
{
    begin();
    flood(2 * BACKLOG);
    u64 bytes_before = net_machine_live_bytes();
    flood(20000);
    net_must(net_machine_live_bytes() < bytes_before + 10000);
    u32 bytes;
    const u8 *answer = handshake_begin(999, &bytes);
    handshake_end(999, answer, bytes, "hello");
    struct net_tcp *e = accepted();
    net_must(e);
    const void *memory;
    u64 length;
    net_must(is_ok(net_tcp_received(e, 0, &memory, &length)));
    net_must(length == 5 && !memcmp(memory, "hello", 5));
    struct net_tcp_details d;
    net_tcp_details(e, &d);
    net_must(d.timestamps && d.sack && d.window_scaling && d.send_scale == 9);
    net_must(d.send_mss >= 1448 && d.send_mss <= 1460);
}

static void refuses_forgery(void)
{
    begin();
    flood(2 * BACKLOG);
    u32 bytes;
    for (u32 i = 0; i < 1000; i++) {
        net_segment_send(
            &wire, (struct net_segment){
                       .from = 998, .sequence = 5001, .acknowledged = i * 104729, .flags = ACK});
        const u8 *answer = net_segment_last(&wire, 998, &bytes);
        net_must(answer && answer[13] & RST);
    }
    net_must(!accepted());
}

static void forgets_old_cookie(void)
{
    begin();
    flood(2 * BACKLOG);
    u32 bytes;
    u8 answer[200];
    const u8 *sent = handshake_begin(997, &bytes);
    memcpy(answer, sent, bytes);
    for (u32 i = 0; i < 5; i++) {
        net_machine_pass(60 * NS_PER_SECOND);
        flood(2 * BACKLOG); /* so that cookies are looked at */
    }
    handshake_end(997, answer, bytes, "late");
    net_must(!accepted());
}

/* As many wait as may: no cookie, no RST, and the other side tries again. */
static void waits_for_accept(void)
{
    begin();
    u32 bytes;
    for (u16 port = 2000; port < 2000 + BACKLOG; port++)
        handshake_end(port, handshake_begin(port, &bytes), bytes, "");
    net_segment_last(&wire, 1, &bytes);
    net_segment_send(&wire, (struct net_segment){.from = 3000, .sequence = 1, .flags = SYN});
    net_must(!net_segment_last(&wire, 3000, &bytes));
    net_must(accepted());
    net_segment_send(&wire, (struct net_segment){.from = 3000, .sequence = 1, .flags = SYN});
    net_must(net_segment_last(&wire, 3000, &bytes));
}

/* A cookie's answer that comes when the queue has filled meanwhile: said again, it is taken. */
static void cookie_waits_for_accept(void)
{
    begin();
    flood(2 * BACKLOG);
    u32 bytes;
    u8 answer[200];
    const u8 *sent = handshake_begin(996, &bytes);
    memcpy(answer, sent, bytes);
    u32 answer_bytes = bytes;
    for (u16 port = 2000; port < 2000 + BACKLOG; port++)
        handshake_end(port, handshake_begin(port, &bytes), bytes, "");
    net_segment_last(&wire, 1, &bytes);
    handshake_end(996, answer, answer_bytes, "again");
    net_must(!net_segment_last(&wire, 996, &bytes));
    for (u32 i = 0; i < BACKLOG; i++)
        net_must(accepted());
    net_must(!accepted());
    handshake_end(996, answer, answer_bytes, "again");
    net_must(accepted());
}

int main(void)
{
    net_machine_child("a client is served in a flood of SYNs, with all options", serves_in_flood);
    net_machine_child("what is no cookie is answered with RST", refuses_forgery);
    net_machine_child("a cookie is good for minutes only", forgets_old_cookie);
    net_machine_child("a full accept queue is silent", waits_for_accept);
    net_machine_child("a cookie's answer is silently dropped while that is so",
                      cookie_waits_for_accept);
    return done_testing();
}
