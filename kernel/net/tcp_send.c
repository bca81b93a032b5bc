/* Endpoints of TCP: sending.  A program's bytes are copied once, into blocks of the endpoint; lwIP
   refers to them there until they are acknowledged.

   A block is as large as what is being sent makes likely: 1 KiB for a short answer, 64 KiB in the
   middle of a long one.  It is freed when all of it is acknowledged, through the limbo (limbo.h)
   when parts of it were sent twice.

   What lwIP has no memory for stays `unwritten`, and is offered again when bytes are acknowledged,
   or by the poll; so does the part of a segment that is held back for a corked endpoint. */
#include "kernel/clock.h"
#include "kernel/memory.h"
#include "kernel/net/internal.h"
#include "kernel/net/tcp_endpoint.h"
#include "runtime/assert.h"

#define BLOCK_LEAST 1024u
#define BLOCK_MOST  (64u << 10)
#define WRITE_MOST  0xf000u /* of lwIP's tcp_write at once, whose lengths have 16 bits */
#define COPY_MOST   512u    /* bytes of a whole answer that cost less copied than referred to */
#define OUTPUT_AFTER                                                                               \
    (64u << 10) /* bytes, after which sending begins before the program is done                    \
                 */

/* --- blocks ----------------------------------------------------------------------------------- */

static void block_free(struct net_limbo_item *item)
{
    struct net_send_block *b = container_of(item, struct net_send_block, limbo);
    thunk released = b->released;
    deallocate(general_heap, b, b->allocated);
    if (released)
        apply(released);
}

/* The first block leaves the list. */
static void first_block_release(struct net_tcp *e)
{
    struct net_send_block *b = e->first;
    e->first = b->next;
    if (e->last == b)
        e->last = NULL;
    if (e->writing == b)
        e->writing = b->next;
    net_tcp_memory_used -= b->allocated;
    if (e->retried)
        net_limbo_add(&b->limbo);
    else
        block_free(&b->limbo);
}

void net_tcp_blocks_release(struct net_tcp *e)
{
    if (e->first)
        e->retried = true; /* nothing says that the device is done with any of it */
    while (e->first)
        first_block_release(e);
    e->queued = e->unwritten = 0;
    e->retried = false;
}

static void block_append(struct net_tcp *e, struct net_send_block *b)
{
    if (e->last)
        e->last->next = b;
    else
        e->first = b;
    e->last = b;
    if (!e->writing)
        e->writing = b;
    net_tcp_memory_used += b->allocated;
}

/* A block of the endpoint's own for so many bytes, or for fewer when memory is short. */
static struct net_send_block *block_create(u64 wanted)
{
    u64 bytes = min(max(wanted + sizeof(struct net_send_block), (u64)BLOCK_LEAST), (u64)BLOCK_MOST);
    bytes = 1ull << ceil_log2(bytes);
    struct net_send_block *b = allocate(general_heap, bytes);
    while (!b && bytes > BLOCK_LEAST) {
        bytes /= 4;
        b = allocate(general_heap, bytes);
    }
    if (!b)
        return NULL;
    *b = (struct net_send_block){.limbo = {.release = block_free},
                                 .memory = (u8 *)(b + 1),
                                 .room = bytes - sizeof(*b),
                                 .allocated = bytes};
    return b;
}

/* --- giving bytes to lwIP --------------------------------------------------------------------- */

static bool is_held(const struct net_tcp *e)
{
    return (e->more || net_tcp_has(e, TCP_SET_CORK)) && !e->finished;
}

/* Of less than a segment nothing goes, and all is known that has to be. */
static bool stays_held(const struct net_tcp *e)
{
    return e->unwritten < (u64)tcp_mss(e->pcb) && is_held(e);
}

/* How many of the unwritten bytes may go now: whole segments alone, when the rest is held back. */
static u64 writable_now(struct net_tcp *e)
{
    if (!is_held(e)) {
        e->held_ns = 0;
        return e->unwritten;
    }
    u64 part = e->unwritten % tcp_mss(e->pcb);
    if (!part)
        e->held_ns = 0;
    else if (!e->held_ns)
        e->held_ns = clock_monotonic_ns();
    return e->unwritten - part;
}

/* Copied bytes lie behind the packet's headers, in one piece: only when that will be all of it. */
static u8_t write_flags(const struct tcp_pcb *pcb, u64 bytes, u64 allowed)
{
    if (bytes < allowed)
        return TCP_WRITE_FLAG_MORE;
    return bytes <= COPY_MOST && !pcb->unsent ? TCP_WRITE_FLAG_COPY : 0;
}

/* False: lwIP takes no more now. */
static bool write_from_block(struct net_tcp *e, struct net_send_block *b, u64 *allowed)
{
    u64 bytes = min(b->filled - b->written, *allowed);
    bytes = min(bytes, (u64)WRITE_MOST);
    bytes = min(bytes, (u64)e->pcb->snd_buf);
    if (!bytes)
        return false;
    u8_t flags = write_flags(e->pcb, bytes, *allowed);
    if (tcp_write(e->pcb, b->memory + b->written, (u16_t)bytes, flags) != ERR_OK)
        return false;
    b->written += bytes;
    e->unwritten -= bytes;
    *allowed -= bytes;
    return true;
}

static void write_fin(struct net_tcp *e)
{
    /* Without memory lwIP remembers the FIN itself, and tries again. */
    e->fin_queued = true;
    tcp_shutdown(e->pcb, 0, 1);
}

void net_tcp_write_queued(struct net_tcp *e)
{
    if (!e->pcb || e->role != NET_TCP_CONNECTED)
        return;
    if (e->unwritten) {
        if (!e->pcb->unacked && !e->pcb->unsent)
            e->progress_ns = net_time_ns();
        u64 allowed = writable_now(e);
        while (allowed) {
            while (e->writing && e->writing->written == e->writing->filled)
                e->writing = e->writing->next;
            assert(e->writing); /* what is unwritten lies in a block */
            if (!write_from_block(e, e->writing, &allowed))
                break;
        }
    }
    if (e->finished && !e->fin_queued && !e->unwritten)
        write_fin(e);
}

void net_tcp_held_check(struct net_tcp *e)
{
    if (!e->held_ns || clock_monotonic_ns() - e->held_ns < NET_TCP_HELD_MS * NS_PER_MS)
        return;
    bool corked = e->options[TCP_SET_CORK];
    e->options[TCP_SET_CORK] = e->more = false;
    net_tcp_write_queued(e);
    e->options[TCP_SET_CORK] = corked;
}

/* --- what was acknowledged -------------------------------------------------------------------- */

/* Twice what may be on its way: one half there, one half being prepared. */
static void tune_limit(struct net_tcp *e)
{
    if (e->options[TCP_SET_SEND_BUFFER])
        return;
    u64 wanted = 2 * (u64)e->pcb->cwnd;
    if (net_tcp_memory_is_short())
        e->send_limit = NET_TCP_PRESSED_BUFFER;
    else if (wanted > e->send_limit)
        e->send_limit = min(wanted, (u64)NET_TCP_BUFFER_MOST);
    else if (e->send_limit < NET_TCP_SEND_FIRST)
        e->send_limit = NET_TCP_SEND_FIRST;
}

bool net_tcp_is_writable(const struct net_tcp *e)
{
    if (!e->pcb || e->finished)
        return true; /* it fails at once */
    u32 lowest = e->options[TCP_SET_NOTSENT_LOWAT];
    if (lowest && e->unwritten + (e->pcb->snd_lbb - e->pcb->snd_nxt) >= lowest)
        return false;
    return e->queued <= e->send_limit / 3 * 2;
}

static void blocks_acknowledge(struct net_tcp *e, u64 bytes)
{
    e->queued -= bytes;
    e->bytes_acknowledged += bytes;
    while (bytes) {
        struct net_send_block *b = e->first;
        u64 here = min(b->written - b->acknowledged, bytes);
        b->acknowledged += here;
        bytes -= here;
        if (b->acknowledged == b->filled)
            first_block_release(e);
    }
    if (!e->first)
        e->retried = false;
}

err_t net_tcp_acknowledged(void *endpoint, struct tcp_pcb *pcb, u16_t bytes)
{
    struct net_tcp *e = endpoint;
    if (pcb->net_recovery.resent)
        e->retried = true;
    pcb->net_recovery.resent = false;
    blocks_acknowledge(e, bytes);
    e->progress_ns = net_time_ns();
    tune_limit(e);
    if (e->unwritten)
        net_tcp_write_queued(e);
    if (e->full && net_tcp_is_writable(e)) {
        e->full = false;
        net_tcp_notify(e, NET_WRITABLE);
    }
    if (e->closed)
        net_tcp_detach_closed(e);
    return ERR_OK;
}

/* --- what sockets call ------------------------------------------------------------------------ */

/* Whether bytes may be sent at all; the error that was kept, once. */
static status send_check(struct net_tcp *e)
{
    if (unlikely(!is_ok(e->error))) {
        status s = e->error;
        e->error = STATUS_OK;
        return s;
    }
    if (unlikely(e->role != NET_TCP_CONNECTED))
        return e->role == NET_TCP_CONNECTING ? status_error(EAGAIN, "tcp: it is connecting", 0)
               : e->finished                 ? status_error(EPIPE, "tcp: no connection", 0)
                                             : status_error(ENOTCONN, "tcp: not connected", 0);
    if (unlikely(!e->pcb || e->finished))
        return status_error(EPIPE, "tcp: the sending side is over", 0);
    if (e->queued >= e->send_limit) {
        e->full = true;
        return status_error(EAGAIN, "tcp: the send buffer is full", 0);
    }
    return STATUS_OK;
}

status net_tcp_send_room(struct net_tcp *e, void **memory, u64 *bytes)
{
    status s = send_check(e);
    if (unlikely(!is_ok(s)))
        return s;
    u64 wanted = min(*bytes ? *bytes : 1, e->send_limit - e->queued);
    struct net_send_block *b = e->last;
    u64 room = b && !b->released ? b->room - b->filled : 0;
    if (!b || room < min(wanted, (u64)512)) {
        b = block_create(max(wanted, min(e->queued, (u64)BLOCK_MOST / 2)));
        if (!b)
            return status_error(ENOBUFS, "tcp: out of memory", 0);
        block_append(e, b);
        room = b->room;
    }
    *memory = b->memory + b->filled;
    *bytes = min(room, e->send_limit - e->queued);
    return STATUS_OK;
}

static void bytes_queued(struct net_tcp *e, u64 bytes, bool more)
{
    e->queued += bytes;
    e->unwritten += bytes;
    e->bytes_sent += bytes;
    e->more = more;
    if (e->queued > e->send_limit / 3 * 2)
        e->full = true;
    if (e->unwritten >= OUTPUT_AFTER)
        net_tcp_write_queued(e);
    /* Whole segments go while the program prepares more. */
    if (more && e->pcb->unsent && e->pcb->unsent->next)
        tcp_output(e->pcb);
}

void net_tcp_send(struct net_tcp *e, u64 bytes, bool more)
{
    if (!bytes)
        return;
    e->last->filled += bytes;
    bytes_queued(e, bytes, more);
}

void net_tcp_push(struct net_tcp *e)
{
    if (!e->pcb || e->role != NET_TCP_CONNECTED)
        return;
    const u16_t unfinished = TF_ACK_NOW | TF_NAGLEMEMERR;
    bool all_held = !e->unwritten || (e->held_ns && stays_held(e));
    if (all_held && !e->pcb->unsent && !(e->pcb->flags & unfinished))
        return;
    struct net_time before = net_time_hold();
    net_output_hold();
    if (e->unwritten)
        net_tcp_write_queued(e);
    if (e->pcb->unsent || e->pcb->flags & unfinished)
        tcp_output(e->pcb);
    if (e->unwritten || e->pcb->pollinterval != NET_TCP_NEVER)
        net_tcp_poll_unwritten(e);
    net_output_release();
    net_time_release(before);
}

status net_tcp_send_memory(struct net_tcp *e, const void *memory, u64 bytes, bool more,
                           thunk released)
{
    status s = send_check(e);
    if (!is_ok(s))
        return s;
    struct net_send_block *b = allocate(general_heap, sizeof(*b));
    if (!b)
        return status_error(ENOBUFS, "tcp: out of memory", 0);
    *b = (struct net_send_block){.limbo = {.release = block_free},
                                 .memory = (u8 *)(uintptr_t)memory,
                                 .room = bytes,
                                 .filled = bytes,
                                 .allocated = sizeof(*b),
                                 .released = released};
    block_append(e, b);
    bytes_queued(e, bytes, more);
    return STATUS_OK;
}

u64 net_tcp_unsent_bytes(const struct net_tcp *e)
{
    return e->queued;
}
