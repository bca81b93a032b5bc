/* Which ports are taken, by whom, and who may share them: kernel/net/ports.h.  Called by the
   endpoints of TCP and UDP. */
#include "kernel/net/ports.h"

#include "kernel/net/lwip_address.h"
#include "runtime/assert.h"
#include "runtime/memory.h"

static struct list *bucket_of(struct net_ports *p, u16 port)
{
    if (!p->begun) {
        p->begun = true;
        for (u32 i = 0; i < NET_PORT_BUCKETS; i++)
            list_init(&p->buckets[i]);
    }
    return &p->buckets[port % NET_PORT_BUCKETS];
}

/* Whether one packet could be for both, the port being the same. */
static bool addresses_overlap(const struct net_binding *a, const struct net_binding *b)
{
    struct net_address one = net_address_unmapped(&a->address);
    struct net_address other = net_address_unmapped(&b->address);
    bool one_any = net_address_is_any(&one), other_any = net_address_is_any(&other);
    if (one.family == other.family)
        return one_any || other_any || memcmp(one.bytes, other.bytes, sizeof(one.bytes)) == 0;
    /* One speaks IPv6: it reaches into IPv4 when it is bound to no address and may. */
    return one.family == NET_V6 ? one_any && !a->v6_only : other_any && !b->v6_only;
}

static bool may_share(const struct net_binding *a, const struct net_binding *b)
{
    if (a->reuse_port && b->reuse_port)
        return true;
    return a->reuse_address && b->reuse_address && !a->listening && !b->listening;
}

bool net_binding_conflicts(struct net_ports *p, const struct net_binding *b, u16 port)
{
    list_for_each (bucket_of(p, port), link) {
        const struct net_binding *other = container_of(link, struct net_binding, link);
        if (other != b && other->port == port && addresses_overlap(b, other) &&
            !may_share(b, other))
            return true;
    }
    return false;
}

bool net_binding_listened(struct net_ports *p, const struct net_binding *b)
{
    list_for_each (bucket_of(p, b->port), link) {
        const struct net_binding *other = container_of(link, struct net_binding, link);
        if (other != b && other->port == b->port && other->listening &&
            addresses_overlap(b, other) && !(b->reuse_port && other->reuse_port))
            return true;
    }
    return false;
}

void net_binding_enter(struct net_ports *p, struct net_binding *b, u16 port)
{
    assert(port && !b->port);
    b->port = port;
    list_push_back(bucket_of(p, port), &b->link);
}

static bool is_chosen(const struct net_ports *p, u32 index)
{
    return p->chosen[index / 64] >> (index % 64) & 1;
}

bool net_binding_choose(struct net_ports *p, struct net_binding *b, u32 random)
{
    const u32 count = NET_PORT_LAST - NET_PORT_FIRST + 1;
    u32 index = random % count;
    for (u32 tried = 0; tried < count; tried++, index = index + 1 == count ? 0 : index + 1) {
        /* Sixty-four at once, where all of them are taken. */
        if (index % 64 == 0 && index + 64 <= count && !~p->chosen[index / 64]) {
            index += 63;
            tried += 63;
            continue;
        }
        u16 port = (u16)(NET_PORT_FIRST + index);
        if (is_chosen(p, index) || net_binding_conflicts(p, b, port))
            continue;
        p->chosen[index / 64] |= 1ull << (index % 64);
        b->chosen = true;
        net_binding_enter(p, b, port);
        return true;
    }
    return false;
}

void net_binding_leave(struct net_binding *b)
{
    if (!b->port)
        return;
    list_remove(&b->link);
    b->port = 0;
    b->chosen = false;
}

void net_port_release(struct net_ports *p, u16 port)
{
    u32 index = port - NET_PORT_FIRST;
    assert(port >= NET_PORT_FIRST && port <= NET_PORT_LAST && is_chosen(p, index));
    p->chosen[index / 64] &= ~(1ull << (index % 64));
}
