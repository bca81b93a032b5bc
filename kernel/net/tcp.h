/* TCP connections and listeners, as sockets need them: no blocking, no copies that can be avoided.

   An endpoint belongs to who created or accepted it until net_tcp_close; the connection behind it
   may live on (what is unsent, FIN, TIME-WAIT).  Everything is serialised by the surface lock and
   is answered at once, as a Linux errno in the status (EAGAIN: an event will tell); `changed` is
   applied, from inside the network's work, whenever one of the events may have begun to hold: it
   only wakes, and does not call back into here.

   Memory: bytes to send lie in the endpoint's own pages, which net_tcp_send_room shows to be
   filled; so a program's bytes are copied once.  Received bytes lie where the device put them, and
   are copied once, to the program.  The send buffer holds at most the limit that was set or tuned
   (16 KiB to 4 MiB); so does what was received and not taken, through the window that is offered.
 */
#pragma once

#include "kernel/net/address.h"
#include "kernel/net/event.h"
#include "runtime/status.h"

struct net_tcp;

/* A new endpoint; `changed` stays the caller's, and lives until net_tcp_close.  NULL: out of
 * memory. */
struct net_tcp *net_tcp_create(enum net_family family, net_changed changed);
/* Ends the caller's use of it: FIN after what is unsent, or RST when received bytes were not taken,
   as Linux does.  linger_ns: SO_LINGER; 0 with lingering: RST; the wait itself is the caller's
   (net_tcp_is_drained). */
struct net_tcp_linger {
    bool on;
    u64 ns;
};
void net_tcp_close(struct net_tcp *e, struct net_tcp_linger linger);
/* For SO_LINGER: everything was acknowledged, FIN included, or never will be. */
bool net_tcp_is_drained(const struct net_tcp *e);

/* EADDRINUSE, EADDRNOTAVAIL, EINVAL (bound already), ENOBUFS.  Port 0 chooses one of 32768 to
 * 60999. */
status net_tcp_bind(struct net_tcp *e, const struct net_address *a);
/* EADDRINUSE, EINVAL (connected).  Binds when it is not.  A second call changes the backlog, which
   is cut to 4096.  Beyond it SYNs are answered with cookies. */
status net_tcp_listen(struct net_tcp *e, u32 backlog);
/* The oldest established connection; EAGAIN: none.  The new endpoint tells `changed`. */
status net_tcp_accept(struct net_tcp *e, net_changed changed, struct net_tcp **accepted);
/* EINPROGRESS: begun, NET_WRITABLE or NET_FAILED tells; EALREADY; EISCONN; ENETUNREACH;
   EADDRNOTAVAIL (no port is left); ECONNREFUSED ... of an earlier attempt. */
status net_tcp_connect(struct net_tcp *e, const struct net_address *a);
/* ENOTCONN.  reading: what comes is dropped from now on; writing: FIN after what is unsent. */
status net_tcp_shutdown(struct net_tcp *e, bool reading, bool writing);

/* What holds now. */
u32 net_tcp_events(const struct net_tcp *e);
/* SO_ERROR: the error that was kept, and forgets it; OK: none. */
status net_tcp_take_error(struct net_tcp *e);

/* ENOTCONN where there is none.  local: zero when it is not bound. */
void net_tcp_local_address(const struct net_tcp *e, struct net_address *a);
status net_tcp_remote_address(const struct net_tcp *e, struct net_address *a);

/* --- sending -----------------------------------------------------------------------------------
 */

/* Contiguous memory for at most *bytes more bytes (at least 1): the caller fills in as many as it
   likes from the start and says so to net_tcp_send; nothing is kept of what it does not.  *bytes
   holds before how many the caller has to send, 0 when it does not know.  EAGAIN:
   the buffer is full; EPIPE: the sending side is over; ECONNRESET and others once, when kept;
   ENOTCONN; ENOBUFS: out of memory. */
status net_tcp_send_room(struct net_tcp *e, void **memory, u64 *bytes);
/* The first `bytes` of that memory are to be sent.  `more`: MSG_MORE, as if corked for this call;
   the caller may go on with net_tcp_send_room, and ends a series with net_tcp_push. */
void net_tcp_send(struct net_tcp *e, u64 bytes, bool more);
/* Sends what may be sent now: the end of one system call's sending. */
void net_tcp_push(struct net_tcp *e);
/* Sends memory of the caller's without copying it: `released` is applied (under the surface lock,
   from inside the network's work) when neither the connection nor the device needs it any more; not
   taken over on failure.  `memory` must be of the heaps or the page cache, contiguous, and
   unchanged until then.  Errors as net_tcp_send_room's. */
status net_tcp_send_memory(struct net_tcp *e, const void *memory, u64 bytes, bool more,
                           thunk released);

/* --- receiving ---------------------------------------------------------------------------------
 */

/* The piece of received memory that lies `offset` bytes after the next byte to be read: *memory,
   *bytes.  EAGAIN: nothing there yet; OK with *bytes == 0: the end (FIN); ECONNRESET and others,
   once, at offset 0 alone; ENOTCONN. */
status net_tcp_received(struct net_tcp *e, u64 offset, const void **memory, u64 *bytes);
/* The next `bytes` were read, and are given back. */
void net_tcp_take(struct net_tcp *e, u64 bytes);
u64 net_tcp_received_bytes(const struct net_tcp *e); /* FIONREAD */
u64 net_tcp_unsent_bytes(const struct net_tcp *e);   /* SIOCOUTQ: not acknowledged */

/* --- options -----------------------------------------------------------------------------------
 */

enum net_tcp_option {
    TCP_SET_NODELAY,
    TCP_SET_CORK,
    TCP_SET_QUICKACK,
    TCP_SET_DEFER_ACCEPT, /* seconds */
    TCP_SET_KEEPALIVE,    /* on or off */
    TCP_SET_KEEP_IDLE,    /* seconds */
    TCP_SET_KEEP_INTERVAL,
    TCP_SET_KEEP_COUNT,
    TCP_SET_USER_TIMEOUT, /* ms */
    TCP_SET_MAX_SEGMENT,
    TCP_SET_SYN_COUNT,
    TCP_SET_REUSE_ADDRESS,
    TCP_SET_REUSE_PORT,  /* listeners of one port share its connections evenly */
    TCP_SET_SEND_BUFFER, /* bytes; no tuning from then on */
    TCP_SET_RECEIVE_BUFFER,
    TCP_SET_V6_ONLY,
    TCP_SET_TTL,
    TCP_SET_TOS,
    TCP_SET_NOTSENT_LOWAT,
    TCP_SET_LINGER2,
    TCP_OPTION_COUNT,
};

/* EINVAL: out of range; ENOPROTOOPT: not supported. */
status net_tcp_set(struct net_tcp *e, enum net_tcp_option option, u64 value);
status net_tcp_get(const struct net_tcp *e, enum net_tcp_option option, u64 *value);

/* For TCP_INFO and /proc/net/tcp; Linux's state numbers. */
struct net_tcp_details {
    u8 state;
    u32 retransmits, total_retransmits, backoff;
    u32 rto_us, ack_timeout_us, rtt_us, rtt_variation_us, least_rtt_us;
    u32 send_mss, receive_mss;
    u32 unacknowledged, sacked, lost;            /* segments */
    u32 congestion_window, slow_start_threshold; /* segments */
    u32 send_scale, receive_scale;
    u64 bytes_acknowledged, bytes_received, bytes_sent, bytes_retransmitted;
    u32 segments_in, segments_out, data_segments_in, data_segments_out;
    u32 receive_space, send_window;
    bool timestamps, sack, window_scaling, ecn;
    u64 last_sent_ns, last_received_ns; /* ages */
};
void net_tcp_details(const struct net_tcp *e, struct net_tcp_details *to);

/* For /proc/net/tcp: visits every connection and listener, TIME-WAIT too. */
struct net_tcp_seen {
    struct net_address local, remote;
    struct net_tcp_details details;
    u64 received_bytes, unsent_bytes;
};
closure_type(net_tcp_visitor, void, const struct net_tcp_seen *seen);
void net_tcp_visit(net_tcp_visitor visitor);
