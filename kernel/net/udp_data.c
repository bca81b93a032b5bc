/* Endpoints of UDP: datagrams out and in.

   What comes waits as lwIP has it, without a copy, until the program took it; each datagram counts
   for its memory and not for its bytes alone, so that many small ones are bounded, too.  Those of
   an address and port that several share (SO_REUSEPORT) go to one of them, always the same for one
   sender. */
#include "kernel/clock.h"
#include "kernel/memory.h"
#include "kernel/net/lwip_address.h"
#include "kernel/net/lwip_port.h"
#include "kernel/net/udp_endpoint.h"
#include "lwip/ip.h"
#include "runtime/memory.h"

#define PAYLOAD_MOST_V4 65507u
#define PAYLOAD_MOST_V6 65487u /* lwIP's packets have their header in 16 bits of length, too */
#define PBUF_MEMORY     256u   /* that each pbuf counts for, besides its bytes */

/* --- in --------------------------------------------------------------------------------------- */

static bool same_place(const struct net_udp *a, const struct net_udp *b)
{
    return a->binding.port == b->binding.port && a->family == b->family &&
           memcmp(a->binding.address.bytes, b->binding.address.bytes, 16) == 0;
}

static bool shares(const struct net_udp *e, const struct net_udp *other)
{
    return other->binding.reuse_port && !other->connected && same_place(e, other);
}

/* Which of those that share e's port the sender's datagrams are for. */
static struct net_udp *share_choose(struct net_udp *e, const ip_addr_t *from, u16 port)
{
    if (!e->binding.reuse_port || e->connected)
        return e;
    struct list *bucket = &net_udp_ports.buckets[e->binding.port % NET_PORT_BUCKETS];
    u32 count = 0;
    list_for_each (bucket, link)
        count += shares(e, net_udp_of_binding(link));
    struct {
        ip_addr_t from;
        u16 port;
    } key;
    memset(&key, 0, sizeof(key));
    memcpy(&key.from, from, sizeof(*from));
    key.port = port;
    u32 left = (u32)(net_secret_hash(&key, sizeof(key)) % max(count, 1u));
    list_for_each (bucket, link) {
        struct net_udp *other = net_udp_of_binding(link);
        if (shares(e, other) && !left--)
            return other;
    }
    return e;
}

static void datagram_queue(struct net_udp *e, struct pbuf *p, const struct net_udp_datagram *d)
{
    u32 memory = (u32)sizeof(struct net_udp_queued) + p->tot_len + PBUF_MEMORY * pbuf_clen(p);
    struct net_udp_queued *q = NULL;
    if (!e->read_shut &&
        (!e->first || e->queued_memory + memory <= e->options[UDP_SET_RECEIVE_BUFFER]))
        q = allocate(general_heap, sizeof(*q));
    if (!q) {
        e->dropped++;
        pbuf_free(p);
        return;
    }
    *q = (struct net_udp_queued){.packet = p, .datagram = *d, .memory = memory};
    if (e->last)
        e->last->next = q;
    else
        e->first = q;
    e->last = q;
    e->queued_memory += memory;
    apply(e->changed, NET_READABLE);
}

void net_udp_input(void *endpoint, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from,
                   u16_t port)
{
    struct net_udp *e = endpoint;
    if (!ip_addr_ismulticast(ip_current_dest_addr()))
        e = share_choose(e, from, port);
    const struct net_udp_datagram d = {
        .from = net_address_from_lwip(e->family, from, port),
        .to = net_address_from_lwip(e->family, ip_current_dest_addr(), pcb->local_port),
        .interface = netif_get_index(ip_current_input_netif()),
        .bytes = p->tot_len,
        .received_ns = clock_realtime_ns(),
    };
    datagram_queue(e, p, &d);
}

status net_udp_received(struct net_udp *e, struct net_udp_datagram *d)
{
    if (e->first) {
        *d = e->first->datagram;
        return STATUS_OK;
    }
    *d = (struct net_udp_datagram){0};
    if (!is_ok(e->error))
        return net_udp_take_error(e);
    if (e->read_shut)
        return STATUS_OK; /* nothing, which is the end */
    return status_error(EAGAIN, "udp: nothing has come", 0);
}

void net_udp_received_piece(struct net_udp *e, u64 offset, const void **memory, u64 *bytes)
{
    const struct pbuf *p = e->first ? e->first->packet : NULL;
    while (p && offset >= p->len) {
        offset -= p->len;
        p = p->next;
    }
    *memory = p ? (const u8 *)p->payload + offset : NULL;
    *bytes = p ? p->len - offset : 0;
}

void net_udp_take(struct net_udp *e)
{
    struct net_udp_queued *q = e->first;
    if (!q)
        return;
    e->first = q->next;
    if (!e->first)
        e->last = NULL;
    e->queued_memory -= q->memory;
    pbuf_free(q->packet);
    deallocate(general_heap, q, sizeof(*q));
}

void net_udp_queue_drop(struct net_udp *e)
{
    while (e->first)
        net_udp_take(e);
}

u64 net_udp_received_bytes(const struct net_udp *e)
{
    return e->first ? e->first->datagram.bytes : 0;
}

/* --- out -------------------------------------------------------------------------------------- */

static status send_error(err_t error)
{
    switch (error) {
    case ERR_OK:
        return STATUS_OK;
    case ERR_RTE:
    case ERR_IF:
        return status_error(ENETUNREACH, "udp: no way there", 0);
    case ERR_VAL:
        return status_error(EACCES, "udp: broadcast is not permitted", 0);
    default:
        return status_error(ENOBUFS, "udp: out of memory", 0);
    }
}

static status send_check(struct net_udp *e, u64 bytes, const struct net_address *to)
{
    if (!is_ok(e->error))
        return net_udp_take_error(e);
    if (e->write_shut)
        return status_error(EPIPE, "udp: the sending side is over", 0);
    if (!to && !e->connected)
        return status_error(EDESTADDRREQ, "udp: to nobody", 0);
    if (to && to->family != e->family)
        return status_error(EAFNOSUPPORT, "udp: an address of another family", to->family);
    if (to && !to->port)
        return status_error(EINVAL, "udp: to no port", 0);
    if (to && net_address_is_mapped(to) && net_udp_has(e, UDP_SET_V6_ONLY))
        return status_error(ENETUNREACH, "udp: an IPv4 address for IPv6 alone", 0);
    struct net_address other = net_address_unmapped(to ? to : &e->remote);
    u64 most = other.family == NET_V4 ? PAYLOAD_MOST_V4 : PAYLOAD_MOST_V6;
    if (bytes > min(most, (u64)e->options[UDP_SET_SEND_BUFFER]))
        return status_error(EMSGSIZE, "udp: longer than a datagram can be", bytes);
    return net_udp_bind_any(e);
}

/* Whether a datagram to that group is for the endpoint. */
static bool hears_group(const struct net_udp *e, const ip_addr_t *group, u16 port)
{
    if (!e->pcb || e->binding.port != port || e->connected)
        return false;
    if (!net_address_is_any(&e->binding.address) && !ip_addr_eq(&e->pcb->local_ip, group))
        return false;
    for (const struct net_udp_group *g = e->groups; g; g = g->next)
        if (ip_addr_eq(&g->address, group))
            return true;
    return false;
}

/* Members on this machine hear it, too (IP_MULTICAST_LOOP); copied for each. */
static void loop_to_group(const struct net_udp *from, const struct pbuf *p, const ip_addr_t *group,
                          u16 port)
{
    struct list *bucket = &net_udp_ports.buckets[port % NET_PORT_BUCKETS];
    list_for_each (bucket, link) {
        struct net_udp *e = net_udp_of_binding(link);
        struct netif *way = ip_route(&from->pcb->local_ip, group);
        if (!hears_group(e, group, port) || !way)
            continue;
        struct pbuf *copy = pbuf_clone(PBUF_RAW, PBUF_RAM, (struct pbuf *)(uintptr_t)p);
        if (!copy)
            return;
        const ip_addr_t *source = ip_netif_get_local_ip(way, group);
        const struct net_udp_datagram d = {
            .from = net_address_from_lwip(e->family, source, from->binding.port),
            .to = net_address_from_lwip(e->family, group, port),
            .interface = netif_get_index(way),
            .bytes = copy->tot_len,
            .received_ns = clock_realtime_ns(),
        };
        datagram_queue(e, copy, &d);
    }
}

status net_udp_send(struct net_udp *e, const struct sg_list *bytes, const struct net_address *to)
{
    status s = send_check(e, bytes->bytes, to);
    if (!is_ok(s))
        return s;
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)bytes->bytes, PBUF_RAM);
    if (!p)
        return status_error(ENOBUFS, "udp: out of memory", 0);
    sg_copy_out(bytes, 0, p->payload, bytes->bytes);
    ip_addr_t remote;
    net_address_to_lwip(to ? to : &e->remote, &remote);
    if (ip_addr_isany(&remote))
        ip_addr_set_loopback(IP_IS_V6(&remote), &remote);
    u16 port = to ? to->port : e->remote.port;
    if (ip_addr_ismulticast(&remote) && net_udp_has(e, UDP_SET_MULTICAST_LOOP))
        loop_to_group(e, p, &remote, port);
    s = send_error(udp_sendto(e->pcb, p, &remote, port));
    pbuf_free(p);
    return s;
}
