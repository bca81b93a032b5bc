/* Neighbours that do not answer: ARP and neighbour discovery, and what those are told who sent
   packets to them; who is a neighbour; and that an idle machine leaves all that alone. */
#include "kernel/net/net.h"
#include "kernel/net/tcp.h"
#include "test/host/net_machine.h"
#include "test/host/net_packet.h"

#include <string.h>

static struct net_wire wire;

static struct attempt {
    struct net_tcp *tcp;
    struct net_changed changed;
} attempt;

closure_method(net_changed, attempt_changed, struct attempt, changed, u32 events)
{
    (void)events;
    (void)owner();
}

static void begin(const char *option)
{
    net_machine_option("net", option);
    net_machine_start(3);
    net_wire_attach(&wire, 1, 0);
    net_machine_pass(3 * NS_PER_SECOND + NS_PER_SECOND / 2);
    net_wire_clear(&wire);
}

static void attempt_begin(const struct net_address *to)
{
    init_method(&attempt.changed, attempt_changed);
    attempt.tcp = net_tcp_create(to->family, &attempt.changed);
    net_must(attempt.tcp);
    net_must(status_errno(net_tcp_connect(attempt.tcp, to)) == EINPROGRESS);
}

/* After how many tenths of a second it failed; its errno must be that. */
static u32 attempt_tenths(int error)
{
    u32 tenths = 0;
    while (!(net_tcp_events(attempt.tcp) & NET_FAILED) && tenths < 1000) {
        net_machine_pass(NS_PER_SECOND / 10);
        tenths++;
    }
    int got = status_errno(net_tcp_take_error(attempt.tcp));
    if (got != error)
        note("errno %d after %u tenths of a second", got, tenths);
    net_must(got == error);
    net_tcp_close(attempt.tcp, (struct net_tcp_linger){0});
    return tenths;
}

static struct net_address address4(u32 a)
{
    struct net_address to = {.family = NET_V4, .port = 80};
    net_write32(to.bytes, a);
    return to;
}

static struct net_address address6(u8 first, u8 second, u8 last)
{
    struct net_address to = {.family = NET_V6, .port = 80};
    to.bytes[0] = first;
    to.bytes[1] = second;
    to.bytes[15] = last;
    return to;
}

static u32 questions4(void)
{
    u32 count = 0;
    for (const struct net_wire_frame *f; (f = net_wire_take(&wire));)
        count += net_frame_is_arp(f, 1);
    return count;
}

/* Neighbour solicitations that are sent from an address of ours. */
static u32 questions6(void)
{
    u32 count = 0;
    for (const struct net_wire_frame *f; (f = net_wire_take(&wire));)
        count += f->bytes >= 78 && net_read16(f->data + 12) == 0x86dd && f->data[20] == 58 &&
                 f->data[54] == 135;
    return count;
}

/* As Linux: EHOSTUNREACH after three questions and as many seconds. */
static void unreachable4(u32 a)
{
    begin("10.0.2.15/24,gateway=10.0.2.2");
    for (u32 round = 0; round < 2; round++) {
        struct net_address to = address4(a);
        attempt_begin(&to);
        u32 tenths = attempt_tenths(EHOSTUNREACH), questions = questions4();
        if (tenths < 20 || tenths > 31 || questions != 3)
            note("%u tenths of a second, %u questions", tenths, questions);
        net_must(tenths >= 20 && tenths <= 31 && questions == 3);
    }
}

static void neighbour4(void)
{
    unreachable4(NET_PEER_V4 + 1);
}

static void gateway4(void)
{
    unreachable4(0x08080808);
}

static void unreachable6(const char *option, struct net_address to)
{
    begin(option);
    for (u32 round = 0; round < 2; round++) {
        attempt_begin(&to);
        u32 tenths = attempt_tenths(EHOSTUNREACH), questions = questions6();
        if (tenths < 20 || tenths > 31 || questions != 3)
            note("%u tenths of a second, %u questions", tenths, questions);
        net_must(tenths >= 20 && tenths <= 31 && questions == 3);
    }
}

static void neighbour6(void)
{
    unreachable6("fd00::15/64", address6(0xfd, 0, 7));
}

static void gateway6(void)
{
    unreachable6("fd00::15/64,gateway=fd00::1", address6(0x20, 1, 7));
}

/* A neighbour that answers late, but in time, is reached. */
static void late(void)
{
    static struct net_packet packet;
    begin("10.0.2.15/24");
    struct net_address to = address4(NET_PEER_V4);
    attempt_begin(&to);
    net_machine_pass(19 * NS_PER_SECOND / 10);
    net_must(!(net_tcp_events(attempt.tcp) & NET_FAILED));
    net_wire_clear(&wire);
    net_packet_arp(&packet, wire.device.hardware_address, 2, NET_PEER_V4, NET_MACHINE_V4);
    net_packet_input(&wire, &packet, 0);
    const struct net_wire_frame *f = net_wire_take(&wire);
    u32 bytes;
    net_must(f && net_frame_v4(f, 6, &bytes));
    net_machine_pass(5 * NS_PER_SECOND);
    net_must(!(net_tcp_events(attempt.tcp) & NET_FAILED));
}

/* --- an idle machine -------------------------------------------------------------------------- */

/* Sets no timer and sends nothing, once its tables are empty or hold nothing that ages. */
static void idle_hour(const char *option)
{
    static struct net_packet packet;
    begin(option);
    net_packet_arp(&packet, wire.device.hardware_address, 1, NET_PEER_V4, NET_MACHINE_V4);
    net_packet_input(&wire, &packet, 0);
    net_machine_pass(400 * NS_PER_SECOND);
    net_wire_clear(&wire);
    u64 sets = net_machine_timer_sets();
    net_machine_pass(3600 * NS_PER_SECOND);
    if (net_machine_timer_sets() != sets)
        note("%lu timers in an hour", net_machine_timer_sets() - sets);
    net_must(net_machine_timer_sets() == sets && !net_wire_take(&wire));
}

static void idle(void)
{
    idle_hour("10.0.2.15/24,gateway=10.0.2.2,fd00::15/64");
    /* What was known of the peer is forgotten, and asked anew. */
    struct net_address to = address4(NET_PEER_V4);
    attempt_begin(&to);
    net_must(attempt_tenths(EHOSTUNREACH) >= 29);
    net_must(questions4() == 3);
}

/* A gateway that is not there is asked for by packets, not by time. */
static void idle_gateway6(void)
{
    idle_hour("fd00::15/64,gateway=fd00::1");
    struct net_address to = address6(0x20, 1, 7);
    attempt_begin(&to);
    net_must(attempt_tenths(EHOSTUNREACH) >= 20);
    net_must(questions6() == 3);
}

static void idle_dhcp(void)
{
    net_machine_option("net", "dhcp");
    net_machine_start(3);
    net_wire_attach(&wire, 1, 0);
    net_must(net_dhcp_serve(&wire));
    net_machine_pass(400 * NS_PER_SECOND);
    net_wire_clear(&wire);
    u64 sets = net_machine_timer_sets();
    net_machine_pass(600 * NS_PER_SECOND);
    net_must(net_machine_timer_sets() == sets && !net_wire_take(&wire));
}

/* --- prefixes --------------------------------------------------------------------------------- */

/* Whether the machine looks for that neighbour itself, rather than for its gateway fd00:0:0:1::1.
 */
static bool looks_for(struct net_address to)
{
    net_wire_clear(&wire);
    attempt_begin(&to);
    net_machine_run();
    const struct net_wire_frame *f = net_wire_take(&wire);
    net_must(f && f->bytes >= 78 && f->data[54] == 135);
    bool itself = !memcmp(f->data + 62, to.bytes, 16);
    net_tcp_close(attempt.tcp, (struct net_tcp_linger){.on = true});
    return itself;
}

static void prefixes(void)
{
    begin("fd00::15/112,gateway=fd00::1");
    struct net_address near = address6(0xfd, 0, 7), far = near;
    far.bytes[13] = 1;
    net_must(looks_for(near) && !looks_for(far));
    struct net_interface i;
    net_must(net_interface_get(1, &i));
    u32 found = 0;
    for (u32 a = 0; a < i.address_count; a++)
        found += i.addresses[a].prefix_bits == 112;
    net_must(found == 1 && net_machine_logged("fd00::15/112"));
}

static void prefix_wide(void)
{
    begin("fd00::15/33,gateway=fd00::1");
    struct net_address near = address6(0xfd, 0, 7), far = near;
    near.bytes[4] = 0x7f;
    far.bytes[4] = 0x80;
    net_must(looks_for(near) && !looks_for(far));
}

int main(void)
{
    net_machine_child("a neighbour that does not answer: EHOSTUNREACH", neighbour4);
    net_machine_child("a gateway that does not answer: EHOSTUNREACH", gateway4);
    net_machine_child("an IPv6 neighbour that does not answer: EHOSTUNREACH", neighbour6);
    net_machine_child("an IPv6 gateway that does not answer: EHOSTUNREACH", gateway6);
    net_machine_child("a neighbour that answers late is reached", late);
    net_machine_child("an idle machine sets no timer", idle);
    net_machine_child("nor for a gateway that does not answer", idle_gateway6);
    net_machine_child("nor between a lease's beginning and its renewal", idle_dhcp);
    net_machine_child("a prefix of 112 bits", prefixes);
    net_machine_child("a prefix of 33 bits", prefix_wide);
    return done_testing();
}
