/* Random conversations of TCP against a model: what was written at one end, whatever the program,
   the wire and memory did meanwhile, is what is read at the other, byte for byte, or the connection
   has failed and says so.  Prints its seed; SOAK makes it longer. */
#include "test/host/net_ends.h"
#include "test/host/net_machine.h"
#include "test/host/net_mirror.h"

#include <stdlib.h>
#include <string.h>

#define PAIRS      10u
#define STEPS      2500u
#define SOAK_STEPS 60000u
#define MEMORY     200000u /* bytes of the longest piece that is sent without a copy */

/* One end, with the model of what it sends: byte n of its stream is byte_at(key, n). */
struct side {
    struct net_end end;
    struct side *other;
    u32 key;
    u64 sent, got;
    bool finished, ended; /* sent FIN; saw the other one's */
    bool failed;          /* may see an error from now on */
};

static struct pair {
    struct side from, to;
} pairs[PAIRS];
static struct net_mirror mirror;
static struct net_end listener;
static struct random chance;
static u64 seed;
static u32 keys, memory_held, accepted;

static u32 below(u32 limit)
{
    return (u32)random_below(&chance, limit);
}

static u8 byte_at(u32 key, u64 position)
{
    return (u8)((position * 2654435761u ^ (position >> 9) * 40503u ^ key) >> 3);
}

static void fill(struct side *s, u8 *to, u64 count)
{
    for (u64 i = 0; i < count; i++)
        to[i] = byte_at(s->key, s->sent + i);
}

/* An errno that a connection may have come to, when its other side or the wire did something. */
static void errno_check(struct side *s, int error)
{
    if (error == EAGAIN || error == ENOBUFS)
        return;
    net_must(error == ECONNRESET || error == EPIPE || error == ETIMEDOUT);
    net_must(s->failed);
}

/* --- operations ------------------------------------------------------------------------------- */

static void side_send(struct side *s)
{
    u64 count = 1 + below(below(10) ? below(3) ? 200 : 20000 : 300000), done = 0;
    bool more = !below(4);
    while (done < count) {
        void *room;
        u64 here = below(2) ? count - done : 0;
        status result = net_tcp_send_room(s->end.tcp, &room, &here);
        if (!is_ok(result)) {
            errno_check(s, status_errno(result));
            break;
        }
        here = min(here, count - done);
        if (!below(3))
            here = 1 + below((u32)here);
        fill(s, room, here);
        s->sent += here;
        done += here;
        net_tcp_send(s->end.tcp, here, more || done < count);
    }
    net_tcp_push(s->end.tcp);
}

struct memory {
    struct thunk released;
    u64 count;
    u8 bytes[];
};

closure_method(thunk, memory_released, struct memory, released)
{
    struct memory *m = owner();
    memory_held--;
    memset(m->bytes, 0xee, m->count); /* whoever still looks sees it */
    free(m);
}

static void side_send_memory(struct side *s)
{
    u64 count = 1 + below(MEMORY);
    struct memory *m = malloc(sizeof(*m) + count);
    m->count = count;
    fill(s, m->bytes, count);
    init_method(&m->released, memory_released);
    status result = net_tcp_send_memory(s->end.tcp, m->bytes, count, !below(4), &m->released);
    if (!is_ok(result)) {
        errno_check(s, status_errno(result));
        free(m);
        return;
    }
    memory_held++;
    s->sent += count;
    net_tcp_push(s->end.tcp);
}

/* Nothing more: then all that the other side sent has come, unless it failed. */
static void side_ended(struct side *s)
{
    s->ended = true;
    if (!s->failed)
        net_must(s->other->finished && s->got == s->other->sent);
}

static void side_receive(struct side *s, u32 most)
{
    u64 done = 0;
    while (done < most && !s->ended) {
        const void *from;
        u64 here;
        status result = net_tcp_received(s->end.tcp, done, &from, &here);
        if (!is_ok(result)) {
            errno_check(s, status_errno(result));
            break;
        }
        if (!here) {
            if (!done)
                side_ended(s);
            break;
        }
        for (u64 i = 0; i < here; i++)
            net_must(((const u8 *)from)[i] == byte_at(s->other->key, s->got + done + i));
        done += here;
    }
    if (!done)
        return;
    u64 taken = below(4) ? done : 1 + below((u32)done);
    net_tcp_take(s->end.tcp, taken);
    s->got += taken;
}

static void side_shut(struct side *s)
{
    if (is_ok(net_tcp_shutdown(s->end.tcp, false, true)))
        s->finished = true;
}

static void side_close(struct side *s, bool abort)
{
    if (!s->end.tcp)
        return;
    s->other->failed = s->failed = true;
    if (abort)
        net_end_abort(&s->end);
    else
        net_end_close(&s->end);
}

static void pair_connect(struct pair *p)
{
    struct net_mirror_faults faults = mirror.faults;
    struct net_address to = below(2) ? net_end_peer(80) : net_end_loopback(NET_V4, 80);
    memset(p, 0, sizeof(*p));
    p->from.other = &p->to;
    p->to.other = &p->from;
    p->from.key = ++keys * 77;
    p->to.key = ++keys * 77;
    if (!net_end_create(&p->from.end, NET_V4))
        return;
    net_tcp_connect(p->from.end.tcp, &to);
    mirror.faults.lost = 0;
    for (u32 i = 0; i < 40 && !(net_tcp_events(listener.tcp) & NET_READABLE); i++)
        net_mirror_pass(&mirror, 100);
    mirror.faults = faults;
    if (net_end_accept(&listener, &p->to.end))
        accepted++;
    else
        side_close(&p->from, true);
}

static void side_operate(struct side *s, u32 operation)
{
    switch (operation) {
    case 0:
        net_tcp_set(s->end.tcp, TCP_SET_CORK, below(2));
        break;
    case 1:
        net_tcp_set(s->end.tcp, TCP_SET_NODELAY, below(2));
        break;
    case 2:
        if (!below(40))
            side_close(s, below(2));
        break;
    case 3:
        if (!below(10) && !s->finished)
            side_shut(s);
        break;
    case 4:
        if (!s->finished)
            side_send_memory(s);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        if (!s->finished)
            side_send(s);
        break;
    default:
        side_receive(s, 1 + below(below(2) ? 3000 : 2000000));
    }
}

static void step(u32 failing)
{
    struct pair *p = &pairs[below(PAIRS)];
    struct side *s = below(2) ? &p->from : &p->to;
    if (failing)
        net_machine_fail(1 + below(failing));
    if (!p->from.end.tcp && !p->to.end.tcp)
        pair_connect(p);
    else if (s->end.tcp)
        side_operate(s, below(16));
    else if (!below(8))
        side_close(s->other, below(2));
    if (!below(8))
        net_mirror_pass(&mirror, below(10) ? below(20) : below(400));
    else if (below(2))
        net_mirror_run(&mirror);
    if (failing)
        net_machine_fail(0);
}

/* --- a run ------------------------------------------------------------------------------------ */

static bool pair_is_over(const struct pair *p)
{
    return (p->from.ended || p->from.failed) && (p->to.ended || p->to.failed);
}

/* Both ends read until the end: it must come. */
static void pair_finish(struct pair *p)
{
    if (!p->from.end.tcp || !p->to.end.tcp)
        return;
    side_shut(&p->from);
    side_shut(&p->to);
    for (u32 i = 0; !pair_is_over(p); i++) {
        net_must(i < 20000);
        side_receive(&p->from, 4000000);
        side_receive(&p->to, 4000000);
        net_mirror_pass(&mirror, i < 200 ? 5 : 200);
    }
}

static void run(u32 offloads, struct net_mirror_faults faults, u32 failing)
{
    random_init(&chance, seed);
    net_mirror_start(&mirror, offloads, seed);
    u64 live = net_machine_live();
    net_must(net_end_listen(&listener, NET_V4, 80, 10));
    mirror.faults = faults;
    u32 steps = getenv("SOAK") ? SOAK_STEPS : STEPS;
    for (u32 i = 0; i < steps; i++)
        step(failing);
    mirror.faults.lost = 0;
    for (u32 i = 0; i < PAIRS; i++) {
        pair_finish(&pairs[i]);
        side_close(&pairs[i].from, false);
        side_close(&pairs[i].to, false);
    }
    net_end_close(&listener);
    for (u32 i = 0; i < 3000; i++) {
        net_machine_pass(NS_PER_SECOND);
        net_mirror_run(&mirror);
    }
    net_must(accepted > PAIRS / 2 && !memory_held);
    net_must(net_machine_live() <= live + 8); /* neighbours, and frames for the next time */
}

#define CUTS (NET_CHECKSUM_OUT | NET_CHECKSUM_IN | NET_SEGMENT_V4 | NET_LARGE_IN)

static void plain(void)
{
    run(0, (struct net_mirror_faults){0}, 0);
}

static void cut(void)
{
    run(CUTS, (struct net_mirror_faults){.cut = true}, 0);
}

static void whole(void)
{
    run(CUTS, (struct net_mirror_faults){0}, 0);
}

static void lossy(void)
{
    run(CUTS, (struct net_mirror_faults){.cut = true, .lost = 20, .twice = 10, .late = 10}, 0);
}

static void without_memory(void)
{
    run(CUTS, (struct net_mirror_faults){.cut = true, .late = 5}, 60);
}

int main(void)
{
    seed = test_seed();
    net_machine_child("a device that does nothing", plain);
    net_machine_child("a device that cuts segments", cut);
    net_machine_child("large segments that stay whole", whole);
    net_machine_child("frames lost, late and twice", lossy);
    net_machine_child("allocations that fail", without_memory);
    return done_testing();
}
