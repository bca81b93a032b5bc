/* What may change about a connection or a datagram endpoint, as whoever waits for it is told. */
#pragma once

#include "runtime/closure.h"

enum net_event {
    NET_READABLE = 1,   /* bytes, the other side's FIN, or (listener) a connection to accept */
    NET_WRITABLE = 2,   /* a third of the send buffer is free, or sending fails at once */
    NET_READ_ENDED = 4, /* FIN came, or net_tcp_shutdown of reading: POLLRDHUP */
    NET_HUNG_UP = 8,    /* both directions are over: POLLHUP */
    NET_FAILED = 16,    /* an error is kept for net_tcp_take_error: POLLERR */
    NET_URGENT = 32,    /* POLLPRI */
};

/* `events` are those that may have begun to hold, for edge-triggered waiters. */
closure_type(net_changed, void, u32 events);
