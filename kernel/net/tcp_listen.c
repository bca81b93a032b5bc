/* Endpoints of TCP: listening and accepting.

   lwIP has one listening pcb for an address and port.  The endpoints that share it (SO_REUSEPORT)
   are its members, and get its connections in turn.  A connection that stands waits on its member's
   queue, with an endpoint of its own, and counts against the backlog in lwIP as long; so do those
   whose handshake is not over.  What the other side does meanwhile (bytes, FIN, RST) is kept for
   whoever accepts it, as in Linux. */
#include "kernel/clock.h"
#include "kernel/memory.h"
#include "kernel/net/lwip/hooks.h"
#include "kernel/net/lwip_address.h"
#include "kernel/net/tcp_endpoint.h"
#include "runtime/assert.h"

#define BACKLOG_MOST 4096u

struct net_tcp_listener {
    struct tcp_pcb_listen *pcb;
    struct list members; /* endpoints; the one whose turn it is comes first */
};

/* --- connections that come -------------------------------------------------------------------- */

static struct net_tcp *member_of(struct list *link)
{
    return container_of(link, struct net_tcp, listener_link);
}

/* Whose turn it is; one with room, when there is one. */
static struct net_tcp *member_choose(struct net_tcp_listener *l)
{
    struct list *chosen = l->members.next;
    list_for_each (&l->members, link) {
        if (member_of(link)->accept_count >= member_of(link)->backlog)
            continue;
        chosen = link;
        break;
    }
    assert(chosen && chosen != &l->members);
    list_remove(chosen);
    list_push_back(&l->members, chosen);
    return member_of(chosen);
}

int net_lwip_accept_is_full(const void *listener)
{
    const struct net_tcp_listener *l = listener;
    list_for_each (&l->members, link) {
        if (member_of(link)->accept_count < member_of(link)->backlog)
            return false;
    }
    return true;
}

static void inherit(struct net_tcp *e, const struct net_tcp *from)
{
    memcpy(e->options, from->options, sizeof(e->options));
    if (e->options[TCP_SET_SEND_BUFFER])
        e->send_limit = e->options[TCP_SET_SEND_BUFFER];
}

static void accept_enqueue(struct net_tcp *listener, struct net_tcp *e)
{
    e->accepted_by = listener;
    list_push_back(&listener->accept_queue, &e->listener_link);
    u32 seconds = listener->options[TCP_SET_DEFER_ACCEPT];
    e->deferred = seconds != 0;
    e->deferred_ns = clock_monotonic_ns() + seconds * NS_PER_SECOND;
    if (!e->deferred) {
        listener->accept_count++;
        net_tcp_notify(listener, NET_READABLE);
    }
}

/* lwIP's: the handshake is over.  An error lets it answer with RST. */
static err_t connection_came(void *listener, struct tcp_pcb *pcb, err_t error)
{
    struct net_tcp_listener *l = listener;
    if (error != ERR_OK || !pcb)
        return ERR_VAL;
    struct net_tcp *by = member_choose(l);
    struct net_tcp *e = net_tcp_endpoint_create(by->family, NULL);
    if (!e)
        return ERR_MEM;
    inherit(e, by);
    tcp_backlog_delayed(pcb);
    e->role = NET_TCP_CONNECTED;
    net_tcp_attach(e, pcb);
    net_tcp_established(e);
    accept_enqueue(by, e);
    net_tcp_set_poll(e);
    return ERR_OK;
}

/* Something came for a connection that waits: whoever deferred it wants to see it now. */
void net_tcp_deferred_over(struct net_tcp *e)
{
    struct net_tcp *listener = e->accepted_by;
    if (!e->deferred)
        return;
    e->deferred = false;
    listener->accept_count++;
    net_tcp_notify(listener, NET_READABLE);
}

static void unqueue(struct net_tcp *e)
{
    struct net_tcp *listener = e->accepted_by;
    list_remove(&e->listener_link);
    e->accepted_by = NULL;
    if (!e->deferred)
        listener->accept_count--;
    e->deferred = false;
    if (e->pcb)
        tcp_backlog_accepted(e->pcb);
}

status net_tcp_accept(struct net_tcp *e, net_changed changed, struct net_tcp **accepted)
{
    if (e->role != NET_TCP_LISTENING)
        return status_error(EINVAL, "tcp: it does not listen", 0);
    if (!e->accept_count)
        return status_error(EAGAIN, "tcp: no connection has come", 0);
    list_for_each (&e->accept_queue, link) {
        struct net_tcp *first = member_of(link);
        if (first->deferred)
            continue;
        unqueue(first);
        first->changed = changed;
        *accepted = first;
        return STATUS_OK;
    }
    return status_error(EAGAIN, "tcp: no connection has come", 0);
}

/* --- beginning and ending --------------------------------------------------------------------- */

/* lwIP's bound is one for all members. */
static void backlog_refresh(struct net_tcp_listener *l)
{
    u32 sum = 0;
    list_for_each (&l->members, link)
        sum += member_of(link)->backlog;
    const u32 most = (typeof(l->pcb->backlog))~0u;
    l->pcb->backlog = (typeof(l->pcb->backlog))min(sum, most);
}

/* The listener of an endpoint that shares exactly this address and port; NULL: none. */
static struct net_tcp_listener *listener_to_share(const struct net_tcp *e)
{
    list_for_each (&net_tcp_all, link) {
        struct net_tcp *other = container_of(link, struct net_tcp, link);
        if (other->listener && other->binding.port == e->binding.port &&
            other->binding.v6_only == e->binding.v6_only &&
            memcmp(other->binding.address.bytes, e->binding.address.bytes, 16) == 0 &&
            other->family == e->family)
            return other->listener;
    }
    return NULL;
}

static void local_of(const struct net_tcp *e, ip_addr_t *local)
{
    net_address_to_lwip(&e->binding.address, local);
    bool both = e->family == NET_V6 && !e->binding.v6_only && IP_IS_V6(local);
    if (both && ip_addr_isany(local))
        IP_SET_TYPE(local, IPADDR_TYPE_ANY);
}

/* lwIP turns a pcb into a listening one; NULL: out of memory. */
static struct tcp_pcb_listen *pcb_listen(const struct net_tcp *e)
{
    ip_addr_t local;
    local_of(e, &local);
    struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(&local));
    if (!pcb)
        return NULL;
    /* Not ip_addr_copy, which takes the type of both families for IPv4's. */
    pcb->local_ip = local;
    pcb->local_port = e->binding.port;
    struct tcp_pcb *listening = tcp_listen_with_backlog(pcb, 1);
    if (!listening)
        tcp_close(pcb);
    return (struct tcp_pcb_listen *)listening;
}

static struct net_tcp_listener *listener_create(const struct net_tcp *e)
{
    struct net_tcp_listener *l = allocate_zero(general_heap, sizeof(*l));
    if (!l)
        return NULL;
    l->pcb = pcb_listen(e);
    if (!l->pcb) {
        deallocate(general_heap, l, sizeof(*l));
        return NULL;
    }
    list_init(&l->members);
    tcp_arg((struct tcp_pcb *)l->pcb, l);
    tcp_accept((struct tcp_pcb *)l->pcb, connection_came);
    return l;
}

static status listen_begin(struct net_tcp *e)
{
    if (!e->binding.port) {
        struct net_address any = {.family = e->family};
        status s = net_tcp_bind(e, &any);
        if (!is_ok(s))
            return s;
    }
    e->binding.reuse_port = net_tcp_has(e, TCP_SET_REUSE_PORT);
    if (net_binding_listened(&net_tcp_ports, &e->binding))
        return status_error(EADDRINUSE, "tcp: somebody listens there", e->binding.port);
    e->listener = e->binding.reuse_port ? listener_to_share(e) : NULL;
    if (!e->listener)
        e->listener = listener_create(e);
    if (!e->listener)
        return status_error(ENOBUFS, "tcp: out of memory", 0);
    list_push_back(&e->listener->members, &e->listener_link);
    e->role = NET_TCP_LISTENING;
    e->binding.listening = true;
    e->finished = e->fin = false;
    return STATUS_OK;
}

status net_tcp_listen(struct net_tcp *e, u32 backlog)
{
    if (e->pcb || (e->role != NET_TCP_FRESH && e->role != NET_TCP_LISTENING))
        return status_error(EINVAL, "tcp: connected already", 0);
    if (e->role == NET_TCP_FRESH) {
        status s = listen_begin(e);
        if (!is_ok(s))
            return s;
    }
    /* One more than asked for, as in Linux, where 0 admits one. */
    e->backlog = min(backlog, BACKLOG_MOST - 1) + 1;
    backlog_refresh(e->listener);
    return STATUS_OK;
}

/* Nobody will accept what waits: RST, as in Linux. */
static void queue_drop(struct net_tcp *e)
{
    const struct net_tcp_linger at_once = {.on = true, .ns = 0};
    while (!list_empty(&e->accept_queue)) {
        struct net_tcp *first = member_of(e->accept_queue.next);
        unqueue(first);
        net_tcp_close(first, at_once);
    }
}

void net_tcp_listen_close(struct net_tcp *e)
{
    struct net_tcp_listener *l = e->listener;
    list_remove(&e->listener_link);
    e->listener = NULL;
    e->binding.listening = false;
    queue_drop(e);
    if (!list_empty(&l->members)) {
        backlog_refresh(l);
        return;
    }
    tcp_close((struct tcp_pcb *)l->pcb);
    deallocate(general_heap, l, sizeof(*l));
}
