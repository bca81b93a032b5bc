/* A wire that ends in a mirror: see test/host/net_mirror.h. */
#include "test/host/net_mirror.h"

#include "test/host/net_machine.h"
#include "test/host/net_packet.h"

#include <stdlib.h>
#include <string.h>

#define ETHERNET_BYTES 14u
#define IP_BYTES       20u /* lwIP sends no options */
#define TCP_FIN_PSH    0x09u
#define TCP_FLAGS      13u /* offsets in the header of TCP */
#define TCP_SEQUENCE   4u

static bool happens(struct net_mirror *m, u32 of_thousand)
{
    return of_thousand && random_below(&m->chance, 1000) < of_thousand;
}

static void frame_input(struct net_mirror *m, const u8 *frame, u32 bytes)
{
    /* Whole, or in pieces of any size that a driver's buffers may have. */
    u32 piece = happens(m, 500) ? 0 : 200 + (u32)random_below(&m->chance, 4000);
    net_wire_input(&m->wire, (struct net_wire_send){frame, bytes, piece, true});
}

static void frame_arrive(struct net_mirror *m, const u8 *frame, u32 bytes)
{
    if (happens(m, m->faults.late) && m->late_count < NET_MIRROR_LATE) {
        u8 *copy = malloc(bytes);
        memcpy(copy, frame, bytes);
        m->late[m->late_count].data = copy;
        m->late[m->late_count++].bytes = bytes;
        return;
    }
    if (!happens(m, m->faults.lost))
        frame_input(m, frame, bytes);
    if (happens(m, m->faults.twice))
        frame_input(m, frame, bytes);
}

/* One segment of a large frame: its headers, and the payload at `at`. */
static void segment_arrive(struct net_mirror *m, const struct net_wire_frame *f, const u8 *headers,
                           u32 at, u32 bytes)
{
    u8 segment[ETHERNET_BYTES + 1600];
    u32 total = f->header_bytes + bytes;
    must(total <= sizeof(segment));
    memcpy(segment, headers, f->header_bytes);
    memcpy(segment + f->header_bytes, f->data + f->header_bytes + at, bytes);
    u8 *ip = segment + ETHERNET_BYTES, *tcp = ip + IP_BYTES;
    net_write16(ip + 2, (u16)(total - ETHERNET_BYTES));
    net_write16(ip + 10, 0);
    net_write16(ip + 10, (u16)~net_packet_sum(ip, IP_BYTES, 0));
    net_write32(tcp + TCP_SEQUENCE, net_read32(tcp + TCP_SEQUENCE) + at);
    if (f->header_bytes + at + bytes < f->bytes)
        tcp[TCP_FLAGS] &= (u8)~TCP_FIN_PSH;
    m->segments++;
    m->segment_most = max(m->segment_most, bytes);
    frame_arrive(m, segment, total);
}

static void addresses_swap(u8 *frame)
{
    u8 *ip = frame + ETHERNET_BYTES, from[4];
    memcpy(from, ip + 12, 4);
    memcpy(ip + 12, ip + 16, 4);
    memcpy(ip + 16, from, 4);
    memcpy(frame + 6, net_peer_mac, 6);
}

static void frame_mirror(struct net_mirror *m, const struct net_wire_frame *f)
{
    u8 *frame = malloc(f->bytes);
    memcpy(frame, f->data, f->bytes);
    addresses_swap(frame);
    memcpy(frame, m->wire.device.hardware_address, 6);
    m->frames++;
    if (f->segmenting)
        m->large++;
    if (f->segmenting && m->faults.cut) {
        u32 payload = f->bytes - f->header_bytes;
        for (u32 at = 0; at < payload; at += f->segment_bytes)
            segment_arrive(m, f, frame, at, min((u32)f->segment_bytes, payload - at));
    } else {
        frame_arrive(m, frame, f->bytes);
    }
    free(frame);
}

static bool is_for_peer(const struct net_mirror *m, const struct net_wire_frame *f)
{
    const u8 *ip = f->data + ETHERNET_BYTES;
    if (f->bytes < ETHERNET_BYTES + IP_BYTES + 8 || net_read16(f->data + 12) != 0x0800 ||
        net_read32(ip + 16) != NET_PEER_V4)
        return false;
    return !m->silent_port || net_read16(ip + IP_BYTES) != m->silent_port;
}

u32 net_mirror_run(struct net_mirror *m)
{
    u32 count = 0;
    net_machine_run();
    for (const struct net_wire_frame *f; (f = net_wire_take(&m->wire)); count++) {
        must(count < 1000000);
        if (is_for_peer(m, f))
            frame_mirror(m, f);
        while (m->late_count && m->wire.seen == m->wire.sent) {
            m->late_count--;
            u8 *late = m->late[m->late_count].data;
            frame_input(m, late, m->late[m->late_count].bytes);
            free(late);
        }
    }
    return count;
}

void net_mirror_pass(struct net_mirror *m, u64 ms)
{
    net_mirror_run(m);
    for (u64 i = 0; i < ms; i++) {
        net_machine_pass(NS_PER_MS);
        net_mirror_run(m);
    }
}

void net_mirror_start(struct net_mirror *m, u32 offloads, u64 seed)
{
    static struct net_packet packet;
    *m = (struct net_mirror){0};
    random_init(&m->chance, seed);
    net_machine_option("net", "10.0.2.15/24,gateway=10.0.2.2");
    net_machine_start(seed);
    net_wire_attach(&m->wire, 1, offloads);
    net_machine_pass(NS_PER_SECOND);
    /* The machine knows the peer from now on. */
    net_packet_arp(&packet, m->wire.device.hardware_address, 1, NET_PEER_V4, NET_MACHINE_V4);
    net_packet_input(&m->wire, &packet, 0);
    net_wire_clear(&m->wire);
}
