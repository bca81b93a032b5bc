/* The scoreboard of a sending TCP: see kernel/net/holes.h.  Called by kernel/net/lwip_recovery.c.
 */
#include "kernel/net/holes.h"
#include "kernel/memory.h"
#include "lwip/priv/tcp_priv.h"
#include "runtime/memory.h"

#define ROOM_FIRST 8u

void net_holes_begin(struct net_holes *h, u32 una)
{
    if (!h->holes) {
        h->holes = &h->own;
        h->room = 1;
    }
    h->count = 0;
    h->una = h->end = una;
    h->delivered_ms = h->passed_ms = 0;
}

void net_holes_end(struct net_holes *h)
{
    if (h->holes && h->holes != &h->own)
        deallocate(general_heap, h->holes, h->room * sizeof(*h->holes));
    h->holes = NULL;
    h->count = h->room = 0;
}

/* Room for one more. */
static bool room_make(struct net_holes *h)
{
    if (h->count < h->room)
        return true;
    if (h->room >= NET_HOLES_MOST)
        return false;
    u32 room = h->room > 1 ? h->room * 4u : ROOM_FIRST;
    struct net_hole *larger = allocate(general_heap, room * sizeof(*larger));
    if (!larger)
        return false;
    if (h->count)
        memcpy(larger, h->holes, h->count * sizeof(*larger));
    u16 count = h->count;
    net_holes_end(h);
    h->holes = larger;
    h->count = count;
    h->room = (u16)room;
    return true;
}

/* There is room. */
static struct net_hole *hole_insert(struct net_holes *h, u32 at)
{
    memmove(&h->holes[at + 1], &h->holes[at], (h->count - at) * sizeof(*h->holes));
    h->count++;
    return &h->holes[at];
}

static void holes_remove(struct net_holes *h, u32 at, u32 count)
{
    memmove(&h->holes[at], &h->holes[at + count], (h->count - at - count) * sizeof(*h->holes));
    h->count = (u16)(h->count - count);
}

static bool hole_was_resent(const struct net_hole *hole)
{
    return hole->first_ms && hole->next != hole->begin;
}

/* Something of a hole has arrived: was it what had been sent again? */
static void note_delivered(struct net_holes *h, const struct net_hole *hole)
{
    if (hole_was_resent(hole) && (!h->delivered_ms || (s32)(hole->resent_ms - h->delivered_ms) > 0))
        h->delivered_ms = hole->resent_ms;
}

static void hole_cut_below(struct net_hole *hole, u32 begin)
{
    hole->begin = begin;
    if (TCP_SEQ_LT(hole->next, begin))
        hole->next = begin;
}

static void hole_cut_above(struct net_hole *hole, u32 end)
{
    hole->end = end;
    if (TCP_SEQ_GT(hole->next, end))
        hole->next = end;
}

/* --- what arrived ----------------------------------------------------------------------------- */

static void note_passed(struct net_holes *h, const struct net_hole *hole)
{
    note_delivered(h, hole);
    if (hole_was_resent(hole) && !h->passed_ms)
        h->passed_ms = hole->first_ms;
}

u32 net_holes_acknowledged(struct net_holes *h, u32 una)
{
    u32 news = 0, gone = 0;
    h->passed_ms = 0;
    while (gone < h->count && TCP_SEQ_LEQ(h->holes[gone].end, una)) {
        note_passed(h, &h->holes[gone]);
        news += h->holes[gone].end - h->holes[gone].begin;
        gone++;
    }
    if (gone)
        holes_remove(h, 0, gone);
    if (h->count && TCP_SEQ_LT(h->holes[0].begin, una)) {
        note_passed(h, &h->holes[0]);
        news += una - h->holes[0].begin;
        hole_cut_below(&h->holes[0], una);
    }
    if (TCP_SEQ_LT(h->end, una)) {
        news += una - h->end;
        h->end = una;
    }
    h->una = una;
    return news;
}

/* The first hole that ends above `at`; count: none does. */
static u32 hole_find(const struct net_holes *h, u32 at)
{
    u32 low = 0, high = h->count;
    while (low < high) {
        u32 middle = (low + high) / 2;
        if (TCP_SEQ_GT(h->holes[middle].end, at))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* [begin, end) lies inside of a hole, and splits it. */
static u32 hole_split(struct net_holes *h, u32 at, u32 begin, u32 end)
{
    if (!room_make(h))
        return 0;
    struct net_hole *lower = hole_insert(h, at), *upper = lower + 1;
    *lower = *upper;
    note_delivered(h, upper);
    hole_cut_above(lower, begin);
    hole_cut_below(upper, end);
    return end - begin;
}

static u32 holes_fill(struct net_holes *h, u32 begin, u32 end)
{
    u32 news = 0, at = hole_find(h, begin);
    while (at < h->count && TCP_SEQ_LT(h->holes[at].begin, end)) {
        struct net_hole *hole = &h->holes[at];
        bool from_below = TCP_SEQ_LEQ(begin, hole->begin);
        bool to_above = TCP_SEQ_GEQ(end, hole->end);
        if (!from_below && !to_above)
            return news + hole_split(h, at, begin, end);
        note_delivered(h, hole);
        if (from_below && to_above) {
            news += hole->end - hole->begin;
            holes_remove(h, at, 1);
            continue;
        }
        if (from_below) {
            news += end - hole->begin;
            hole_cut_below(hole, end);
        } else {
            news += hole->end - begin;
            hole_cut_above(hole, begin);
        }
        at++;
    }
    return news;
}

u32 net_holes_arrived(struct net_holes *h, u32 begin, u32 end, u32 now_ms)
{
    if (TCP_SEQ_GEQ(begin, h->end)) {
        if (begin != h->end) {
            if (!room_make(h))
                return 0;
            *hole_insert(h, h->count) =
                (struct net_hole){.begin = h->end, .end = begin, .next = h->end, .seen_ms = now_ms};
        }
        h->end = end;
        return end - begin;
    }
    u32 news = holes_fill(h, begin, end);
    if (TCP_SEQ_GT(end, h->end)) {
        news += end - h->end;
        h->end = end;
    }
    return news;
}

/* --- what is lost ----------------------------------------------------------------------------- */

static void hole_lose(struct net_hole *hole)
{
    hole->lost = true;
    hole->next = hole->begin;
}

void net_holes_judge(struct net_holes *h, struct net_holes_judgement j)
{
    u32 arrived = 0, pieces = 0, above = h->end;
    for (u32 i = h->count; i--;) {
        struct net_hole *hole = &h->holes[i];
        if (hole->end != above) {
            arrived += above - hole->end;
            pieces++;
        }
        above = hole->begin;
        bool overtaken = arrived > (j.segments - 1) * j.segment_bytes || pieces >= j.segments;
        bool late = (s32)(j.now_ms - hole->seen_ms) >= (s32)j.patience_ms;
        if (!hole->lost && (overtaken || late))
            hole_lose(hole);
    }
}

bool net_holes_doubtful(const struct net_holes *h, u32 *seen_ms)
{
    for (u32 i = 0; i < h->count; i++) {
        if (h->holes[i].lost)
            continue;
        *seen_ms = h->holes[i].seen_ms;
        return true;
    }
    return false;
}

void net_holes_lose_all(struct net_holes *h, u32 to)
{
    /* Nobody promised to keep what arrived out of order (RFC 2018, 8): as if it had not, when the
       oldest byte is said to be there and is not acknowledged, or there is no room. */
    bool first_missing = h->end == h->una || (h->count && h->holes[0].begin == h->una);
    if (!first_missing || (h->end != to && !room_make(h))) {
        h->count = 0;
        h->end = h->una;
    }
    /* There is always room for one. */
    if (h->end != to) {
        *hole_insert(h, h->count) = (struct net_hole){.begin = h->end, .end = to};
        h->end = to;
    }
    for (u32 i = 0; i < h->count; i++)
        hole_lose(&h->holes[i]);
    h->delivered_ms = 0;
}

bool net_holes_lose_first(struct net_holes *h, u32 to)
{
    if (h->count)
        return false;
    h->end = h->una;
    if (!room_make(h))
        return false;
    *hole_insert(h, 0) =
        (struct net_hole){.begin = h->una, .end = to, .next = h->una, .lost = true};
    h->end = to;
    return true;
}

u32 net_holes_judge_again(struct net_holes *h, u32 bytes, u32 late_ms)
{
    u32 news = 0;
    for (u32 i = 0; i < h->count; i++) {
        struct net_hole *hole = &h->holes[i];
        if (!hole->lost || hole->next == hole->begin || !hole->first_ms)
            continue;
        bool overtaken = TCP_SEQ_GT(h->end, hole->resent_nxt + bytes);
        bool late = h->delivered_ms && (s32)(h->delivered_ms - hole->resent_ms) > (s32)late_ms;
        if (!overtaken && !late)
            continue;
        hole_lose(hole);
        news++;
    }
    return news;
}

void net_holes_forgive(struct net_holes *h, u32 now_ms)
{
    for (u32 i = 0; i < h->count; i++) {
        h->holes[i].lost = false;
        h->holes[i].seen_ms = now_ms;
        h->holes[i].next = h->holes[i].begin;
    }
}

/* --- what to do about it ---------------------------------------------------------------------- */

struct net_hole *net_holes_next(struct net_holes *h)
{
    for (u32 i = 0; i < h->count; i++)
        if (h->holes[i].lost && h->holes[i].next != h->holes[i].end)
            return &h->holes[i];
    return NULL;
}

u32 net_holes_pipe(const struct net_holes *h, u32 to)
{
    u32 bytes = to - h->end;
    for (u32 i = 0; i < h->count; i++) {
        const struct net_hole *hole = &h->holes[i];
        bytes += (hole->lost ? hole->next : hole->end) - hole->begin;
    }
    return bytes;
}
