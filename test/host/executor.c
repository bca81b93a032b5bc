/* The tests' executor: see test/host/executor.h. */
#include "test/host/executor.h"

#include "runtime/assert.h"

static struct host_executor *executor_of(const struct executor *e)
{
    return (struct host_executor *)(u64)e; /* the field is the struct's first */
}

static void executor_later_at_end(const struct executor *e, struct closure_header *deferred)
{
    struct host_executor *x = executor_of(e);
    deferred->next = NULL;
    *x->end = deferred;
    x->end = &deferred->next;
    x->length++;
}

static u64 executor_now(const struct executor *e)
{
    return executor_of(e)->now_ns;
}

/* The place of a pending timer; timer_count when it is none of ours. */
static u32 timer_place(const struct host_executor *x, const struct timer *t)
{
    u32 i = 0;
    while (i < x->timer_count && x->timers[i] != t)
        i++;
    return i;
}

static bool executor_timer_cancel(const struct executor *e, struct timer *t)
{
    struct host_executor *x = executor_of(e);
    u32 i = timer_place(x, t);
    assert(t->pending == (i < x->timer_count));
    if (!t->pending)
        return false;
    t->pending = false;
    x->timers[i] = x->timers[--x->timer_count];
    return true;
}

static void executor_timer_set(const struct executor *e, struct timer *t, u64 expires_ns,
                               thunk expired)
{
    struct host_executor *x = executor_of(e);
    executor_timer_cancel(e, t);
    assert(x->timer_count < HOST_TIMERS_MOST);
    t->expires_ns = expires_ns;
    t->expired = expired;
    t->pending = true;
    x->timers[x->timer_count++] = t;
}

void host_executor_init(struct host_executor *x, u64 seed)
{
    *x = (struct host_executor){.e = {.later = executor_later_at_end,
                                      .now_ns = executor_now,
                                      .timer_set = executor_timer_set,
                                      .timer_cancel = executor_timer_cancel},
                                .now_ns = NS_PER_SECOND,
                                .shuffled = seed != 0};
    x->end = &x->first;
    random_init(&x->random, seed);
}

bool host_executor_step(struct host_executor *x)
{
    if (!x->first)
        return false;
    struct closure_header **at = &x->first;
    for (u64 skip = x->shuffled ? random_below(&x->random, x->length) : 0; skip; skip--)
        at = &(*at)->next;
    struct closure_header *taken = *at;
    *at = taken->next;
    if (!*at)
        x->end = at;
    x->length--;
    closure_run_deferred(taken);
    return true;
}

u64 host_executor_run(struct host_executor *x)
{
    const u64 most = 10000000; /* beyond that it is taken for a loop without end */
    u64 applied = 0;
    while (host_executor_step(x)) {
        if (++applied == most)
            panic("host_executor_run: still not empty after %llu closures",
                  (unsigned long long)most);
    }
    return applied;
}

/* The timer that expires next; NULL when none does by then. */
static struct timer *timer_next(const struct host_executor *x, u64 by_ns)
{
    struct timer *next = NULL;
    for (u32 i = 0; i < x->timer_count; i++) {
        struct timer *t = x->timers[i];
        if (t->expires_ns <= by_ns && (!next || t->expires_ns < next->expires_ns))
            next = t;
    }
    return next;
}

static void timer_expire(struct host_executor *x, struct timer *t)
{
    x->now_ns = max(x->now_ns, t->expires_ns);
    executor_timer_cancel(&x->e, t);
    executor_later(&x->e, t->expired);
}

void host_executor_move(struct host_executor *x, u64 ns)
{
    u64 end = x->now_ns + ns;
    struct timer *t;
    while ((t = timer_next(x, end)))
        timer_expire(x, t);
    x->now_ns = end;
}

void host_executor_pass(struct host_executor *x, u64 ns)
{
    u64 end = x->now_ns + ns;
    struct timer *t;
    host_executor_run(x);
    while ((t = timer_next(x, end))) {
        timer_expire(x, t);
        host_executor_run(x);
    }
    x->now_ns = end;
}
