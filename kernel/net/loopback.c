/* Packets to ourselves: copied, queued, and handed to lwIP's input from the run loop, so that a
   connection's two ends never work inside each other.

   The queue is bounded by PACKETS_MOST and BYTES_MOST; a packet beyond that is refused, and TCP
   sends it again. */
#include "kernel/net/internal.h"
#include "kernel/run_loop.h"
#include "lwip/ip.h"
#include "lwip/pbuf.h"

#define PACKETS_MOST 1024u
#define BYTES_MOST   (4u << 20)
#define A_PASS       64u /* packets, before others have their turn */
#define PIECE_BYTES                                                                                \
    (16u << 10) /* of a copy; larger pieces are hard to get when memory is short                   \
                 */

struct loopback_packet {
    struct loopback_packet *next;
    struct pbuf *packet;
    struct netif *input;
};

static struct loopback {
    struct loopback_packet *first, **end;
    u32 packets;
    u64 bytes;
    bool queued;
    struct thunk pass;
    struct net_link *link;
} loopback;

/* --- copying ---------------------------------------------------------------------------------- */

/* NULL: no memory. */
static struct pbuf *packet_copy(const struct pbuf *p)
{
    struct pbuf *copy = NULL;
    for (u32 at = 0; at < p->tot_len;) {
        u16 bytes = (u16)min(p->tot_len - at, PIECE_BYTES);
        struct pbuf *piece = pbuf_alloc(PBUF_RAW, bytes, PBUF_RAM);
        if (!piece) {
            if (copy)
                pbuf_free(copy);
            return NULL;
        }
        pbuf_copy_partial(p, piece->payload, bytes, (u16)at);
        if (copy)
            pbuf_cat(copy, piece);
        else
            copy = piece;
        at += bytes;
    }
    return copy;
}

/* --- in --------------------------------------------------------------------------------------- */

static void packet_input(struct loopback_packet *l)
{
    const u16 checks = NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP |
                       NETIF_CHECKSUM_CHECK_ICMP | NETIF_CHECKSUM_CHECK_ICMP6;
    struct netif *input = l->input;
    u16 flags = input->chksum_flags;
    struct pbuf *p = l->packet;
    mem_free(l);
    p->if_idx = netif_get_index(input);
    /* It was on no wire, and a device would have made some of them. */
    input->chksum_flags &= (u16)~checks;
    ip_input(p, input);
    input->chksum_flags = flags;
}

closure_method(thunk, loopback_pass, struct loopback, pass)
{
    (void)owner();
    loopback.queued = false;
    for (u32 i = 0; i < A_PASS && loopback.first; i++) {
        struct loopback_packet *l = loopback.first;
        loopback.first = l->next;
        if (!loopback.first)
            loopback.end = &loopback.first;
        loopback.packets--;
        loopback.bytes -= l->packet->tot_len;
        packet_input(l);
    }
    if (loopback.first && !loopback.queued) {
        loopback.queued = true;
        run_later(&loopback.pass);
    }
}

/* --- out -------------------------------------------------------------------------------------- */

static bool loopback_has_room(const struct pbuf *p)
{
    return loopback.packets < PACKETS_MOST && loopback.bytes + p->tot_len <= BYTES_MOST;
}

err_t net_loopback_output(struct netif *netif, struct pbuf *p)
{
    struct loopback_packet *l = NULL;
    struct pbuf *copy = NULL;
    if (loopback_has_room(p) && (l = mem_malloc(sizeof(*l))))
        copy = packet_copy(p);
    if (!copy) {
        if (l)
            mem_free(l);
        loopback.link->dropped_out++;
        return ERR_MEM;
    }
    *l = (struct loopback_packet){.packet = copy, .input = netif};
    *loopback.end = l;
    loopback.end = &l->next;
    loopback.packets++;
    loopback.bytes += copy->tot_len;
    loopback.link->packets++;
    loopback.link->bytes += copy->tot_len;
    if (!loopback.queued) {
        loopback.queued = true;
        run_later(&loopback.pass);
    }
    return ERR_OK;
}

static err_t loopback_output4(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    (void)to;
    return net_loopback_output(netif, p);
}

static err_t loopback_output6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to)
{
    (void)to;
    return net_loopback_output(netif, p);
}

void net_loopback_start(struct net_link *l)
{
    loopback.link = l;
    loopback.end = &loopback.first;
    init_method(&loopback.pass, loopback_pass);
    l->netif.output = loopback_output4;
    l->netif.output_ip6 = loopback_output6;
}

u32 net_loopback_queued(void)
{
    return loopback.packets;
}
