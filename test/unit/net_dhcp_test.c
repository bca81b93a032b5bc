/* How an interface comes to its address: DHCP that answers, is late, refuses or forgets; the option
   `net`; and those who wait. */
#include "kernel/net/net.h"
#include "test/host/net_machine.h"
#include "test/host/net_packet.h"

#include <string.h>

static struct net_wire wire;
static struct net_packet packet;

static void begin(const char *net)
{
    if (net)
        net_machine_option("net", net);
    net_machine_start(1);
    net_wire_attach(&wire, 1, 0);
}

static struct net_interface interface_now(void)
{
    struct net_interface i;
    net_must(net_interface_get(1, &i));
    return i;
}

static bool has_v4(u32 address)
{
    struct net_interface i = interface_now();
    return i.address_count && i.addresses[0].address.family == NET_V4 &&
           net_read32(i.addresses[0].address.bytes) == address;
}

/* The peer tells its address to whoever asks. */
static void arp_answer(const struct net_wire_frame *f)
{
    if (!net_frame_is_arp(f, 1) || net_read32(f->data + 38) != NET_PEER_V4)
        return;
    net_packet_arp(&packet, wire.device.hardware_address, 2, NET_PEER_V4, NET_MACHINE_V4);
    net_packet_input(&wire, &packet, 0);
}

/* Lets time pass until the machine sends that message, at most that long; the frame. */
static const struct net_wire_frame *dhcp_await(u32 message, u64 most_ns)
{
    for (u64 end_ns = net_machine_now() + most_ns; net_machine_now() < end_ns;) {
        const struct net_wire_frame *f;
        while ((f = net_wire_take(&wire))) {
            if (net_frame_dhcp(f) == message)
                return f;
            arp_answer(f);
        }
        net_machine_pass(100 * NS_PER_MS);
    }
    return NULL;
}

static void dhcp_answer(const struct net_wire_frame *f, u8 message, u32 lease_seconds)
{
    net_packet_dhcp(&packet, f, message, lease_seconds);
    net_packet_input(&wire, &packet, 0);
}

/* --- DHCP ------------------------------------------------------------------------------------- */

static void answered(void)
{
    begin(NULL);
    net_set_hostname("box");
    const struct net_wire_frame *f = dhcp_await(DHCP_IS_DISCOVER, NS_PER_SECOND);
    u32 bytes;
    net_must(f);
    dhcp_answer(f, DHCP_IS_OFFER, 3600);
    net_must(!has_v4(NET_MACHINE_V4));
    f = dhcp_await(DHCP_IS_REQUEST, NS_PER_SECOND);
    net_must(f);
    const u8 *name = net_frame_dhcp_option(f, 12, &bytes);
    net_must(name && bytes == 3 && !memcmp(name, "box", 3));
    dhcp_answer(f, DHCP_IS_ACK, 3600);
    net_must(has_v4(NET_MACHINE_V4));
    struct net_interface i = interface_now();
    net_must(i.addresses[0].prefix_bits == 24 && net_read32(i.gateway.bytes) == NET_PEER_V4);
    struct net_address servers[NET_DNS_MOST];
    net_must(net_name_servers(servers) == 2 && net_read32(servers[1].bytes) == 0x08080808);
    net_must(net_machine_logged("eth0: address 10.0.2.15/24, gateway 10.0.2.2"));
    /* It asks again at half of its lease, and keeps the address. */
    f = dhcp_await(DHCP_IS_REQUEST, 2000 * NS_PER_SECOND);
    net_must(f && net_machine_now() > 1700 * NS_PER_SECOND);
    dhcp_answer(f, DHCP_IS_ACK, 3600);
    net_must(has_v4(NET_MACHINE_V4));
}

/* Nobody answers for an hour: it asks on, at least once a minute, and says so once. */
static void late(void)
{
    begin(NULL);
    u64 asked_ns = net_machine_now();
    u32 count = 0;
    const struct net_wire_frame *f = NULL;
    while (net_machine_now() < 3600 * NS_PER_SECOND) {
        f = dhcp_await(DHCP_IS_DISCOVER, 70 * NS_PER_SECOND);
        net_must(f && net_machine_now() - asked_ns <= 62 * NS_PER_SECOND);
        asked_ns = net_machine_now();
        count++;
    }
    net_must(count >= 60 && count < 80);
    net_must(net_machine_logged("no DHCP server has answered in 10 s"));
    net_machine_log_clear();
    dhcp_answer(f, DHCP_IS_OFFER, 3600);
    f = dhcp_await(DHCP_IS_REQUEST, NS_PER_SECOND);
    dhcp_answer(f, DHCP_IS_ACK, 3600);
    net_must(has_v4(NET_MACHINE_V4) && !net_machine_logged("no DHCP server"));
}

static void refused(void)
{
    begin(NULL);
    for (u32 i = 0; i < 3; i++) {
        const struct net_wire_frame *f = dhcp_await(DHCP_IS_DISCOVER, 70 * NS_PER_SECOND);
        net_must(f);
        dhcp_answer(f, DHCP_IS_OFFER, 3600);
        f = dhcp_await(DHCP_IS_REQUEST, 70 * NS_PER_SECOND);
        net_must(f);
        dhcp_answer(f, DHCP_IS_NAK, 0);
        net_must(!has_v4(NET_MACHINE_V4));
    }
    net_must(net_dhcp_serve(&wire) && has_v4(NET_MACHINE_V4));
}

/* The server offers, and then says nothing more: from the beginning. */
static void forgotten(void)
{
    begin(NULL);
    const struct net_wire_frame *f = dhcp_await(DHCP_IS_DISCOVER, NS_PER_SECOND);
    dhcp_answer(f, DHCP_IS_OFFER, 3600);
    net_must(dhcp_await(DHCP_IS_DISCOVER, 300 * NS_PER_SECOND));
    net_must(net_dhcp_serve(&wire) && has_v4(NET_MACHINE_V4));
}

/* A lease that nobody renews ends, and the search begins again. */
static void expired(void)
{
    begin(NULL);
    const struct net_wire_frame *f = dhcp_await(DHCP_IS_DISCOVER, NS_PER_SECOND);
    dhcp_answer(f, DHCP_IS_OFFER, 600);
    f = dhcp_await(DHCP_IS_REQUEST, NS_PER_SECOND);
    dhcp_answer(f, DHCP_IS_ACK, 600);
    net_must(has_v4(NET_MACHINE_V4));
    net_must(dhcp_await(DHCP_IS_DISCOVER, 1000 * NS_PER_SECOND) && !has_v4(NET_MACHINE_V4));
    net_must(net_dhcp_serve(&wire) && has_v4(NET_MACHINE_V4));
}

/* A link that was down while the machine began, and one that goes away. */
static void link_changes(void)
{
    begin(NULL);
    net_wire_clear(&wire);
    net_wire_link(&wire, false);
    net_machine_pass(30 * NS_PER_SECOND);
    net_must(!net_wire_take(&wire));
    net_wire_link(&wire, true);
    net_must(net_dhcp_serve(&wire) && has_v4(NET_MACHINE_V4));
    net_wire_link(&wire, false);
    net_machine_pass(30 * NS_PER_SECOND);
    net_wire_clear(&wire);
    net_wire_link(&wire, true);
    const struct net_wire_frame *f = dhcp_await(DHCP_IS_REQUEST, 2 * NS_PER_SECOND);
    net_must(f);
    dhcp_answer(f, DHCP_IS_ACK, 3600);
    net_must(has_v4(NET_MACHINE_V4));
}

/* Memory fails at each allocation in turn while the address is obtained. */
static void without_memory(void)
{
    begin(NULL);
    net_machine_pass(NS_PER_SECOND);
    for (u64 n = 1; n < 40; n++) {
        net_machine_fail(n);
        net_wire_link(&wire, false);
        net_wire_link(&wire, true);
        net_dhcp_serve(&wire);
        net_machine_fail(0);
        net_must(has_v4(NET_MACHINE_V4) || net_dhcp_serve(&wire) || net_dhcp_serve(&wire));
    }
}

/* --- the option ------------------------------------------------------------------------------- */

static void static_addresses(void)
{
    begin(
        "10.0.2.15/24,gateway=10.0.2.2,dns=1.1.1.1,2001:db8::5/64,gateway=fe80::1,dns=2001:db8::1");
    net_machine_pass(5 * NS_PER_SECOND);
    net_must(has_v4(NET_MACHINE_V4));
    struct net_interface i = interface_now();
    net_must(i.address_count == 3 && net_read32(i.gateway.bytes) == NET_PEER_V4);
    net_must(i.addresses[2].address.bytes[15] == 5 && !i.addresses[2].tentative);
    struct net_address servers[NET_DNS_MOST];
    net_must(net_name_servers(servers) == 2 && servers[1].family == NET_V6);
    for (const struct net_wire_frame *f; (f = net_wire_take(&wire));)
        net_must(!net_frame_dhcp(f));
}

static void none(void)
{
    begin("none");
    net_machine_pass(5 * NS_PER_SECOND);
    net_must(!interface_now().up && !net_wire_take(&wire));
}

static const char *wrong_option;

static void wrong(void)
{
    begin(wrong_option);
    net_machine_pass(5 * NS_PER_SECOND);
    net_must(!interface_now().up && !net_wire_take(&wire));
    net_must(net_machine_logged("the interface stays down"));
}

static void wrong_options(void)
{
    static const char *const texts[] = {
        "dhcpp",
        "10.0.2.15",
        "10.0.2.15/",
        "10.0.2.15/33",
        "10.0.2.15/24x",
        "10.0.2/24/1",
        "10.0.2.300/24",
        "10.0.2.15/24,",
        "10.0.2.15/24,gateway=",
        "10.0.2.15/24,gateway=x",
        "10.0.2.15/24,dns=1",
        "10.0.2.15/24,10.0.2.16/24",
        "fe80::1/129",
        "::/0000",
        "10.0.2.15/24,dns=1.1.1.1,dns=1.1.1.1,dns=1.1.1.1,dns=1.1.1.1,dns=1.1.1.1",
        "1111111111111111111111111111111111111111111111111111111111111111111111111111111111/1",
        ",",
        "=",
        "10.0.2.15/-1"};
    for (u32 i = 0; i < countof(texts); i++) {
        wrong_option = texts[i];
        net_machine_child(texts[i], wrong);
    }
}

/* --- who waits -------------------------------------------------------------------------------- */

static void waiting(void)
{
    struct host_result ready, late_result, at_once;
    begin(NULL);
    net_wait_ready(net_machine_now() + 60 * NS_PER_SECOND, host_result_init(&ready));
    net_wait_ready(net_machine_now() + NS_PER_SECOND, host_result_init(&late_result));
    net_machine_pass(2 * NS_PER_SECOND);
    net_must(!ready.applied && late_result.applied == 1);
    net_must(status_errno(late_result.s) == ETIMEDOUT);
    net_must(net_dhcp_serve(&wire));
    net_must(ready.applied == 1 && is_ok(ready.s));
    net_wait_ready(net_machine_now(), host_result_init(&at_once));
    net_machine_run();
    net_must(at_once.applied == 1 && is_ok(at_once.s));
}

static void waiting_for_nothing(void)
{
    struct host_result r;
    net_machine_start(1);
    net_wait_ready(net_machine_now() + NS_PER_SECOND, host_result_init(&r));
    net_machine_run();
    net_must(r.applied == 1 && is_ok(r.s));
}

int main(void)
{
    net_machine_child("DHCP gives an address, a gateway and name servers, and renews", answered);
    net_machine_child("DHCP that is an hour late", late);
    net_machine_child("DHCP that refuses", refused);
    net_machine_child("DHCP that offers and forgets", forgotten);
    net_machine_child("DHCP that does not renew", expired);
    net_machine_child("a link that goes down and up", link_changes);
    net_machine_child("every allocation failed in turn", without_memory);
    net_machine_child("static addresses", static_addresses);
    net_machine_child("net=none", none);
    wrong_options();
    net_machine_child("those who wait are told once", waiting);
    net_machine_child("without a device nobody waits", waiting_for_nothing);
    return done_testing();
}
