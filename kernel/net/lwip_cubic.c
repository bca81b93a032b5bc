/* TCP's congestion window between losses: slow start that ends when round trips become longer
   (RFC 9406), and CUBIC (RFC 9438).  Called by kernel/net/lwip_recovery.c; windows are in bytes,
   times in milliseconds. */
#include "kernel/net/lwip_recovery.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"

#define WINDOW_MOST       (64u << 20)
#define ROUND_SAMPLES     8u /* RFC 9406, 4.3: N_RTT_SAMPLE */
#define ROUND_LATER_LEAST 4u /* ms: MIN_RTT_THRESH, MAX_RTT_THRESH */
#define ROUND_LATER_MOST  16u
#define CAUTIOUS_ROUNDS   5u     /* CSS_ROUNDS */
#define CAUTIOUS_DIVISOR  4u     /* CSS_GROWTH_DIVISOR */
#define CURVE_MS_MOST     100000 /* how far from its flat part the curve is followed */

/* --- slow start ------------------------------------------------------------------------------- */

/* A round is over: RFC 9406, 4.2. */
static void round_end(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    if (r->round_samples >= ROUND_SAMPLES)
        r->round_last_ms = r->round_least_ms;
    if (r->cautious_rounds && ++r->cautious_rounds > CAUTIOUS_ROUNDS)
        pcb->ssthresh = pcb->cwnd;
    r->round_least_ms = ~0u;
    r->round_samples = 0;
    r->round_end = pcb->snd_nxt;
}

void net_lwip_cubic_rtt(struct tcp_pcb *pcb, u32 rtt_ms)
{
    struct net_recovery *r = &pcb->net_recovery;
    if (pcb->cwnd >= pcb->ssthresh || r->state != NET_RECOVERY_OPEN)
        return;
    if (TCP_SEQ_GEQ(pcb->lastack, r->round_end))
        round_end(pcb);
    r->round_samples = (u16)min(r->round_samples + 1u, 0xffffu);
    r->round_least_ms = min(r->round_least_ms, rtt_ms);
    if (r->round_samples < ROUND_SAMPLES || !r->round_last_ms)
        return;
    u32 later = min(max(r->round_last_ms / 8, ROUND_LATER_LEAST), ROUND_LATER_MOST);
    if (r->cautious_rounds) {
        if (r->round_least_ms < r->cautious_ms)
            r->cautious_rounds = 0;
    } else if (r->round_least_ms >= r->round_last_ms + later) {
        r->cautious_rounds = 1;
        r->cautious_ms = r->round_least_ms;
    }
}

/* --- the curve -------------------------------------------------------------------------------- */

static u32 cube_root(u64 of)
{
    u32 root = 0;
    for (u32 bit = 1u << 20; bit; bit >>= 1) {
        u64 tried = root | bit;
        if (tried * tried * tried <= of)
            root |= bit;
    }
    return root;
}

/* RFC 9438, 4.2: C = 0.4 segments per cubic second. */
static void curve_begin(struct tcp_pcb *pcb, u32 now)
{
    struct net_recovery *r = &pcb->net_recovery;
    r->cubic_epoch_ms = now ? now : 1;
    r->cubic_reno = pcb->cwnd;
    r->cubic_credit = 0;
    r->cubic_k_ms = 0;
    r->cubic_origin = pcb->cwnd;
    if (pcb->cwnd >= r->cubic_most)
        return;
    r->cubic_origin = r->cubic_most;
    u64 below = r->cubic_most - pcb->cwnd;
    r->cubic_k_ms = cube_root(below * 2500000000ull / pcb->mss);
}

/* The curve's height at that time after its beginning. */
static u32 curve_at(const struct tcp_pcb *pcb, u32 ms)
{
    const struct net_recovery *r = &pcb->net_recovery;
    s64 from = (s64)ms - r->cubic_k_ms;
    from = min(max(from, (s64)-CURVE_MS_MOST), (s64)CURVE_MS_MOST);
    s64 height = r->cubic_origin + from * from * from / 1000000 * 2 * pcb->mss / 5000;
    return (u32)min(max(height, (s64)pcb->mss), (s64)WINDOW_MOST);
}

/* What Reno with CUBIC's reduction would have: 4.3. */
static void reno_grow(struct tcp_pcb *pcb, u32 acknowledged)
{
    struct net_recovery *r = &pcb->net_recovery;
    u64 a = r->cubic_reno >= r->cubic_most ? 100 : 53; /* hundredths of a segment a round */
    r->cubic_reno += (u32)(a * pcb->mss * acknowledged / 100 / max(pcb->cwnd, 1u));
}

static void avoidance_grow(struct tcp_pcb *pcb, u32 acknowledged)
{
    struct net_recovery *r = &pcb->net_recovery;
    u32 now = sys_now();
    if (!r->cubic_epoch_ms)
        curve_begin(pcb, now);
    reno_grow(pcb, acknowledged);
    u32 target = curve_at(pcb, now - r->cubic_epoch_ms + r->least_rtt_ms);
    target = min(target, pcb->cwnd + pcb->cwnd / 2);
    u32 window = max(pcb->cwnd, 1u);
    if (target > window) {
        r->cubic_credit += (u64)(target - window) * acknowledged;
        u32 grown = (u32)(r->cubic_credit / window);
        r->cubic_credit -= (u64)grown * window;
        pcb->cwnd += grown;
    }
    pcb->cwnd = max(pcb->cwnd, r->cubic_reno);
}

void net_lwip_cubic_grow(struct tcp_pcb *pcb, u32 acknowledged, u32 flight)
{
    bool slow = pcb->cwnd < pcb->ssthresh;
    /* A window that is not used says nothing about the path. */
    u32 large = max((u32)pcb->mss * 3, pcb->cwnd / 8);
    if (slow ? pcb->cwnd >= 2 * flight : flight + large < pcb->cwnd)
        return;
    if (slow) {
        u32 grown = min(acknowledged, pcb->ssthresh - pcb->cwnd);
        pcb->cwnd += pcb->net_recovery.cautious_rounds ? grown / CAUTIOUS_DIVISOR : grown;
        acknowledged -= grown;
    }
    if (acknowledged)
        avoidance_grow(pcb, acknowledged);
    pcb->cwnd = min(pcb->cwnd, WINDOW_MOST);
}

/* 4.6, 4.7: the window after a loss. */
u32 net_lwip_cubic_reduced(struct tcp_pcb *pcb)
{
    struct net_recovery *r = &pcb->net_recovery;
    u32 window = pcb->cwnd;
    r->cubic_most = window < r->cubic_most ? (u32)((u64)window * 17 / 20) : window;
    r->cubic_epoch_ms = 0;
    r->cautious_rounds = 0;
    return max((u32)((u64)window * 7 / 10), 2u * pcb->mss);
}
