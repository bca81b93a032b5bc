/* Where connections are found.  lwIP walks its lists for each segment; here it asks a table, hashed
   with a secret so that nobody can choose addresses and ports that fall into one place.  The lists
   remain, and one is taken out of them at once.

   TIME-WAIT is bounded: beyond TIME_WAIT_MOST the oldest gives way.
   Called by lwIP where edits/70_lists.pl says so. */
#include "kernel/memory.h"
#include "kernel/net/lwip/hooks.h"
#include "kernel/net/lwip_port.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "runtime/assert.h"

#define BUCKETS_FIRST  64u
#define BUCKETS_MOST   (1u << 17)
#define LISTEN_BUCKETS 64u
#define TIME_WAIT_MOST 16384u

static struct tcp_pcb *first_buckets[BUCKETS_FIRST];

static struct {
    struct tcp_pcb **buckets;
    u32 bucket_count; /* a power of two */
    u32 count;
} connections = {first_buckets, BUCKETS_FIRST, 0};

static struct tcp_pcb *listeners[LISTEN_BUCKETS]; /* by port; struct tcp_pcb_listen */

static struct {
    struct tcp_pcb *oldest; /* the last of tcp_tw_pcbs */
    u32 count;
} time_wait;

/* --- the table of connections ----------------------------------------------------------------- */

static u32 connection_hash(const ip_addr_t *local, u16 local_port, const ip_addr_t *remote,
                           u16 remote_port)
{
    u32 words[9] = {(u32)local_port << 16 | remote_port};
    if (IP_IS_V6(remote)) {
        memcpy(words + 1, local, 16);
        memcpy(words + 5, remote, 16);
        return net_table_hash(words, 9);
    }
    words[1] = ip4_addr_get_u32(ip_2_ip4(local));
    words[2] = ip4_addr_get_u32(ip_2_ip4(remote));
    return net_table_hash(words, 3);
}

static struct tcp_pcb **bucket_of(const struct tcp_pcb *pcb)
{
    u32 hash = connection_hash(&pcb->local_ip, pcb->local_port, &pcb->remote_ip, pcb->remote_port);
    return &connections.buckets[hash & (connections.bucket_count - 1)];
}

static void bucket_add(struct tcp_pcb **bucket, struct tcp_pcb *pcb)
{
    pcb->net_hash_next = *bucket;
    if (*bucket)
        (*bucket)->net_hash_at = &pcb->net_hash_next;
    pcb->net_hash_at = bucket;
    *bucket = pcb;
}

static void bucket_remove(struct tcp_pcb *pcb)
{
    *pcb->net_hash_at = pcb->net_hash_next;
    if (pcb->net_hash_next)
        pcb->net_hash_next->net_hash_at = pcb->net_hash_at;
    pcb->net_hash_at = NULL;
    pcb->net_hash_next = NULL;
}

/* Out of memory the table stays as it is, and is slower. */
static void table_grow(void)
{
    u32 old_count = connections.bucket_count;
    struct tcp_pcb **old = connections.buckets;
    struct tcp_pcb **new = allocate_zero(general_heap, 4ull * old_count * sizeof(*new));
    if (!new)
        return;
    connections.buckets = new;
    connections.bucket_count = 4 * old_count;
    for (u32 i = 0; i < old_count; i++) {
        while (old[i]) {
            struct tcp_pcb *pcb = old[i];
            bucket_remove(pcb);
            bucket_add(bucket_of(pcb), pcb);
        }
    }
    if (old != first_buckets)
        deallocate(general_heap, old, (u64)old_count * sizeof(*old));
}

static void connection_add(struct tcp_pcb *pcb)
{
    if (connections.count >= connections.bucket_count && connections.bucket_count < BUCKETS_MOST)
        table_grow();
    connections.count++;
    bucket_add(bucket_of(pcb), pcb);
}

static bool interface_fits(u8 bound, u8 interface)
{
    return bound == NETIF_NO_INDEX || interface == NETIF_NO_INDEX || bound == interface;
}

struct tcp_pcb *net_lwip_find(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                              u16_t remote_port, u8_t interface)
{
    u32 hash = connection_hash(local, local_port, remote, remote_port);
    struct tcp_pcb *pcb = connections.buckets[hash & (connections.bucket_count - 1)];
    for (; pcb; pcb = pcb->net_hash_next) {
        if (pcb->remote_port == remote_port && pcb->local_port == local_port &&
            ip_addr_eq(&pcb->remote_ip, remote) && ip_addr_eq(&pcb->local_ip, local) &&
            interface_fits(pcb->netif_idx, interface))
            return pcb;
    }
    return NULL;
}

/* --- listeners -------------------------------------------------------------------------------- */

static struct tcp_pcb **listen_bucket(u16 port)
{
    return &listeners[port % LISTEN_BUCKETS];
}

/* 0: not for that address; 1: for any address; 2: for this one. */
static u32 listener_fit(const struct tcp_pcb_listen *l, const ip_addr_t *local)
{
    if (IP_IS_ANY_TYPE_VAL(l->local_ip))
        return 1;
    if (IP_GET_TYPE(&l->local_ip) != IP_GET_TYPE(local))
        return 0;
    if (ip_addr_eq(&l->local_ip, local))
        return 2;
    return ip_addr_isany(&l->local_ip) ? 1 : 0;
}

struct tcp_pcb_listen *net_lwip_find_listener(const ip_addr_t *local, u16_t port, u8_t interface)
{
    struct tcp_pcb_listen *best = NULL;
    u32 best_fit = 0;
    for (struct tcp_pcb *pcb = *listen_bucket(port); pcb; pcb = pcb->net_hash_next) {
        struct tcp_pcb_listen *l = (struct tcp_pcb_listen *)(void *)pcb;
        if (l->local_port != port || !interface_fits(l->netif_idx, interface))
            continue;
        u32 fit = listener_fit(l, local);
        if (fit > best_fit) {
            best = l;
            best_fit = fit;
        }
    }
    return best;
}

/* --- TIME-WAIT -------------------------------------------------------------------------------- */

static void time_wait_added(struct tcp_pcb *pcb)
{
    if (!pcb->next)
        time_wait.oldest = pcb;
    if (++time_wait.count <= TIME_WAIT_MOST)
        return;
    struct tcp_pcb *oldest = time_wait.oldest;
    tcp_pcb_remove(&tcp_tw_pcbs, oldest);
    tcp_free(oldest);
}

/* Still on its list. */
static void time_wait_removed(struct tcp_pcb *pcb)
{
    time_wait.count--;
    if (pcb != time_wait.oldest)
        return;
    bool alone = pcb->net_at == &tcp_tw_pcbs;
    time_wait.oldest = alone ? NULL : container_of(pcb->net_at, struct tcp_pcb, next);
}

/* --- the lists -------------------------------------------------------------------------------- */

void net_lwip_list_add(struct tcp_pcb **list, struct tcp_pcb *pcb)
{
    assert(!pcb->net_at);
    pcb->next = *list;
    if (*list)
        (*list)->net_at = &pcb->next;
    pcb->net_at = list;
    *list = pcb;
    if (list == &tcp_listen_pcbs.pcbs)
        bucket_add(listen_bucket(pcb->local_port), pcb);
    else if (list != &tcp_bound_pcbs)
        connection_add(pcb);
    if (list == &tcp_tw_pcbs)
        time_wait_added(pcb);
}

/* One that is bound may be on no list: kernel/net/ports.c knows of it. */
void net_lwip_list_remove(struct tcp_pcb **list, struct tcp_pcb *pcb)
{
    if (!pcb->net_at)
        return;
    if (list == &tcp_tw_pcbs)
        time_wait_removed(pcb);
    *pcb->net_at = pcb->next;
    if (pcb->next)
        pcb->next->net_at = pcb->net_at;
    pcb->net_at = NULL;
    pcb->next = NULL;
    if (!pcb->net_hash_at)
        return;
    bucket_remove(pcb);
    if (list != &tcp_listen_pcbs.pcbs)
        connections.count--;
}
