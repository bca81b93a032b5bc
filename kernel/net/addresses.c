/* Addresses: what the boot option `net` says (kernel/net/net.h), DHCP and router advertisements,
   name servers, and those who wait for an address.

   DHCP is lwIP's, which asks again for ever, at least once a minute; a server that does not answer
   is one line after COMPLAIN_NS. */
#include "kernel/clock.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "kernel/net/internal.h"
#include "kernel/net/lwip/hooks.h"
#include "kernel/net/lwip_address.h"
#include "kernel/run_loop.h"
#include "lwip/dhcp.h"
#include "lwip/nd6.h"
#include "lwip/prot/dhcp.h"

#define COMPLAIN_NS   (10 * NS_PER_SECOND)
#define HOSTNAME_MOST 32u /* what there is room for in a message of lwIP's */
#define OPTION_BYTES  64u /* of one part of the option */

/* --- name servers ----------------------------------------------------------------------------- */

/* By where they are from: the option, DHCP, router advertisements. */
enum server_source { SERVER_OPTION, SERVER_V4, SERVER_V6, SERVER_SOURCES };

static struct {
    ip_addr_t address;
    bool known;
} servers[SERVER_SOURCES][NET_DNS_MOST];

void net_lwip_name_server(u8_t index, const ip_addr_t *server)
{
    if (index >= NET_DNS_MOST)
        return;
    /* One that is withdrawn (NULL) is of a router advertisement; DHCP withdraws none. */
    u32 source = server && IP_IS_V4(server) ? SERVER_V4 : SERVER_V6;
    servers[source][index].known = server && !ip_addr_isany(server);
    if (server)
        servers[source][index].address = *server;
}

const ip_addr_t *net_lwip_name_server_known(u8_t index)
{
    bool known = index < NET_DNS_MOST && servers[SERVER_V6][index].known;
    return known ? &servers[SERVER_V6][index].address : IP_ADDR_ANY;
}

u32 net_name_servers(struct net_address to[NET_DNS_MOST])
{
    u32 count = 0;
    for (u32 source = 0; source < SERVER_SOURCES; source++) {
        for (u32 i = 0; i < NET_DNS_MOST && count < NET_DNS_MOST; i++) {
            ip_addr_t *a = &servers[source][i].address;
            if (servers[source][i].known)
                to[count++] = net_address_from_lwip(IP_IS_V6(a) ? NET_V6 : NET_V4, a, 0);
        }
    }
    return count;
}

/* --- who waits for an address ----------------------------------------------------------------- */

struct ready_wait {
    struct list link;
    struct timer timer;
    struct thunk late;
    status_handler done;
};

static struct list waits;

static bool link_has_address(const struct net_link *l)
{
    if (!ip4_addr_isany(netif_ip4_addr(&l->netif)))
        return true;
    for (s8_t i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++) { /* 0: the link's own */
        if (ip6_addr_ispreferred(netif_ip6_addr_state(&l->netif, i)))
            return true;
    }
    return false;
}

static bool net_is_ready(void)
{
    for (u32 i = 1; i < net_link_count; i++) {
        if (link_has_address(net_links[i]))
            return true;
    }
    return net_link_count <= 1;
}

static void wait_end(struct ready_wait *w, status s)
{
    status_handler done = w->done;
    timer_cancel(&w->timer);
    list_remove(&w->link);
    deallocate(general_heap, w, sizeof(*w));
    run_later_status(done, s);
}

closure_method(thunk, wait_too_long, struct ready_wait, late)
{
    wait_end(owner(), status_error(ETIMEDOUT, "network: no address in time", 0));
}

void net_wait_ready(u64 deadline_ns, status_handler done)
{
    if (net_is_ready()) {
        run_later_status(done, STATUS_OK);
        return;
    }
    struct ready_wait *w = allocate_zero(general_heap, sizeof(*w));
    if (!w) {
        run_later_status(done, status_error(ENOMEM, "network: no memory to wait with", 0));
        return;
    }
    w->done = done;
    init_method(&w->late, wait_too_long);
    list_push_back(&waits, &w->link);
    timer_set(&w->timer, deadline_ns, &w->late);
}

static void waits_look(void)
{
    while (!list_empty(&waits) && net_is_ready())
        wait_end(container_of(waits.next, struct ready_wait, link), STATUS_OK);
}

/* --- what changes ----------------------------------------------------------------------------- */

/* As Linux writes them; lwIP's are capitals. */
static void text_lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'F')
            *text += 'a' - 'A';
}

static void address_say(const struct netif *n, const ip_addr_t *a, u32 bits)
{
    char text[IPADDR_STRLEN_MAX], gateway[IPADDR_STRLEN_MAX];
    const struct net_link *l = n->state;
    ipaddr_ntoa_r(a, text, sizeof(text));
    text_lower(text);
    ip4addr_ntoa_r(netif_ip4_gw(n), gateway, sizeof(gateway));
    if (IP_IS_V4(a) && !ip4_addr_isany(netif_ip4_gw(n)))
        log_info("%s: address %s/%u, gateway %s", l->name, text, bits, gateway);
    else
        log_info("%s: address %s/%u", l->name, text, bits);
}

static void address_changed(struct netif *n, netif_nsc_reason_t reason,
                            const netif_ext_callback_args_t *args)
{
    struct net_link *l = n->state;
    net_lwip_way_changed();
    if (l->loopback)
        return;
    if (reason & LWIP_NSC_IPV4_SETTINGS_CHANGED && !ip4_addr_isany(netif_ip4_addr(n))) {
        l->answered = true;
        address_say(n, netif_ip_addr4(n), net_prefix_bits(n));
    }
    if (reason & LWIP_NSC_IPV6_ADDR_STATE_CHANGED) {
        s8_t i = args->ipv6_addr_state_changed.addr_index;
        if (ip6_addr_ispreferred(netif_ip6_addr_state(n, i)))
            address_say(n, netif_ip_addr6(n, i), net_prefix_bits6(n, i));
    }
    waits_look();
}

void net_addresses_init(void)
{
    static netif_ext_callback_t changed;
    list_init(&waits);
    netif_add_ext_callback(&changed, address_changed);
}

/* Out of memory it is tried again, each second. */
static void dhcp_begin(struct net_link *l)
{
    l->dhcp = true;
    if (dhcp_start(&l->netif) != ERR_OK)
        log_debug("%s: DHCP cannot start yet", l->name);
}

static void dhcp_look(struct net_link *l)
{
    struct dhcp *dhcp = netif_dhcp_data(&l->netif);
    if (l->dhcp && (!dhcp || dhcp->state == DHCP_STATE_OFF))
        dhcp_begin(l);
    if (!dhcp || l->complained || l->answered || !netif_is_link_up(&l->netif) ||
        clock_monotonic_ns() - l->begun_ns < COMPLAIN_NS)
        return;
    l->complained = true;
    log_warning("%s: no DHCP server has answered in %u s; asking on (net=ADDRESS/BITS sets one)",
                l->name, (u32)(COMPLAIN_NS / NS_PER_SECOND));
}

/* --- the option ------------------------------------------------------------------------------- */

/* What stands in it, part by part. */
struct net_option {
    ip4_addr_t address, mask, gateway;
    u32 v6_count;
    ip6_addr_t v6[LWIP_IPV6_NUM_ADDRESSES];
    u8 v6_bits[LWIP_IPV6_NUM_ADDRESSES];
    ip6_addr_t v6_gateway;
    bool v4, v6_routed;
};

/* lwIP also takes what nobody means: one number, octal ones, hexadecimal ones. */
static bool address_read(const char *text, ip_addr_t *a)
{
    u32 dots = 0, colons = 0;
    for (const char *c = text; *c; c++) {
        dots += *c == '.';
        colons += *c == ':';
        if (!colons && *c != '.' && (*c < '0' || *c > '9') && dots)
            return false;
    }
    return (colons || dots == 3) && ipaddr_aton(text, a);
}

static bool part_address(struct net_option *o, char *part)
{
    ip_addr_t a;
    char *slash = part;
    while (*slash && *slash != '/')
        slash++;
    u32 bits = 0, digits = 0;
    if (*slash) {
        *slash = 0;
        for (const char *c = slash + 1; *c; c++, digits++) {
            if (*c < '0' || *c > '9' || digits == 3)
                return false;
            bits = bits * 10 + (u32)(*c - '0');
        }
    }
    if (!digits || !address_read(part, &a) || bits > (IP_IS_V6(&a) ? 128 : 32))
        return false;
    if (IP_IS_V6(&a)) {
        if (!bits || o->v6_count == LWIP_IPV6_NUM_ADDRESSES - 1) /* one is the link's own */
            return false;
        o->v6_bits[o->v6_count] = (u8)bits;
        o->v6[o->v6_count++] = *ip_2_ip6(&a);
        return true;
    }
    if (o->v4)
        return false;
    o->v4 = true;
    o->address = *ip_2_ip4(&a);
    ip4_addr_set_u32(&o->mask, bits ? lwip_htonl(~0u << (32 - bits)) : 0);
    return true;
}

static bool part_gateway(struct net_option *o, const char *text)
{
    ip_addr_t a;
    if (!address_read(text, &a))
        return false;
    if (IP_IS_V6(&a)) {
        o->v6_gateway = *ip_2_ip6(&a);
        o->v6_routed = true;
    } else {
        o->gateway = *ip_2_ip4(&a);
    }
    return true;
}

static bool part_server(const char *text)
{
    for (u32 i = 0; i < NET_DNS_MOST; i++) {
        if (servers[SERVER_OPTION][i].known)
            continue;
        servers[SERVER_OPTION][i].known = address_read(text, &servers[SERVER_OPTION][i].address);
        return servers[SERVER_OPTION][i].known;
    }
    return false;
}

static bool part_take(struct net_option *o, char *part)
{
    if (!strncmp(part, "gateway=", 8))
        return part_gateway(o, part + 8);
    if (!strncmp(part, "dns=", 4))
        return part_server(part + 4);
    return part_address(o, part);
}

/* False: `bad` is the part that cannot be. */
static bool option_read(const char *text, struct net_option *o, char bad[OPTION_BYTES])
{
    while (true) {
        char part[OPTION_BYTES] = "";
        u32 length = 0;
        while (text[length] && text[length] != ',')
            length++;
        u32 kept = min(length, OPTION_BYTES - 1);
        memcpy(part, text, kept);
        part[kept] = 0;
        memcpy(bad, part, kept + 1);
        if (kept < length || !part_take(o, part))
            return false;
        if (!text[length])
            return true;
        text += length + 1;
    }
}

static void link_up(struct net_link *l)
{
    netif_set_up(&l->netif);
    netif_create_ip6_linklocal_address(&l->netif, 1);
}

static void option_apply(struct net_link *l, const struct net_option *o)
{
    link_up(l);
    if (o->v4)
        netif_set_addr(&l->netif, &o->address, &o->mask, &o->gateway);
    for (u32 i = 0; i < o->v6_count; i++) {
        s8_t at;
        if (netif_add_ip6_address(&l->netif, &o->v6[i], &at) != ERR_OK)
            continue;
        l->v6_bits[at] = o->v6_bits[i];
        netif_ip6_addr_set_state(&l->netif, at, IP6_ADDR_TENTATIVE);
    }
    ip6_addr_t router = o->v6_gateway;
    if (o->v6_routed) {
        ip6_addr_assign_zone(&router, IP6_UNICAST, &l->netif);
        net_lwip_router_add(&router, &l->netif);
    }
}

static const char *hostname = "thunk";

void net_set_hostname(const char *name)
{
    if (strlen(name) > HOSTNAME_MOST)
        return;
    hostname = name;
    for (u32 i = 1; i < net_link_count; i++)
        netif_set_hostname(&net_links[i]->netif, hostname);
}

/* The last one counts: thunk's own comes first. */
static const char *option_text(void)
{
    const char *text = NULL, *next;
    for (u32 i = 0; (next = boot_option_at("net", i)); i++)
        text = next;
    return text;
}

void net_addresses_start(struct net_link *l)
{
    const char *text = option_text();
    bool first = l == net_links[1];
    l->begun_ns = clock_monotonic_ns();
    netif_set_hostname(&l->netif, hostname);
    if (first && text && !strcmp(text, "none"))
        return;
    if (!first || !text || !*text || !strcmp(text, "dhcp")) {
        link_up(l);
        dhcp_begin(l);
        return;
    }
    struct net_option option = {0};
    char bad[OPTION_BYTES];
    if (option_read(text, &option, bad)) {
        option_apply(l, &option);
        return;
    }
    log_error("%s: net=%s: \"%s\" cannot be (dhcp, none, or ADDRESS/BITS[,gateway=ADDRESS]"
              "[,dns=ADDRESS]); the interface stays down",
              l->name, text, bad);
}

bool net_addresses_wait(void)
{
    for (u32 i = 1; i < net_link_count; i++) {
        const struct net_link *l = net_links[i];
        const struct dhcp *dhcp = netif_dhcp_data(&l->netif);
        if (!l->dhcp)
            continue;
        bool complains = !l->complained && !l->answered && netif_is_link_up(&l->netif);
        if (!dhcp || dhcp->state == DHCP_STATE_OFF || complains)
            return true;
    }
    return false;
}

void net_addresses_tick(void)
{
    for (u32 i = 1; i < net_link_count; i++)
        dhcp_look(net_links[i]);
}
