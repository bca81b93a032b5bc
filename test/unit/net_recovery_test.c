/* How TCP sends over paths that lose, repeat and reorder: how long it takes, what is sent twice,
   and that each byte arrives.  NET_RECOVERY_SHOW=1 prints the figures. */
#include "kernel/net/net.h"
#include "kernel/net/tcp.h"
#include "test/host/net_machine.h"
#include "test/host/net_peer.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENT 1448u

static struct net_wire wire;
static struct net_peer peer;

static struct sender {
    struct net_tcp *tcp;
    struct net_changed changed;
    u64 bytes, filled; /* to send; of these, given to TCP */
} sender;

closure_method(net_changed, sender_changed, struct sender, changed, u32 events)
{
    (void)events;
    (void)owner();
}

static void sender_begin(u64 seed, struct net_path path)
{
    net_machine_option("net", "10.0.2.15/24");
    net_machine_start(seed);
    net_wire_attach(&wire, 1, 0);
    net_peer_init(&peer, &wire, path, seed);
    sender = (struct sender){0};
    init_method(&sender.changed, sender_changed);
}

static void sender_connect(void)
{
    struct net_address a = {.family = NET_V4, .port = 80};
    net_write32(a.bytes, NET_PEER_V4);
    sender.tcp = net_tcp_create(NET_V4, &sender.changed);
    net_must(sender.tcp);
    status s = net_tcp_connect(sender.tcp, &a);
    net_must(status_errno(s) == EINPROGRESS);
    for (u32 i = 0; i < 10000 && !(net_tcp_events(sender.tcp) & NET_WRITABLE); i++)
        net_peer_pass(&peer, NS_PER_MS);
    net_must(net_tcp_events(sender.tcp) & NET_WRITABLE);
}

static void sender_fill(void)
{
    bool filled = false;
    while (sender.filled < sender.bytes) {
        void *memory;
        u64 bytes = sender.bytes - sender.filled;
        if (!is_ok(net_tcp_send_room(sender.tcp, &memory, &bytes)))
            break;
        bytes = min(bytes, sender.bytes - sender.filled);
        for (u64 i = 0; i < bytes; i++)
            ((u8 *)memory)[i] = net_peer_byte(sender.filled + i);
        sender.filled += bytes;
        net_tcp_send(sender.tcp, bytes, sender.filled < sender.bytes);
        filled = true;
    }
    if (filled)
        net_tcp_push(sender.tcp);
}

/* Sends so many more bytes; how many milliseconds it took until all were there. */
static u64 sender_send(u64 bytes, u64 most_ms)
{
    u64 begun_ns = net_machine_now();
    sender.bytes += bytes;
    while (net_peer_received(&peer) < sender.bytes) {
        sender_fill();
        net_peer_pass(&peer, NS_PER_MS);
        u64 ms = (net_machine_now() - begun_ns) / NS_PER_MS;
        if (ms > most_ms) {
            note("%lu of %lu bytes after %lu ms", net_peer_received(&peer), sender.bytes, ms);
            return ms;
        }
    }
    net_must(!peer.wrong);
    return (net_machine_now() - begun_ns) / NS_PER_MS;
}

static void show(const char *what, u64 bytes, u64 ms)
{
    if (!getenv("NET_RECOVERY_SHOW"))
        return;
    struct net_tcp_details d;
    net_tcp_details(sender.tcp, &d);
    note("%s: %lu KB/s (%lu ms), %u segments, %u lost, %u twice, cwnd %u, rtt %u us", what,
         bytes / max(ms, 1ul), ms, peer.segments, peer.lost, peer.twice, d.congestion_window,
         d.rtt_us);
}

/* --- throughput ------------------------------------------------------------------------------- */

/* 10 MB/s and 40 ms: 400 KB on the way, and as much in the queue. */
static void fills_path(void)
{
    sender_begin(1, (struct net_path){.delay_ns = 20 * NS_PER_MS,
                                      .bytes_per_second = 10000000,
                                      .queue_packets = 300});
    sender_connect();
    u64 ms = sender_send(20000000, 60000);
    show("10 MB/s, 40 ms", 20000000, ms);
    net_must(ms < 2700);
    net_must(peer.twice < 20);
}

/* Reno's formula says 1.22 * segment / (rtt * sqrt(loss)): 177 KB/s. */
static void survives_loss(void)
{
    sender_begin(2, (struct net_path){.delay_ns = 50 * NS_PER_MS, .loss_ppm = 10000});
    sender_connect();
    u64 ms = sender_send(10000000, 120000);
    show("1 % loss, 100 ms", 10000000, ms);
    net_must(10000000 / ms > 150);
    net_must(peer.twice < 20);
}

static void survives_loss_both_ways(void)
{
    sender_begin(3, (struct net_path){.delay_ns = 10 * NS_PER_MS,
                                      .loss_ppm = 50000,
                                      .ack_loss_ppm = 50000,
                                      .duplicate_ppm = 20000,
                                      .reorder_ppm = 20000,
                                      .reorder_ns = 5 * NS_PER_MS});
    sender_connect();
    u64 ms = sender_send(4000000, 120000);
    show("5 % loss both ways, 2 % twice, 2 % late, 20 ms", 4000000, ms);
    net_must(4000000 / ms > 150);
}

/* What comes late is not lost: TCP has to learn it. */
static void learns_reordering(void)
{
    sender_begin(4, (struct net_path){.delay_ns = 10 * NS_PER_MS,
                                      .bytes_per_second = 10000000,
                                      .queue_packets = 300,
                                      .reorder_ppm = 20000,
                                      .reorder_ns = 4 * NS_PER_MS});
    sender_connect();
    u64 ms = sender_send(20000000, 60000);
    show("2 % late by 4 ms, 10 MB/s, 20 ms", 20000000, ms);
    net_must(ms < 4000);
    net_must(peer.twice < 100);
}

/* An eighth of a second of silence on a full path: a burst of losses. */
static void survives_burst(void)
{
    sender_begin(5, (struct net_path){.delay_ns = 20 * NS_PER_MS,
                                      .bytes_per_second = 10000000,
                                      .queue_packets = 300});
    sender_connect();
    sender_send(10000000, 60000);
    peer.drop_from = net_peer_received(&peer) + 200000;
    peer.drop_to = peer.drop_from + 250000;
    u64 ms = sender_send(10000000, 60000);
    show("250 KB lost in a row", 10000000, ms);
    net_must(ms < 2500);
    net_must(peer.twice < 60);
}

static void survives_without_sack(void)
{
    sender_begin(6, (struct net_path){.delay_ns = 10 * NS_PER_MS, .loss_ppm = 5000});
    peer.sack = peer.timestamps = false;
    sender_connect();
    u64 ms = sender_send(4000000, 120000);
    show("0.5 % loss, 20 ms, without SACK", 4000000, ms);
    net_must(4000000 / ms > 300);
}

/* --- the end of a stream ---------------------------------------------------------------------- */

/* The last segments of an answer: found out by a probe, long before the time-out. */
static void probes_tail(void)
{
    sender_begin(7, (struct net_path){.delay_ns = 20 * NS_PER_MS});
    sender_connect();
    sender_send(100000, 10000);
    net_peer_pass(&peer, NS_PER_SECOND);
    peer.drop_from = 100000 + 7 * SEGMENT;
    peer.drop_to = 100000 + 10 * SEGMENT;
    u64 ms = sender_send(10 * SEGMENT, 10000);
    show("the last three segments lost, 40 ms", 10 * SEGMENT, ms);
    net_must(ms < 300);
}

/* Round trips that vary, as those of a busy machine do, are waited for. */
static void probes_no_variation(void)
{
    sender_begin(13, (struct net_path){.delay_ns = NS_PER_MS});
    sender_connect();
    for (u32 i = 0; i < 300; i++) {
        peer.path.delay_ns = (i % 3 ? 1 : 10) * NS_PER_MS;
        sender_send(4 * SEGMENT, 10000);
        net_peer_pass(&peer, 30 * NS_PER_MS);
    }
    if (peer.twice > 5)
        note("%u segments came twice", peer.twice);
    net_must(peer.twice <= 5);
}

/* A whole answer lost: the time-out, and nothing else, helps. */
static void waits_for_timeout(void)
{
    sender_begin(8, (struct net_path){.delay_ns = 20 * NS_PER_MS});
    sender_connect();
    sender_send(100000, 10000);
    net_peer_pass(&peer, NS_PER_SECOND);
    peer.drop_from = 100000;
    peer.drop_to = 100000 + 10 * SEGMENT;
    u64 ms = sender_send(10 * SEGMENT, 10000);
    show("all of 10 segments lost, 40 ms", 10 * SEGMENT, ms);
    net_must(ms < 800);
}

/* Acknowledgements that came while the machine was stopped are seen before anything is sent again.
 */
static void survives_stall(void)
{
    sender_begin(11, (struct net_path){.delay_ns = 20 * NS_PER_MS});
    sender_connect();
    sender_send(100000, 10000);
    net_peer_pass(&peer, NS_PER_SECOND);
    for (u32 i = 0; i < 10; i++) {
        sender.bytes += (i % 2 ? 10 : 2) * SEGMENT;
        sender_fill();
        net_peer_pass(&peer, 25 * NS_PER_MS);
        net_machine_stall(900 * NS_PER_MS);
        net_peer_pass(&peer, NS_PER_SECOND);
    }
    struct net_tcp_details d;
    net_tcp_details(sender.tcp, &d);
    if (peer.twice || d.total_retransmits)
        note("%u segments came twice, %u were sent again", peer.twice, d.total_retransmits);
    net_must(net_peer_received(&peer) == sender.bytes && !peer.twice && !d.total_retransmits);
}

/* And what is lost meanwhile is sent again. */
static void stall_with_loss(void)
{
    sender_begin(12, (struct net_path){.delay_ns = 20 * NS_PER_MS});
    sender_connect();
    sender_send(100000, 10000);
    net_peer_pass(&peer, NS_PER_SECOND);
    peer.drop_from = 100000;
    peer.drop_to = 100000 + 10 * SEGMENT;
    sender.bytes += 10 * SEGMENT;
    sender_fill();
    net_peer_pass(&peer, 5 * NS_PER_MS);
    net_machine_stall(900 * NS_PER_MS);
    net_must(sender_send(0, 10000) < 500);
}

static void resends_fin(void)
{
    sender_begin(9, (struct net_path){.delay_ns = 20 * NS_PER_MS, .loss_ppm = 300000});
    sender_connect();
    sender_send(20000, 600000);
    net_must(is_ok(net_tcp_shutdown(sender.tcp, false, true)));
    for (u32 i = 0; i < 600 && !peer.fin; i++)
        net_peer_pass(&peer, 100 * NS_PER_MS);
    net_must(peer.fin && net_peer_received(&peer) == 20000);
}

/* Every allocation fails for a while: what is lost is sent again when there is memory. */
static void survives_lack_of_memory(void)
{
    sender_begin(10, (struct net_path){.delay_ns = 10 * NS_PER_MS, .loss_ppm = 20000});
    sender_connect();
    for (u32 i = 0; i < 40; i++) {
        net_machine_fail(1 + i % 7);
        sender_send(50000, 60000);
    }
    net_machine_fail(0);
    sender_send(100000, 60000);
}

int main(void)
{
    net_machine_child("a path is filled", fills_path);
    net_machine_child("1 % loss at 100 ms: no less than Reno's formula", survives_loss);
    net_machine_child("loss, duplicates and reordering both ways", survives_loss_both_ways);
    net_machine_child("reordering is learned, and nothing is sent twice for it", learns_reordering);
    net_machine_child("a burst of losses is mended without sending the rest again", survives_burst);
    net_machine_child("loss without SACK", survives_without_sack);
    net_machine_child("a lost tail is found by a probe", probes_tail);
    net_machine_child("round trips that vary are not probed", probes_no_variation);
    net_machine_child("a lost answer is sent again by the time-out", waits_for_timeout);
    net_machine_child("nothing is sent again for a stop of the machine", survives_stall);
    net_machine_child("but what was lost then", stall_with_loss);
    net_machine_child("FIN is sent again", resends_fin);
    net_machine_child("no memory for retransmissions is no end", survives_lack_of_memory);
    return done_testing();
}
