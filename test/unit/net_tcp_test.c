/* Endpoints of TCP, both ends in one stack: over loopback, and through a mirror that loses frames
   and cuts large ones (test/host/net_mirror.h). */
#include "test/host/net_ends.h"
#include "test/host/net_machine.h"
#include "test/host/net_mirror.h"
#include "test/host/net_packet.h"

#include <stdlib.h>
#include <string.h>

static struct net_mirror mirror;
static struct net_end listener, a, b;
static u8 bytes[8 << 20];

static u32 all_offloads(void)
{
    return NET_CHECKSUM_OUT | NET_CHECKSUM_IN | NET_SEGMENT_V4 | NET_SEGMENT_V6 | NET_LARGE_IN;
}

/* A listener at port 80, and a connection to it: a is who connected, b was accepted. */
static void pair_at(const struct net_address *to)
{
    net_must(net_end_listen(&listener, to->family, 80, 16));
    net_must(net_end_create(&a, to->family));
    net_must(status_errno(net_tcp_connect(a.tcp, to)) == EINPROGRESS);
    net_mirror_run(&mirror);
    net_must(a.told & NET_WRITABLE && listener.told & NET_READABLE);
    net_must(net_end_accept(&listener, &b));
}

static void loopback_pair(enum net_family family)
{
    net_mirror_start(&mirror, 0, 1);
    struct net_address to = net_end_loopback(family, 80);
    pair_at(&to);
}

/* Closes what is open; after TIME-WAIT there is as much memory in use as before. */
static void end_all(void)
{
    net_end_close(&a);
    net_end_close(&b);
    net_end_close(&listener);
    for (u32 i = 0; i < 200; i++) {
        net_machine_pass(NS_PER_SECOND);
        net_mirror_run(&mirror);
    }
}

/* --- one connection --------------------------------------------------------------------------- */

static void talk(enum net_family family)
{
    loopback_pair(family);
    net_must(net_end_receive(&b, bytes, 10) == -EAGAIN);
    net_must(net_end_send(&a, "hello", 5, false) == 5);
    net_mirror_run(&mirror);
    net_must(b.told & NET_READABLE && net_end_receive(&b, bytes, 100) == 5);
    net_must(!memcmp(bytes, "hello", 5));
    struct net_address one, other;
    net_tcp_local_address(a.tcp, &one);
    net_must(is_ok(net_tcp_remote_address(b.tcp, &other)) && !memcmp(&one, &other, sizeof(one)));
    net_must(one.port >= 32768 && one.port <= 60999);
    net_must(net_end_send(&b, "world!", 6, false) == 6);
    net_mirror_run(&mirror);
    net_must(net_end_receive(&a, bytes, 100) == 6);
}

static void talk_v4(void)
{
    talk(NET_V4);
}

static void talk_v6(void)
{
    talk(NET_V6);
}

static void half_close(void)
{
    void *room;
    u64 one = 1;
    loopback_pair(NET_V4);
    net_must(is_ok(net_tcp_shutdown(a.tcp, false, true)));
    net_mirror_run(&mirror);
    net_must(b.told & NET_READ_ENDED && net_end_receive(&b, bytes, 1) == 0);
    net_must(status_errno(net_tcp_send_room(a.tcp, &room, &one)) == EPIPE);
    net_must(!(net_tcp_events(a.tcp) & NET_HUNG_UP));
    net_must(net_end_send(&b, "x", 1, false) == 1);
    net_mirror_run(&mirror);
    net_must(net_end_receive(&a, bytes, 10) == 1);
    net_end_close(&b);
    net_mirror_run(&mirror);
    net_must(net_end_receive(&a, bytes, 10) == 0 && net_tcp_events(a.tcp) & NET_HUNG_UP);
}

static void refused(void)
{
    net_mirror_start(&mirror, 0, 1);
    struct net_address to = net_end_loopback(NET_V4, 81);
    net_must(net_end_create(&a, NET_V4));
    net_must(status_errno(net_tcp_connect(a.tcp, &to)) == EINPROGRESS);
    net_must(status_errno(net_tcp_connect(a.tcp, &to)) == EALREADY);
    net_mirror_run(&mirror);
    net_must(a.told & NET_FAILED && net_tcp_events(a.tcp) & NET_FAILED);
    net_must(status_errno(net_tcp_take_error(a.tcp)) == ECONNREFUSED);
    net_must(is_ok(net_tcp_take_error(a.tcp)) && !(net_tcp_events(a.tcp) & NET_FAILED));
    /* The same endpoint may try again. */
    net_must(net_end_listen(&listener, NET_V4, 81, 1));
    net_must(status_errno(net_tcp_connect(a.tcp, &to)) == EINPROGRESS);
    net_mirror_run(&mirror);
    net_must(net_tcp_events(a.tcp) == NET_WRITABLE);
    net_must(status_errno(net_tcp_connect(a.tcp, &to)) == EISCONN);
}

static void reset_by_unread(void)
{
    void *room;
    u64 one = 1;
    loopback_pair(NET_V4);
    net_must(net_end_send(&a, "abc", 3, false) == 3);
    net_mirror_run(&mirror);
    net_end_close(&b);
    net_mirror_run(&mirror);
    net_must(a.told & NET_FAILED && net_tcp_events(a.tcp) & NET_HUNG_UP);
    net_must(net_end_receive(&a, bytes, 1) == -ECONNRESET);
    net_must(net_end_receive(&a, bytes, 1) == 0);
    net_must(status_errno(net_tcp_send_room(a.tcp, &room, &one)) == EPIPE);
}

/* What came before RST is read before the error. */
static void reset_by_linger(void)
{
    loopback_pair(NET_V4);
    net_must(net_end_send(&a, "abc", 3, false) == 3);
    net_mirror_run(&mirror);
    net_end_abort(&a);
    net_mirror_run(&mirror);
    net_must(net_end_receive(&b, bytes, 10) == 3);
    net_must(net_end_receive(&b, bytes, 10) == -ECONNRESET);
    net_must(net_end_receive(&b, bytes, 10) == 0);
}

/* Reads all that comes until the end; how many bytes, which must all be `value`. */
static u64 read_to_end(struct net_end *e, u8 value)
{
    static u8 piece[65536];
    u64 got = 0;
    for (u32 i = 0; i < 100000; i++) {
        s64 here = net_end_receive(e, piece, sizeof(piece));
        if (here == 0)
            return got;
        net_must(here > 0 || here == -EAGAIN);
        for (s64 k = 0; k < here; k++)
            net_must(piece[k] == value);
        got += (u64)max(here, 0);
        net_mirror_pass(&mirror, 1);
    }
    net_must(!"the end came");
    return got;
}

/* An endpoint that was closed still sends what it has. */
static void close_with_unsent(void)
{
    loopback_pair(NET_V4);
    memset(bytes, 7, 200000);
    net_must(net_end_send(&a, bytes, 200000, false) == 200000);
    net_end_close(&a);
    net_must(read_to_end(&b, 7) == 200000);
}

static void drained(void)
{
    loopback_pair(NET_V4);
    net_must(net_end_send(&a, bytes, 1000, false) == 1000);
    net_must(is_ok(net_tcp_shutdown(a.tcp, false, true)) && !net_tcp_is_drained(a.tcp));
    net_mirror_run(&mirror);
    net_must(net_tcp_is_drained(a.tcp));
}

/* --- listening -------------------------------------------------------------------------------- */

static void dual_stack(void)
{
    struct net_end v4;
    struct net_address to = net_end_loopback(NET_V4, 80), seen;
    net_mirror_start(&mirror, 0, 1);
    net_must(net_end_listen(&listener, NET_V6, 80, 5) && net_end_create(&a, NET_V4));
    net_must(status_errno(net_tcp_connect(a.tcp, &to)) == EINPROGRESS);
    net_mirror_run(&mirror);
    net_must(net_end_accept(&listener, &b));
    net_tcp_local_address(b.tcp, &seen);
    net_must(seen.family == NET_V6 && seen.bytes[10] == 0xff &&
             net_read32(seen.bytes + 12) == 0x7f000001);
    net_must(net_end_create(&v4, NET_V4));
    const struct net_address any = {.family = NET_V4, .port = 80};
    net_must(status_errno(net_tcp_bind(v4.tcp, &any)) == EADDRINUSE);
    net_end_close(&v4);
    /* IPv6 alone leaves IPv4's port to others. */
    net_end_close(&listener);
    const struct net_address any6 = {.family = NET_V6, .port = 82},
                             any4 = {.family = NET_V4, .port = 82};
    net_must(net_end_create(&listener, NET_V6) && net_end_create(&v4, NET_V4));
    net_must(is_ok(net_tcp_set(listener.tcp, TCP_SET_V6_ONLY, 1)));
    net_must(is_ok(net_tcp_bind(listener.tcp, &any6)) && is_ok(net_tcp_bind(v4.tcp, &any4)));
    net_end_close(&v4);
}

static void backlog(void)
{
    struct net_end many[10];
    struct net_address to = net_end_loopback(NET_V4, 80);
    u32 stand = 0;
    net_mirror_start(&mirror, 0, 1);
    net_must(net_end_listen(&listener, NET_V4, 80, 2));
    for (u32 i = 0; i < countof(many); i++) {
        net_must(net_end_create(&many[i], NET_V4));
        net_tcp_connect(many[i].tcp, &to);
        net_mirror_run(&mirror);
        stand += !!(many[i].told & NET_WRITABLE);
    }
    net_must(stand == 3); /* one more than asked for, as in Linux */
    net_must(net_end_accept(&listener, &b));
    net_end_abort(&b);
    /* The others try again; no more than before may wait here, cookies or not. */
    net_mirror_pass(&mirror, 4000);
    u32 waiting = 0;
    for (; net_end_accept(&listener, &b); waiting++)
        net_end_abort(&b);
    net_must(waiting == 3);
    net_end_close(&listener);
    net_mirror_pass(&mirror, 1000);
    u32 failed = 0;
    for (u32 i = 0; i < countof(many); i++) {
        failed += !!(many[i].told & NET_FAILED);
        net_end_close(&many[i]);
    }
    net_must(failed >= 4);
}

/* What the other side does before it is accepted is there afterwards. */
static void before_accept(void)
{
    struct net_address to = net_end_loopback(NET_V4, 80);
    net_mirror_start(&mirror, 0, 1);
    net_must(net_end_listen(&listener, NET_V4, 80, 5));
    for (u32 i = 0; i < 2; i++) {
        net_must(net_end_create(&a, NET_V4));
        net_tcp_connect(a.tcp, &to);
        net_mirror_run(&mirror);
        net_must(net_end_send(&a, "early", 5, false) == 5);
        net_mirror_run(&mirror);
        if (i)
            net_end_abort(&a);
        else
            net_end_close(&a);
        net_mirror_run(&mirror);
        net_must(net_end_accept(&listener, &b) && net_end_receive(&b, bytes, 10) == 5);
        net_must(net_end_receive(&b, bytes, 10) == (i ? -ECONNRESET : 0));
        net_end_close(&b);
    }
}

static void reuse_port(void)
{
    struct net_end listeners[3], many[30];
    struct net_address to = net_end_loopback(NET_V4, 80);
    const struct net_address any = {.family = NET_V4, .port = 80};
    net_mirror_start(&mirror, 0, 1);
    for (u32 i = 0; i < countof(listeners); i++) {
        net_must(net_end_create(&listeners[i], NET_V4));
        net_must(is_ok(net_tcp_set(listeners[i].tcp, TCP_SET_REUSE_PORT, 1)));
        net_must(is_ok(net_tcp_bind(listeners[i].tcp, &any)));
        net_must(is_ok(net_tcp_listen(listeners[i].tcp, 100)));
    }
    for (u32 i = 0; i < countof(many); i++) {
        net_must(net_end_create(&many[i], NET_V4));
        net_tcp_connect(many[i].tcp, &to);
        net_mirror_run(&mirror);
    }
    for (u32 i = 0; i < countof(listeners); i++) {
        u32 got = 0;
        for (; net_end_accept(&listeners[i], &b); got++)
            net_end_abort(&b);
        net_must(got == countof(many) / countof(listeners));
        net_end_close(&listeners[i]);
    }
    for (u32 i = 0; i < countof(many); i++)
        net_end_close(&many[i]);
}

static void reuse_address(void)
{
    struct net_end second;
    const struct net_address any = {.family = NET_V4, .port = 80};
    loopback_pair(NET_V4);
    /* The server's side closes first and has TIME-WAIT, which holds the port against who does not
       say that it does not mind. */
    net_end_close(&b);
    net_mirror_run(&mirror);
    net_end_close(&a);
    net_end_close(&listener);
    net_mirror_run(&mirror);
    net_must(net_end_create(&second, NET_V4));
    net_must(status_errno(net_tcp_bind(second.tcp, &any)) == EADDRINUSE);
    net_must(is_ok(net_tcp_set(second.tcp, TCP_SET_REUSE_ADDRESS, 1)));
    net_must(is_ok(net_tcp_bind(second.tcp, &any)) && is_ok(net_tcp_listen(second.tcp, 1)));
    net_end_close(&second);
}

static void defer_accept(void)
{
    struct net_address to = net_end_loopback(NET_V4, 80);
    net_mirror_start(&mirror, 0, 1);
    net_must(net_end_listen(&listener, NET_V4, 80, 5) && net_end_create(&a, NET_V4));
    net_must(is_ok(net_tcp_set(listener.tcp, TCP_SET_DEFER_ACCEPT, 5)));
    net_tcp_connect(a.tcp, &to);
    net_mirror_run(&mirror);
    net_must(a.told & NET_WRITABLE && !(net_tcp_events(listener.tcp) & NET_READABLE));
    net_must(net_end_send(&a, "x", 1, false) == 1);
    net_mirror_run(&mirror);
    net_must(net_end_accept(&listener, &b) && net_end_receive(&b, bytes, 1) == 1);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void corked(void)
{
    loopback_pair(NET_V4);
    net_must(is_ok(net_tcp_set(a.tcp, TCP_SET_CORK, 1)));
    net_end_send(&a, "abc", 3, false);
    net_mirror_pass(&mirror, 20);
    net_must(net_end_receive(&b, bytes, 10) == -EAGAIN);
    net_must(is_ok(net_tcp_set(a.tcp, TCP_SET_CORK, 0)));
    net_mirror_run(&mirror);
    net_must(net_end_receive(&b, bytes, 10) == 3);
    net_end_send(&a, "abc", 3, true);
    net_mirror_pass(&mirror, 20);
    net_must(net_end_receive(&b, bytes, 10) == -EAGAIN);
    net_mirror_pass(&mirror, 500);
    net_must(net_end_receive(&b, bytes, 10) == 3);
}

/* A full send buffer says so, and tells when a third of it is free. */
static void buffer_full(void)
{
    loopback_pair(NET_V4);
    net_must(is_ok(net_tcp_set(a.tcp, TCP_SET_SEND_BUFFER, 65536)));
    net_must(is_ok(net_tcp_set(b.tcp, TCP_SET_RECEIVE_BUFFER, 65536)));
    u64 sent = 0;
    for (u64 here = 1; here; sent += here) {
        here = net_end_send(&a, bytes, 10000, false);
        net_mirror_pass(&mirror, 1);
    }
    net_must(!(net_tcp_events(a.tcp) & NET_WRITABLE) && sent >= 65536 && sent <= 2 * 65536 + 20000);
    a.told = 0;
    for (u64 got = 0; got < sent; net_mirror_pass(&mirror, 300)) {
        s64 here = net_end_receive(&b, bytes, 5000);
        net_must(here > 0 || here == -EAGAIN);
        got += (u64)max(here, 0);
    }
    net_must(a.told & NET_WRITABLE && net_tcp_events(a.tcp) & NET_WRITABLE);
}

static u32 released;

closure_function(thunk, memory_released, ())
{
    released++;
    memset(bytes, 0xee, 100000);
}

static void send_memory(void)
{
    loopback_pair(NET_V4);
    memset(bytes, 5, 100000);
    thunk done = stack_closure(memory_released);
    net_must(is_ok(net_tcp_send_memory(a.tcp, bytes, 100000, false, done)));
    net_tcp_push(a.tcp);
    u64 got = 0;
    static u8 piece[65536];
    while (got < 100000) {
        net_mirror_pass(&mirror, 1);
        s64 here = net_end_receive(&b, piece, sizeof(piece));
        for (s64 k = 0; k < here; k++)
            net_must(piece[k] == 5);
        got += (u64)max(here, 0);
    }
    net_mirror_pass(&mirror, 100);
    net_must(released == 1);
}

/* What more is promised for goes nevertheless, and not with the poll. */
static void send_memory_more(void)
{
    loopback_pair(NET_V4);
    memset(bytes, 5, 200000);
    thunk done = stack_closure(memory_released);
    net_must(is_ok(net_tcp_send_memory(a.tcp, bytes, 200000, true, done)));
    u64 got = 0;
    static u8 piece[65536];
    for (u32 ms = 0; ms < 20; ms++) {
        net_mirror_pass(&mirror, 1);
        got += (u64)max(net_end_receive(&b, piece, sizeof(piece)), 0);
    }
    net_must(got >= 65536);
    net_tcp_push(a.tcp);
    for (u32 ms = 0; ms < 20; ms++) {
        net_mirror_pass(&mirror, 1);
        got += (u64)max(net_end_receive(&b, piece, sizeof(piece)), 0);
    }
    net_must(got > 200000 - 65536);
}

/* --- through devices -------------------------------------------------------------------------- */

static u8 byte_at(u64 position)
{
    return (u8)(position * 7 + position / 251);
}

/* Sends `total` bytes from a to b; the milliseconds that it took. */
static u64 transfer(u64 total)
{
    static u8 got[1 << 20];
    u64 began = net_machine_now(), sent = 0, arrived = 0;
    for (u64 i = 0; i < total; i++)
        bytes[i] = byte_at(i);
    for (u32 round = 0; arrived < total; round++) {
        net_must(round < 200000);
        sent += net_end_send(&a, bytes + sent, total - sent, false);
        net_mirror_run(&mirror);
        s64 here = net_end_receive(&b, got, sizeof(got));
        for (s64 k = 0; k < here; k++)
            net_must(got[k] == byte_at(arrived + (u64)k));
        arrived += (u64)max(here, 0);
        if (here <= 0)
            net_mirror_pass(&mirror, 1);
    }
    return (net_machine_now() - began) / NS_PER_MS;
}

static void mirror_pair(u32 offloads, struct net_mirror_faults faults)
{
    net_mirror_start(&mirror, offloads, 1);
    struct net_address to = net_end_peer(80);
    pair_at(&to);
    mirror.faults = faults;
}

static void device_cuts(void)
{
    mirror_pair(all_offloads(), (struct net_mirror_faults){.cut = true});
    u64 ms = transfer(sizeof(bytes));
    net_must(mirror.large > 50 && mirror.segment_most == 1448 && ms < 2000);
    net_must(mirror.frames < 6000); /* acknowledgements included */
}

static void device_does_nothing(void)
{
    mirror_pair(0, (struct net_mirror_faults){0});
    transfer(4 << 20);
    net_must(!mirror.large);
}

static void frames_are_lost(void)
{
    mirror_pair(all_offloads(),
                (struct net_mirror_faults){.cut = true, .lost = 10, .twice = 5, .late = 10});
    transfer(4 << 20);
    net_end_close(&a);
    for (u32 i = 0; i < 10000 && net_end_receive(&b, bytes, 1) == -EAGAIN; i++)
        net_mirror_pass(&mirror, 1);
    net_must(net_end_receive(&b, bytes, 1) == 0);
}

/* A program that reads nothing closes the window; the connection lives, and goes on. */
static void window_closed(void)
{
    mirror_pair(all_offloads(), (struct net_mirror_faults){.cut = true});
    memset(bytes, 3, 1 << 20);
    u64 sent = 0, got = 0;
    for (u32 i = 0; i < 300; i++) {
        sent += net_end_send(&a, bytes, 100000, false);
        net_mirror_pass(&mirror, 100);
    }
    struct net_tcp_details d;
    net_tcp_details(a.tcp, &d);
    net_must(!d.send_window && !(net_tcp_events(a.tcp) & NET_HUNG_UP));
    static u8 piece[30000];
    for (u32 i = 0; i < 5000 && got < sent; i++) {
        s64 here = net_end_receive(&b, piece, sizeof(piece));
        got += (u64)max(here, 0);
        net_mirror_pass(&mirror, 10);
    }
    net_must(got == sent);
}

static u32 window_of(const struct net_end *e)
{
    struct net_tcp_details d;
    net_tcp_details(e->tcp, &d);
    return d.receive_space;
}

static void read_at_once(u64 count)
{
    net_must(net_end_send(&a, bytes, count, false) == count);
    for (u64 got = 0; got < count;) {
        net_mirror_run(&mirror);
        s64 here = net_end_receive(&b, bytes, sizeof(bytes));
        net_must(here > 0);
        got += (u64)here;
    }
}

/* 1 Mbit/s keeps the first window, 4 Mbit/s do not, nor do they have to fill it first. */
static void window_grows(void)
{
    loopback_pair(NET_V4);
    net_must(is_ok(net_tcp_set(a.tcp, TCP_SET_NODELAY, 1)));
    for (u32 i = 0; i < 40; i++) {
        read_at_once(4000);
        net_mirror_pass(&mirror, 40);
    }
    u32 first = window_of(&b);
    net_must(first <= 65536);
    for (u32 i = 0; i < 10; i++) {
        read_at_once(4000);
        net_mirror_pass(&mirror, 8);
    }
    net_must(window_of(&b) >= 2 * first);
}

/* --- those who are silent --------------------------------------------------------------------- */

/* Passes seconds until it failed; how many. */
static u32 seconds_to_failure(struct net_end *e, u32 most)
{
    u32 seconds = 0;
    for (; seconds < most && !(e->told & NET_FAILED); seconds++) {
        net_machine_pass(NS_PER_SECOND);
        net_mirror_run(&mirror);
    }
    return seconds;
}

static void nobody_answers(void)
{
    net_mirror_start(&mirror, 0, 1);
    struct net_address to = net_end_peer(80);
    net_must(net_end_create(&a, NET_V4));
    net_must(is_ok(net_tcp_set(a.tcp, TCP_SET_SYN_COUNT, 2)));
    mirror.faults.lost = 1000;
    net_tcp_connect(a.tcp, &to);
    u32 seconds = seconds_to_failure(&a, 200);
    net_must(seconds >= 5 && seconds <= 9); /* 1 + 2 + 4, as in Linux */
    net_must(status_errno(net_tcp_take_error(a.tcp)) == ETIMEDOUT);
}

static void user_timeout(void)
{
    mirror_pair(0, (struct net_mirror_faults){0});
    net_must(is_ok(net_tcp_set(a.tcp, TCP_SET_USER_TIMEOUT, 5000)));
    mirror.faults.lost = 1000;
    net_end_send(&a, "x", 1, false);
    u32 seconds = seconds_to_failure(&a, 100);
    net_must(seconds >= 4 && seconds <= 10);
    net_must(net_end_receive(&a, bytes, 1) == -ETIMEDOUT);
}

static void keepalive(void)
{
    mirror_pair(0, (struct net_mirror_faults){0});
    net_must(is_ok(net_tcp_set(a.tcp, TCP_SET_KEEPALIVE, 1)));
    net_must(is_ok(net_tcp_set(a.tcp, TCP_SET_KEEP_IDLE, 10)));
    net_must(is_ok(net_tcp_set(a.tcp, TCP_SET_KEEP_INTERVAL, 2)));
    net_must(is_ok(net_tcp_set(a.tcp, TCP_SET_KEEP_COUNT, 3)));
    net_must(seconds_to_failure(&a, 60) == 60);
    mirror.faults.lost = 1000;
    u32 seconds = seconds_to_failure(&a, 100);
    net_must(seconds >= 10 && seconds <= 30);
    net_must(net_end_receive(&a, bytes, 1) == -ETIMEDOUT);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* A conversation, whatever of it memory allows; false: it did not come to its end. */
static bool conversation(void)
{
    struct net_address to = net_end_loopback(NET_V4, 80);
    bool good = net_end_listen(&listener, NET_V4, 80, 5) && net_end_create(&a, NET_V4);
    good = good && status_errno(net_tcp_connect(a.tcp, &to)) == EINPROGRESS;
    for (u32 i = 0; good && i < 100 && !(listener.told & NET_READABLE); i++)
        net_mirror_pass(&mirror, 100);
    good = good && net_end_accept(&listener, &b);
    good = good && net_end_send(&a, bytes, 5000, false) == 5000;
    u64 got = 0;
    for (u32 i = 0; good && i < 100 && got < 5000; i++) {
        net_mirror_pass(&mirror, 100);
        got += (u64)max(net_end_receive(&b, bytes, 5000), 0);
    }
    net_end_close(&a);
    net_end_close(&b);
    net_end_close(&listener);
    return good && got == 5000;
}

/* Each allocation in turn is refused: the conversation ends well or with an error, and everything
   is given back. */
static void memory_fails(void)
{
    net_mirror_start(&mirror, 0, 1);
    net_must(conversation());
    end_all();
    u64 live = net_machine_live();
    for (u32 n = 1; n < 400; n++) {
        net_machine_fail(n);
        bool good = conversation();
        bool failed = net_machine_failed();
        net_machine_fail(0);
        net_must(good || failed);
        end_all();
        net_must(net_machine_live() <= live);
        if (!failed)
            return;
    }
    net_must(!"an end of allocations");
}

static void nothing_is_left(void)
{
    net_mirror_start(&mirror, 0, 1);
    net_must(conversation());
    end_all();
    u64 live = net_machine_live_bytes();
    for (u32 i = 0; i < 20; i++)
        net_must(conversation());
    end_all();
    net_must(net_machine_live_bytes() == live);
}

int main(void)
{
    net_machine_child("two ends talk over IPv4", talk_v4);
    net_machine_child("and over IPv6", talk_v6);
    net_machine_child("one direction may end alone", half_close);
    net_machine_child("nobody listens", refused);
    net_machine_child("unread bytes reset", reset_by_unread);
    net_machine_child("lingering for no time resets", reset_by_linger);
    net_machine_child("what is unsent is sent after close", close_with_unsent);
    net_machine_child("a drained connection says so", drained);
    net_machine_child("a listener of both families", dual_stack);
    net_machine_child("the backlog is a bound", backlog);
    net_machine_child("what happens before accept is kept", before_accept);
    net_machine_child("SO_REUSEPORT spreads connections", reuse_port);
    net_machine_child("SO_REUSEADDR and TIME-WAIT", reuse_address);
    net_machine_child("TCP_DEFER_ACCEPT waits for bytes", defer_accept);
    net_machine_child("a corked part waits, and not for ever", corked);
    net_machine_child("a full send buffer", buffer_full);
    net_machine_child("memory is sent without a copy", send_memory);
    net_machine_child("so are whole segments of what is to go on", send_memory_more);
    net_machine_child("a device cuts segments", device_cuts);
    net_machine_child("a device does nothing", device_does_nothing);
    net_machine_child("frames are lost, late and twice", frames_are_lost);
    net_machine_child("a closed window opens", window_closed);
    net_machine_child("a window grows in time", window_grows);
    net_machine_child("nobody answers", nobody_answers);
    net_machine_child("TCP_USER_TIMEOUT", user_timeout);
    net_machine_child("keep-alive", keepalive);
    net_machine_child("each allocation fails", memory_fails);
    net_machine_child("nothing is left behind", nothing_is_left);
    return done_testing();
}
