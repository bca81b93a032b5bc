/* Ten thousand connections: a packet of one of them costs about what it costs when there is one, an
   idle one costs nothing, and closed ones leave nothing behind. */
#include "kernel/net/tcp.h"
#include "test/host/net_machine.h"
#include "test/host/net_packet.h"

#include <string.h>
#include <time.h>

#define MANY    10000u
#define PACKETS 20000u
#define BACKLOG 1024u
#define COST_TOP                                                                                   \
    8u /* times dearer than with one connection; a walk over all is a thousand times               \
        */

static struct net_wire wire;
static struct net_packet packet;

static struct server {
    struct net_changed changed;
    struct net_tcp *listener;
    struct net_tcp *connections[MANY];
    u32 count;
} server;

/* The peer's side: what it sends next, and what it has of the machine. */
static struct peer {
    u32 sequence, acknowledged;
} peers[MANY];

closure_method(net_changed, server_changed, struct server, changed, u32 events)
{
    (void)owner();
    (void)events;
}

static u64 cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (u64)t.tv_sec * NS_PER_SECOND + (u64)t.tv_nsec;
}

static u32 peer_address(u32 i)
{
    return 0x0a010000 + i / 5000;
}

static u16 peer_port(u32 i)
{
    return (u16)(10000 + i % 5000);
}

static void segment_send(u32 i, u8 flags, const void *payload, u32 bytes)
{
    static u8 tcp[20 + 1460];
    u8 pseudo[12] = {[9] = 6};
    net_write16(tcp, peer_port(i));
    net_write16(tcp + 2, 80);
    net_write32(tcp + 4, peers[i].sequence);
    net_write32(tcp + 8, peers[i].acknowledged);
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    net_write16(tcp + 14, 60000);
    net_write16(tcp + 16, 0);
    memcpy(tcp + 20, payload, bytes);
    net_write32(pseudo, peer_address(i));
    net_write32(pseudo + 4, NET_MACHINE_V4);
    net_write16(pseudo + 10, (u16)(20 + bytes));
    net_write16(tcp + 16, (u16)~net_packet_sum(tcp, 20 + bytes, net_packet_sum(pseudo, 12, 0)));
    net_packet_v4(&packet, wire.device.hardware_address,
                  (struct net_packet_v4){peer_address(i), NET_MACHINE_V4, 6, 1, 0}, tcp,
                  20 + bytes);
    net_packet_input(&wire, &packet, 0);
    peers[i].sequence += bytes + !!(flags & 3);
}

/* The flags of the machine's next segment to peer i, which then has it; 0: there is none. */
static u8 segment_take(u32 i)
{
    u32 bytes;
    for (const struct net_wire_frame *f; (f = net_wire_take(&wire));) {
        const u8 *tcp = net_frame_v4(f, 6, &bytes);
        if (!tcp || net_read16(tcp + 2) != peer_port(i))
            continue;
        u32 payload = bytes - (u32)(tcp[12] >> 4) * 4;
        peers[i].acknowledged = net_read32(tcp + 4) + payload + !!(tcp[13] & 3);
        return tcp[13];
    }
    return 0;
}

static void connections_open(u32 until)
{
    while (server.count < until) {
        u32 i = server.count;
        peers[i] = (struct peer){1000 * i, 0};
        segment_send(i, 2, "", 0);
        net_must(segment_take(i) == 0x12);
        segment_send(i, 0x10, "", 0);
        net_must(is_ok(
            net_tcp_accept(server.listener, &server.changed, &server.connections[server.count++])));
        net_wire_clear(&wire);
    }
}

/* A request that comes in and an answer that goes out, of connection i. */
static void exchange(u32 i)
{
    struct net_tcp *e = server.connections[i];
    const void *memory;
    void *room;
    u64 bytes;
    segment_send(i, 0x18, "hello", 5);
    net_must(is_ok(net_tcp_received(e, 0, &memory, &bytes)) && bytes == 5);
    net_tcp_take(e, 5);
    net_must(is_ok(net_tcp_send_room(e, &room, &bytes)));
    memcpy(room, "world", 5);
    net_tcp_send(e, 5, false);
    net_tcp_push(e);
    net_machine_run();
    /* An acknowledgement may come before the answer, and does at a connection's beginning. */
    u32 before = peers[i].acknowledged;
    while (segment_take(i))
        ;
    net_must(peers[i].acknowledged == before + 5);
    segment_send(i, 0x10, "", 0);
}

/* Nanoseconds of each of PACKETS exchanges, spread over all connections. */
static u64 exchanges_cost(void)
{
    u64 begun_ns = cpu_ns();
    for (u32 i = 0; i < PACKETS; i++)
        exchange((u32)(i * 7919ull % server.count));
    return (cpu_ns() - begun_ns) / PACKETS;
}

static void begin(void)
{
    net_machine_option("net", "10.0.2.15/8");
    net_machine_start(1);
    net_wire_attach(&wire, 1, NET_CHECKSUM_OUT);
    net_machine_pass(3 * NS_PER_SECOND);
    for (u32 i = 0; i <= MANY / 5000; i++) {
        net_packet_arp(&packet, wire.device.hardware_address, 1, 0x0a010000 + i, NET_MACHINE_V4);
        net_packet_input(&wire, &packet, 0);
    }
    struct net_address any = {.family = NET_V4, .port = 80};
    init_method(&server.changed, server_changed);
    server.listener = net_tcp_create(NET_V4, &server.changed);
    must(is_ok(net_tcp_bind(server.listener, &any)));
    must(is_ok(net_tcp_listen(server.listener, BACKLOG)));
}

int main(void)
{
    begin();
    u64 live = net_machine_live();
    connections_open(1);
    u64 alone_ns = exchanges_cost();
    connections_open(MANY);
    u64 many_ns = exchanges_cost();
    note("an exchange: %llu ns with one connection, %llu with %u", (unsigned long long)alone_ns,
         (unsigned long long)many_ns, MANY);
    note("a connection: %llu bytes in %llu blocks",
         (unsigned long long)(net_machine_live_bytes() / MANY),
         (unsigned long long)((net_machine_live() - live) / MANY));
    ok(many_ns < COST_TOP * alone_ns, "an exchange costs about the same");

    net_machine_pass(60 * NS_PER_SECOND);
    u64 sets = net_machine_timer_sets();
    net_machine_pass(600 * NS_PER_SECOND);
    ok(net_machine_timer_sets() - sets <= 620, "idle connections cost nothing (%llu timers)",
       (unsigned long long)(net_machine_timer_sets() - sets));

    for (u32 i = 0; i < MANY; i++)
        net_tcp_close(server.connections[i], (struct net_tcp_linger){true, 0});
    net_machine_pass(NS_PER_SECOND);
    ok(net_machine_live() <= live + 600, "closed ones leave nothing behind (%llu blocks, %llu)",
       (unsigned long long)net_machine_live(), (unsigned long long)live);
    return done_testing();
}
