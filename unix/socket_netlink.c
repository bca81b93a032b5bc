/* AF_NETLINK sockets of NETLINK_ROUTE: a request that is sent is answered at once, into the
   socket's own queue.  Dumps of links, addresses and routes are what there is; anything else is
   answered with an error, and nothing is ever told unasked (no groups). */
#include "unix/socket_netlink.h"
#include "unix/socket_list.h"

#define NETLINK_ROUTE     0
#define NETLINK_PROTOCOLS 32
#define ANSWERS_MOST      16 /* that nobody has read; then a request is ENOBUFS */
#define REQUEST_MOST      4096

struct netlink_address { /* struct sockaddr_nl */
    u16 family, padding;
    u32 port, groups;
};

struct socket_netlink {
    struct socket socket;
    struct list answers;
    u32 answer_count;
    u32 port; /* 0: not bound */
};

static const struct socket_operations socket_netlink;

static struct socket_netlink *netlink_of(struct socket *s)
{
    return container_of(s, struct socket_netlink, socket);
}

s64 socket_netlink_create(u32 type, u32 protocol, struct socket **s)
{
    if (type != SOCK_RAW && type != SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    if (protocol != NETLINK_ROUTE)
        return -EPROTONOSUPPORT;
    *s = socket_create(&socket_netlink, AF_NETLINK, (u16)type, protocol);
    if (!*s)
        return -ENOMEM;
    list_init(&netlink_of(*s)->answers);
    return 0;
}

static void netlink_close(struct socket *s)
{
    struct list *first;
    while ((first = list_pop_front(&netlink_of(s)->answers)))
        deallocate(general_heap, container_of(first, struct netlink_answer, link),
                   sizeof(struct netlink_answer));
}

/* --- names ------------------------------------------------------------------------------------ */

static bool port_taken(u32 port)
{
    list_for_each (socket_list(), l) {
        struct socket *s = container_of(l, struct socket, link);
        if (s->operations == &socket_netlink && netlink_of(s)->port == port)
            return true;
    }
    return false;
}

/* The process's number, or one from far above as Linux counts down from. */
static void netlink_bind_any(struct thread *t, struct socket_netlink *n)
{
    u32 port = t->process->pid;
    for (u32 i = 4096; port_taken(port); i++)
        port = ~i + 1;
    n->port = port;
}

static s64 netlink_bind(struct thread *t, struct socket *s, const struct socket_address *a)
{
    struct socket_netlink *n = netlink_of(s);
    struct netlink_address given;
    if (a->bytes < sizeof(given))
        return -EINVAL;
    memcpy(&given, a->data, sizeof(given));
    if (given.family != AF_NETLINK)
        return -EINVAL;
    if (given.groups)
        return -EPERM;
    if (n->port)
        return given.port && given.port != n->port ? -EINVAL : 0;
    if (given.port && port_taken(given.port))
        return -EADDRINUSE;
    n->port = given.port;
    if (!n->port)
        netlink_bind_any(t, n);
    return 0;
}

/* The kernel is the only other side. */
static s64 netlink_connect(struct socket_call *c)
{
    struct netlink_address given;
    if (c->address.bytes < sizeof(c->address.family))
        return -EINVAL;
    if (c->address.family == AF_UNSPEC)
        return 0;
    if (c->address.bytes < sizeof(given) || c->address.family != AF_NETLINK)
        return -EINVAL;
    memcpy(&given, c->address.data, sizeof(given));
    if (given.port || given.groups)
        return -EPERM;
    if (!netlink_of(c->socket)->port)
        netlink_bind_any(c->thread, netlink_of(c->socket));
    return 0;
}

static s64 netlink_address(struct socket *s, bool remote, struct socket_address *to)
{
    struct netlink_address a = {.family = AF_NETLINK, .port = remote ? 0 : netlink_of(s)->port};
    memcpy(to->data, &a, sizeof(a));
    to->bytes = sizeof(a);
    return 0;
}

/* --- requests --------------------------------------------------------------------------------- */

static s64 answer_create(struct socket_netlink *n, struct netlink_answer **to)
{
    if (n->answer_count >= ANSWERS_MOST)
        return -ENOBUFS;
    *to = allocate(general_heap, sizeof(**to));
    if (!*to)
        return -ENOBUFS;
    (*to)->used = 0;
    return 0;
}

static void answer_queue(struct socket_netlink *n, struct netlink_answer *a)
{
    list_push_back(&n->answers, &a->link);
    n->answer_count++;
    socket_wake(&n->socket, SOCKET_READABLE);
}

/* NLMSG_ERROR; of error 0 it is the acknowledgement that was asked for. */
static s64 answer_error(struct socket_netlink *n, const struct netlink_header *request, s32 error)
{
    struct netlink_answer *a;
    struct {
        struct netlink_header header;
        s32 error;
        struct netlink_header request;
    } e = {.header = {.bytes = sizeof(e),
                      .type = NLMSG_ERROR,
                      .sequence = request->sequence,
                      .port = n->port},
           .error = -error,
           .request = *request};
    s64 r = answer_create(n, &a);
    if (r)
        return r;
    memcpy(a->bytes, &e, sizeof(e));
    a->used = sizeof(e);
    answer_queue(n, a);
    return 0;
}

static void answer_done(struct netlink_answer *a, const struct netlink_header *request)
{
    struct {
        struct netlink_header header;
        s32 error;
    } end = {.header = {.bytes = sizeof(end),
                        .type = NLMSG_DONE,
                        .flags = NLM_F_MULTI,
                        .sequence = request->sequence,
                        .port = request->port}};
    memcpy(a->bytes, &end, sizeof(end));
    a->used = sizeof(end);
}

/* The parts in one datagram, the end in another: as Linux does when the parts fill one. */
static s64 request_dump(struct socket_netlink *n, struct netlink_header request, u8 family)
{
    struct netlink_answer *parts, *end;
    request.port = n->port;
    s64 r = answer_create(n, &parts);
    if (r)
        return r;
    r = answer_create(n, &end);
    if (r || !socket_route_dump(parts, &request, family)) {
        deallocate(general_heap, parts, sizeof(*parts));
        if (!r)
            deallocate(general_heap, end, sizeof(*end));
        return r ? r : answer_error(n, &request, EOPNOTSUPP);
    }
    if (parts->used)
        answer_queue(n, parts);
    else
        deallocate(general_heap, parts, sizeof(*parts));
    answer_done(end, &request);
    answer_queue(n, end);
    return 0;
}

static s64 request_serve(struct socket_netlink *n, const struct netlink_header *h, const u8 *body)
{
    u8 family = h->bytes > sizeof(*h) ? *body : AF_UNSPEC;
    if (!(h->flags & NLM_F_REQUEST) || h->type <= NLMSG_DONE)
        return h->flags & NLM_F_ACK ? answer_error(n, h, 0) : 0;
    if ((h->flags & NLM_F_DUMP) == NLM_F_DUMP)
        return request_dump(n, *h, family);
    return answer_error(n, h, EOPNOTSUPP);
}

static s64 requests_serve(struct socket_netlink *n, const u8 *bytes, u64 count)
{
    u64 at = 0;
    while (count - at >= sizeof(struct netlink_header)) {
        struct netlink_header h;
        memcpy(&h, bytes + at, sizeof(h));
        if (h.bytes < sizeof(h) || h.bytes > count - at)
            break;
        s64 r = request_serve(n, &h, bytes + at + sizeof(h));
        if (r)
            return r;
        at = min(at + align_up(h.bytes, 4), count);
    }
    return 0;
}

static s64 netlink_target_check(const struct transfer *x)
{
    struct netlink_address to;
    const struct socket_message *m = x->message;
    if (!m || !m->address.bytes)
        return 0;
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (m->address.bytes < sizeof(to) || m->address.family != AF_NETLINK)
        return -EINVAL;
    memcpy(&to, m->address.data, sizeof(to));
    return to.groups ? -EPERM : to.port ? -ECONNREFUSED : 0;
}

static s64 netlink_send(struct socket *s, struct transfer *x)
{
    struct socket_netlink *n = netlink_of(s);
    u8 request[REQUEST_MOST];
    u64 count = x->left;
    s64 r = netlink_target_check(x);
    if (!r && count > sizeof(request))
        r = -EMSGSIZE;
    if (r)
        return r;
    r = socket_copy_in(x, request, count);
    if (r)
        return r;
    if (!n->port)
        netlink_bind_any(x->thread, n);
    r = requests_serve(n, request, count);
    return r ? r : (s64)count;
}

/* --- answers ---------------------------------------------------------------------------------- */

static s64 netlink_receive(struct socket *s, struct transfer *x)
{
    struct socket_netlink *n = netlink_of(s);
    u32 flags = socket_flags(x);
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (list_empty(&n->answers))
        return socket_wait(s, x);
    struct netlink_answer *a = container_of(n->answers.next, struct netlink_answer, link);
    u64 bytes = a->used;
    s64 r = socket_copy_out(x, a->bytes, min(bytes, x->left));
    if (r == SYSCALL_LATER)
        return r;
    if (x->message) {
        x->message->flags_out |= bytes > x->done ? MSG_TRUNC : 0;
        (void)netlink_address(s, true, &x->message->address);
    }
    if (!(flags & MSG_PEEK)) {
        list_remove(&a->link);
        n->answer_count--;
        deallocate(general_heap, a, sizeof(*a));
    }
    return r ? r : flags & MSG_TRUNC ? (s64)bytes : (s64)x->done;
}

static u32 netlink_poll(struct socket *s)
{
    return SOCKET_WRITABLE | (list_empty(&netlink_of(s)->answers) ? 0 : SOCKET_READABLE);
}

static s64 netlink_received(struct socket *s)
{
    struct socket_netlink *n = netlink_of(s);
    if (list_empty(&n->answers))
        return 0;
    return container_of(n->answers.next, struct netlink_answer, link)->used;
}

static const struct socket_operations socket_netlink = {
    .bytes = sizeof(struct socket_netlink),
    .bind = netlink_bind,
    .connect = netlink_connect,
    .address = netlink_address,
    .send = netlink_send,
    .receive = netlink_receive,
    .poll = netlink_poll,
    .received = netlink_received,
    .close = netlink_close,
};
