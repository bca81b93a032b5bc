/* What ICMP says about packets of ours: kernel/net/icmp_errors.h.

   Anybody can send such a message, so what it quotes must be of a connection that there is, and
   for TCP lie in what is unacknowledged (RFC 5927); it never ends a connection that stands. */
#include "kernel/net/icmp_errors.h"

#include "kernel/net/lwip/hooks.h"
#include "lwip/icmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/prot/icmp.h"
#include "lwip/prot/icmp6.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "runtime/memory.h"

#define QUOTED_PORTS 8u /* bytes of TCP or UDP that are quoted at least: RFC 792 */
#define ICMP_BYTES   8u /* of a message, before what it quotes */

/* --- what the message means ------------------------------------------------------------------- */

/* RFC 792, 1812; as Linux translates them (net/ipv4/icmp.c). */
static status error_of_code4(u8 code, struct net_icmp_error *i)
{
    switch (code) {
    case 0: /* network */
    case 6:
    case 9:
    case 11:
        return status_error(ENETUNREACH, "icmp: the network cannot be reached", code);
    case 2: /* protocol */
    case 3: /* port */
        i->final = true;
        return status_error(ECONNREFUSED, "icmp: nobody listens there", code);
    case 13:
        return status_error(EHOSTUNREACH, "icmp: it is forbidden", code);
    default:
        return status_error(EHOSTUNREACH, "icmp: the host cannot be reached", code);
    }
}

/* RFC 4443. */
static status error_of_code6(u8 code, struct net_icmp_error *i)
{
    switch (code) {
    case 0:
        return status_error(ENETUNREACH, "icmp: no way there", code);
    case 1:
    case 5:
    case 6:
        return status_error(EACCES, "icmp: it is forbidden", code);
    case 4:
        i->final = true;
        return status_error(ECONNREFUSED, "icmp: nobody listens there", code);
    default:
        return status_error(EHOSTUNREACH, "icmp: the host cannot be reached", code);
    }
}

/* --- what it quotes --------------------------------------------------------------------------- */

static u16 read16(const u8 *at)
{
    return (u16)(at[0] << 8 | at[1]);
}

static u32 read32(const u8 *at)
{
    return (u32)read16(at) << 16 | read16(at + 2);
}

static void tell(struct net_icmp_error *i, u8 protocol, const u8 *quoted)
{
    i->local_port = read16(quoted);
    i->remote_port = read16(quoted + 2);
    i->sequence = read32(quoted + 4);
    if (protocol == IP_PROTO_TCP)
        net_tcp_icmp_error(i);
    else if (protocol == IP_PROTO_UDP)
        net_udp_icmp_error(i);
}

/* The addresses of a packet, and the length of its header; 0: it is none whose ports can be told.
 */
static u32 quoted4(const u8 *quoted, u32 bytes, struct net_icmp_error *i)
{
    if (bytes < IP_HLEN + QUOTED_PORTS)
        return 0;
    u32 header = (quoted[0] & 15) * 4u;
    bool first_fragment = (read16(quoted + 6) & IP_OFFMASK) == 0;
    if (quoted[0] >> 4 != 4 || header < IP_HLEN || !first_fragment || bytes < header + QUOTED_PORTS)
        return 0;
    ip_addr_set_ip4_u32_val(i->local, 0);
    ip_addr_set_ip4_u32_val(i->remote, 0);
    memcpy(&ip_2_ip4(&i->local)->addr, quoted + 12, 4);
    memcpy(&ip_2_ip4(&i->remote)->addr, quoted + 16, 4);
    return header;
}

static void message4(const u8 *icmp, u32 bytes)
{
    const u8 *quoted = icmp + ICMP_BYTES;
    struct net_icmp_error i = {0};
    u32 header = bytes > ICMP_BYTES ? quoted4(quoted, bytes - ICMP_BYTES, &i) : 0;
    if (!header)
        return;
    if (icmp[1] == ICMP_DUR_FRAG)
        i.mtu = read16(icmp + 6);
    else
        i.error = error_of_code4(icmp[1], &i);
    if (i.mtu || !is_ok(i.error))
        tell(&i, quoted[9], quoted + header);
}

/* The quoted addresses have no zones; they are those that lwIP found for the message's own. */
static void address6(ip_addr_t *to, const u8 *bytes, const struct netif *on)
{
    memcpy(ip_2_ip6(to)->addr, bytes, 16);
    IP_SET_TYPE(to, IPADDR_TYPE_V6);
    ip6_addr_assign_zone(ip_2_ip6(to), IP6_UNKNOWN, on);
}

/* As quoted4. */
static u32 quoted6(const u8 *quoted, u32 bytes, const struct netif *on, struct net_icmp_error *i)
{
    if (bytes < IP6_HLEN + QUOTED_PORTS || quoted[0] >> 4 != 6)
        return 0;
    address6(&i->local, quoted + 8, on);
    address6(&i->remote, quoted + 24, on);
    return IP6_HLEN;
}

static void message6(const u8 *icmp, u32 bytes)
{
    const u8 *quoted = icmp + ICMP_BYTES;
    struct net_icmp_error i = {0};
    if (bytes <= ICMP_BYTES || !quoted6(quoted, bytes - ICMP_BYTES, ip_current_input_netif(), &i))
        return;
    if (icmp[0] == ICMP6_TYPE_PTB)
        i.mtu = read32(icmp + 4);
    else
        i.error = error_of_code6(icmp[1], &i);
    /* A quoted packet with extension headers is none that we sent. */
    if (i.mtu || !is_ok(i.error))
        tell(&i, quoted[6], quoted + IP6_HLEN);
}

/* --- lwIP's ----------------------------------------------------------------------------------- */

#define MESSAGE_MOST                                                                               \
    96u /* bytes; the quoted IP header with options, and what matters behind it                    \
         */

void net_lwip_icmp_error(const struct pbuf *p, int is_v6)
{
    u8 message[MESSAGE_MOST];
    /* lwIP verified ICMPv6's checksum, which covers the addresses.  What never was on a wire has
       none. */
    bool summed = ip_current_input_netif()->chksum_flags & NETIF_CHECKSUM_CHECK_ICMP;
    if (!is_v6 && summed && inet_chksum_pbuf((struct pbuf *)(uintptr_t)p) != 0)
        return;
    u32 bytes = pbuf_copy_partial(p, message, sizeof(message), 0);
    if (is_v6)
        message6(message, bytes);
    else
        message4(message, bytes);
}

/* As Linux, which tells itself so by ICMP. */
void net_lwip_unreachable(const struct pbuf *p, const struct netif *on, int is_v6)
{
    u8 packet[MESSAGE_MOST];
    struct net_icmp_error i = {0};
    u32 bytes = pbuf_copy_partial(p, packet, sizeof(packet), 0);
    u32 header = is_v6 ? quoted6(packet, bytes, on, &i) : quoted4(packet, bytes, &i);
    if (!header)
        return;
    i.error = status_error(EHOSTUNREACH, "network: the neighbour does not answer", 0);
    tell(&i, packet[is_v6 ? 6 : 9], packet + header);
}
