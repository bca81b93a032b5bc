/* What lwIP asks of its surroundings: memory, time, randomness, and somebody to complain to.
   Declared in kernel/net/lwip/arch/cc.h and hooks.h; called by lwIP alone. */
#include "kernel/net/lwip_port.h"

#include "kernel/clock.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "kernel/net/internal.h"
#include "kernel/net/lwip/hooks.h"
#include "lwip/opt.h"
#include "lwip/sys.h"
#include "runtime/assert.h"
#include "runtime/siphash.h"

/* --- memory ----------------------------------------------------------------------------------- */

/* In front of each block: lwIP gives it back without its size. */
struct lwip_block {
    u64 bytes; /* with this header */
    alignas(16) u8 memory[];
};

void *net_lwip_allocate(size_t bytes)
{
    struct lwip_block *b = allocate(general_heap, sizeof(*b) + bytes);
    if (!b)
        return NULL;
    b->bytes = sizeof(*b) + bytes;
    return b->memory;
}

void *net_lwip_allocate_zero(size_t count, size_t bytes)
{
    void *p = net_lwip_allocate(count * bytes);
    return p ? memset(p, 0, count * bytes) : NULL;
}

void net_lwip_free(void *p)
{
    struct lwip_block *b = container_of((u8(*)[])p, struct lwip_block, memory);
    deallocate(general_heap, b, b->bytes);
}

/* --- time and chance -------------------------------------------------------------------------- */

struct net_time net_time_held;

struct net_time net_time_hold(void)
{
    struct net_time before = net_time_held;
    if (!before.ns) {
        net_time_held.ns = clock_monotonic_ns();
        net_time_held.ms = (u32)(net_time_held.ns / NS_PER_MS);
    }
    return before;
}

u32_t net_lwip_ticks(void)
{
    return likely(net_time_held.ns) ? net_time_held.ms : (u32_t)(clock_monotonic_ns() / NS_PER_MS);
}

u32_t sys_now(void)
{
    return net_lwip_ticks();
}

/* Random numbers by the handful: each asking of the machine's generator costs much. */
u32 net_lwip_random(void)
{
    static u32 numbers[16];
    static u32 left;
    if (!left) {
        random_bytes(numbers, sizeof(numbers));
        left = countof(numbers);
    }
    u32 number = numbers[--left];
    numbers[left] = 0; /* nobody finds it afterwards */
    return number;
}

static struct siphash_key net_secret;
static u64 net_multipliers[NET_HASH_WORDS + 1]; /* secret, too */

void net_secret_init(void)
{
    random_bytes(&net_secret, sizeof(net_secret));
    random_bytes(net_multipliers, sizeof(net_multipliers));
}

u32 net_table_hash(const u32 *words, u32 count)
{
    assert(count <= NET_HASH_WORDS);
    u64 sum = net_multipliers[0];
    for (u32 i = 0; i < count; i++)
        sum += net_multipliers[i + 1] * words[i];
    return (u32)(sum >> 32);
}

u64 net_secret_hash(const void *data, u64 bytes)
{
    return siphash(&net_secret, data, bytes);
}

/* RFC 6528: a clock of 64 ns steps plus a secret function of the connection's four parts. */
u32_t net_lwip_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
                   u16_t remote_port)
{
    struct {
        u32 addresses[8];
        u16 ports[2];
    } key;
    memset(&key, 0, sizeof(key));
    memcpy(key.addresses, local, IP_IS_V6(local) ? 16 : 4);
    memcpy(key.addresses + 4, remote, IP_IS_V6(remote) ? 16 : 4);
    key.ports[0] = local_port;
    key.ports[1] = remote_port;
    return (u32_t)(net_secret_hash(&key, sizeof(key)) + clock_monotonic_ns() / 64);
}

/* --- what should not be ----------------------------------------------------------------------- */

u64 net_complaints;

void net_lwip_complain(const char *what, const char *file, int line)
{
#ifdef CLOSURE_CHECKS
    panic_at(file, line, "%s", what);
#else
    if (net_complaints++ < 10)
        log_warning("network: %s (%s:%d)", what, file, line);
#endif
}

#if !__STDC_HOSTED__
/* Of the C library, which the kernel has not. */
int atoi(const char *text);

int atoi(const char *text)
{
    int number = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        number = number * 10 + (*text - '0');
    return number;
}
#endif
