/* virtio-net (virtio 1.2, 5.1): a network device as kernel/net/device.h describes one.

   Everything is under the surface lock; the network calls `transmit` and `flush`, the run loop the
   service thunk (after an interrupt, or to go on with work that is left) and the timer's, which
   runs only while the device has something to send.

   Interrupts of the receive rings are off while there is work: the service thunk hands up a bounded
   number of frames, queues itself again behind other work as long as there are more, and asks for
   the next interrupt when there are none.  Those of the transmit rings are off while there is room.

   A device that breaks the protocol, asks for it, or has frames to send and finishes none of them
   for VNET_STALL_NS is reset and started again: the frames that it had are lost, which is said in
   a line, and counted.  The patience grows with each reset that follows soon upon another; after
   VNET_RESETS_MOST of them the device is given up, its link is down, and it takes no more frames.

   Callers: drivers/virtio.c; kernel/net/ by the closures in struct net_device. */
#include "drivers/virtio_net.h"

#include "kernel/log.h"
#include "kernel/run_loop.h"

#define VNET_TICK_NS      (10 * NS_PER_MS) /* the most that `sent` is late */
#define VNET_TICK_MOST_NS NS_PER_SECOND
#define VNET_STALL_NS     (5 * NS_PER_SECOND)
#define VNET_STALL_SHIFTS 3u /* the patience doubles so many times */
#define VNET_RESETS_MOST  16 /* one soon after the other */
#define VNET_RESET_SOON   (120 * NS_PER_SECOND)

/* --- reset ------------------------------------------------------------------------------------ */

static void link_set(struct vnet *n, bool up)
{
    if (n->device.link_up == up)
        return;
    n->device.link_up = up;
    log_info("%s: link %s", n->virtio->name, up ? "up" : "down");
    if (n->device.link_changed)
        apply(n->device.link_changed, up);
}

static status resets_count(struct vnet *n)
{
    u64 now = clock_monotonic_ns();
    bool soon = n->last_reset_ns && now - n->last_reset_ns < VNET_RESET_SOON;
    n->resets_in_a_row = soon ? n->resets_in_a_row + 1 : 1;
    n->last_reset_ns = now;
    n->device.statistics.resets++;
    if (n->resets_in_a_row > VNET_RESETS_MOST)
        return status_error(EIO, "virtio-net: too many resets", n->resets_in_a_row);
    return STATUS_OK;
}

static void pair_progress_reset(struct vnet_pair *p)
{
    p->sent_seen = p->sent;
    p->stalled_ns = 0;
}

/* What the device had is taken back first, and its `sent` applied last: that may lead to new
   frames.  Of a device that does not let go, the memory that it may write to is never used again.
 */
static void vnet_reset(struct vnet *n, status why)
{
    struct vnet_slot *lost[VNET_PAIRS_MOST] = {NULL};
    log_error("%s: reset: %s (%llu)", n->virtio->name, status_text(why),
              (unsigned long long)why.detail);
    status s = virtio_reset(n->virtio);
    for (u32 i = 0; i < n->pair_count; i++) {
        lost[i] = virtio_net_slots_reclaim(&n->pairs[i]);
        if (is_ok(s))
            virtio_net_buffers_reclaim(&n->pairs[i]);
        pair_progress_reset(&n->pairs[i]);
    }
    timer_cancel(&n->timer);
    n->tick_interval_ns = VNET_TICK_NS;
    status counted = resets_count(n);
    if (is_ok(s))
        s = counted;
    if (is_ok(s))
        s = virtio_net_restart(n);
    if (!is_ok(s)) {
        log_error("%s: given up: %s", n->virtio->name, status_text(s));
        n->dead = true;
        virtio_fail(n->virtio);
    }
    for (u32 i = 0; i < n->pair_count; i++)
        virtio_net_slots_lose(&n->pairs[i], lost[i]);
    link_set(n, !n->dead && virtio_net_link_read(n));
}

/* --- service ---------------------------------------------------------------------------------- */

static status vnet_failure(const struct vnet *n)
{
    status s = n->control.queue.failure;
    for (u32 i = 0; is_ok(s) && i < n->pair_count; i++) {
        s = n->pairs[i].receive.failure;
        if (is_ok(s))
            s = n->pairs[i].transmit.failure;
    }
    return s;
}

static status config_look(struct vnet *n)
{
    if (n->virtio->transport->status_read(n->virtio) & VIRTIO_NEEDS_RESET)
        return status_error(EIO, "virtio-net: the device asks for it", 0);
    link_set(n, virtio_net_link_read(n));
    return STATUS_OK;
}

/* True: there is more to do. */
static bool pairs_serve(struct vnet *n)
{
    bool more = false;
    for (u32 i = 0; i < n->pair_count; i++) {
        virtio_net_reap(&n->pairs[i]);
        more |= virtio_net_receive(&n->pairs[i]);
    }
    return more;
}

closure_method(thunk, vnet_service, struct vnet, service)
{
    struct vnet *n = owner();
    n->device.statistics.interrupts += virtio_service_begin(n->virtio);
    if (n->dead)
        return;
    status s = virtio_config_changed(n->virtio) ? config_look(n) : STATUS_OK;
    virtio_net_control_take(n);
    if (pairs_serve(n))
        virtio_service_later(n->virtio);
    if (is_ok(s))
        s = vnet_failure(n);
    if (!is_ok(s))
        vnet_reset(n, s);
    virtio_net_room_offer(n);
}

/* --- the timer -------------------------------------------------------------------------------- */

/* The time that passed since the last tick counts only as far as we meant to wait: a machine that
   was stopped for a while gives its device another chance. */
static void pair_look(struct vnet_pair *p, u64 passed_ns)
{
    virtio_net_reap(p);
    if (p->sent != p->sent_seen || p->transmit.flying == 0)
        pair_progress_reset(p);
    else
        p->stalled_ns += min(passed_ns, 2 * p->net->tick_interval_ns);
}

static bool vnet_stalled(const struct vnet *n)
{
    u32 shift = n->resets_in_a_row;
    bool soon = n->last_reset_ns && clock_monotonic_ns() - n->last_reset_ns < VNET_RESET_SOON;
    u64 patience = VNET_STALL_NS << (soon ? min(shift, VNET_STALL_SHIFTS) : 0);
    for (u32 i = 0; i < n->pair_count; i++)
        if (n->pairs[i].stalled_ns >= patience)
            return true;
    return false;
}

/* Sooner while frames are sent, since their memory waits for it; later when nothing moves. */
static void tick_again(struct vnet *n)
{
    bool flying = false, moving = false;
    for (u32 i = 0; i < n->pair_count; i++) {
        flying |= n->pairs[i].transmit.flying > 0;
        moving |= n->pairs[i].transmit.flying > 0 && n->pairs[i].stalled_ns == 0;
    }
    n->tick_interval_ns =
        moving || !flying ? VNET_TICK_NS : min(2 * n->tick_interval_ns, VNET_TICK_MOST_NS);
    if (flying)
        virtio_net_timer_start(n);
}

closure_method(thunk, vnet_tick, struct vnet, tick)
{
    struct vnet *n = owner();
    if (n->dead)
        return;
    u64 passed_ns = clock_monotonic_ns() - n->tick_ns;
    for (u32 i = 0; i < n->pair_count; i++)
        pair_look(&n->pairs[i], passed_ns);
    if (is_ok(vnet_failure(n)) && vnet_stalled(n))
        vnet_reset(n, status_error(ETIMEDOUT, "virtio-net: frames are not sent",
                                   n->device.statistics.frames_out));
    virtio_net_room_offer(n);
    if (!n->dead)
        tick_again(n);
}

void virtio_net_service_init(struct vnet *n)
{
    init_method(&n->service, vnet_service);
    init_method(&n->tick, vnet_tick);
    n->tick_interval_ns = VNET_TICK_NS;
}
