/* Endpoints of TCP: how they begin, what has happened to them, and how they end.  The contract is
   kernel/net/tcp.h; kernel/net/tcp_endpoint.h says how lwIP's pcb and the endpoint belong
   together.  Called by sockets, under the surface lock. */
#include "kernel/net/tcp_endpoint.h"

#include "kernel/clock.h"
#include "kernel/memory.h"
#include "kernel/net/lwip/hooks.h"
#include "kernel/net/lwip_address.h"

struct net_ports net_tcp_ports;
struct list net_tcp_all = {&net_tcp_all, &net_tcp_all};
u64 net_tcp_memory_used;
u64 net_tcp_memory_most;

/* Connections that nobody owns any more, TIME-WAIT included. */
static u32 orphans;

/* --- when lwIP frees a pcb -------------------------------------------------------------------- */

static u8_t ours; /* the number of our argument in each pcb */

/* The pcb of an endpoint is no more. */
static void endpoint_gone(u8_t id, void *endpoint)
{
    (void)id;
    struct net_tcp *e = endpoint;
    e->pcb = NULL;
    if (e->chosen_port) {
        net_port_release(&net_tcp_ports, e->chosen_port);
        e->chosen_port = 0;
    }
    net_tcp_blocks_release(e);
    if (e->closed) {
        orphans--;
        net_tcp_endpoint_free(e);
    }
}

/* The pcb of an endpoint that was closed before is no more; what is left of that is the port. */
static void orphan_gone(u8_t id, void *port)
{
    (void)id;
    orphans--;
    if (port)
        net_port_release(&net_tcp_ports, (u16)(uintptr_t)port);
}

static const struct tcp_ext_arg_callbacks endpoint_callbacks = {.destroy = endpoint_gone};
static const struct tcp_ext_arg_callbacks orphan_callbacks = {.destroy = orphan_gone};

u32 net_tcp_orphans(void)
{
    return orphans;
}

/* --- beginning -------------------------------------------------------------------------------- */

/* What the first endpoint of all needs. */
static void begin_once(void)
{
    static bool begun;
    if (begun)
        return;
    begun = true;
    ours = tcp_ext_arg_alloc_id();
    net_tcp_memory_most = memory_statistics().total_bytes / 16 * 3; /* Linux's tcp_mem[2] */
}

struct net_tcp *net_tcp_endpoint_create(u8 family, net_changed changed)
{
    begin_once();
    struct net_tcp *e = allocate_zero(general_heap, sizeof(*e));
    if (!e)
        return NULL;
    e->changed = changed;
    e->family = family;
    e->window = NET_TCP_WINDOW_FIRST;
    e->send_limit = NET_TCP_SEND_FIRST;
    e->binding.address.family = family;
    e->local.family = e->remote.family = family;
    list_init(&e->accept_queue);
    list_init(&e->listener_link);
    list_push_back(&net_tcp_all, &e->link);
    net_tcp_options_init(e);
    return e;
}

struct net_tcp *net_tcp_create(enum net_family family, net_changed changed)
{
    return net_tcp_endpoint_create((u8)family, changed);
}

void net_tcp_endpoint_free(struct net_tcp *e)
{
    net_tcp_received_drop(e);
    net_tcp_blocks_release(e);
    if (e->binding.chosen)
        net_port_release(&net_tcp_ports, e->binding.port);
    net_binding_leave(&e->binding);
    list_remove(&e->link);
    deallocate(general_heap, e, sizeof(*e));
}

void net_tcp_notify(struct net_tcp *e, u32 events)
{
    if (e->accepted_by)
        net_tcp_deferred_over(e);
    else if (e->changed)
        apply(e->changed, events);
}

/* --- what lwIP tells of a connection ---------------------------------------------------------- */

void net_tcp_fail(struct net_tcp *e, status error)
{
    e->error = error;
    e->finished = e->fin = true;
    if (e->role == NET_TCP_CONNECTING)
        e->role = NET_TCP_FRESH;
    net_tcp_notify(e, NET_READABLE | NET_WRITABLE | NET_READ_ENDED | NET_HUNG_UP | NET_FAILED);
}

static status error_of(const struct net_tcp *e, err_t error)
{
    bool connecting = e->role == NET_TCP_CONNECTING;
    if (error != ERR_RST)
        return e->soft_error.info ? e->soft_error
                                  : status_error(ETIMEDOUT, "tcp: the other side is silent", 0);
    if (connecting)
        return status_error(ECONNREFUSED, "tcp: nobody listens there", 0);
    if (e->fin && !e->finished)
        return status_error(EPIPE, "tcp: the other side has closed", 0);
    return status_error(ECONNRESET, "tcp: the other side has reset the connection", 0);
}

/* lwIP ended the connection; the pcb is being freed, or was. */
static void connection_failed(void *endpoint, err_t error)
{
    struct net_tcp *e = endpoint;
    if (error == ERR_CLSD) {
        /* In order: both sides sent FIN, and ours was acknowledged. */
        net_tcp_notify(e, NET_READABLE | NET_WRITABLE | NET_READ_ENDED | NET_HUNG_UP);
        return;
    }
    net_tcp_fail(e, error_of(e, error));
}

static err_t connection_stands(void *endpoint, struct tcp_pcb *pcb, err_t error)
{
    struct net_tcp *e = endpoint;
    (void)error;
    (void)pcb;
    e->role = NET_TCP_CONNECTED;
    net_tcp_established(e);
    net_tcp_notify(e, NET_WRITABLE);
    return ERR_OK;
}

/* Ends a connection for a reason that only an endpoint knows of.  True: lwIP freed the pcb. */
static bool connection_expired(struct net_tcp *e)
{
    u64 now = clock_monotonic_ns();
    u64 limit_ns = e->options[TCP_SET_USER_TIMEOUT] * NS_PER_MS;
    bool silent =
        limit_ns && (e->pcb->unacked || e->pcb->unsent) && now - e->progress_ns > limit_ns;
    bool refused = e->role == NET_TCP_CONNECTING && e->pcb->nrtx > e->options[TCP_SET_SYN_COUNT];
    bool lingered = e->closed && e->pcb->state == FIN_WAIT_2 &&
                    now - e->progress_ns > e->options[TCP_SET_LINGER2] * NS_PER_SECOND;
    if (!silent && !refused && !lingered)
        return false;
    tcp_abandon(e->pcb, silent);
    return true;
}

static err_t connection_polled(void *endpoint, struct tcp_pcb *pcb)
{
    struct net_tcp *e = endpoint;
    (void)pcb;
    if (connection_expired(e))
        return ERR_ABRT;
    net_tcp_held_check(e);
    net_tcp_write_queued(e);
    if (e->deferred && clock_monotonic_ns() > e->deferred_ns)
        net_tcp_deferred_over(e);
    if (!e->closed && e->finished && net_tcp_is_drained(e))
        net_tcp_notify(e, NET_WRITABLE);
    if (!net_tcp_detach_closed(e))
        net_tcp_set_poll(e);
    return ERR_OK;
}

#define POLL_TICKS (NET_TCP_HELD_MS / TCP_SLOW_INTERVAL)
_Static_assert(POLL_TICKS > 0 && POLL_TICKS < NET_TCP_NEVER, "an interval of lwIP's");

static bool poll_is_needed(const struct net_tcp *e)
{
    return e->unwritten || e->deferred || e->options[TCP_SET_USER_TIMEOUT] ||
           (e->finished && (e->closed || !net_tcp_is_drained(e))) || e->role == NET_TCP_CONNECTING;
}

void net_tcp_set_poll(struct net_tcp *e)
{
    u8_t interval = poll_is_needed(e) ? POLL_TICKS : NET_TCP_NEVER;
    if (e->pcb->pollinterval != interval)
        tcp_poll(e->pcb, connection_polled, interval);
    net_lwip_timer_update(e->pcb);
}

void net_tcp_poll_unwritten(struct net_tcp *e)
{
    struct tcp_pcb *pcb = e->pcb;
    if (pcb->pollinterval != NET_TCP_NEVER) {
        if (!poll_is_needed(e))
            pcb->pollinterval = NET_TCP_NEVER;
    } else if (e->unwritten) {
        pcb->pollinterval = POLL_TICKS;
        pcb->poll_since = tcp_ticks;
        net_lwip_timer_within(pcb, POLL_TICKS);
    }
}

void net_tcp_attach(struct net_tcp *e, struct tcp_pcb *pcb)
{
    e->pcb = pcb;
    tcp_arg(pcb, e);
    tcp_ext_arg_set(pcb, ours, e);
    tcp_ext_arg_set_callbacks(pcb, ours, &endpoint_callbacks);
    tcp_recv(pcb, net_tcp_input);
    tcp_sent(pcb, net_tcp_acknowledged);
    tcp_err(pcb, connection_failed);
    tcp_poll(pcb, connection_polled, NET_TCP_NEVER);
    e->progress_ns = clock_monotonic_ns();
    net_tcp_options_apply(e);
    net_tcp_set_poll(e);
}

void net_tcp_established(struct net_tcp *e)
{
    struct tcp_pcb *pcb = e->pcb;
    e->local = net_address_from_lwip(e->family, &pcb->local_ip, pcb->local_port);
    e->remote = net_address_from_lwip(e->family, &pcb->remote_ip, pcb->remote_port);
    u32 most = e->options[TCP_SET_MAX_SEGMENT];
    if (most && pcb->mss > most)
        pcb->mss = (u16_t)most;
    e->soft_error = STATUS_OK;
    net_tcp_segments_size(pcb);
    net_tcp_window_begin(e);
    net_tcp_set_poll(e);
}

/* --- connecting ------------------------------------------------------------------------------- */

/* The address to bind to.  Zero without an error when it may be any. */
static status address_check(const struct net_tcp *e, const struct net_address *a)
{
    if (a->family != e->family)
        return status_error(EAFNOSUPPORT, "tcp: an address of another family", a->family);
    if (net_address_is_mapped(a) && net_tcp_has(e, TCP_SET_V6_ONLY))
        return status_error(EINVAL, "tcp: an IPv4 address for IPv6 alone", 0);
    if (!net_address_is_any(a) && !net_address_is_ours(a))
        return status_error(EADDRNOTAVAIL, "tcp: not an address of this machine", 0);
    return STATUS_OK;
}

static void binding_refresh(struct net_tcp *e)
{
    e->binding.v6_only = net_tcp_has(e, TCP_SET_V6_ONLY);
    e->binding.reuse_address = net_tcp_has(e, TCP_SET_REUSE_ADDRESS);
    e->binding.reuse_port = net_tcp_has(e, TCP_SET_REUSE_PORT);
}

/* Whether a connection that nobody's endpoint stands for any more holds the port. */
static bool port_lingers(u16 port)
{
    struct tcp_pcb *const lists[] = {tcp_active_pcbs, tcp_tw_pcbs};
    for (u32 i = 0; i < countof(lists); i++)
        for (const struct tcp_pcb *pcb = lists[i]; pcb; pcb = pcb->next)
            if (pcb->local_port == port)
                return true;
    return false;
}

status net_tcp_bind(struct net_tcp *e, const struct net_address *a)
{
    status s = address_check(e, a);
    if (!is_ok(s))
        return s;
    if (e->binding.port || e->role != NET_TCP_FRESH || e->pcb)
        return status_error(EINVAL, "tcp: bound already", e->binding.port);
    binding_refresh(e);
    e->binding.address = *a;
    if (!a->port) {
        if (!net_binding_choose(&net_tcp_ports, &e->binding, LWIP_RAND()))
            return status_error(EADDRINUSE, "tcp: no port is left", 0);
    } else {
        if (net_binding_conflicts(&net_tcp_ports, &e->binding, a->port) ||
            (!e->binding.reuse_address && port_lingers(a->port)))
            return status_error(EADDRINUSE, "tcp: the port is in use", a->port);
        net_binding_enter(&net_tcp_ports, &e->binding, a->port);
    }
    e->local = *a;
    e->local.port = e->binding.port;
    return STATUS_OK;
}

static status connect_check(struct net_tcp *e, const struct net_address *a)
{
    if (!is_ok(e->error))
        return net_tcp_take_error(e);
    if (e->role == NET_TCP_CONNECTING)
        return status_error(EALREADY, "tcp: it is connecting", 0);
    if (e->role != NET_TCP_FRESH)
        return status_error(EISCONN, "tcp: connected already", 0);
    if (a->family != e->family)
        return status_error(EAFNOSUPPORT, "tcp: an address of another family", a->family);
    if (net_address_is_mapped(a) && net_tcp_has(e, TCP_SET_V6_ONLY))
        return status_error(ENETUNREACH, "tcp: an IPv4 address for IPv6 alone", 0);
    return STATUS_OK;
}

static status connect_error(err_t error)
{
    switch (error) {
    case ERR_RTE:
        return status_error(ENETUNREACH, "tcp: no way there", 0);
    case ERR_MEM:
    case ERR_BUF:
        return status_error(ENOBUFS, "tcp: out of memory", 0);
    default:
        return status_error(EADDRNOTAVAIL, "tcp: it cannot be connected", -error);
    }
}

/* The other side's address; nobody in particular is this machine, as in Linux. */
static status remote_address(const struct net_address *a, ip_addr_t *remote)
{
    net_address_to_lwip(a, remote);
    if (ip_addr_isany(remote))
        ip_addr_set_loopback(IP_IS_V6(remote), remote);
    if (ip_addr_ismulticast(remote) ||
        (IP_IS_V4(remote) && ip_2_ip4(remote)->addr == IPADDR_BROADCAST))
        return status_error(ENETUNREACH, "tcp: an address of many", 0);
    return STATUS_OK;
}

/* e->pcb is there, with the addresses that were asked for. */
static status connect_begin(struct net_tcp *e, const ip_addr_t *remote, u16 port)
{
    /* lwIP tells of a failure only by what it returns here: nobody waits for it. */
    e->role = NET_TCP_CONNECTING;
    e->finished = e->fin_queued = e->fin = e->read_shut = false;
    err_t error = tcp_connect(e->pcb, remote, port, connection_stands);
    if (error == ERR_OK) {
        e->remote = net_address_from_lwip(e->family, remote, port);
        e->local = net_address_from_lwip(e->family, &e->pcb->local_ip, e->pcb->local_port);
        net_tcp_set_poll(e);
        return status_error(EINPROGRESS, "tcp: it is connecting", 0);
    }
    e->role = NET_TCP_FRESH;
    tcp_err(e->pcb, NULL);
    tcp_abandon(e->pcb, 0);
    return connect_error(error);
}

status net_tcp_connect(struct net_tcp *e, const struct net_address *a)
{
    ip_addr_t remote;
    status s = connect_check(e, a);
    if (is_ok(s))
        s = remote_address(a, &remote);
    if (!is_ok(s))
        return s;
    if (!e->binding.port) {
        binding_refresh(e);
        if (!net_binding_choose(&net_tcp_ports, &e->binding, LWIP_RAND()))
            return status_error(EADDRNOTAVAIL, "tcp: no port is left", 0);
    }
    struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(&remote));
    if (!pcb)
        return status_error(ENOBUFS, "tcp: out of memory", 0);
    ip_addr_t local;
    net_address_to_lwip(&e->binding.address, &local);
    if (IP_GET_TYPE(&local) == IP_GET_TYPE(&remote))
        ip_addr_copy(pcb->local_ip, local);
    pcb->local_port = e->binding.port;
    net_tcp_attach(e, pcb);
    return connect_begin(e, &remote, a->port);
}

/* --- what holds ------------------------------------------------------------------------------- */

u32 net_tcp_events(const struct net_tcp *e)
{
    u32 failed = is_ok(e->error) ? 0 : NET_FAILED;
    switch (e->role) {
    case NET_TCP_LISTENING:
        return (e->accept_count ? NET_READABLE : 0) | failed;
    case NET_TCP_CONNECTING:
        return failed;
    case NET_TCP_FRESH:
        if (e->finished) /* an attempt failed */
            return NET_READABLE | NET_WRITABLE | NET_READ_ENDED | NET_HUNG_UP | failed;
        return NET_WRITABLE | NET_HUNG_UP | failed;
    default:
        break;
    }
    bool ended = e->fin || e->read_shut || !e->pcb;
    u32 events = failed;
    if (e->received_bytes || ended)
        events |= NET_READABLE;
    if (ended)
        events |= NET_READ_ENDED;
    if (net_tcp_is_writable(e))
        events |= NET_WRITABLE;
    if (net_tcp_is_over(e))
        events |= NET_HUNG_UP;
    return events;
}

status net_tcp_take_error(struct net_tcp *e)
{
    status s = e->error;
    e->error = STATUS_OK;
    if (is_ok(s)) {
        s = e->soft_error;
        e->soft_error = STATUS_OK;
    }
    return s;
}

void net_tcp_local_address(const struct net_tcp *e, struct net_address *a)
{
    *a = e->local;
}

status net_tcp_remote_address(const struct net_tcp *e, struct net_address *a)
{
    if (e->role != NET_TCP_CONNECTED || !e->pcb)
        return status_error(ENOTCONN, "tcp: not connected", 0);
    *a = e->remote;
    return STATUS_OK;
}

bool net_tcp_is_drained(const struct net_tcp *e)
{
    if (!e->pcb)
        return true;
    if (e->queued)
        return false;
    return e->pcb->state == FIN_WAIT_2 || e->pcb->state == TIME_WAIT;
}

/* --- ending ----------------------------------------------------------------------------------- */

status net_tcp_shutdown(struct net_tcp *e, bool reading, bool writing)
{
    if (e->role == NET_TCP_LISTENING && reading) {
        net_tcp_listen_close(e);
        e->role = NET_TCP_FRESH;
        return STATUS_OK;
    }
    if (e->role != NET_TCP_CONNECTED || !e->pcb)
        return status_error(ENOTCONN, "tcp: not connected", 0);
    if (reading)
        e->read_shut = true;
    if (writing && !e->finished) {
        e->finished = true;
        net_tcp_write_queued(e);
        net_tcp_set_poll(e);
    }
    net_tcp_notify(e, net_tcp_events(e));
    return STATUS_OK;
}

/* The connection's remains are lwIP's alone from here on. */
bool net_tcp_detach_closed(struct net_tcp *e)
{
    if (!e->closed || e->queued || !e->fin_queued ||
        e->options[TCP_SET_LINGER2] != TCP_FIN_WAIT_TIMEOUT / 1000)
        return false;
    tcp_arg(e->pcb, NULL);
    tcp_sent(e->pcb, NULL);
    tcp_poll(e->pcb, NULL, NET_TCP_NEVER);
    tcp_ext_arg_set(e->pcb, ours, (void *)(uintptr_t)e->chosen_port);
    tcp_ext_arg_set_callbacks(e->pcb, ours, &orphan_callbacks);
    e->pcb = NULL;
    net_tcp_endpoint_free(e);
    return true;
}

/* Whether the other side has to learn by RST that it will not be heard, or be told everything. */
static bool ends_at_once(const struct net_tcp *e, struct net_tcp_linger linger)
{
    if (e->role == NET_TCP_CONNECTING || e->pcb->state == TIME_WAIT)
        return false;
    return e->received_bytes || (linger.on && !linger.ns) || orphans >= NET_TCP_ORPHANS_MOST;
}

static void connection_close(struct net_tcp *e, struct net_tcp_linger linger)
{
    struct tcp_pcb *pcb = e->pcb;
    orphans++;
    e->closed = true;
    tcp_err(pcb, NULL);
    tcp_recv(pcb, NULL);
    if (ends_at_once(e, linger)) {
        tcp_abort(pcb);
        return;
    }
    if (pcb->state == SYN_SENT) {
        tcp_abandon(pcb, 0);
        return;
    }
    /* What comes from now on is answered with RST; FIN-WAIT-2 is timed. */
    tcp_set_flags(pcb, TF_RXCLOSED);
    pcb->tmr = tcp_ticks;
    net_lwip_timer_update(pcb);
    e->progress_ns = clock_monotonic_ns();
    e->finished = true;
    e->deferred = false;
    net_tcp_received_drop(e);
    net_tcp_write_queued(e);
    if (!net_tcp_detach_closed(e))
        net_tcp_set_poll(e);
}

void net_tcp_close(struct net_tcp *e, struct net_tcp_linger linger)
{
    e->changed = NULL;
    if (e->role == NET_TCP_LISTENING)
        net_tcp_listen_close(e);
    if (!e->pcb) {
        net_tcp_endpoint_free(e);
        return;
    }
    /* The port of a connection is its pcb's as long as that lives. */
    if (e->binding.chosen)
        e->chosen_port = e->binding.port;
    net_binding_leave(&e->binding);
    connection_close(e, linger);
}
