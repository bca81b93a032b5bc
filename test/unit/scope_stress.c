/* Scopes on real threads, under TSan.

   Threads start operations in a scope and its two children, which land on the spot, on another
   thread, at their deadline or when they are cancelled; they cancel each other's, and whole scopes.
   In the middle of it the scopes are closed, by several threads.  Each thread that works with a
   scope is an operation of it, so the scope's memory may go as soon as it is closed: it is poisoned
   and given back there. */
#include "runtime/random.h"
#include "runtime/scope.h"
#include "test/host/harness.h"
#include "test/host/thread_pool.h"

#include <sched.h>
#include <string.h>

#define STARTERS 3
#define SCOPES   3 /* the root and two children */
#define SLOTS    12
#define ROUNDS   100
#define EACH     400 /* operations that a starter tries in a round, at most */

static struct thread_pool pool;
static u32 started, ended, cancels, refused, timeouts; /* [a] */

static void count(u32 *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* --- operations ------------------------------------------------------------------------------- */

struct slot {
    struct operation o;
    struct cancel_handler cancel;
    struct status_handler done;
    struct thunk answer;
    status_handler landed;
    u32 *in_flight; /* [a] of its scope */
    u32 answered;   /* [a] by the answer, or by the cancellation */
    u32 busy;       /* [a] the operation, the answer */
};

enum slot_kind { LANDS_AT_ONCE, LANDS_LATER, LANDS_WHEN_CANCELLED, SLOT_KINDS };

static void slot_land(struct slot *o, status s)
{
    if (!__atomic_exchange_n(&o->answered, 1, __ATOMIC_ACQ_REL))
        apply(o->landed, s);
}

static void slot_leave(struct slot *o)
{
    __atomic_fetch_sub(&o->busy, 1, __ATOMIC_RELEASE);
}

closure_method(thunk, slot_answer, struct slot, answer)
{
    struct slot *o = owner();
    slot_land(o, STATUS_OK);
    slot_leave(o);
}

closure_method(cancel_handler, slot_cancel, struct slot, cancel, status why)
{
    count(&cancels);
    slot_land(owner(), why);
}

closure_method(status_handler, slot_done, struct slot, done, status outcome)
{
    struct slot *o = owner();
    count(&ended);
    if (status_errno(outcome) == ETIMEDOUT)
        count(&timeouts);
    __atomic_fetch_sub(o->in_flight, 1, __ATOMIC_RELAXED);
    slot_leave(o);
}

static status_handler slot_open(struct slot *o, struct scope *s, u32 *in_flight, u64 deadline_ns)
{
    init_method(&o->cancel, slot_cancel);
    init_method(&o->done, slot_done);
    init_method(&o->answer, slot_answer);
    o->in_flight = in_flight;
    __atomic_store_n(&o->answered, 0, __ATOMIC_RELAXED);
    __atomic_fetch_add(in_flight, 1, __ATOMIC_RELAXED);
    o->landed = deadline_ns ? operation_start_until(s, &o->o, &o->cancel, deadline_ns, &o->done)
                            : operation_start(s, &o->o, &o->cancel, &o->done);
    return o->landed;
}

/* False when the scope is closing. */
static bool slot_start(struct slot *o, struct scope *s, u32 *in_flight, enum slot_kind kind,
                       u64 deadline_ns)
{
    __atomic_store_n(&o->busy, kind == LANDS_LATER ? 2 : 1, __ATOMIC_RELAXED);
    if (!slot_open(o, s, in_flight, deadline_ns)) {
        closure_freed(&o->done.header);
        __atomic_fetch_sub(in_flight, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&o->busy, 0, __ATOMIC_RELAXED);
        count(&refused);
        return false;
    }
    count(&started);
    if (kind == LANDS_AT_ONCE)
        slot_land(o, STATUS_OK);
    else if (kind == LANDS_LATER)
        executor_later(&pool.e, &o->answer);
    operation_started(&o->o);
    return true;
}

/* --- a round ---------------------------------------------------------------------------------- */

struct stressed_scope {
    struct scope s;
    struct status_handler closed, waited;
    struct thunk close;
    struct round *round;
    u32 in_flight; /* [a] */
    u32 waits;     /* [a] */
};

struct presence {
    struct operation o;
    struct status_handler done;
    status_handler landed;
    u32 gone; /* [a] */
};

struct round {
    struct stressed_scope *scopes[SCOPES];
    struct presence present[STARTERS][SCOPES];
    struct slot slots[STARTERS][SLOTS];
    u32 closes; /* [a] */
};

closure_method(status_handler, presence_done, struct presence, done, status s)
{
    must(is_ok(s));
    count(&owner()->gone);
}

/* The memory goes here; what is still at work with it is found by TSan, or by the poison. */
closure_method(status_handler, stressed_closed, struct stressed_scope, closed, status s)
{
    struct stressed_scope *c = owner();
    struct round *round = c->round;
    must(is_ok(s));
    must(__atomic_load_n(&c->in_flight, __ATOMIC_RELAXED) == 0);
    must(__atomic_load_n(&c->waits, __ATOMIC_RELAXED) == 1);
    memset(c, 0xa5, sizeof(*c));
    deallocate(host_heap, c, sizeof(*c));
    __atomic_fetch_add(&round->closes, 1, __ATOMIC_RELEASE);
}

closure_method(thunk, stressed_close, struct stressed_scope, close)
{
    struct stressed_scope *c = owner();
    init_method(&c->closed, stressed_closed);
    scope_close(&c->s, &c->closed);
}

/* The root's grace period is over; the children's waits end with their closing. */
closure_method(status_handler, stressed_waited, struct stressed_scope, waited, status s)
{
    struct stressed_scope *c = owner();
    must(__atomic_load_n(&c->waits, __ATOMIC_RELAXED) == 0);
    count(&c->waits);
    if (c != c->round->scopes[0])
        return;
    must(status_errno(s) == ETIMEDOUT);
    for (u32 i = 1; i < SCOPES; i++)
        executor_later(&pool.e, &c->round->scopes[i]->close);
    apply(&c->close);
}

static struct stressed_scope *stressed_make(struct round *round, struct scope *parent)
{
    struct stressed_scope *c = allocate(host_heap, sizeof(*c));
    if (!c)
        panic("no memory for a scope");
    c->round = round;
    c->in_flight = c->waits = 0;
    scope_init(&c->s, parent, &pool.e, "stressed");
    init_method(&c->close, stressed_close);
    init_method(&c->waited, stressed_waited);
    return c;
}

struct starter {
    pthread_t thread;
    struct random random;
    struct round *round;
    u32 number;
};

/* One random deed; false when the scope refused it. */
static bool starter_act(struct starter *t)
{
    u32 at = (u32)random_below(&t->random, SCOPES);
    struct stressed_scope *c = t->round->scopes[at];
    struct slot *o = &t->round->slots[t->number][random_below(&t->random, SLOTS)];
    u64 deed = random_below(&t->random, 100);
    if (deed < 10) { /* anybody's, in this scope or not */
        u64 whose = random_below(&t->random, STARTERS);
        operation_cancel(&c->s, &t->round->slots[whose][random_below(&t->random, SLOTS)].o,
                         status_error(EINTR, "test: one", 0));
        return true;
    }
    if (deed == 10 && at != 0) {
        scope_cancel(&c->s, status_error(EINTR, "test: a scope", 0));
        return true;
    }
    if (__atomic_load_n(&o->busy, __ATOMIC_ACQUIRE))
        return true;
    u64 deadline_ns = 0;
    if (deed < 50)
        deadline_ns = pool.e.now_ns(&pool.e) + random_below(&t->random, 100 * NS_PER_US);
    return slot_start(o, &c->s, &c->in_flight, (enum slot_kind)random_below(&t->random, SLOT_KINDS),
                      deadline_ns);
}

static void *starter_run(void *argument)
{
    struct starter *t = argument;
    for (u32 i = 0; i < EACH && starter_act(t); i++)
        ;
    /* From here on a scope may go. */
    for (u32 i = 0; i < SCOPES; i++)
        apply(t->round->present[t->number][i].landed, STATUS_OK);
    return NULL;
}

static void starter_appear(struct starter *t)
{
    for (u32 i = 0; i < SCOPES; i++) {
        struct presence *p = &t->round->present[t->number][i];
        init_method(&p->done, presence_done);
        p->landed = operation_begin(&t->round->scopes[i]->s, &p->o, NULL, &p->done);
    }
}

static bool round_over(struct round *round)
{
    if (__atomic_load_n(&round->closes, __ATOMIC_ACQUIRE) < SCOPES)
        return false;
    for (u32 t = 0; t < STARTERS; t++) {
        for (u32 i = 0; i < SLOTS; i++) {
            if (__atomic_load_n(&round->slots[t][i].busy, __ATOMIC_ACQUIRE))
                return false;
        }
    }
    return true;
}

static u64 seen; /* operations, by the censuses that are taken meanwhile */

closure_function(operation_visitor, see_operation, (u64 * count), const struct operation_seen *o)
{
    must(!strcmp(o->scope, "stressed") && o->depth < 2);
    must(!strcmp(o->waits->name, "slot_done") || !strcmp(o->waits->name, "presence_done"));
    ++*bound(count);
}

static void round_run(struct starter *starters, struct random *r)
{
    struct round round = {.closes = 0};
    for (u32 i = 0; i < SCOPES; i++)
        round.scopes[i] = stressed_make(&round, i ? &round.scopes[0]->s : NULL);
    for (u32 t = 0; t < STARTERS; t++) {
        starters[t].round = &round;
        starter_appear(&starters[t]);
    }
    for (u32 i = 1; i < SCOPES; i++)
        scope_wait(&round.scopes[i]->s, &round.scopes[i]->waited);
    u64 grace_ns = random_below(r, 2 * NS_PER_MS);
    for (u32 t = 0; t < STARTERS; t++)
        pthread_create(&starters[t].thread, NULL, starter_run, &starters[t]);
    scope_wait_until(&round.scopes[0]->s, pool.e.now_ns(&pool.e) + grace_ns,
                     &round.scopes[0]->waited);
    operation_visitor visitor = stack_closure(see_operation, &seen);
    while (!round_over(&round)) {
        scope_census(visitor);
        sched_yield();
    }
    for (u32 t = 0; t < STARTERS; t++)
        pthread_join(starters[t].thread, NULL);
    for (u32 t = 0; t < STARTERS; t++) {
        for (u32 i = 0; i < SCOPES; i++)
            must(round.present[t][i].gone == 1);
    }
}

int main(void)
{
    static struct starter starters[STARTERS];
    struct random r;
    u64 seed = test_seed();
    random_init(&r, seed);
    lock_context = thread_pool_locks;
    thread_pool_start(&pool);
    for (u32 t = 0; t < STARTERS; t++) {
        starters[t].number = t;
        random_init(&starters[t].random, seed + 1 + t);
    }
    for (u32 round = 0; round < ROUNDS; round++)
        round_run(starters, &r);
    thread_pool_stop(&pool);
    note("%u started, %u cancelled, %u at their deadline, %u refused", started, cancels, timeouts,
         refused);
    ok(seen > 0, "censuses taken meanwhile saw %llu operations", (unsigned long long)seen);
    is(ended, started, "each operation ends once, and none after its scope");
    ok(cancels > 0 && timeouts > 0 && refused > 0 && started > cancels, "every way was gone");
    return done_testing();
}
