/* Packets as a peer makes and reads them: see test/host/net_packet.h. */
#include "test/host/net_packet.h"

#include "test/host/net_machine.h"

#include <string.h>

const u8 net_peer_mac[6] = {2, 0, 0, 0, 1, 0};

/* --- bytes ------------------------------------------------------------------------------------ */

u16 net_read16(const u8 *at)
{
    return (u16)(at[0] << 8 | at[1]);
}

u32 net_read32(const u8 *at)
{
    return (u32)net_read16(at) << 16 | net_read16(at + 2);
}

void net_write16(u8 *at, u16 value)
{
    at[0] = (u8)(value >> 8);
    at[1] = (u8)value;
}

void net_write32(u8 *at, u32 value)
{
    net_write16(at, (u16)(value >> 16));
    net_write16(at + 2, (u16)value);
}

u16 net_packet_sum(const void *data, u32 bytes, u32 seed)
{
    const u8 *at = data;
    u64 sum = seed;
    for (u32 i = 0; i < bytes; i += 2)
        sum += (u32)at[i] << 8 | (i + 1 < bytes ? at[i + 1] : 0);
    while (sum >> 16)
        sum = (sum >> 16) + (sum & 0xffff);
    return (u16)sum;
}

static u32 pseudo_seed(const u8 *ip, u8 protocol, u32 bytes)
{
    return net_packet_sum(ip + 12, 8, 0) + (u32)protocol + bytes;
}

/* --- making ----------------------------------------------------------------------------------- */

void net_packet_add(struct net_packet *p, const void *bytes, u32 count)
{
    must(p->bytes + count <= NET_PACKET_MOST);
    memcpy(p->data + p->bytes, bytes, count);
    p->bytes += count;
}

void net_packet_begin(struct net_packet *p, const u8 to[6], u16 type)
{
    u8 type_bytes[2];
    net_write16(type_bytes, type);
    p->bytes = 0;
    net_packet_add(p, to, 6);
    net_packet_add(p, net_peer_mac, 6);
    net_packet_add(p, type_bytes, 2);
}

void net_packet_v4(struct net_packet *p, const u8 to_mac[6], struct net_packet_v4 head,
                   const void *payload, u32 bytes)
{
    u8 ip[20] = {0x45, 0, 0, 0, 0, 0, 0, 0, 64, head.protocol};
    net_write16(ip + 2, (u16)(bytes + 20));
    net_write16(ip + 4, head.id);
    net_write16(ip + 6, head.fragment);
    net_write32(ip + 12, head.from);
    net_write32(ip + 16, head.to);
    net_write16(ip + 10, (u16)~net_packet_sum(ip, 20, 0));
    net_packet_begin(p, to_mac, 0x0800);
    net_packet_add(p, ip, 20);
    net_packet_add(p, payload, bytes);
}

void net_packet_udp(struct net_packet *p, const u8 to_mac[6], u32 from, u16 from_port, u32 to,
                    u16 to_port, const void *payload, u32 bytes)
{
    static u8 udp[NET_PACKET_MOST];
    net_write16(udp, from_port);
    net_write16(udp + 2, to_port);
    net_write16(udp + 4, (u16)(bytes + 8));
    net_write16(udp + 6, 0);
    memcpy(udp + 8, payload, bytes);
    net_packet_v4(p, to_mac, (struct net_packet_v4){from, to, 17, 1, 0}, udp, bytes + 8);
    u8 *ip = p->data + 14;
    u16 sum = net_packet_sum(ip + 20, bytes + 8, pseudo_seed(ip, 17, bytes + 8));
    net_write16(ip + 26, (u16)~sum);
}

void net_packet_arp(struct net_packet *p, const u8 to_mac[6], u16 operation, u32 from, u32 to)
{
    u8 arp[28] = {0, 1, 8, 0, 6, 4};
    net_write16(arp + 6, operation);
    memcpy(arp + 8, net_peer_mac, 6);
    net_write32(arp + 14, from);
    net_write32(arp + 24, to);
    net_packet_begin(p, to_mac, 0x0806);
    net_packet_add(p, arp, 28);
}

u32 net_packet_echo(u8 *to, u16 sequence, u32 bytes)
{
    memset(to, 0, 8);
    to[0] = 8;
    net_write16(to + 4, 0x1234);
    net_write16(to + 6, sequence);
    for (u32 i = 0; i < bytes; i++)
        to[8 + i] = (u8)(i * 7 + sequence);
    net_write16(to + 2, (u16)~net_packet_sum(to, bytes + 8, 0));
    return bytes + 8;
}

void net_packet_input(struct net_wire *w, const struct net_packet *p, u32 piece)
{
    net_wire_input(w, (struct net_wire_send){p->data, p->bytes, piece, false});
}

/* --- reading ---------------------------------------------------------------------------------- */

bool net_frame_is_arp(const struct net_wire_frame *f, u16 operation)
{
    return f->bytes >= 42 && net_read16(f->data + 12) == 0x0806 &&
           net_read16(f->data + 20) == operation;
}

const u8 *net_frame_v4(const struct net_wire_frame *f, u8 protocol, u32 *bytes)
{
    const u8 *ip = f->data + 14;
    if (f->bytes < 34 || net_read16(f->data + 12) != 0x0800 || ip[0] >> 4 != 4 || ip[9] != protocol)
        return NULL;
    u32 header = 4u * (ip[0] & 15), length = net_read16(ip + 2);
    if (length + 14 > f->bytes || net_packet_sum(ip, header, 0) != 0xffff)
        return NULL;
    *bytes = length - header;
    bool whole = !(net_read16(ip + 6) & 0x3fff);
    if (whole && (protocol == 6 || protocol == 17) &&
        net_packet_sum(ip + header, *bytes, pseudo_seed(ip, protocol, *bytes)) != 0xffff)
        return NULL;
    return ip + header;
}

const u8 *net_frame_udp(const struct net_wire_frame *f, u16 to_port, u32 *bytes)
{
    const u8 *udp = net_frame_v4(f, 17, bytes);
    if (!udp || *bytes < 8 || net_read16(udp + 2) != to_port || net_read16(udp + 4) != *bytes)
        return NULL;
    *bytes -= 8;
    return udp + 8;
}

/* --- DHCP ------------------------------------------------------------------------------------- */

#define DHCP_FIXED 240u /* to the first option */

const u8 *net_frame_dhcp_option(const struct net_wire_frame *f, u8 option, u32 *bytes)
{
    u32 length;
    const u8 *dhcp = net_frame_udp(f, 67, &length);
    if (!dhcp || length < DHCP_FIXED)
        return NULL;
    for (u32 at = DHCP_FIXED; at + 2 <= length && dhcp[at] != 255;) {
        if (!dhcp[at]) {
            at++;
            continue;
        }
        *bytes = dhcp[at + 1];
        if (dhcp[at] == option && at + 2 + *bytes <= length)
            return dhcp + at + 2;
        at += 2 + *bytes;
    }
    return NULL;
}

u32 net_frame_dhcp(const struct net_wire_frame *f)
{
    u32 bytes;
    const u8 *type = net_frame_dhcp_option(f, 53, &bytes);
    return type && bytes == 1 ? *type : 0;
}

void net_packet_dhcp(struct net_packet *p, const struct net_wire_frame *to, u8 message,
                     u32 lease_seconds)
{
    u32 length;
    const u8 *asked = net_frame_udp(to, 67, &length);
    must(asked && length >= DHCP_FIXED);
    u8 dhcp[DHCP_FIXED + 64];
    memcpy(dhcp, asked, DHCP_FIXED);
    dhcp[0] = 2;
    if (message != DHCP_IS_NAK)
        net_write32(dhcp + 16, NET_MACHINE_V4);
    u8 *o = dhcp + DHCP_FIXED;
    *o++ = 53, *o++ = 1, *o++ = message;
    *o++ = 54, *o++ = 4, net_write32(o, NET_PEER_V4), o += 4;
    if (message != DHCP_IS_NAK) {
        *o++ = 51, *o++ = 4, net_write32(o, lease_seconds), o += 4;
        *o++ = 1, *o++ = 4, net_write32(o, 0xffffff00), o += 4;
        *o++ = 3, *o++ = 4, net_write32(o, NET_PEER_V4), o += 4;
        *o++ = 6, *o++ = 8, net_write32(o, 0x0a000203), net_write32(o + 4, 0x08080808), o += 8;
    }
    *o++ = 255;
    static const u8 everybody[6] = {255, 255, 255, 255, 255, 255};
    net_packet_udp(p, everybody, NET_PEER_V4, 67, 0xffffffff, 68, dhcp, (u32)(o - dhcp));
}

bool net_dhcp_serve(struct net_wire *w)
{
    static struct net_packet p;
    for (u32 i = 0; i < 10; i++) {
        const struct net_wire_frame *f;
        while ((f = net_wire_take(w))) {
            u32 message = net_frame_dhcp(f);
            if (message != DHCP_IS_DISCOVER && message != DHCP_IS_REQUEST)
                continue;
            bool last = message == DHCP_IS_REQUEST;
            net_packet_dhcp(&p, f, last ? DHCP_IS_ACK : DHCP_IS_OFFER, 3600);
            net_packet_input(w, &p, 0);
            if (last)
                return true;
        }
        net_machine_pass(NS_PER_SECOND);
    }
    return false;
}
