/* Endpoints of UDP: options, multicast groups, and what can be known of all of them. */
#include "kernel/memory.h"
#include "kernel/net/lwip_address.h"
#include "kernel/net/udp_endpoint.h"
#include "lwip/igmp.h"
#include "lwip/mld6.h"

struct option_range {
    u32 least, most, initial;
};

static const struct option_range ranges[UDP_OPTION_COUNT] = {
    [UDP_SET_REUSE_ADDRESS] = {0, 1, 0},
    [UDP_SET_REUSE_PORT] = {0, 1, 0},
    [UDP_SET_BROADCAST] = {0, 1, 0},
    [UDP_SET_SEND_BUFFER] = {0, 0xffffffff, NET_UDP_BUFFER_FIRST},
    [UDP_SET_RECEIVE_BUFFER] = {0, 0xffffffff, NET_UDP_BUFFER_FIRST},
    [UDP_SET_V6_ONLY] = {0, 1, 0},
    [UDP_SET_TTL] = {1, 255, IP_DEFAULT_TTL},
    [UDP_SET_TOS] = {0, 255, 0},
    [UDP_SET_MULTICAST_TTL] = {0, 255, 1},
    [UDP_SET_MULTICAST_LOOP] = {0, 1, 1},
};

void net_udp_options_init(struct net_udp *e)
{
    for (u32 i = 0; i < UDP_OPTION_COUNT; i++)
        e->options[i] = ranges[i].initial;
}

void net_udp_options_apply(struct net_udp *e)
{
    struct udp_pcb *pcb = e->pcb;
    if (!pcb)
        return;
    pcb->ttl = (u8_t)e->options[UDP_SET_TTL];
    pcb->tos = (u8_t)e->options[UDP_SET_TOS];
    udp_set_multicast_ttl(pcb, (u8_t)e->options[UDP_SET_MULTICAST_TTL]);
    /* That several hear what is for many: lwIP looks at the first one's option. */
    ip_set_option(pcb, SOF_REUSEADDR);
    if (net_udp_has(e, UDP_SET_BROADCAST))
        ip_set_option(pcb, SOF_BROADCAST);
    else
        ip_reset_option(pcb, SOF_BROADCAST);
}

status net_udp_set(struct net_udp *e, enum net_udp_option option, u64 value)
{
    if (option >= UDP_OPTION_COUNT)
        return status_error(ENOPROTOOPT, "udp: no such option", option);
    if (option == UDP_SET_SEND_BUFFER || option == UDP_SET_RECEIVE_BUFFER)
        value = min(max(value, (u64)NET_UDP_BUFFER_LEAST), (u64)NET_UDP_BUFFER_MOST);
    if (value < ranges[option].least || value > ranges[option].most)
        return status_error(EINVAL, "udp: an option's value is out of range", value);
    if (option == UDP_SET_V6_ONLY && (e->pcb || e->family != NET_V6))
        return status_error(EINVAL, "udp: bound already", 0);
    e->options[option] = (u32)value;
    e->binding.reuse_address = net_udp_has(e, UDP_SET_REUSE_ADDRESS);
    e->binding.reuse_port = net_udp_has(e, UDP_SET_REUSE_PORT);
    net_udp_options_apply(e);
    return STATUS_OK;
}

status net_udp_get(const struct net_udp *e, enum net_udp_option option, u64 *value)
{
    if (option >= UDP_OPTION_COUNT)
        return status_error(ENOPROTOOPT, "udp: no such option", option);
    *value = e->options[option];
    return STATUS_OK;
}

/* --- groups ----------------------------------------------------------------------------------- */

static bool group_join_leave(const ip_addr_t *address, struct netif *interface, bool join)
{
    err_t error;
    if (IP_IS_V4(address))
        error = join ? igmp_joingroup_netif(interface, ip_2_ip4(address))
                     : igmp_leavegroup_netif(interface, ip_2_ip4(address));
    else
        error = join ? mld6_joingroup_netif(interface, ip_2_ip6(address))
                     : mld6_leavegroup_netif(interface, ip_2_ip6(address));
    return error == ERR_OK;
}

/* The one that is meant; any: where packets to the group would go. */
static struct netif *interface_of(const ip_addr_t *group, u32 number)
{
    if (number)
        return number <= 255 ? netif_get_by_index((u8_t)number) : NULL;
    const ip_addr_t any = *(IP_IS_V6(group) ? IP6_ADDR_ANY : IP4_ADDR_ANY);
    struct netif *way = ip_route(&any, group);
    return way ? way : netif_default;
}

static struct net_udp_group **group_find(struct net_udp *e, const ip_addr_t *address, u8 interface)
{
    struct net_udp_group **g = &e->groups;
    while (*g && !(ip_addr_zoneless_eq(&(*g)->address, address) && (*g)->interface == interface))
        g = &(*g)->next;
    return g;
}

static void group_leave(struct net_udp *e, struct net_udp_group **at)
{
    struct net_udp_group *g = *at;
    struct netif *interface = netif_get_by_index(g->interface);
    if (interface)
        group_join_leave(&g->address, interface, false);
    *at = g->next;
    e->group_count--;
    deallocate(general_heap, g, sizeof(*g));
}

void net_udp_groups_leave(struct net_udp *e)
{
    while (e->groups)
        group_leave(e, &e->groups);
}

static status group_join(struct net_udp *e, const ip_addr_t *address, struct netif *interface)
{
    if (e->group_count >= NET_UDP_GROUPS_MOST)
        return status_error(ENOBUFS, "udp: in too many groups", e->group_count);
    struct net_udp_group *g = allocate_zero(general_heap, sizeof(*g));
    if (!g)
        return status_error(ENOBUFS, "udp: out of memory", 0);
    if (!group_join_leave(address, interface, true)) {
        deallocate(general_heap, g, sizeof(*g));
        return status_error(ENODEV, "udp: the interface joins no groups", 0);
    }
    *g = (struct net_udp_group){
        .next = e->groups, .address = *address, .interface = netif_get_index(interface)};
    e->groups = g;
    e->group_count++;
    return STATUS_OK;
}

status net_udp_join(struct net_udp *e, const struct net_address *group, u32 interface, bool join)
{
    ip_addr_t address;
    net_address_to_lwip(group, &address);
    if (!ip_addr_ismulticast(&address))
        return status_error(EINVAL, "udp: not a group's address", 0);
    struct netif *netif = interface_of(&address, interface);
    if (!netif)
        return status_error(ENODEV, "udp: no such interface", interface);
    if (IP_IS_V6(&address))
        ip6_addr_assign_zone(ip_2_ip6(&address), IP6_MULTICAST, netif);
    struct net_udp_group **g = group_find(e, &address, netif_get_index(netif));
    if (!join && !*g)
        return status_error(EADDRNOTAVAIL, "udp: not in that group", 0);
    if (join && *g)
        return status_error(EADDRINUSE, "udp: in that group already", 0);
    if (join)
        return group_join(e, &address, netif);
    group_leave(e, g);
    return STATUS_OK;
}

/* --- all of them ------------------------------------------------------------------------------ */

void net_udp_visit(net_udp_visitor visitor)
{
    list_for_each (&net_udp_all, link) {
        const struct net_udp *e = container_of(link, struct net_udp, link);
        if (!e->pcb)
            continue;
        const struct net_udp_seen seen = {.local = e->local,
                                          .remote = e->remote,
                                          .queued_bytes = e->queued_memory,
                                          .dropped = e->dropped};
        apply(visitor, &seen);
    }
}
