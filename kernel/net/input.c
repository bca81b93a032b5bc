/* What devices received becomes packets of lwIP's: pbufs that lie in the room of the device's own
   buffers, so nothing is copied.  The Ethernet header is taken off here: a frame of 64 KiB that a
   device joined from segments is too long for lwIP with it.

   Called by drivers through net_device.receive, from a run loop.  Frames are the outside's: what is
   malformed is counted and dropped. */
#include "kernel/net/internal.h"
#include "lwip/etharp.h"
#include "lwip/ip4.h"
#include "lwip/ip6.h"
#include "lwip/pbuf.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "netif/ethernet.h"
#include "runtime/assert.h"

#define PACKET_BYTES_MOST 65535u
#define COPY_SLACK        16u
#define HEADERS_MOST      128u /* that must lie in one piece: IP with options, TCP with options */

/* Lies in a net_buffer's room. */
struct input_pbuf {
    struct pbuf_custom custom;
    struct net_buffer *buffer;
};
_Static_assert(sizeof(struct input_pbuf) <= NET_BUFFER_ROOM, "input_pbuf: larger than its room");

/* --- from buffers to a packet ----------------------------------------------------------------- */

static void buffer_release(struct pbuf *p)
{
    struct input_pbuf *input = (struct input_pbuf *)(void *)p;
    struct net_buffer *b = input->buffer;
    apply(b->release, b);
}

static void buffers_release(struct net_buffer *b)
{
    while (b) {
        struct net_buffer *next = b->next;
        apply(b->release, b);
        b = next;
    }
}

/* The bytes of `b` from `skip` on. */
static struct pbuf *buffer_packet(struct net_buffer *b, u32 skip)
{
    struct input_pbuf *input = (struct input_pbuf *)(void *)b->room;
    u16 bytes = (u16)(b->bytes - skip);
    input->buffer = b;
    input->custom.custom_free_function = buffer_release;
    return pbuf_alloced_custom(PBUF_RAW, bytes, PBUF_REF, &input->custom, b->data + skip, bytes);
}

/* The frame without its first header.  The buffers are the packet's from then on. */
static struct pbuf *frame_packet(const struct net_frame_in *f)
{
    struct net_buffer *b = f->buffers->next;
    struct pbuf *packet = buffer_packet(f->buffers, NET_ETHERNET_BYTES), *last = packet;
    packet->tot_len = (u16)(f->bytes - NET_ETHERNET_BYTES);
    while (b) {
        struct net_buffer *next = b->next;
        u16 rest = (u16)(last->tot_len - last->len);
        last->next = buffer_packet(b, 0);
        last = last->next;
        last->tot_len = rest;
        b = next;
    }
    return packet;
}

static bool packet_has_extensions(const struct pbuf *p, u16 type)
{
    const struct ip6_hdr *ip6 = p->payload;
    if (type != PP_HTONS(ETHTYPE_IPV6))
        return false;
    switch (IP6H_NEXTH(ip6)) {
    case IP6_NEXTH_TCP:
    case IP6_NEXTH_UDP:
    case IP6_NEXTH_ICMP6:
        return false;
    default:
        return true;
    }
}

/* A copy in one piece, with zeroes behind its end.  NULL: no memory. */
static struct pbuf *packet_copy(const struct pbuf *p)
{
    if (p->tot_len > PACKET_BYTES_MOST - COPY_SLACK)
        return NULL;
    struct pbuf *copy = pbuf_alloc(PBUF_RAW, (u16)(p->tot_len + COPY_SLACK), PBUF_RAM);
    if (!copy)
        return NULL;
    memset((u8 *)copy->payload + p->tot_len, 0, COPY_SLACK);
    pbuf_copy_partial(p, copy->payload, p->tot_len, 0);
    copy->if_idx = p->if_idx;
    copy->flags |= p->flags & (PBUF_FLAG_LLBCAST | PBUF_FLAG_LLMCAST);
    pbuf_realloc(copy, p->tot_len);
    return copy;
}

/* lwIP wants headers in one piece, and reads those of IPv6's extensions before it looks how long
   they can be.  NULL: no memory. */
static struct pbuf *packet_gathered(struct pbuf *p, u16 type)
{
    bool spread = p->next && p->len < HEADERS_MOST;
    if (!spread && !packet_has_extensions(p, type))
        return p;
    struct pbuf *copy = packet_copy(p);
    pbuf_free(p);
    return copy;
}

/* --- checksums -------------------------------------------------------------------------------- */

static bool packet_is_fragment(const struct pbuf *p, u16 type)
{
    if (type == PP_HTONS(ETHTYPE_IP)) {
        const struct ip_hdr *ip = p->payload;
        return IPH_OFFSET(ip) & PP_HTONS(IP_OFFMASK | IP_MF);
    }
    const struct ip6_hdr *ip6 = p->payload;
    return IP6H_NEXTH(ip6) != IP6_NEXTH_TCP && IP6H_NEXTH(ip6) != IP6_NEXTH_UDP;
}

/* What the device found good is believed, of packets that are whole. */
static void packet_input(struct net_link *l, struct pbuf *p, u16 type, bool good)
{
    const u16 checks = NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP;
    if (good && !packet_is_fragment(p, type))
        l->netif.chksum_flags &= (u16)~checks;
    else
        l->netif.chksum_flags |= checks;
    if (type == PP_HTONS(ETHTYPE_IP))
        ip4_input(p, &l->netif);
    else
        ip6_input(p, &l->netif);
}

/* --- frames ----------------------------------------------------------------------------------- */

static u32 header_least(u16 type)
{
    switch (type) {
    case PP_HTONS(ETHTYPE_IP):
        return IP_HLEN;
    case PP_HTONS(ETHTYPE_IPV6):
        return IP6_HLEN;
    case PP_HTONS(ETHTYPE_ARP):
        return SIZEOF_ETHARP_HDR;
    default:
        return ~0u;
    }
}

static bool address_is_ours(const struct net_link *l, const struct eth_addr *to)
{
    return to->addr[0] & 1 || !memcmp(to, l->netif.hwaddr, NET_HARDWARE_BYTES);
}

static u8 link_flags(const struct eth_addr *to)
{
    if (!(to->addr[0] & 1))
        return 0;
    return eth_addr_eq(to, &ethbroadcast) ? PBUF_FLAG_LLBCAST : PBUF_FLAG_LLMCAST;
}

/* The first buffer holds the whole Ethernet header.  True: it was taken over. */
static bool frame_input(struct net_link *l, const struct net_frame_in *f)
{
    struct eth_hdr ethernet;
    memcpy(&ethernet, f->buffers->data, sizeof(ethernet));
    u32 least = header_least(ethernet.type);
    if (!netif_is_up(&l->netif) || least == ~0u || !address_is_ours(l, &ethernet.dest)) {
        l->dropped_in++;
        return false;
    }
    if (f->bytes - NET_ETHERNET_BYTES < least) {
        l->malformed++;
        return false;
    }
    struct pbuf *p = frame_packet(f);
    p->if_idx = netif_get_index(&l->netif);
    p->flags |= link_flags(&ethernet.dest);
    p = packet_gathered(p, ethernet.type);
    if (!p)
        l->dropped_in++;
    else if (ethernet.type == PP_HTONS(ETHTYPE_ARP))
        etharp_input(p, &l->netif);
    else
        packet_input(l, p, ethernet.type, f->checksum_good);
    return true;
}

static bool frame_is_sound(const struct net_frame_in *f)
{
    u64 bytes = 0;
    for (const struct net_buffer *b = f->buffers; b; b = b->next) {
        if (!b->bytes || b->bytes > PACKET_BYTES_MOST + NET_ETHERNET_BYTES)
            return false;
        bytes += b->bytes;
    }
    return bytes == f->bytes && f->bytes > NET_ETHERNET_BYTES && f->bytes <= NET_FRAME_BYTES &&
           f->buffers->bytes > NET_ETHERNET_BYTES;
}

closure_method(net_receive, frame_receive, struct net_link, receive, const struct net_frame_in *f)
{
    struct net_link *l = owner();
    net_timers_wake();
    struct net_time before = net_time_hold();
    if (!frame_is_sound(f)) {
        l->malformed++;
        buffers_release(f->buffers);
    } else if (!frame_input(l, f)) {
        buffers_release(f->buffers);
    }
    net_time_release(before);
}

void net_input_init(struct net_link *l)
{
    init_method(&l->receive, frame_receive);
}
