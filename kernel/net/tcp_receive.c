/* Endpoints of TCP: receiving.  What came lies in lwIP's pbufs, where the device put it, until the
   program has copied it.

   The window that is offered is what may be unread: it grows from 64 KiB to 4 MiB while the program
   reads at a rate of a window in half a second, so connections with round trips up to that are not
   held back by it, and slow ones hold little memory.  A quarter of the window tells that rate: the
   next doubling has to be there before a sender that doubles each round trip has filled this one,
   and what is lost and comes late is in it too.  Small pieces in large buffers are
   copied together, so that memory stays in proportion to bytes. */
#include "kernel/clock.h"
#include "kernel/memory.h"
#include "kernel/net/internal.h"
#include "kernel/net/tcp_endpoint.h"
#include "runtime/memory.h"

#define ROUND_NS           (NS_PER_SECOND / 2 / ROUND_PART)
#define ROUND_PART         4            /* of the window */
#define NEWS_MOST          (256u << 10) /* the window is told of when it opened that far */
#define SMALL_PIECE        1024u        /* bytes; smaller ones are copied together */
#define PIECES_AS_THEY_ARE 8u           /* so many are kept where they are all the same */
#define COLLECTOR_BYTES    4000u
#define QUICK_BYTES        (16u * 1460u) /* at a connection's beginning */

/* --- the window ------------------------------------------------------------------------------- */

static u32 window_most(const struct net_tcp *e)
{
    u32 most = (u32)TCP_WND_MAX(e->pcb);
    u32 set = e->options[TCP_SET_RECEIVE_BUFFER];
    if (net_tcp_memory_is_short())
        most = min(most, NET_TCP_WINDOW_FIRST);
    return set ? min(most, set) : most;
}

void net_tcp_window_begin(struct net_tcp *e)
{
    struct tcp_pcb *pcb = e->pcb;
    e->window = min(NET_TCP_WINDOW_FIRST, (u32)TCP_WND_MAX(pcb));
    if (e->options[TCP_SET_RECEIVE_BUFFER])
        e->window = window_most(e);
    /* The SYN offered 16 bits without scale, whatever lwIP thinks. */
    pcb->rcv_wnd = pcb->rcv_ann_wnd = min(e->window, NET_TCP_WINDOW_FIRST);
    pcb->rcv_ann_right_edge = pcb->rcv_nxt + NET_TCP_WINDOW_FIRST;
    e->round_began_ns = 0;
}

/* Tells lwIP what may come, and the other side when that is much more than it knows. */
static void window_open(struct net_tcp *e)
{
    struct tcp_pcb *pcb = e->pcb;
    u64 unread = e->received_bytes;
    u32 free = unread < e->window ? (u32)(e->window - unread) : 0;
    if (free > pcb->rcv_wnd)
        pcb->rcv_wnd = free;
    u32 news = pcb->rcv_nxt + pcb->rcv_wnd - pcb->rcv_ann_right_edge;
    if ((s32)news >= (s32)min(e->window / 4, NEWS_MOST)) {
        pcb->rcv_ann_wnd = pcb->rcv_wnd;
        tcp_ack_now(pcb);
        tcp_output(pcb);
    }
}

/* `bytes` more were read. */
static void window_tune(struct net_tcp *e, u64 bytes)
{
    e->round_bytes += bytes;
    if (e->round_bytes < e->window / ROUND_PART)
        return;
    u64 now = clock_monotonic_ns();
    if (now - e->round_began_ns < ROUND_NS && !e->options[TCP_SET_RECEIVE_BUFFER])
        e->window = max(e->window, min(e->window * 2, window_most(e)));
    e->round_began_ns = now;
    e->round_bytes = 0;
}

/* --- what comes ------------------------------------------------------------------------------- */

/* Copies a small chain to the end of the last pbuf, which is ours alone; false: no room. */
static bool collect(struct net_tcp *e, const struct pbuf *p)
{
    struct pbuf *last = e->received_last;
    if (!last || !(last->flags & PBUF_FLAG_COLLECTOR) || COLLECTOR_BYTES - last->len < p->tot_len)
        return false;
    pbuf_copy_partial(p, (u8 *)last->payload + last->len, p->tot_len, 0);
    last->len = last->tot_len = (u16_t)(last->len + p->tot_len);
    return true;
}

static void queue_append(struct net_tcp *e, struct pbuf *p)
{
    if (e->received_last)
        e->received_last->next = p;
    else
        e->received = p;
    for (; p->next; p = p->next)
        e->received_pbufs++;
    e->received_pbufs++;
    e->received_last = p;
}

/* A new collector at the end, when there is memory. */
static void collector_append(struct net_tcp *e)
{
    struct pbuf *collector = pbuf_alloc(PBUF_RAW, COLLECTOR_BYTES, PBUF_RAM);
    if (!collector)
        return;
    collector->flags |= PBUF_FLAG_COLLECTOR;
    collector->len = collector->tot_len = 0;
    queue_append(e, collector);
}

static void queue_add(struct net_tcp *e, struct pbuf *p)
{
    u16_t bytes = p->tot_len;
    e->received_bytes += bytes;
    e->bytes_received += bytes;
    net_tcp_memory_used += bytes;
    if (bytes < SMALL_PIECE && e->received_pbufs >= PIECES_AS_THEY_ARE) {
        bool done = collect(e, p);
        if (!done) {
            collector_append(e);
            done = collect(e, p);
        }
        if (done) {
            pbuf_free(p);
            return;
        }
    }
    queue_append(e, p);
}

static void fin_came(struct net_tcp *e)
{
    e->fin = true;
    net_tcp_notify(e, NET_READABLE | NET_READ_ENDED | (e->finished ? NET_HUNG_UP : 0));
}

/* Nothing is known yet of how the two talk: acknowledged at once, as in Linux, what comes is not
   held up by the other side's Nagle. */
static bool is_beginning(const struct net_tcp *e)
{
    return !e->bytes_sent && e->bytes_received < QUICK_BYTES;
}

err_t net_tcp_input(void *endpoint, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    struct net_tcp *e = endpoint;
    (void)error;
    if (!p) {
        fin_came(e);
        return ERR_OK;
    }
    if (e->read_shut) {
        e->bytes_received += p->tot_len;
        pbuf_free(p);
        window_open(e);
        return ERR_OK;
    }
    queue_add(e, p);
    if (e->options[TCP_SET_QUICKACK] || is_beginning(e))
        tcp_ack_now(pcb);
    e->received_ns = net_time_ns();
    net_tcp_notify(e, NET_READABLE);
    return ERR_OK;
}

/* --- what the program reads ------------------------------------------------------------------- */

/* Nothing lies at the offset.  The error is for who asks for the next byte, not for who looks
   whether there is more. */
static status nothing_there(struct net_tcp *e, u64 offset)
{
    if (!is_ok(e->error) && !offset) {
        status s = e->error;
        e->error = STATUS_OK;
        return s;
    }
    if (e->role != NET_TCP_CONNECTED)
        return e->role == NET_TCP_CONNECTING ? status_error(EAGAIN, "tcp: it is connecting", 0)
               : e->finished                 ? STATUS_OK
                                             : status_error(ENOTCONN, "tcp: not connected", 0);
    if (e->fin || e->read_shut || !e->pcb)
        return STATUS_OK;
    return status_error(EAGAIN, "tcp: nothing has come", 0);
}

status net_tcp_received(struct net_tcp *e, u64 offset, const void **memory, u64 *bytes)
{
    *bytes = 0;
    if (offset >= e->received_bytes)
        return nothing_there(e, offset);
    struct pbuf *p = e->received;
    u64 at = offset + e->taken; /* from the beginning of p */
    if (e->cursor && e->cursor_offset <= at) {
        p = e->cursor;
        at -= e->cursor_offset;
    }
    while (at >= p->len) {
        at -= p->len;
        p = p->next;
    }
    e->cursor = p;
    e->cursor_offset = offset + e->taken - at;
    *memory = (const u8 *)p->payload + at;
    *bytes = p->len - at;
    return STATUS_OK;
}

static void first_pbuf_free(struct net_tcp *e)
{
    struct pbuf *p = e->received;
    e->received = p->next;
    if (!e->received)
        e->received_last = NULL;
    e->received_pbufs--;
    p->next = NULL;
    p->tot_len = p->len;
    pbuf_free(p);
}

void net_tcp_take(struct net_tcp *e, u64 bytes)
{
    if (!bytes)
        return;
    e->received_bytes -= bytes;
    net_tcp_memory_used -= bytes;
    e->cursor = NULL;
    u64 left = bytes + e->taken;
    while (e->received && left >= e->received->len) {
        left -= e->received->len;
        first_pbuf_free(e);
    }
    e->taken = (u32)left;
    if (!e->pcb || e->fin)
        return;
    window_tune(e, bytes);
    window_open(e);
}

void net_tcp_received_drop(struct net_tcp *e)
{
    net_tcp_memory_used -= e->received_bytes;
    e->received_bytes = e->taken = 0;
    e->cursor = NULL;
    while (e->received)
        first_pbuf_free(e);
}

u64 net_tcp_received_bytes(const struct net_tcp *e)
{
    return e->received_bytes;
}
