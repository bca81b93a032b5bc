/* A peer that receives, over a path with faults: see test/host/net_peer.h. */
#include "test/host/net_peer.h"

#include "test/host/net_machine.h"

#include <stdlib.h>
#include <string.h>

#define STEP_NS        (NS_PER_MS / 4)
#define DELAYED_ACK_NS (40 * NS_PER_MS)
#define SYN            2
#define FIN            1
#define ACK            16

u8 net_peer_byte(u64 offset)
{
    return (u8)((offset * 2654435761u) >> 11);
}

void net_peer_init(struct net_peer *p, struct net_wire *w, struct net_path path, u64 seed)
{
    *p = (struct net_peer){
        .wire = w, .path = path, .sack = true, .timestamps = true, .port = 80, .ours = 1000};
    random_init(&p->random, seed);
}

u64 net_peer_received(const struct net_peer *p)
{
    return p->first ? p->next - p->first - (p->fin ? 1 : 0) : 0;
}

static bool happens(struct net_peer *p, u32 ppm)
{
    return ppm && random_below(&p->random, 1000000) < ppm;
}

/* --- the path --------------------------------------------------------------------------------- */

static void path_put(struct net_peer_packet *queue, u32 *count, const void *data, u32 bytes,
                     u64 due_ns)
{
    must(*count < NET_PEER_FLIGHT);
    u32 at = (*count)++;
    while (at && queue[at - 1].due_ns > due_ns) {
        queue[at] = queue[at - 1];
        at--;
    }
    queue[at] = (struct net_peer_packet){due_ns, malloc(bytes), bytes};
    memcpy(queue[at].data, data, bytes);
}

static struct net_peer_packet path_take(struct net_peer_packet *queue, u32 *count)
{
    struct net_peer_packet first = queue[0];
    memmove(queue, queue + 1, --*count * sizeof(*queue));
    return first;
}

static bool path_is_full(const struct net_peer *p, u64 now)
{
    if (!p->path.bytes_per_second || p->busy_ns <= now)
        return false;
    u64 waiting = (p->busy_ns - now) * p->path.bytes_per_second / NS_PER_SECOND;
    return waiting > (u64)p->path.queue_packets * 1500;
}

static void path_enter(struct net_peer *p, const u8 *tcp, u32 bytes)
{
    u64 now = net_machine_now();
    if (path_is_full(p, now) || happens(p, p->path.loss_ppm)) {
        p->lost++;
        return;
    }
    if (p->path.bytes_per_second) {
        p->busy_ns = max(p->busy_ns, now) + bytes * NS_PER_SECOND / p->path.bytes_per_second;
        now = p->busy_ns;
    }
    u64 due_ns = now + p->path.delay_ns;
    if (happens(p, p->path.reorder_ppm))
        due_ns += p->path.reorder_ns;
    path_put(p->to_peer, &p->to_peer_count, tcp, bytes, due_ns);
    if (happens(p, p->path.duplicate_ppm))
        path_put(p->to_peer, &p->to_peer_count, tcp, bytes, due_ns + NS_PER_MS);
}

/* --- answers ---------------------------------------------------------------------------------- */

static u32 options_sack(struct net_peer *p, u8 *to, u32 most)
{
    struct net_peer_range blocks[4];
    u32 count = 0;
    if (p->duplicate.begin != p->duplicate.end)
        blocks[count++] = p->duplicate;
    p->duplicate = (struct net_peer_range){0};
    for (u32 i = 0; i < p->range_count && count < most; i++)
        blocks[count++] = p->ranges[i];
    if (!count || !p->sack)
        return 0;
    to[0] = to[1] = 1;
    to[2] = 5;
    to[3] = (u8)(2 + 8 * count);
    for (u32 i = 0; i < count; i++) {
        net_write32(to + 4 + 8 * i, blocks[i].begin);
        net_write32(to + 8 + 8 * i, blocks[i].end);
    }
    return 4 + 8 * count;
}

static u32 options_make(struct net_peer *p, u8 *to, u8 flags)
{
    u32 bytes = 0;
    if (flags & SYN) {
        static const u8 offered[] = {2, 4, 5, 180, 1, 3, 3, 10, 1, 1, 4, 2};
        memcpy(to, offered, sizeof(offered));
        bytes = p->sack ? sizeof(offered) : 8;
    }
    if (p->timestamps) {
        to[bytes] = to[bytes + 1] = 1;
        to[bytes + 2] = 8;
        to[bytes + 3] = 10;
        net_write32(to + bytes + 4, (u32)(net_machine_now() / NS_PER_MS));
        net_write32(to + bytes + 8, p->ts_recent);
        bytes += 12;
    }
    return flags & SYN ? bytes : bytes + options_sack(p, to + bytes, p->timestamps ? 3 : 4);
}

static void answer(struct net_peer *p, u8 flags)
{
    static struct net_packet packet;
    u8 tcp[60] = {0};
    u32 bytes = 20 + options_make(p, tcp + 20, flags);
    net_write16(tcp, p->port);
    net_write16(tcp + 2, p->machine_port);
    net_write32(tcp + 4, p->ours);
    net_write32(tcp + 8, p->next);
    tcp[12] = (u8)(bytes / 4 << 4);
    tcp[13] = flags;
    net_write16(tcp + 14, 0xffff);
    u8 pseudo[12] = {0};
    net_write32(pseudo, NET_PEER_V4);
    net_write32(pseudo + 4, NET_MACHINE_V4);
    pseudo[9] = 6;
    net_write16(pseudo + 10, (u16)bytes);
    u32 sum = net_packet_sum(pseudo, 12, 0);
    net_write16(tcp + 16, (u16)~net_packet_sum(tcp, bytes, sum));
    net_packet_v4(&packet, p->wire->device.hardware_address,
                  (struct net_packet_v4){NET_PEER_V4, NET_MACHINE_V4, 6, 1, 0}, tcp, bytes);
    p->unacknowledged = 0;
    if (!happens(p, p->path.ack_loss_ppm))
        path_put(p->to_machine, &p->to_machine_count, packet.data, packet.bytes,
                 net_machine_now() + p->path.delay_ns);
}

/* --- receiving -------------------------------------------------------------------------------- */

static bool before(u32 a, u32 b)
{
    return (s32)(a - b) < 0;
}

/* Adds [begin, end) to what lies out of order, as the newest. */
static void range_add(struct net_peer *p, u32 begin, u32 end)
{
    for (u32 i = 0; i < p->range_count;) {
        struct net_peer_range r = p->ranges[i];
        if (before(end, r.begin) || before(r.end, begin)) {
            i++;
            continue;
        }
        begin = before(r.begin, begin) ? r.begin : begin;
        end = before(end, r.end) ? r.end : end;
        memmove(p->ranges + i, p->ranges + i + 1, (--p->range_count - i) * sizeof(r));
    }
    must(p->range_count < NET_PEER_RANGES);
    memmove(p->ranges + 1, p->ranges, p->range_count++ * sizeof(*p->ranges));
    p->ranges[0] = (struct net_peer_range){begin, end};
}

static bool range_has(const struct net_peer *p, u32 begin, u32 end)
{
    for (u32 i = 0; i < p->range_count; i++)
        if (!before(begin, p->ranges[i].begin) && !before(p->ranges[i].end, end))
            return true;
    return !before(p->next, end);
}

static void ranges_join(struct net_peer *p)
{
    for (u32 i = 0; i < p->range_count;) {
        if (before(p->next, p->ranges[i].begin)) {
            i++;
            continue;
        }
        if (before(p->next, p->ranges[i].end))
            p->next = p->ranges[i].end;
        memmove(p->ranges + i, p->ranges + i + 1, (--p->range_count - i) * sizeof(*p->ranges));
        i = 0;
    }
}

static void data_check(struct net_peer *p, const u8 *data, u32 begin, u32 bytes)
{
    for (u32 i = 0; i < bytes; i++)
        p->wrong += data[i] != net_peer_byte(begin - p->first + i);
}

static void segment_take(struct net_peer *p, u32 begin, u32 end, bool fin)
{
    bool gap = p->range_count > 0;
    if (range_has(p, begin, end)) {
        p->twice++;
        p->duplicate = (struct net_peer_range){begin, end};
        answer(p, ACK);
        return;
    }
    if (before(p->next, begin)) {
        range_add(p, begin, end);
        answer(p, ACK);
        return;
    }
    p->next = end;
    ranges_join(p);
    p->fin |= fin;
    if (!p->unacknowledged++)
        p->delayed_ns = net_machine_now();
    if (gap || fin || p->unacknowledged >= 2)
        answer(p, ACK);
}

static void options_read(struct net_peer *p, const u8 *tcp, u32 header, u32 sequence)
{
    for (u32 at = 20; at + 10 <= header && tcp[at];) {
        if (tcp[at] == 1) {
            at++;
            continue;
        }
        if (tcp[at] == 8 && !before(p->next, sequence))
            p->ts_recent = net_read32(tcp + at + 2);
        at += max(tcp[at + 1], 2);
    }
}

static void segment_input(struct net_peer *p, const u8 *tcp, u32 bytes)
{
    u32 header = (tcp[12] >> 4) * 4u, sequence = net_read32(tcp + 4);
    bool fin = tcp[13] & FIN;
    u32 length = bytes - header;
    if (tcp[13] & SYN) {
        p->machine_port = net_read16(tcp);
        p->first = p->next = sequence + 1;
        options_read(p, tcp, header, sequence);
        answer(p, SYN | ACK);
        p->ours++;
        return;
    }
    p->segments++;
    options_read(p, tcp, header, sequence);
    if (!length && !fin)
        return;
    data_check(p, tcp + header, sequence, length);
    segment_take(p, sequence, sequence + length + fin, fin);
}

/* --- the path's clock ------------------------------------------------------------------------- */

static bool is_dropped(struct net_peer *p, const u8 *tcp, u32 bytes)
{
    u64 offset = net_read32(tcp + 4) - p->first;
    bool data = bytes > (tcp[12] >> 4) * 4u;
    if (!data || offset < p->drop_from || offset >= p->drop_to || offset < p->dropped_to)
        return false;
    p->dropped_to = offset + 1;
    p->lost++;
    return true;
}

static void frames_take(struct net_peer *p)
{
    static struct net_packet packet;
    const struct net_wire_frame *f;
    while ((f = net_wire_take(p->wire))) {
        u32 bytes;
        if (net_frame_is_arp(f, 1)) {
            net_packet_arp(&packet, p->wire->device.hardware_address, 2, NET_PEER_V4,
                           NET_MACHINE_V4);
            net_packet_input(p->wire, &packet, 0);
            continue;
        }
        const u8 *tcp = net_frame_v4(f, 6, &bytes);
        if (tcp && !is_dropped(p, tcp, bytes))
            path_enter(p, tcp, bytes);
    }
}

void net_peer_pass(struct net_peer *p, u64 ns)
{
    for (u64 end_ns = net_machine_now() + ns; net_machine_now() < end_ns;) {
        frames_take(p);
        while (p->to_peer_count && p->to_peer[0].due_ns <= net_machine_now()) {
            struct net_peer_packet first = path_take(p->to_peer, &p->to_peer_count);
            segment_input(p, first.data, first.bytes);
            free(first.data);
        }
        while (p->to_machine_count && p->to_machine[0].due_ns <= net_machine_now()) {
            struct net_peer_packet first = path_take(p->to_machine, &p->to_machine_count);
            net_wire_input(p->wire, (struct net_wire_send){first.data, first.bytes, 0, false});
            free(first.data);
        }
        if (p->unacknowledged && net_machine_now() - p->delayed_ns >= DELAYED_ACK_NS)
            answer(p, ACK);
        net_machine_pass(STEP_NS);
    }
}
