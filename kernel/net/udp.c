/* Endpoints of UDP: how they begin, where they are bound and connected, and how they end.  The
   contract is kernel/net/udp.h.  Called by sockets, under the surface lock. */
#include "kernel/memory.h"
#include "kernel/net/icmp_errors.h"
#include "kernel/net/lwip_address.h"
#include "kernel/net/udp_endpoint.h"
#include "lwip/ip.h"

struct net_ports net_udp_ports;
struct list net_udp_all = {&net_udp_all, &net_udp_all};

struct net_udp *net_udp_create(enum net_family family, net_changed changed)
{
    struct net_udp *e = allocate_zero(general_heap, sizeof(*e));
    if (!e)
        return NULL;
    e->changed = changed;
    e->family = (u8)family;
    e->local.family = e->remote.family = e->binding.address.family = (u8)family;
    list_push_back(&net_udp_all, &e->link);
    net_udp_options_init(e);
    return e;
}

void net_udp_close(struct net_udp *e)
{
    net_udp_queue_drop(e);
    net_udp_groups_leave(e);
    if (e->pcb)
        udp_remove(e->pcb);
    if (e->binding.chosen)
        net_port_release(&net_udp_ports, e->binding.port);
    net_binding_leave(&e->binding);
    list_remove(&e->link);
    deallocate(general_heap, e, sizeof(*e));
}

/* --- binding ---------------------------------------------------------------------------------- */

static status address_check(const struct net_udp *e, const struct net_address *a)
{
    if (a->family != e->family)
        return status_error(EAFNOSUPPORT, "udp: an address of another family", a->family);
    if (net_address_is_mapped(a) && net_udp_has(e, UDP_SET_V6_ONLY))
        return status_error(EINVAL, "udp: an IPv4 address for IPv6 alone", 0);
    ip_addr_t address;
    net_address_to_lwip(a, &address);
    bool many = ip_addr_ismulticast(&address) ||
                (IP_IS_V4(&address) && ip_2_ip4(&address)->addr == IPADDR_BROADCAST);
    if (!many && !net_address_is_any(a) && !net_address_is_ours(a))
        return status_error(EADDRNOTAVAIL, "udp: not an address of this machine", 0);
    return STATUS_OK;
}

/* The pcb is entered in lwIP's list here: udp_bind would look for conflicts among all others, by
   rules of its own. */
static bool pcb_create(struct net_udp *e)
{
    ip_addr_t local;
    net_address_to_lwip(&e->binding.address, &local);
    bool both = IP_IS_V6(&local) && ip_addr_isany(&local) && !net_udp_has(e, UDP_SET_V6_ONLY);
    if (both)
        IP_SET_TYPE(&local, IPADDR_TYPE_ANY);
    struct udp_pcb *pcb = udp_new_ip_type(IP_GET_TYPE(&local));
    if (!pcb)
        return false;
    pcb->local_ip = local;
    pcb->local_port = e->binding.port;
    pcb->next = udp_pcbs;
    udp_pcbs = pcb;
    udp_recv(pcb, net_udp_input, e);
    e->pcb = pcb;
    net_udp_options_apply(e);
    return true;
}

static void binding_undo(struct net_udp *e)
{
    if (e->binding.chosen)
        net_port_release(&net_udp_ports, e->binding.port);
    net_binding_leave(&e->binding);
}

status net_udp_bind(struct net_udp *e, const struct net_address *a)
{
    status s = address_check(e, a);
    if (!is_ok(s))
        return s;
    if (e->pcb)
        return status_error(EINVAL, "udp: bound already", e->binding.port);
    e->binding.address = *a;
    e->binding.v6_only = net_udp_has(e, UDP_SET_V6_ONLY);
    e->binding.reuse_address = net_udp_has(e, UDP_SET_REUSE_ADDRESS);
    e->binding.reuse_port = net_udp_has(e, UDP_SET_REUSE_PORT);
    if (!a->port) {
        if (!net_binding_choose(&net_udp_ports, &e->binding, LWIP_RAND()))
            return status_error(EADDRINUSE, "udp: no port is left", 0);
    } else {
        if (net_binding_conflicts(&net_udp_ports, &e->binding, a->port))
            return status_error(EADDRINUSE, "udp: the port is in use", a->port);
        net_binding_enter(&net_udp_ports, &e->binding, a->port);
    }
    if (!pcb_create(e)) {
        binding_undo(e);
        return status_error(ENOBUFS, "udp: out of memory", 0);
    }
    e->local = *a;
    e->local.port = e->binding.port;
    return STATUS_OK;
}

status net_udp_bind_any(struct net_udp *e)
{
    const struct net_address any = {.family = e->family};
    return e->pcb ? STATUS_OK : net_udp_bind(e, &any);
}

/* --- connecting ------------------------------------------------------------------------------- */

static void disconnect(struct net_udp *e)
{
    e->connected = false;
    e->remote = (struct net_address){.family = e->family};
    if (!e->pcb)
        return;
    e->pcb->flags &= (u8_t)~UDP_FLAGS_CONNECTED;
    e->pcb->remote_port = 0;
    ip_addr_set_any(IP_IS_V6_VAL(e->pcb->local_ip), &e->pcb->remote_ip);
    e->local = e->binding.address;
    e->local.port = e->binding.port;
}

/* The address that datagrams to there leave with. */
static bool source_find(const struct net_udp *e, const ip_addr_t *remote, ip_addr_t *source)
{
    struct netif *way = ip_route(&e->pcb->local_ip, remote);
    const ip_addr_t *found = way ? ip_netif_get_local_ip(way, remote) : NULL;
    if (!found)
        return false;
    *source = net_address_is_any(&e->binding.address) ? *found : e->pcb->local_ip;
    return true;
}

status net_udp_connect(struct net_udp *e, const struct net_address *a)
{
    if (!a) {
        disconnect(e);
        return STATUS_OK;
    }
    if (a->family != e->family)
        return status_error(EAFNOSUPPORT, "udp: an address of another family", a->family);
    if (net_address_is_mapped(a) && net_udp_has(e, UDP_SET_V6_ONLY))
        return status_error(ENETUNREACH, "udp: an IPv4 address for IPv6 alone", 0);
    status s = net_udp_bind_any(e);
    if (!is_ok(s))
        return s;
    ip_addr_t remote, source;
    net_address_to_lwip(a, &remote);
    if (ip_addr_isany(&remote))
        ip_addr_set_loopback(IP_IS_V6(&remote), &remote);
    if (IP_IS_V4(&remote) && ip_2_ip4(&remote)->addr == IPADDR_BROADCAST &&
        !net_udp_has(e, UDP_SET_BROADCAST))
        return status_error(EACCES, "udp: broadcast is not permitted", 0);
    if (!source_find(e, &remote, &source))
        return status_error(ENETUNREACH, "udp: no way there", 0);
    e->pcb->remote_ip = remote;
    e->pcb->remote_port = a->port;
    e->pcb->flags |= UDP_FLAGS_CONNECTED;
    e->connected = true;
    e->remote = net_address_from_lwip(e->family, &remote, a->port);
    e->local = net_address_from_lwip(e->family, &source, e->binding.port);
    return STATUS_OK;
}

void net_udp_local_address(const struct net_udp *e, struct net_address *a)
{
    *a = e->local;
}

status net_udp_remote_address(const struct net_udp *e, struct net_address *a)
{
    if (!e->connected)
        return status_error(ENOTCONN, "udp: not connected", 0);
    *a = e->remote;
    return STATUS_OK;
}

/* --- what holds ------------------------------------------------------------------------------- */

u32 net_udp_events(const struct net_udp *e)
{
    u32 events = NET_WRITABLE;
    if (e->first || e->read_shut)
        events |= NET_READABLE;
    if (e->read_shut)
        events |= NET_READ_ENDED;
    if (e->read_shut && e->write_shut)
        events |= NET_HUNG_UP;
    if (!is_ok(e->error))
        events |= NET_FAILED;
    return events;
}

status net_udp_take_error(struct net_udp *e)
{
    status s = e->error;
    e->error = STATUS_OK;
    return s;
}

status net_udp_shutdown(struct net_udp *e, bool reading, bool writing)
{
    /* As in Linux it takes effect in any case: that is how some end another thread's receiving. */
    e->read_shut |= reading;
    e->write_shut |= writing;
    apply(e->changed, net_udp_events(e));
    return e->connected ? STATUS_OK : status_error(ENOTCONN, "udp: not connected", 0);
}

/* A connected endpoint learns that nobody is there; others could not tell whom it is about. */
void net_udp_icmp_error(const struct net_icmp_error *i)
{
    if (!i->final)
        return;
    list_for_each (&net_udp_all, link) {
        struct net_udp *e = container_of(link, struct net_udp, link);
        if (!e->connected || e->pcb->local_port != i->local_port ||
            e->pcb->remote_port != i->remote_port || !ip_addr_eq(&e->pcb->remote_ip, &i->remote))
            continue;
        e->error = i->error;
        apply(e->changed, NET_FAILED | NET_READABLE | NET_WRITABLE);
        return;
    }
}
