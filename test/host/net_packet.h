/* Packets as a peer on a wire makes and reads them, with checksums of their own making: nothing of
   the stack under test is used. */
#pragma once

#include "test/host/net_wire.h"

#define NET_PACKET_MOST 65600

/* A frame under construction. */
struct net_packet {
    u8 data[NET_PACKET_MOST];
    u32 bytes;
};

/* The peer: 02:00:00:00:01:00, 10.0.2.2, fe80::2; the machine: see net_wire_attach, 10.0.2.15. */
extern const u8 net_peer_mac[6];
#define NET_PEER_V4    0x0a000202u
#define NET_MACHINE_V4 0x0a00020fu

u16 net_packet_sum(const void *data, u32 bytes, u32 seed);
u32 net_read32(const u8 *at);
u16 net_read16(const u8 *at);
void net_write32(u8 *at, u32 value);
void net_write16(u8 *at, u16 value);

/* Begins a frame from the peer to `to`. */
void net_packet_begin(struct net_packet *p, const u8 to[6], u16 type);
void net_packet_add(struct net_packet *p, const void *bytes, u32 count);

/* IPv4 around a payload that is given; `fragment`: the raw flags and offset field. */
struct net_packet_v4 {
    u32 from, to;
    u8 protocol;
    u16 id, fragment;
};
void net_packet_v4(struct net_packet *p, const u8 to_mac[6], struct net_packet_v4 head,
                   const void *payload, u32 bytes);
/* UDP in IPv4, with its checksum. */
void net_packet_udp(struct net_packet *p, const u8 to_mac[6], u32 from, u16 from_port, u32 to,
                    u16 to_port, const void *payload, u32 bytes);
void net_packet_arp(struct net_packet *p, const u8 to_mac[6], u16 operation, u32 from, u32 to);
/* An ICMP echo request of that many bytes of payload. */
u32 net_packet_echo(u8 *to, u16 sequence, u32 bytes);

/* Sends it. */
void net_packet_input(struct net_wire *w, const struct net_packet *p, u32 piece);

/* --- what the machine sent --- */
bool net_frame_is_arp(const struct net_wire_frame *f, u16 operation);
/* The payload of IPv4 of that protocol; NULL: it is none, or a checksum of its is wrong. */
const u8 *net_frame_v4(const struct net_wire_frame *f, u8 protocol, u32 *bytes);
/* The payload of UDP in IPv4 to that port. */
const u8 *net_frame_udp(const struct net_wire_frame *f, u16 to_port, u32 *bytes);

/* --- a DHCP server of the peer's --- */
enum {
    DHCP_IS_DISCOVER = 1,
    DHCP_IS_OFFER,
    DHCP_IS_REQUEST,
    DHCP_IS_DECLINE,
    DHCP_IS_ACK,
    DHCP_IS_NAK,
    DHCP_IS_RELEASE
};
/* The message that a frame holds; 0: none. */
u32 net_frame_dhcp(const struct net_wire_frame *f);
/* An option of it; NULL: it is not there. */
const u8 *net_frame_dhcp_option(const struct net_wire_frame *f, u8 option, u32 *bytes);
/* Answers it. */
void net_packet_dhcp(struct net_packet *p, const struct net_wire_frame *to, u8 message,
                     u32 lease_seconds);
/* Answers all that the machine asks until it has an address; false: it does not ask. */
bool net_dhcp_serve(struct net_wire *w);
