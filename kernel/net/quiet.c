/* Waiting until what programs have sent and closed has arrived: for a machine that is about to end.
   Called by unix/process.c.

   Looked at again and again rather than told: it happens once, and the endpoints of connections
   that a program has closed are nobody's.  The first look comes after an interval, so that a device
   has taken what went out without an answer, a RST for instance. */
#include "kernel/clock.h"
#include "kernel/memory.h"
#include "kernel/net/net.h"
#include "kernel/net/tcp.h"
#include "kernel/run_loop.h"
#include "runtime/timer.h"

#define INTERVAL_NS (2 * NS_PER_MS)

/* Of Linux, as struct net_tcp_details has them (net/tcp_states.h). */
enum closing_state { FIN_WAIT_1 = 4, LAST_ACK = 9, CLOSING_BOTH = 11 };

struct quiet_wait {
    u64 deadline_ns;
    struct timer timer;
    struct thunk again;
    status_handler done;
};

closure_function(net_tcp_visitor, busy_count, (u64 * busy), const struct net_tcp_seen *seen)
{
    u8 state = seen->details.state;
    if (seen->unsent_bytes || state == FIN_WAIT_1 || state == LAST_ACK || state == CLOSING_BOTH)
        ++*bound(busy);
}

static u64 busy_connections(void)
{
    u64 busy = 0;
    net_tcp_visit(stack_closure(busy_count, &busy));
    return busy;
}

bool net_is_quiet(void)
{
    return !busy_connections();
}

static void look_later(struct quiet_wait *w);

closure_method(thunk, quiet_look, struct quiet_wait, again)
{
    struct quiet_wait *w = owner();
    u64 busy = busy_connections();
    if (busy && clock_monotonic_ns() < w->deadline_ns) {
        look_later(w);
        return;
    }
    status_handler done = w->done;
    deallocate(general_heap, w, sizeof(*w));
    apply(done,
          busy ? status_error(ETIMEDOUT, "network: connections are not done", busy) : STATUS_OK);
}

static void look_later(struct quiet_wait *w)
{
    init_method(&w->again, quiet_look);
    timer_set(&w->timer, clock_monotonic_ns() + INTERVAL_NS, &w->again);
}

void net_wait_quiet(u64 deadline_ns, status_handler done)
{
    struct quiet_wait *w = allocate_zero(general_heap, sizeof(*w));
    if (!w) {
        run_later_status(done, STATUS_OK);
        return;
    }
    w->deadline_ns = deadline_ns;
    w->done = done;
    look_later(w);
}
