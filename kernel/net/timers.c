/* The one timer of the kernel's behind all that lwIP does later.

   Once a second while there is a device: ARP, neighbours, fragments, DHCP.  Ten times a second
   only while a group has a report to send; twice a second only while DHCP waits for an answer;
   TCP's when a connection has something
   due (kernel/net/lwip_timers.c).  With no device and no connection nothing
   ticks. */
#include "kernel/clock.h"
#include "kernel/net/internal.h"
#include "kernel/net/lwip_timers.h"
#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/igmp.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/timeouts.h"

#define SECOND_NS     NS_PER_SECOND
#define GROUPS_NS     (IGMP_TMR_INTERVAL * NS_PER_MS)
#define DHCP_NS       (DHCP_FINE_TIMER_MSECS * NS_PER_MS)
#define DHCP_COARSE_S DHCP_COARSE_TIMER_SECS
#define NEVER         (~0ull)

static struct net_timers {
    struct timer timer;
    struct thunk expired;
    u64 armed_ns; /* NEVER: not */
    u64 second_ns, groups_ns, dhcp_ns, tcp_ns;
    u32 seconds;
} timers;

/* --- who needs a tick ------------------------------------------------------------------------- */

static bool groups_wait(void)
{
    struct netif *n;
    NETIF_FOREACH(n)
    {
        for (struct igmp_group *g = netif_igmp_data(n); g; g = g->next) {
            if (g->timer)
                return true;
        }
        for (struct mld_group *g = netif_mld6_data(n); g; g = g->next) {
            if (g->timer)
                return true;
        }
    }
    return false;
}

static bool dhcp_waits(void)
{
    struct netif *n;
    NETIF_FOREACH(n)
    {
        struct dhcp *dhcp = netif_dhcp_data(n);
        if (dhcp && dhcp->request_timeout)
            return true;
    }
    return false;
}

/* --- ticks ------------------------------------------------------------------------------------ */

static void second_tick(void)
{
    etharp_tmr();
    ip_reass_tmr();
    ip6_reass_tmr();
    nd6_tmr();
    if (++timers.seconds % DHCP_COARSE_S == 0)
        dhcp_coarse_tmr();
    net_addresses_tick();
}

static void groups_tick(void)
{
    igmp_tmr();
    mld6_tmr();
}

/* True: it was due.  One that is late is not made up for. */
static bool due(u64 *at_ns, u64 interval_ns, u64 now_ns)
{
    if (*at_ns > now_ns)
        return false;
    *at_ns = max(*at_ns + interval_ns, now_ns + interval_ns / 2);
    return true;
}

/* Makes *at_ns NEVER when nobody needs the tick, and a time when somebody does. */
static void needed(u64 *at_ns, bool wanted, u64 interval_ns, u64 now_ns)
{
    if (!wanted)
        *at_ns = NEVER;
    else if (*at_ns == NEVER)
        *at_ns = now_ns + interval_ns;
}

static void timers_arm(void)
{
    u64 next_ns = min(timers.second_ns, timers.tcp_ns);
    next_ns = min(next_ns, timers.groups_ns);
    next_ns = min(next_ns, timers.dhcp_ns);
    if (next_ns >= timers.armed_ns)
        return;
    timers.armed_ns = next_ns;
    timer_set(&timers.timer, next_ns, &timers.expired);
}

closure_method(thunk, timers_expired, struct net_timers, expired)
{
    struct net_timers *t = owner();
    u64 now_ns = clock_monotonic_ns();
    t->armed_ns = NEVER;
    if (t->tcp_ns <= now_ns) {
        t->tcp_ns = NEVER; /* while it runs, earlier ones may come */
        u64 next_ns = net_lwip_timers_run(now_ns);
        t->tcp_ns = next_ns;
    }
    if (due(&t->groups_ns, GROUPS_NS, now_ns))
        groups_tick();
    if (due(&t->dhcp_ns, DHCP_NS, now_ns))
        dhcp_fine_tmr();
    if (due(&t->second_ns, SECOND_NS, now_ns))
        second_tick();
    needed(&t->groups_ns, groups_wait(), GROUPS_NS, now_ns);
    needed(&t->dhcp_ns, dhcp_waits(), DHCP_NS, now_ns);
    timers_arm();
}

/* --- from lwIP -------------------------------------------------------------------------------- */

void sys_timeouts_init(void)
{
}

void net_timers_tcp(u64 due_ns)
{
    timers.tcp_ns = due_ns;
    timers_arm();
}

/* --- beginning -------------------------------------------------------------------------------- */

void net_timers_init(void)
{
    net_lwip_timers_init();
    init_method(&timers.expired, timers_expired);
    timers.armed_ns = timers.second_ns = timers.groups_ns = timers.dhcp_ns = timers.tcp_ns = NEVER;
}

void net_timers_start(void)
{
    needed(&timers.second_ns, true, SECOND_NS, clock_monotonic_ns());
    timers_arm();
}
