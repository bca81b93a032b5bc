/* Scopes against a model, at random: operations with and without deadlines over every kind of slow
   device, nested scopes, cancellations of one and of all, waits, closings, in random orders and
   from inside completions, while the clock moves.  The model counts what is in flight in each scope
   and knows which scopes must refuse; all memory is poisoned and goes at once. */
#include "test/host/executor.h"
#include "test/host/harness.h"
#include "test/host/slow_device.h"

#define ROUNDS      3000
#define STEPS       60
#define SCOPES_MOST 8
#define WORKS_MOST  64

struct modelled_scope {
    struct scope s;
    struct status_handler closed, waited;
    struct modelled_scope *parent;
    u32 in_flight;     /* operations whose completion was not applied yet */
    bool closing;      /* must refuse */
    bool close_called; /* by its owner */
    bool waiting;
    u64 wait_deadline_ns; /* 0: none */
    u32 failures;
    status first_failure;
};

struct modelled_work {
    struct operation o;
    struct slow_request r;
    struct status_handler done;
    struct modelled_scope *in;
    u64 deadline_ns; /* 0: none */
    bool cancelled;  /* somebody asked for it */
    bool at_once;    /* operation_begin */
};

static struct host_executor x;
static struct slow_device device;
static struct counting_heap h;
static struct random r;
static struct modelled_scope *scopes[SCOPES_MOST];
static struct modelled_work *works[WORKS_MOST];
static u32 works_ended, closes;

static u32 chance(u32 of)
{
    return random_below(&r, of) == 0;
}

static void random_deed(void);

/* --- the model of a scope --------------------------------------------------------------------- */

static bool is_below(const struct modelled_scope *c, const struct modelled_scope *above)
{
    for (; c; c = c->parent) {
        if (c == above)
            return true;
    }
    return false;
}

/* What is told to end when `top` is: all works in it and below, and the scopes below. */
static void model_cancel(struct modelled_scope *top)
{
    for (u32 i = 0; i < SCOPES_MOST; i++) {
        if (scopes[i] && scopes[i] != top && is_below(scopes[i], top))
            scopes[i]->closing = true;
    }
    for (u32 i = 0; i < WORKS_MOST; i++) {
        if (works[i] && is_below(works[i]->in, top))
            works[i]->cancelled = true;
    }
}

/* After a cancellation: whoever is still in flight was told. */
static void model_check_told(const struct modelled_scope *top)
{
    for (u32 i = 0; i < WORKS_MOST; i++) {
        if (works[i] && works[i]->cancelled && is_below(works[i]->in, top))
            must(works[i]->o.told);
    }
}

closure_method(status_handler, scope_closed, struct modelled_scope, closed, status s)
{
    struct modelled_scope *c = owner();
    must(is_ok(s) && c->in_flight == 0 && !c->waiting);
    must(scope_idle(&c->s) && scope_failures(&c->s) == c->failures);
    for (u32 i = 0; i < SCOPES_MOST; i++) {
        if (scopes[i] == c) {
            scopes[i] = NULL;
        } else if (scopes[i] && scopes[i]->parent == c) {
            must(scopes[i]->s.ended && scopes[i]->in_flight == 0);
            scopes[i]->parent = NULL;
        }
    }
    closes++;
    deallocate(&h.h, c, sizeof(*c));
}

closure_method(status_handler, scope_waited, struct modelled_scope, waited, status s)
{
    struct modelled_scope *c = owner();
    must(c->waiting);
    c->waiting = false;
    if (status_errno(s) == ETIMEDOUT && s.info != c->first_failure.info)
        must(c->wait_deadline_ns && x.now_ns >= c->wait_deadline_ns);
    else
        must(s.info == c->first_failure.info && s.detail == c->first_failure.detail);
    if (chance(3))
        random_deed();
}

static struct modelled_scope *random_scope(void)
{
    return scopes[random_below(&r, SCOPES_MOST)];
}

static void deed_make_scope(void)
{
    struct modelled_scope **place = &scopes[random_below(&r, SCOPES_MOST)];
    struct modelled_scope *parent = random_scope();
    if (*place)
        return;
    struct modelled_scope *c = allocate(&h.h, sizeof(*c));
    c->parent = parent;
    c->in_flight = c->failures = 0;
    c->closing = parent && parent->closing;
    c->close_called = c->waiting = false;
    c->first_failure = STATUS_OK;
    scope_init(&c->s, parent ? &parent->s : NULL, &x.e, "modelled");
    *place = c;
}

static void scope_close_modelled(struct modelled_scope *c)
{
    if (!c || c->close_called)
        return;
    c->close_called = c->closing = true;
    model_cancel(c);
    init_method(&c->closed, scope_closed);
    scope_close(&c->s, &c->closed);
    model_check_told(c);
}

static void deed_cancel_scope(void)
{
    struct modelled_scope *c = random_scope();
    if (!c)
        return;
    model_cancel(c);
    scope_cancel(&c->s, status_error(EINTR, "test: a scope", 0));
    model_check_told(c);
}

static void deed_wait(void)
{
    struct modelled_scope *c = random_scope();
    if (!c || c->waiting || c->close_called)
        return;
    c->waiting = true;
    c->wait_deadline_ns = chance(2) ? 0 : x.now_ns + random_below(&r, 2 * device.latency_ns);
    init_method(&c->waited, scope_waited);
    if (c->wait_deadline_ns)
        scope_wait_until(&c->s, c->wait_deadline_ns, &c->waited);
    else
        scope_wait(&c->s, &c->waited);
}

/* --- works ------------------------------------------------------------------------------------ */

static void work_outcome_check(const struct modelled_work *w, status s)
{
    int error = status_errno(s);
    must(!is_ok(s) || w->r.kind == SLOW_ANSWERS);
    must(error == 0 || error == EIO || error == EINTR || error == ECANCELED || error == ETIMEDOUT);
    if (error == EINTR || error == ECANCELED)
        must(w->cancelled);
    if (error == ETIMEDOUT)
        must(w->deadline_ns && x.now_ns >= w->deadline_ns);
}

closure_method(status_handler, work_done, struct modelled_work, done, status s)
{
    struct modelled_work *w = owner();
    struct modelled_scope *c = w->in;
    work_outcome_check(w, s);
    c->in_flight--;
    if (!is_ok(s) && c->failures++ == 0)
        c->first_failure = s;
    for (u32 i = 0; i < WORKS_MOST; i++) {
        if (works[i] == w)
            works[i] = NULL;
    }
    works_ended++;
    deallocate(&h.h, w, sizeof(*w));
    if (chance(4))
        random_deed();
}

static status_handler work_open_held(struct modelled_work *w)
{
    return w->deadline_ns
               ? operation_start_until(&w->in->s, &w->o, &w->r.cancel, w->deadline_ns, &w->done)
               : operation_start(&w->in->s, &w->o, &w->r.cancel, &w->done);
}

static status_handler work_open_at_once(struct modelled_work *w)
{
    return w->deadline_ns
               ? operation_begin_until(&w->in->s, &w->o, &w->r.cancel, w->deadline_ns, &w->done)
               : operation_begin(&w->in->s, &w->o, &w->r.cancel, &w->done);
}

static status_handler work_open(struct modelled_work *w)
{
    w->deadline_ns = chance(2) ? 0 : x.now_ns + random_below(&r, 2 * device.latency_ns);
    w->at_once = chance(2);
    init_method(&w->done, work_done);
    return w->at_once ? work_open_at_once(w) : work_open_held(w);
}

static void deed_start_work(void)
{
    struct modelled_work **place = &works[random_below(&r, WORKS_MOST)];
    struct modelled_scope *c = random_scope();
    if (*place || !c)
        return;
    struct modelled_work *w = allocate(&h.h, sizeof(*w));
    w->in = c;
    w->cancelled = false;
    slow_request_init(&w->r, &device, (enum slow_answer)random_below(&r, SLOW_STUCK + 1));
    status_handler landed = work_open(w);
    must((landed == NULL) == c->closing);
    if (!landed) {
        closure_freed(&w->done.header);
        deallocate(&h.h, w, sizeof(*w));
        return;
    }
    c->in_flight++;
    *place = w;
    slow_request_submit(&w->r, landed);
    if (w->at_once)
        return;
    while (chance(3)) /* between the start and operation_started */
        random_deed();
    operation_started(&w->o);
}

static void deed_cancel_work(void)
{
    struct modelled_work *w = works[random_below(&r, WORKS_MOST)];
    struct modelled_scope *c = chance(4) ? random_scope() : w ? w->in : NULL;
    if (!w || !c)
        return;
    w->cancelled |= w->in == c;
    operation_cancel(&c->s, &w->o, status_error(EINTR, "test: one", 0));
}

/* --- rounds ----------------------------------------------------------------------------------- */

static u32 deed_depth;

static void random_deed(void)
{
    static void (*const deeds[])(void) = {deed_start_work,   deed_start_work, deed_start_work,
                                          deed_start_work,   deed_make_scope, deed_cancel_work,
                                          deed_cancel_scope, deed_wait};
    if (deed_depth == 3)
        return;
    deed_depth++;
    u64 which = random_below(&r, countof(deeds) * 3 + 1);
    if (which == countof(deeds) * 3)
        scope_close_modelled(random_scope());
    else
        deeds[which % countof(deeds)]();
    deed_depth--;
}

static void time_moves(void)
{
    if (chance(3))
        host_executor_move(&x, random_below(&r, device.latency_ns));
    while (!chance(3) && host_executor_step(&x))
        ;
}

static void round_end(void)
{
    for (u32 i = 0; i < SCOPES_MOST; i++)
        scope_close_modelled(scopes[i]);
    host_executor_pass(&x, 10 * NS_PER_MS);
    for (u32 i = 0; i < SCOPES_MOST; i++)
        scope_close_modelled(scopes[i]); /* made by a completion since */
    host_executor_pass(&x, 10 * NS_PER_MS);
    for (u32 i = 0; i < SCOPES_MOST; i++)
        must(!scopes[i]);
    must(!x.first && x.timer_count == 0 && device.in_flight == 0 && h.live == 0);
}

static void round_run(u64 seed)
{
    random_init(&r, seed);
    host_executor_init(&x, random_next(&r) | 1);
    slow_device_init(&device, &x.e);
    for (u32 step = 0; step < STEPS; step++) {
        random_deed();
        time_moves();
    }
    round_end();
}

int main(void)
{
    u64 seed = test_seed();
    counting_heap_init(&h, "scopes at random");
    for (u32 i = 0; i < ROUNDS; i++)
        round_run(seed + i);
    note("%u operations and %u scopes ended", works_ended, closes);
    ok(works_ended > ROUNDS && closes > ROUNDS, "%u random rounds agree with the model", ROUNDS);
    return done_testing();
}
