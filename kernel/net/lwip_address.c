/* Addresses as lwIP has them, and as our interfaces do: kernel/net/lwip_address.h. */
#include "kernel/net/lwip_address.h"

#include "lwip/netif.h"
#include "runtime/memory.h"

static const u8 mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool all_zero(const u8 *bytes, u32 count)
{
    u8 any = 0;
    for (u32 i = 0; i < count; i++)
        any |= bytes[i];
    return !any;
}

bool net_address_is_mapped(const struct net_address *a)
{
    return a->family == NET_V6 && memcmp(a->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

bool net_address_is_any(const struct net_address *a)
{
    if (a->family == NET_V4)
        return all_zero(a->bytes, 4);
    return net_address_is_mapped(a) ? all_zero(a->bytes + 12, 4) : all_zero(a->bytes, 16);
}

struct net_address net_address_unmapped(const struct net_address *a)
{
    struct net_address plain = *a;
    if (net_address_is_mapped(a)) {
        plain = (struct net_address){.family = NET_V4, .port = a->port};
        memcpy(plain.bytes, a->bytes + 12, 4);
    }
    return plain;
}

void net_address_to_lwip(const struct net_address *a, ip_addr_t *to)
{
    struct net_address plain = net_address_unmapped(a);
    memset(to, 0, sizeof(*to));
    if (plain.family == NET_V4) {
        memcpy(&ip_2_ip4(to)->addr, plain.bytes, 4);
        IP_SET_TYPE(to, IPADDR_TYPE_V4);
        return;
    }
    memcpy(ip_2_ip6(to)->addr, plain.bytes, 16);
    IP_SET_TYPE(to, IPADDR_TYPE_V6);
    if (ip6_addr_has_scope(ip_2_ip6(to), IP6_UNKNOWN))
        ip6_addr_set_zone(ip_2_ip6(to), (u8_t)a->scope);
}

struct net_address net_address_from_lwip(enum net_family family, const ip_addr_t *a, u16 port)
{
    struct net_address to = {.family = (u8)family, .port = port};
    if (family == NET_V4) {
        memcpy(to.bytes, &ip_2_ip4(a)->addr, 4);
    } else if (IP_IS_V6(a)) {
        memcpy(to.bytes, ip_2_ip6(a)->addr, 16);
        to.scope = ip6_addr_zone(ip_2_ip6(a));
    } else if (!ip_addr_isany(a)) {
        memcpy(to.bytes, mapped_prefix, sizeof(mapped_prefix));
        memcpy(to.bytes + 12, &ip_2_ip4(a)->addr, 4);
    }
    return to;
}

static bool is_of_interface(const ip_addr_t *a, struct netif *interface)
{
    if (IP_IS_V4(a))
        return ip4_addr_eq(ip_2_ip4(a), netif_ip4_addr(interface));
    for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (ip6_addr_isvalid(netif_ip6_addr_state(interface, i)) &&
            ip6_addr_zoneless_eq(ip_2_ip6(a), netif_ip6_addr(interface, i)))
            return true;
    return false;
}

bool net_address_is_ours(const struct net_address *a)
{
    ip_addr_t address;
    net_address_to_lwip(a, &address);
    if (IP_IS_V4(&address) && ip4_addr_isloopback(ip_2_ip4(&address)))
        return true;
    struct netif *interface;
    NETIF_FOREACH(interface) if (is_of_interface(&address, interface)) return true;
    return false;
}
