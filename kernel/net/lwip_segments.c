/* Large segments of TCP, which a device cuts: how long they may be, and how they are split where
   only a part of one may be sent.  Declared in kernel/net/lwip/hooks.h; called by lwIP where
   edits/93_segments.pl says so, and by the endpoints of TCP. */
#include "kernel/net/internal.h"
#include "kernel/net/lwip/hooks.h"
#include "kernel/net/tcp_endpoint.h"
#include "lwip/ip.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "runtime/memory.h"

#define PACKET_MOST  65535u /* bytes of IP */
#define OPTIONS_MOST 40u

/* The payload of a segment on the wire. */
static u32 payload_most(const struct tcp_pcb *pcb)
{
    u32 options = tcp_is_flag_set(pcb, TF_TIMESTAMP) ? LWIP_TCP_OPT_LEN_TS_OUT : 0;
    return pcb->mss > options + 1 ? pcb->mss - options : 1;
}

int net_lwip_device_cuts(const struct netif *netif, int is_v6)
{
    const struct net_link *l = netif->state;
    if (!l || !l->device)
        return 0;
    u32 needed = NET_CHECKSUM_OUT | (is_v6 ? NET_SEGMENT_V6 : NET_SEGMENT_V4);
    return (l->device->offloads & needed) == needed;
}

void net_tcp_segments_size(struct tcp_pcb *pcb)
{
    u32 payload = payload_most(pcb);
    u32 options = pcb->mss - payload;
    pcb->netif_hints.segment_bytes = (u16)payload;
    pcb->net_segment_most = 0;
    const struct netif *way = ip_route(&pcb->local_ip, &pcb->remote_ip);
    if (!way || !net_lwip_device_cuts(way, IP_IS_V6_VAL(pcb->remote_ip)))
        return;
    u32 room = PACKET_MOST - IP6_HLEN - TCP_HLEN - OPTIONS_MOST;
    pcb->net_segment_most = (u16)(room / payload * payload + options);
}

/* --- splitting -------------------------------------------------------------------------------- */

/* The pbuf of a chain that holds the byte *offset of it; *offset is then within it. */
static struct pbuf *pbuf_at(struct pbuf *p, u32 *offset)
{
    while (p && *offset >= p->len) {
        *offset -= p->len;
        p = p->next;
    }
    return p;
}

/* Bytes of an endpoint's blocks are referred to: they stay until no device has them (limbo.h). What
   lies in the segment itself goes with it, and is copied.  NULL: no memory. */
static struct pbuf *slice_piece(const struct pbuf *from, u32 at, u16 bytes)
{
    bool own = from->type_internal & PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS;
    struct pbuf *piece = pbuf_alloc(PBUF_RAW, bytes, own ? PBUF_RAM : PBUF_ROM);
    u8 *memory = (u8 *)from->payload + at;
    if (piece && own)
        memcpy(piece->payload, memory, bytes);
    else if (piece)
        piece->payload = memory;
    return piece;
}

struct pbuf *net_lwip_segment_slice(struct tcp_seg *seg, u16_t offset, u16_t bytes, u16_t options)
{
    struct pbuf *slice = pbuf_alloc(PBUF_TRANSPORT, options, PBUF_RAM);
    if (!slice)
        return NULL;
    u32 at = (u32)seg->p->tot_len - seg->len + offset;
    struct pbuf *from = pbuf_at(seg->p, &at);
    for (u32 left = bytes; left && from; from = from->next, at = 0) {
        u16 here = (u16)min(left, from->len - at);
        struct pbuf *piece = here ? slice_piece(from, at, here) : NULL;
        if (here && !piece) {
            pbuf_free(slice);
            return NULL;
        }
        if (!here)
            continue;
        pbuf_cat(slice, piece);
        left -= here;
    }
    return slice;
}

void net_lwip_segment_fit(struct tcp_pcb *pcb, u32_t window)
{
    const struct tcp_seg *seg = pcb->unsent;
    u32 payload = payload_most(pcb);
    if (!seg || seg->len <= payload)
        return;
    u32 before = lwip_ntohl(seg->tcphdr->seqno) - pcb->lastack;
    if (before + seg->len <= window || before >= window)
        return;
    u32 whole = (window - before) / payload * payload;
    /* Without memory it waits as it is. */
    if (whole && whole < seg->len)
        tcp_split_unsent_seg(pcb, (u16)whole);
}

/* --- what was acknowledged of one ------------------------------------------------------------- */

/* Takes bytes from the front of what lies behind the header, which is the first pbuf. */
static void payload_drop(struct tcp_pcb *pcb, struct pbuf *header, u32 bytes)
{
    header->tot_len = (u16_t)(header->tot_len - bytes);
    while (bytes) {
        struct pbuf *p = header->next;
        u16 here = (u16)min(bytes, (u32)p->len);
        bytes -= here;
        if (here < p->len) {
            pbuf_remove_header(p, here);
            continue;
        }
        header->next = p->next;
        p->next = NULL;
        pbuf_free(p);
        pcb->snd_queuelen--;
    }
}

u32_t net_lwip_segment_trim(struct tcp_pcb *pcb, struct tcp_seg *seg, u32_t ackno)
{
    u32 sequence = lwip_ntohl(seg->tcphdr->seqno);
    u32 bytes = ackno - sequence;
    u32 header = (u32)seg->p->tot_len - seg->len;
    /* A device may be reading the header; and all of the payload has to lie behind it. */
    if (!TCP_SEQ_LT(sequence, ackno) || bytes > seg->len || seg->p->ref != 1 ||
        header != seg->p->len)
        return 0;
    payload_drop(pcb, seg->p, bytes);
    seg->len = (u16_t)(seg->len - bytes);
    seg->tcphdr->seqno = lwip_htonl(ackno);
    return bytes;
}
