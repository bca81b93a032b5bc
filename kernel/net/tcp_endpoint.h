/* Inside kernel/net/ only: an endpoint of TCP, and how its files divide the work.

   An endpoint has a pcb of lwIP's from the moment it connects, or was accepted, until lwIP frees
   the pcb: then lwIP tells (net_tcp_gone), whatever the reason.  Before that, options and the
   address live here alone.  A listener has a struct net_tcp_listener, which endpoints of
   SO_REUSEPORT share, and that has lwIP's listening pcb.

   When the owner closes it, the endpoint lives on while the pcb may still need bytes of it
   (`closed`); then the pcb goes on alone.

   Callbacks of lwIP never free the pcb that they are about, and `changed` calls nothing of ours:
   so nothing here is entered twice. */
#pragma once

#include "kernel/net/limbo.h"
#include "kernel/net/ports.h"
#include "kernel/net/tcp.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#define PBUF_FLAG_COLLECTOR 0x80u /* a pbuf of ours that small pieces are copied to */

#define NET_TCP_BUFFER_LEAST   (16u << 10)
#define NET_TCP_BUFFER_MOST    (4u << 20)
#define NET_TCP_SEND_FIRST     (256u << 10) /* the send buffer's limit, before it is tuned */
#define NET_TCP_WINDOW_FIRST   65535u       /* the receive window's; a SYN cannot say more */
#define NET_TCP_ORPHANS_MOST   8192u        /* closed connections that still have bytes to send */
#define NET_TCP_PRESSED_BUFFER (16u << 10)  /* of each connection while memory is short */
#define NET_TCP_HELD_MS        200u         /* how long a corked part of a segment waits */
#define NET_TCP_NEVER          255u         /* a poll interval of lwIP's */

enum net_tcp_role {
    NET_TCP_FRESH, /* no connection: new, or bound, or an attempt failed */
    NET_TCP_LISTENING,
    NET_TCP_CONNECTING,
    NET_TCP_CONNECTED, /* was connected: pcb is NULL when it is over */
};

/* Bytes of one piece of memory, to be sent; in the stream's order on the endpoint's list until they
   are acknowledged. */
struct net_send_block {
    struct net_limbo_item limbo;
    struct net_send_block *next;
    u8 *memory;
    u64 room;         /* of memory */
    u64 filled;       /* by the program */
    u64 written;      /* of these, given to lwIP */
    u64 acknowledged; /* of these */
    u64 allocated;    /* of this struct's memory */
    thunk released;   /* memory of somebody else's; NULL: it follows the struct */
};

struct net_tcp {
    struct tcp_pcb *pcb;
    net_changed changed; /* NULL: closed, or not accepted yet */
    struct list link;    /* of all_endpoints */
    u8 family;           /* enum net_family */
    u8 role;             /* enum net_tcp_role */
    bool closed;         /* by its owner */
    bool finished;       /* no more bytes to send: FIN follows what is unsent */
    bool fin_queued;     /* lwIP knows */
    bool read_shut;
    bool fin;          /* came */
    bool full;         /* more than two thirds of the send buffer: NET_WRITABLE will tell */
    bool more;         /* the last bytes came with MSG_MORE */
    u16 chosen_port;   /* given back with the pcb; 0: none */
    bool retried;      /* segments of what is in blocks were sent twice */
    status error;      /* kept for whoever asks */
    status soft_error; /* what ICMP said; the reason, should the connection time out */
    u32 options[TCP_OPTION_COUNT];
    struct net_binding binding;
    struct net_address local, remote; /* from the handshake on */

    /* sending: kernel/net/tcp_send.c */
    struct net_send_block *first, *last; /* all blocks */
    struct net_send_block *writing;      /* the first whose bytes lwIP does not have all */
    u64 queued;                          /* bytes in blocks, not acknowledged */
    u64 unwritten;                       /* of these, not given to lwIP */
    u64 send_limit;
    u64 progress_ns; /* when something was acknowledged, or sent into silence */
    u64 held_ns;     /* since when a part of a segment is held back; 0: none is */
    u64 bytes_sent, bytes_acknowledged;

    /* receiving: kernel/net/tcp_receive.c */
    struct pbuf *received, *received_last;
    u64 received_bytes; /* in there, less `taken` */
    u32 taken;          /* of the first pbuf */
    u32 received_pbufs;
    struct pbuf *cursor; /* of net_tcp_received: this pbuf begins at cursor_offset */
    u64 cursor_offset;
    u32 window;         /* bytes that may be unread */
    u64 round_began_ns; /* a round of tuning: a window's worth is read in it */
    u64 round_bytes;
    u64 bytes_received;
    u64 received_ns;

    /* listening: kernel/net/tcp_listen.c */
    struct net_tcp_listener *listener;
    struct list listener_link;   /* of the listener's members; of an accept queue */
    struct list accept_queue;    /* connections to accept, or (deferred) whose bytes are awaited */
    struct net_tcp *accepted_by; /* while it is on that one's queue */
    bool deferred;
    u64 deferred_ns; /* until then */
    u32 accept_count, backlog;
};

/* --- tcp.c: making and ending ------------------------------------------------------------------
 */

extern struct net_ports net_tcp_ports;
extern struct list net_tcp_all; /* endpoints that somebody owns, or that have bytes to send */
/* Connections that nobody owns any more, TIME-WAIT included. */
u32 net_tcp_orphans(void);

struct net_tcp *net_tcp_endpoint_create(u8 family, net_changed changed);
/* Gives everything of it back; it has no pcb. */
void net_tcp_endpoint_free(struct net_tcp *e);
/* Tells who waits, if somebody does. */
void net_tcp_notify(struct net_tcp *e, u32 events);
/* Makes the pcb e's: from now on lwIP calls back. */
void net_tcp_attach(struct net_tcp *e, struct tcp_pcb *pcb);
/* The connection stands, actively or passively: e->pcb has addresses and an MSS. */
void net_tcp_established(struct net_tcp *e);
/* Keeps an error, and ends both directions. */
void net_tcp_fail(struct net_tcp *e, status error);
/* Lets the pcb of a closed endpoint go on alone, when it needs nothing of the endpoint any more.
   True: e is no more. */
bool net_tcp_detach_closed(struct net_tcp *e);
/* How often lwIP is to call net_tcp_polled: as e needs now. */
void net_tcp_set_poll(struct net_tcp *e);
/* The same after a sending, when nothing else can have changed: servers cork each answer and uncork
   it at once, and the deadline that a connection has mostly comes soon enough. */
void net_tcp_poll_unwritten(struct net_tcp *e);

/* --- tcp_send.c --------------------------------------------------------------------------------
 */

/* Gives lwIP what it may have of e's bytes, FIN included; does not send. */
void net_tcp_write_queued(struct net_tcp *e);
/* lwIP's: so many bytes were acknowledged. */
err_t net_tcp_acknowledged(void *endpoint, struct tcp_pcb *pcb, u16_t bytes);
/* Frees all blocks; the pcb is gone. */
void net_tcp_blocks_release(struct net_tcp *e);
bool net_tcp_is_writable(const struct net_tcp *e);
/* Whether part of a segment is held back, and has been for too long. */
void net_tcp_held_check(struct net_tcp *e);

/* --- lwip_segments.c: how long segments may be, now that the MSS is known, or has changed ------
 */
void net_tcp_segments_size(struct tcp_pcb *pcb);

/* --- tcp_receive.c -----------------------------------------------------------------------------
 */

/* lwIP's: bytes, or NULL for FIN. */
err_t net_tcp_input(void *endpoint, struct tcp_pcb *pcb, struct pbuf *p, err_t error);
/* Drops what is there. */
void net_tcp_received_drop(struct net_tcp *e);
void net_tcp_window_begin(struct net_tcp *e);

/* --- tcp_listen.c ------------------------------------------------------------------------------
 */

void net_tcp_listen_close(struct net_tcp *e);
/* Of a connection that waits to be accepted: something came, or it ended. */
void net_tcp_deferred_over(struct net_tcp *e);

/* --- tcp_options.c -----------------------------------------------------------------------------
 */

void net_tcp_options_init(struct net_tcp *e);
/* Tells the pcb of all options. */
void net_tcp_options_apply(struct net_tcp *e);

static inline bool net_tcp_has(const struct net_tcp *e, enum net_tcp_option option)
{
    return e->options[option] != 0;
}

/* Both directions are over, or there is no connection. */
static inline bool net_tcp_is_over(const struct net_tcp *e)
{
    return !e->pcb || ((e->fin || e->read_shut) && e->finished);
}

/* --- memory: all endpoints together ------------------------------------------------------------
 */

/* Bytes that wait to be sent or read, and how many may before buffers shrink: a part of the
   machine's memory, set with the first endpoint. */
extern u64 net_tcp_memory_used, net_tcp_memory_most;

static inline bool net_tcp_memory_is_short(void)
{
    return net_tcp_memory_used > net_tcp_memory_most;
}
