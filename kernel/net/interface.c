/* Interfaces: lo, and one for each device; their beginning and what may be known of them.
   kernel/net/internal.h says how the files belong together. */
#include "kernel/census.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/net/internal.h"
#include "kernel/net/lwip/hooks.h"
#include "kernel/net/lwip_address.h"
#include "kernel/net/lwip_port.h"
#include "kernel/run_loop.h"
#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/init.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/priv/nd6_priv.h"
#include "runtime/format.h"

#define MTU_LEAST 68u

struct net_link *net_links[NET_INTERFACES_MOST];
u32 net_link_count;

static struct devices {
    struct net_attach attach;
    struct census_writer census;
} devices;

/* --- beginning -------------------------------------------------------------------------------- */

static err_t link_init_ethernet(struct netif *netif)
{
    struct net_link *l = netif->state;
    struct net_device *d = l->device;
    netif->name[0] = 'e';
    netif->name[1] = 't';
    netif->mtu = (u16)min(max(d->mtu, MTU_LEAST), 65535u);
    netif->hwaddr_len = NET_HARDWARE_BYTES;
    memcpy(netif->hwaddr, d->hardware_address, NET_HARDWARE_BYTES);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
                   NETIF_FLAG_IGMP | NETIF_FLAG_MLD6;
    net_output_init(l);
    return ERR_OK;
}

static err_t link_init_loopback(struct netif *netif)
{
    netif->name[0] = 'l';
    netif->name[1] = 'o';
    netif->mtu = 65535;
    netif->ip6_autoconfig_enabled = 0;
    NETIF_SET_CHECKSUM_CTRL(netif, NETIF_CHECKSUM_DISABLE_ALL);
    net_loopback_start(netif->state);
    return ERR_OK;
}

static void link_number(struct net_link *l)
{
    net_links[net_link_count++] = l;
}

static void loopback_addresses(struct netif *netif)
{
    ip4_addr_t address, mask, none;
    IP4_ADDR(&address, 127, 0, 0, 1);
    IP4_ADDR(&mask, 255, 0, 0, 0);
    ip4_addr_set_zero(&none);
    netif_set_addr(netif, &address, &mask, &none);
    IP_ADDR6_HOST(&netif->ip6_addr[0], 0, 0, 0, 1);
    netif->ip6_addr_state[0] = IP6_ADDR_VALID;
    ((struct net_link *)netif->state)->v6_bits[0] = 128;
}

closure_method(net_link_change, link_change, struct net_link, link_changed, bool up)
{
    struct net_link *l = owner();
    log_info("%s: the link is %s", l->name, up ? "up" : "down");
    net_timers_wake();
    if (up) {
        netif_set_link_up(&l->netif);
        return;
    }
    netif_set_link_down(&l->netif);
    net_output_drain(l);
}

static void link_start(struct net_link *l)
{
    struct net_device *d = l->device;
    d->receive = &l->receive;
    d->link_changed = &l->link_changed;
    d->room = &l->room;
    if (!netif_default)
        netif_set_default(&l->netif);
    if (d->link_up)
        netif_set_link_up(&l->netif);
    net_timers_start();
    net_addresses_start(l);
}

closure_method(net_attach, device_attach, struct devices, attach, struct net_device *device)
{
    (void)owner();
    struct net_link *l = NULL;
    if (net_link_count < NET_INTERFACES_MOST)
        l = allocate_zero(general_heap, sizeof(*l));
    if (!l) {
        log_error("%s: %s; it stays down", device->name,
                  net_link_count < NET_INTERFACES_MOST ? "no memory for a network interface"
                                                       : "there are too many network interfaces");
        return;
    }
    l->device = device;
    format_text(l->name, sizeof(l->name), "eth%u", net_link_count - 1);
    net_input_init(l);
    init_method(&l->link_changed, link_change);
    netif_add(&l->netif, NULL, NULL, NULL, l, link_init_ethernet, NULL);
    l->netif.num = (u8)net_link_count;
    link_number(l);
    log_info("%s: %s, %02x:%02x:%02x:%02x:%02x:%02x, MTU %u, offloads %x", l->name, device->name,
             device->hardware_address[0], device->hardware_address[1], device->hardware_address[2],
             device->hardware_address[3], device->hardware_address[4], device->hardware_address[5],
             device->mtu, device->offloads);
    link_start(l);
}

closure_method(census_writer, census_write, struct devices, census)
{
    (void)owner();
    net_census();
}

status net_start(void)
{
    static struct net_link loopback;
    net_secret_init();
    net_addresses_init();
    net_timers_init();
    lwip_init();
    loopback = (struct net_link){.name = "lo", .loopback = true};
    netif_add(&loopback.netif, NULL, NULL, NULL, &loopback, link_init_loopback, NULL);
    link_number(&loopback);
    loopback_addresses(&loopback.netif);
    netif_set_link_up(&loopback.netif);
    netif_set_up(&loopback.netif);
    init_method(&devices.attach, device_attach);
    init_method(&devices.census, census_write);
    census_register("network", &devices.census);
    return STATUS_OK;
}

net_attach net_device_attach(void)
{
    return &devices.attach;
}

/* --- what may be known ------------------------------------------------------------------------ */

u8 net_prefix_bits(const struct netif *n)
{
    u8 bits = 0;
    for (u32 mask = ip4_addr_get_u32(netif_ip4_netmask(n)); mask; mask &= mask - 1)
        bits++;
    return bits;
}

u8 net_prefix_bits6(const struct netif *n, s8 index)
{
    const struct net_link *l = n->state;
    return l->v6_bits[index] ? l->v6_bits[index] : 64;
}

int net_lwip_is_on_link(const struct netif *netif, s8_t index, const ip6_addr_t *address)
{
    const ip6_addr_t *ours = netif_ip6_addr(netif, index);
    u32 bits = net_prefix_bits6(netif, index);
    if (!ip6_addr_zone_eq(ours, address))
        return false;
    for (u32 i = 0; i < bits / 32; i++)
        if (ours->addr[i] != address->addr[i])
            return false;
    u32 rest = bits % 32;
    return !rest ||
           !((ours->addr[bits / 32] ^ address->addr[bits / 32]) & lwip_htonl(~0u << (32 - rest)));
}

u32 net_interface_count(void)
{
    return net_link_count;
}

static void address_add(struct net_interface *to, const ip_addr_t *a, u8 bits, bool tentative)
{
    enum net_family family = IP_IS_V6(a) ? NET_V6 : NET_V4;
    struct net_interface_address *entry = &to->addresses[to->address_count++];
    entry->address = net_address_from_lwip(family, a, 0);
    entry->prefix_bits = bits;
    entry->tentative = tentative;
}

static void addresses_add(struct net_interface *to, struct netif *n)
{
    if (!ip4_addr_isany(netif_ip4_addr(n))) {
        address_add(to, netif_ip_addr4(n), net_prefix_bits(n), false);
    }
    for (s8 i = 0; i < LWIP_IPV6_NUM_ADDRESSES && to->address_count < NET_ADDRESSES_MOST; i++) {
        u8 state = netif_ip6_addr_state(n, i);
        if (!ip6_addr_isinvalid(state))
            address_add(to, netif_ip_addr6(n, i), net_prefix_bits6(n, i),
                        ip6_addr_istentative(state));
    }
}

static void statistics_fill(struct net_interface *to, const struct net_link *l)
{
    if (l->loopback) {
        to->statistics.frames_in = to->statistics.frames_out = l->packets;
        to->statistics.bytes_in = to->statistics.bytes_out = l->bytes;
    } else {
        to->statistics = l->device->statistics;
    }
    to->statistics.dropped_in += l->dropped_in;
    to->statistics.malformed += l->malformed;
}

bool net_interface_get(u32 index, struct net_interface *to)
{
    if (index >= net_link_count)
        return false;
    struct net_link *l = net_links[index];
    *to = (struct net_interface){.number = index + 1,
                                 .mtu = l->netif.mtu,
                                 .up = netif_is_up(&l->netif),
                                 .link_up = netif_is_link_up(&l->netif),
                                 .loopback = l->loopback};
    memcpy(to->name, l->name, sizeof(to->name));
    memcpy(to->hardware_address, l->netif.hwaddr, NET_HARDWARE_BYTES);
    addresses_add(to, &l->netif);
    if (!ip4_addr_isany(netif_ip4_gw(&l->netif)))
        to->gateway = net_address_from_lwip(NET_V4, netif_ip_gw4(&l->netif), 0);
    statistics_fill(to, l);
    return true;
}
