/* The one timer of the kernel's behind all that lwIP does later.

   Once a second while a table has something to do then: ARP, neighbours, fragments, addresses,
   DHCP.  Otherwise it sleeps until the first of them has, SLEEP_MOST_S at most, or until a packet
   goes out or comes in; what only grew older meanwhile is made up for then.  Ten times a second
   only while a group has a report to send; twice a second only while DHCP waits for an answer;
   TCP's when a connection has something due (kernel/net/lwip_timers.c).  An idle machine does not
   tick. */
#include "kernel/clock.h"
#include "kernel/net/internal.h"
#include "kernel/net/lwip/hooks.h"
#include "kernel/net/lwip_timers.h"
#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/igmp.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/prot/dhcp.h"
#include "lwip/timeouts.h"

#define SECOND_NS     NS_PER_SECOND
#define GROUPS_NS     (IGMP_TMR_INTERVAL * NS_PER_MS)
#define DHCP_NS       (DHCP_FINE_TIMER_MSECS * NS_PER_MS)
#define DHCP_COARSE_S DHCP_COARSE_TIMER_SECS
#define NEVER         (~0ull)
#define SLEEP_MOST_S  3600u

static struct net_timers {
    struct timer timer;
    struct thunk expired;
    u64 armed_ns; /* NEVER: not */
    u64 second_ns, groups_ns, dhcp_ns, tcp_ns;
    u64 ticked_ns; /* the last of the ticks that come each second */
    u32 sleep_s;   /* how long after that the next one is to come */
    u32 seconds;
} timers;

bool net_timers_asleep;

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

/* Its counters are in minutes. */
static u32 dhcp_due_s(void)
{
    u32 ticks = NET_LWIP_NEVER;
    struct netif *n;
    NETIF_FOREACH(n)
    {
        const struct dhcp *dhcp = netif_dhcp_data(n);
        if (!dhcp || dhcp->state == DHCP_STATE_OFF)
            continue;
        if (dhcp->t0_timeout)
            ticks =
                min(ticks, max((u32)dhcp->t0_timeout, dhcp->lease_used + 1u) - dhcp->lease_used);
        if (dhcp->t1_renew_time)
            ticks = min(ticks, (u32)dhcp->t1_renew_time);
        if (dhcp->t2_rebind_time)
            ticks = min(ticks, (u32)dhcp->t2_rebind_time);
    }
    if (ticks == NET_LWIP_NEVER)
        return NET_LWIP_NEVER;
    return (ticks - 1) * DHCP_COARSE_S + DHCP_COARSE_S - timers.seconds % DHCP_COARSE_S;
}

/* How long nothing but growing older happens, in seconds; 1: it does not. */
static u32 idle_s(void)
{
    if (net_addresses_wait() || net_lwip_fragments4_wait() || net_lwip_fragments6_wait())
        return 1;
    return min(min(net_lwip_arp_due(), net_lwip_nd6_due()), dhcp_due_s());
}

/* --- ticks ------------------------------------------------------------------------------------ */

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

static void second_tick(void)
{
    net_lwip_way_changed();
    etharp_tmr();
    ip_reass_tmr();
    ip6_reass_tmr();
    nd6_tmr();
    if (++timers.seconds % DHCP_COARSE_S == 0)
        dhcp_coarse_tmr();
    net_addresses_tick();
}

/* After a tick at `ticked_ns`. */
static void second_plan(u64 ticked_ns)
{
    u32 idle = idle_s();
    timers.ticked_ns = ticked_ns;
    timers.sleep_s = min(idle, SLEEP_MOST_S);
    timers.second_ns = idle == NET_LWIP_NEVER ? NEVER : ticked_ns + timers.sleep_s * SECOND_NS;
    net_timers_asleep = idle > 1;
}

/* The ticks that were slept through, `most` at most. */
static void second_make_up(u64 now_ns, u32 most)
{
    u64 passed = (now_ns - timers.ticked_ns) / SECOND_NS;
    for (u64 i = min(passed, (u64)most); i; i--)
        second_tick();
}

/* One that is late is not made up for. */
static void second_due(u64 now_ns)
{
    u64 planned_ns = timers.second_ns;
    net_timers_asleep = false; /* what a tick sends wakes nobody */
    second_make_up(now_ns, timers.sleep_s - 1);
    second_tick();
    second_plan(max(planned_ns, now_ns - SECOND_NS / 2));
}

/* Whatever is due is due later than now, since the timer has not expired: only ages change. */
void net_timers_wake_up(void)
{
    u64 now_ns = clock_monotonic_ns();
    net_timers_asleep = false;
    net_lwip_way_changed();
    second_make_up(now_ns, timers.sleep_s - 1);
    timers.ticked_ns = now_ns;
    timers.sleep_s = 1;
    timers.second_ns = now_ns + SECOND_NS;
    timers_arm();
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
    if (t->second_ns <= now_ns)
        second_due(now_ns);
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
    timers.sleep_s = 1;
    timers.armed_ns = timers.second_ns = timers.groups_ns = timers.dhcp_ns = timers.tcp_ns = NEVER;
}

void net_timers_start(void)
{
    net_timers_wake_up();
}
