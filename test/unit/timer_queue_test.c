/* Timers in order: against a sorted model, and with a million pending, timed. */
#include "runtime/random.h"
#include "runtime/timer_queue.h"
#include "test/host/harness.h"

#include <stdlib.h>
#include <time.h>

static u64 clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * NS_PER_SECOND + (u64)t.tv_nsec;
}

/* --- few, against a model -------------------------------------------------------------------- */

#define MODEL_MOST 200

/* The model: the pending timers in an array, in the order in which they have to expire. */
struct model {
    struct timer *timers[MODEL_MOST];
    u32 count;
};

static void model_insert(struct model *m, struct timer *t, u64 expires_ns)
{
    u32 at = m->count++;
    for (; at > 0 && m->timers[at - 1]->expires_ns > expires_ns; at--)
        m->timers[at] = m->timers[at - 1];
    m->timers[at] = t;
}

static void model_remove(struct model *m, const struct timer *t)
{
    u32 at = 0;
    while (m->timers[at] != t)
        at++;
    for (m->count--; at < m->count; at++)
        m->timers[at] = m->timers[at + 1];
}

static struct timer *model_expired(struct model *m, u64 now_ns)
{
    if (!m->count || m->timers[0]->expires_ns > now_ns)
        return NULL;
    struct timer *t = m->timers[0];
    model_remove(m, t);
    return t;
}

/* One random step on a timer: it is set, or cancelled if it is pending; some are set again. */
static void step_timer(struct random *r, struct timer_queue *q, struct model *m, struct timer *t,
                       u64 now_ns)
{
    if (t->pending) {
        timer_queue_remove(q, t);
        model_remove(m, t);
        must(!t->pending);
        if (random_below(r, 2))
            return;
    }
    /* Few different times, so that many are equal; some have passed. */
    u64 expires_ns = now_ns + random_below(r, 12);
    model_insert(m, t, expires_ns);
    must(timer_queue_insert(q, t, expires_ns) == (m->timers[0] == t));
    must(t->pending && t->expires_ns == expires_ns);
}

static void test_model(struct random *r)
{
    static struct timer timers[MODEL_MOST];
    struct timer_queue q;
    struct model m = {.count = 0};
    u64 now_ns = 100, expired = 0;
    timer_queue_init(&q);
    for (u32 step = 0; step < 200000; step++) {
        if (random_below(r, 4) == 0) {
            struct timer *t = timer_queue_expired(&q, now_ns);
            must(t == model_expired(&m, now_ns));
            must(!t || !t->pending);
            expired += t != NULL;
            now_ns += !t;
        } else {
            /* At times few of them, so that the queue runs empty. */
            u64 among = step / 1000 % 2 ? 5 : MODEL_MOST;
            step_timer(r, &q, &m, &timers[random_below(r, among)], now_ns);
        }
        must(timer_queue_count(&q) == m.count);
        must(timer_queue_earliest(&q) == (m.count ? m.timers[0]->expires_ns : TIMER_QUEUE_NONE));
    }
    ok(expired > 1000, "200000 random steps agree with a sorted list, equal times too");
}

/* --- a million -------------------------------------------------------------------------------- */

#define MANY 1000000

static void timed(const char *what, u64 began_ns)
{
    note("%s: %lu ns each", what, (clock_ns() - began_ns) / MANY);
}

/* Takes all; true when they come in order and are `count`. */
static bool expire_all(struct timer_queue *q, u64 count)
{
    u64 last_ns = 0, taken = 0;
    bool in_order = true;
    for (struct timer *t; (t = timer_queue_expired(q, ~0ull)); taken++) {
        in_order &= t->expires_ns >= last_ns && !t->pending;
        last_ns = t->expires_ns;
    }
    return in_order && taken == count && timer_queue_earliest(q) == TIMER_QUEUE_NONE;
}

static void insert_random(struct timer_queue *q, struct timer *timers, struct random *r)
{
    for (u32 i = 0; i < MANY; i++)
        timer_queue_insert(q, &timers[i], random_below(r, NS_PER_SECOND * 60));
}

static void test_million(struct random *r)
{
    struct timer *timers = calloc(MANY, sizeof(*timers));
    struct timer_queue q;
    timer_queue_init(&q);
    must(timers);
    u64 began_ns = clock_ns();
    insert_random(&q, timers, r);
    timed("a million at random times: insert", began_ns);
    is(timer_queue_count(&q), MANY, "a million are pending");

    /* What a time-out does: it is set again before it expires. */
    began_ns = clock_ns();
    for (u32 i = 0; i < MANY; i++) {
        struct timer *t = &timers[random_below(r, MANY)];
        timer_queue_remove(&q, t);
        timer_queue_insert(&q, t, random_below(r, NS_PER_SECOND * 60));
    }
    timed("among a million: cancel and insert", began_ns);
    began_ns = clock_ns();
    ok(expire_all(&q, MANY), "a million expire in order");
    timed("a million: expire", began_ns);

    began_ns = clock_ns();
    for (u32 i = 0; i < MANY; i++)
        timer_queue_insert(&q, &timers[i], NS_PER_SECOND + i / 4);
    timed("a million of the same length, one after the other: insert", began_ns);
    began_ns = clock_ns();
    for (u32 i = 0; i < MANY; i += 2)
        timer_queue_remove(&q, &timers[i]);
    timed("every other one: cancel, two", began_ns);
    ok(expire_all(&q, MANY / 2), "and half a million after half a million were cancelled");
    free(timers);
}

int main(void)
{
    struct random r;
    random_init(&r, test_seed());
    test_model(&r);
    test_million(&r);
    return done_testing();
}
