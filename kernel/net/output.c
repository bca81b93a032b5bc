/* Packets of lwIP's become frames of a device.  Nothing is copied: the frame's pieces are the
   packet's, which is referred to until the device has sent it.

   A device that makes checksums gets the pseudo-header's sum in the field; lwIP leaves it zero for
   such a device.  A TCP packet that is longer than the MTU was made to be cut by the device.
   Frames that the device has no room for wait, WAITING_MOST of them; beyond it lwIP is told so.
   Called by lwIP as netif->linkoutput, and through output4 and output6 below. */
#include "kernel/memory.h"
#include "kernel/net/internal.h"
#include "kernel/net/limbo.h"
#include "kernel/run_loop.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/pbuf.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "lwip/prot/tcp.h"
#include "lwip/prot/udp.h"
#include "runtime/assert.h"

#define WAITING_MOST     1024u
#define FREE_FRAMES_MOST 256u

static struct net_frame *free_frames;
static u32 free_frame_count;

/* --- frames ----------------------------------------------------------------------------------- */

static void frame_free(struct net_frame *f)
{
    if (f->borrows)
        net_limbo_frame_end(f->era);
    pbuf_free(f->packet);
    if (free_frame_count == FREE_FRAMES_MOST) {
        deallocate(general_heap, f, sizeof(*f));
        return;
    }
    f->next = free_frames;
    free_frames = f;
    free_frame_count++;
}

closure_method(thunk, frame_sent, struct net_frame, out.sent)
{
    frame_free(owner());
}

static struct net_frame *frame_allocate(void)
{
    struct net_frame *f = free_frames;
    if (f) {
        free_frames = f->next;
        free_frame_count--;
        return f;
    }
    f = allocate(general_heap, sizeof(*f));
    if (f)
        init_method(&f->out.sent, frame_sent);
    return f;
}

/* What lies between lwIP's struct and the first byte, of a packet that has both in one. */
static u32 packet_headroom(const struct pbuf *p)
{
    if (!(p->type_internal & PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS) ||
        p->flags & PBUF_FLAG_IS_CUSTOM)
        return 0;
    return (u32)((const u8 *)p->payload - (const u8 *)(p + 1));
}

/* The pieces of a packet; false: there are too many. */
static bool frame_pieces(struct net_frame *f, const struct pbuf *p)
{
    f->out.headroom = packet_headroom(p);
    f->out.count = 0;
    f->out.bytes = p->tot_len;
    f->borrows = false;
    for (; p; p = p->next) {
        if (!p->len)
            continue;
        if (f->out.count == NET_FRAME_PIECES)
            return false;
        f->out.pieces[f->out.count++] = (struct net_piece){p->payload, p->len};
        f->borrows |= !(p->type_internal & PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS);
    }
    return true;
}

/* A frame of the packet, which stays the caller's.  NULL: no memory. */
static struct net_frame *frame_of(struct net_link *l, struct pbuf *p)
{
    struct net_frame *f = frame_allocate();
    if (!f)
        return NULL;
    f->link = l;
    f->next = NULL;
    if (frame_pieces(f, p)) {
        pbuf_ref(p);
    } else {
        p = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
        if (p)
            frame_pieces(f, p);
    }
    f->packet = p;
    if (!p) {
        f->next = free_frames;
        free_frames = f;
        free_frame_count++;
        return NULL;
    }
    if (f->borrows)
        f->era = net_limbo_frame_begin();
    return f;
}

/* --- what the device is to do to it ----------------------------------------------------------- */

/* Where the transport header of a packet lies, behind Ethernet; protocol 0: none of ours. */
struct transport {
    u8 protocol;
    u8 family;
    u16 start; /* from the frame's first byte */
};

static struct transport transport_of(const struct net_piece *first)
{
    const struct eth_hdr *ethernet = first->data;
    const void *packet = ethernet + 1;
    const struct transport none = {0};
    if (ethernet->type == PP_HTONS(ETHTYPE_IP)) {
        const struct ip_hdr *ip = packet;
        if (first->bytes < SIZEOF_ETH_HDR + IP_HLEN ||
            IPH_OFFSET(ip) & PP_HTONS(IP_OFFMASK | IP_MF))
            return none;
        return (struct transport){IPH_PROTO(ip), NET_V4, (u16)(SIZEOF_ETH_HDR + IPH_HL_BYTES(ip))};
    }
    if (ethernet->type == PP_HTONS(ETHTYPE_IPV6) && first->bytes >= SIZEOF_ETH_HDR + IP6_HLEN)
        return (struct transport){IP6H_NEXTH((const struct ip6_hdr *)packet), NET_V6,
                                  SIZEOF_ETH_HDR + IP6_HLEN};
    return none;
}

static u32 sum_of(const void *data, int bytes)
{
    return net_checksum(data, bytes);
}

/* Of IPv4's two addresses. */
static u32 sum_of_pair(const void *addresses)
{
    u32 pair[2];
    memcpy(pair, addresses, sizeof(pair));
    return (pair[0] & 0xffff) + (pair[0] >> 16) + (pair[1] & 0xffff) + (pair[1] >> 16);
}

/* Of the pseudo-header, not inverted: what a device goes on from. */
static u16 pseudo_sum(const struct net_frame_out *o, struct transport t)
{
    const u8 *packet = (const u8 *)o->pieces[0].data + SIZEOF_ETH_HDR;
    u32 sum = lwip_htons(t.protocol);
    sum += lwip_htons((u16)(o->bytes - t.start));
    if (t.family == NET_V4)
        sum += sum_of_pair(packet + offsetof(struct ip_hdr, src));
    else
        sum += sum_of(packet + offsetof(struct ip6_hdr, src), 32);
    sum = (sum >> 16) + (sum & 0xffff);
    return (u16)((sum >> 16) + (sum & 0xffff));
}

static void checksum_ask(struct net_frame_out *o, struct transport t, u16 offset)
{
    u16 sum = pseudo_sum(o, t);
    memcpy((u8 *)(u64)o->pieces[0].data + t.start + offset, &sum, sizeof(sum));
    o->checksum = true;
    o->checksum_start = t.start;
    o->checksum_offset = offset;
}

/* One that is longer than a segment may be is cut: into what the connection agreed on, or into what
   the MTU leaves. */
static void segmenting_ask(const struct net_link *l, struct net_frame_out *o, struct transport t)
{
    const struct tcp_hdr *tcp = (const void *)((const u8 *)o->pieces[0].data + t.start);
    u32 header = (u32)t.start + TCPH_HDRLEN_BYTES(tcp);
    u32 most = SIZEOF_ETH_HDR + (u32)l->netif.mtu - header;
    u32 agreed = l->netif.hints ? l->netif.hints->segment_bytes : 0;
    u32 segment = agreed && agreed < most ? agreed : most;
    if (o->bytes <= header + segment)
        return;
    o->segmenting = t.family == NET_V4 ? NET_SEGMENT_TCP4 : NET_SEGMENT_TCP6;
    o->segment_bytes = (u16)segment;
    o->header_bytes = (u16)header;
}

static bool udp_wants_checksum(const struct net_frame_out *o, struct transport t)
{
    const struct udp_hdr *udp = (const void *)((const u8 *)o->pieces[0].data + t.start);
    /* One that is not 0 was made for a datagram that goes out in fragments. */
    return !udp->chksum;
}

static void frame_offload(const struct net_link *l, struct net_frame_out *o)
{
    o->checksum = false;
    o->segmenting = NET_SEGMENT_NONE;
    if (!(l->device->offloads & NET_CHECKSUM_OUT))
        return;
    struct transport t = transport_of(&o->pieces[0]);
    u32 headers = o->pieces[0].bytes;
    if (t.protocol == IP_PROTO_TCP && headers >= (u32)t.start + TCP_HLEN) {
        checksum_ask(o, t, offsetof(struct tcp_hdr, chksum));
        segmenting_ask(l, o, t);
    } else if (t.protocol == IP_PROTO_UDP && headers >= (u32)t.start + UDP_HLEN &&
               udp_wants_checksum(o, t)) {
        checksum_ask(o, t, offsetof(struct udp_hdr, chksum));
    }
}

/* --- to the device ---------------------------------------------------------------------------- */

closure_method(thunk, link_flush, struct net_link, flush)
{
    struct net_link *l = owner();
    l->flush_queued = false;
    apply(l->device->flush);
}

static bool output_held;
static struct net_link *held_link; /* that sent since; of others, later is soon enough */

void net_output_hold(void)
{
    assert(!output_held);
    output_held = true;
}

void net_output_release(void)
{
    struct net_link *l = held_link;
    held_link = NULL;
    output_held = false;
    if (l)
        apply(l->device->flush);
}

/* One doorbell for all that this pass of the run loop, or this system call, sends. */
static void flush_later(struct net_link *l)
{
    if (l->flush_queued || held_link == l)
        return;
    if (output_held && !held_link) {
        held_link = l;
        return;
    }
    l->flush_queued = true;
    run_later(&l->flush);
}

static bool frame_transmit(struct net_link *l, struct net_frame *f)
{
    if (!apply(l->device->transmit, &f->out))
        return false;
    flush_later(l);
    return true;
}

static void frame_wait(struct net_link *l, struct net_frame *f)
{
    f->next = NULL;
    *l->waiting_end = f;
    l->waiting_end = &f->next;
    l->waiting_count++;
}

static struct net_frame *frame_waited(struct net_link *l)
{
    struct net_frame *f = l->waiting;
    l->waiting = f->next;
    if (!l->waiting)
        l->waiting_end = &l->waiting;
    l->waiting_count--;
    return f;
}

void net_output_drain(struct net_link *l)
{
    bool up = netif_is_link_up(&l->netif);
    while (l->waiting) {
        if (!up) {
            l->dropped_out++;
            frame_free(frame_waited(l));
        } else if (frame_transmit(l, l->waiting)) {
            frame_waited(l);
        } else {
            return;
        }
    }
}

closure_method(thunk, link_room, struct net_link, room)
{
    net_output_drain(owner());
}

static err_t link_output(struct netif *netif, struct pbuf *p)
{
    struct net_link *l = netif->state;
    if (!netif_is_link_up(netif) || l->waiting_count >= WAITING_MOST) {
        l->dropped_out++;
        return netif_is_link_up(netif) ? ERR_MEM : ERR_IF;
    }
    struct net_frame *f = frame_of(l, p);
    if (!f) {
        l->dropped_out++;
        return ERR_MEM;
    }
    frame_offload(l, &f->out);
    if (l->waiting || !frame_transmit(l, f))
        frame_wait(l, f);
    return ERR_OK;
}

/* --- to ourselves ----------------------------------------------------------------------------- */

/* A packet to an address of ours never is on a wire. */
static err_t output4(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    struct netif *n;
    net_timers_wake();
    NETIF_FOREACH(n)
    {
        if (ip4_addr_eq(to, netif_ip4_addr(n)) && !ip4_addr_isany(to))
            return net_loopback_output(n, p);
    }
    return etharp_output(netif, p, to);
}

static err_t output6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to)
{
    struct netif *n;
    net_timers_wake();
    NETIF_FOREACH(n)
    {
        s8_t i = netif_get_ip6_addr_match(n, to);
        if (i >= 0 && ip6_addr_isvalid(netif_ip6_addr_state(n, i)))
            return net_loopback_output(n, p);
    }
    return ethip6_output(netif, p, to);
}

void net_output_init(struct net_link *l)
{
    u16 made = 0;
    if (l->device->offloads & NET_CHECKSUM_OUT)
        made = NETIF_CHECKSUM_GEN_TCP | NETIF_CHECKSUM_GEN_UDP;
    NETIF_SET_CHECKSUM_CTRL(&l->netif, (u16)(NETIF_CHECKSUM_ENABLE_ALL & ~made));
    l->netif.output = output4;
    l->netif.output_ip6 = output6;
    l->netif.linkoutput = link_output;
    l->waiting_end = &l->waiting;
    init_method(&l->room, link_room);
    init_method(&l->flush, link_flush);
}
