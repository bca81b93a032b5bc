/* Scopes: see runtime/scope.h.

   An operation ends when it has landed and nobody pins it any more: the function that issues it,
   its deadline, a cancellation that is being told.  Whoever takes the last pin away, or lands it
   unpinned, ends it: takes it off the scope, applies `done`, and then gives up its share of
   `pending`.

   A scope is drained when `pending` comes to zero, and then the next of these steps is taken:
   the wait that is under way ends; a closing scope lands in its parent; when the parent has let go
   of it, it has ended, and the closer is told.  A step is decided under the lock and taken after
   it.  Each but the last comes back here, so until the closer is told the scope's memory is there:
   whoever works with it holds a share of `pending` or, from the parent's side, a pin of
   `in_parent`. */
#include "runtime/scope.h"

#include "runtime/assert.h"

static struct spinlock roots_lock = {0, RANK_TIMER, "scopes"};
static struct list roots = {&roots, &roots}; /* [roots_lock] */

static void scope_join_roots(struct scope *s)
{
    spin_lock(&roots_lock);
    list_push_back(&roots, &s->root_link);
    spin_unlock(&roots_lock);
}

static void scope_leave_roots(struct scope *s)
{
    spin_lock(&roots_lock);
    list_remove(&s->root_link);
    spin_unlock(&roots_lock);
}

/* --- a drained scope -------------------------------------------------------------------------- */

/* What is to be done after the lock was given back; nothing when all of it is NULL.  No field of
   the scope is needed for it. */
struct scope_step {
    const struct executor *executor;
    thunk wait_over;       /* later */
    status_handler landed; /* now: the scope's operation in its parent */
    status_handler closer; /* later */
};

static struct scope_step scope_drained_locked(struct scope *s)
{
    struct scope_step step = {.executor = s->executor};
    if (s->timed && !s->executor->timer_cancel(s->executor, &s->deadline))
        return step; /* the deadline's thunk is on the way, and comes by here */
    s->timed = false;
    if (s->waiter) {
        s->pending++; /* until the waiter has returned */
        step.wait_over = &s->wait_over;
        return step;
    }
    if (!s->closing)
        return step;
    if (s->parent_landed) {
        step.landed = s->parent_landed;
        s->parent_landed = NULL;
        return step;
    }
    if (!s->parent && !s->ended) {
        scope_leave_roots(s);
        s->ended = true;
    }
    if (s->ended) {
        step.closer = s->closer;
        s->closer = NULL;
    }
    return step;
}

static void scope_take_step(struct scope_step step)
{
    if (step.wait_over)
        executor_later(step.executor, step.wait_over);
    else if (step.landed)
        apply(step.landed, STATUS_OK);
    else if (step.closer)
        executor_later_status(step.executor, step.closer, STATUS_OK);
}

/* With the lock held, which it gives back. */
static __attribute__((noinline)) void scope_drained(struct scope *s)
{
    struct scope_step step = scope_drained_locked(s);
    spin_unlock(&s->lock);
    scope_take_step(step);
}

/* Gives up a share of `pending`; afterwards nothing of s may be touched.  Nearly always nobody
   waits for the scope. */
static inline void scope_release(struct scope *s)
{
    spin_lock(&s->lock);
    assert(s->pending != 0);
    if (--s->pending == 0 && unlikely(s->waiter || s->closing || s->timed)) {
        scope_drained(s);
        return;
    }
    spin_unlock(&s->lock);
}

/* --- the end of an operation ------------------------------------------------------------------ */

static void failure_note_locked(struct scope *s, status outcome)
{
    if (is_ok(outcome))
        return;
    if (s->failures++ == 0)
        s->first_failure = outcome;
}

/* With the scope's lock held, which it gives back: nothing holds o any more. */
static inline void operation_end(struct scope *s, struct operation *o, status outcome)
{
    status_handler done = o->done;
    list_remove(&o->link);
    __atomic_store_n(&o->scope, NULL, __ATOMIC_RELAXED);
    failure_note_locked(s, outcome);
    spin_unlock(&s->lock);
    apply(done, outcome);
    scope_release(s);
}

/* The same, if nothing holds it. */
static void operation_check(struct operation *o)
{
    struct scope *s = o->scope;
    if (o->landed && !o->pins)
        operation_end(s, o, o->outcome);
    else
        spin_unlock(&s->lock);
}

/* With the lock held, which it gives back: o was pinned when it landed. */
static __attribute__((noinline)) void operation_landed_pinned(struct operation *o, status outcome)
{
    struct scope *s = o->scope;
    o->landed = true;
    o->outcome = outcome;
    if (o->timed && s->executor->timer_cancel(s->executor, &o->deadline)) {
        o->timed = false;
        o->pins--;
    }
    operation_check(o);
}

closure_method(status_handler, operation_landed, struct operation, landed_with, status outcome)
{
    struct operation *o = owner();
    struct scope *s = o->scope;
    spin_lock(&s->lock);
    if (o->pins)
        operation_landed_pinned(o, outcome);
    else
        operation_end(s, o, outcome);
}

/* --- cancelling ------------------------------------------------------------------------------- */

/* With the lock held, which it gives back and takes again.  o is pinned meanwhile. */
static void operation_tell_locked(struct operation *o)
{
    struct scope *s = o->scope;
    if (!o->cancel || o->landed)
        return;
    o->pins++;
    spin_unlock(&s->lock);
    apply(o->cancel, o->why);
    spin_lock(&s->lock);
    o->pins--;
}

/* Marks o; true when it is to be told now.  One that is being issued is told when it is started. */
static bool operation_mark_locked(struct operation *o, status why)
{
    if (o->told)
        return false;
    o->told = true;
    o->why = why;
    list_remove(&o->link);
    list_push_back(&o->scope->cancelled, &o->link);
    return o->issued;
}

static void operation_cancel_locked(struct operation *o, status why)
{
    if (operation_mark_locked(o, why))
        operation_tell_locked(o);
}

closure_method(thunk, operation_deadline, struct operation, deadline_passed)
{
    struct operation *o = owner();
    spin_lock(&o->scope->lock);
    operation_cancel_locked(o, status_error(ETIMEDOUT, "the deadline has passed", o->started_ns));
    o->timed = false;
    o->pins--;
    operation_check(o);
}

/* --- starting --------------------------------------------------------------------------------- */

static inline void operation_init(struct operation *o, struct scope *s, cancel_handler cancel,
                                  status_handler done, bool issued)
{
    __atomic_store_n(&o->scope, s, __ATOMIC_RELAXED);
    o->cancel = cancel;
    o->done = done;
    o->number = s->started++;
    o->pins = !issued; /* until operation_started */
    o->landed = o->told = o->timed = false;
    o->issued = issued;
    o->started_ns = s->executor->now_ns(s->executor);
    init_method(&o->landed_with, operation_landed);
}

/* NULL: the scope is closing. */
static inline status_handler operation_add(struct scope *s, struct operation *o,
                                           cancel_handler cancel, status_handler done, bool issued)
{
    spin_lock(&s->lock);
    bool refused = s->closing;
    if (likely(!refused)) {
        operation_init(o, s, cancel, done, issued);
        list_push_back(&s->running, &o->link);
        s->pending++;
    }
    spin_unlock(&s->lock);
    return refused ? NULL : &o->landed_with;
}

status_handler operation_start(struct scope *s, struct operation *o, cancel_handler cancel,
                               status_handler done)
{
    return operation_add(s, o, cancel, done, false);
}

status_handler operation_begin(struct scope *s, struct operation *o, cancel_handler cancel,
                               status_handler done)
{
    return operation_add(s, o, cancel, done, true);
}

static void operation_set_deadline(struct operation *o, u64 deadline_ns)
{
    struct scope *s = o->scope;
    init_method(&o->deadline_passed, operation_deadline);
    o->deadline = (struct timer){.pending = false};
    spin_lock(&s->lock);
    o->timed = true;
    o->pins++;
    s->executor->timer_set(s->executor, &o->deadline, deadline_ns, &o->deadline_passed);
    spin_unlock(&s->lock);
}

status_handler operation_start_until(struct scope *s, struct operation *o, cancel_handler cancel,
                                     u64 deadline_ns, status_handler done)
{
    status_handler landed = operation_start(s, o, cancel, done);
    if (landed)
        operation_set_deadline(o, deadline_ns);
    return landed;
}

status_handler operation_begin_until(struct scope *s, struct operation *o, cancel_handler cancel,
                                     u64 deadline_ns, status_handler done)
{
    status_handler landed = operation_begin(s, o, cancel, done);
    if (landed)
        operation_set_deadline(o, deadline_ns);
    return landed;
}

void operation_started(struct operation *o)
{
    spin_lock(&o->scope->lock);
    o->issued = true;
    if (o->told)
        operation_tell_locked(o);
    o->pins--;
    operation_check(o);
}

void operation_cancel(struct scope *s, struct operation *o, status why)
{
    spin_lock(&s->lock);
    /* In another scope o may be starting or ending at this moment; in this one it cannot. */
    if (__atomic_load_n(&o->scope, __ATOMIC_RELAXED) != s) {
        spin_unlock(&s->lock);
        return;
    }
    o->pins++;
    operation_cancel_locked(o, why);
    o->pins--;
    operation_check(o);
}

/* The oldest operation that nobody cancelled and that was started before `number`. */
static struct operation *operation_before_locked(struct scope *s, u64 number)
{
    if (list_empty(&s->running))
        return NULL;
    struct operation *o = container_of(s->running.next, struct operation, link);
    return o->number < number ? o : NULL;
}

/* Those that are running at the call, and none that is started meanwhile: a `done` may start its
   operation again.  `running` is in the order of starting, and who is marked leaves it. */
static void scope_cancel_running(struct scope *s, status why)
{
    struct operation *o;
    spin_lock(&s->lock);
    u64 end = s->started;
    while ((o = operation_before_locked(s, end))) {
        o->pins++;
        operation_cancel_locked(o, why);
        o->pins--;
        operation_check(o); /* gives the lock back */
        spin_lock(&s->lock);
    }
    spin_unlock(&s->lock);
}

static void scope_hold(struct scope *s)
{
    spin_lock(&s->lock);
    s->pending++;
    spin_unlock(&s->lock);
}

void scope_cancel(struct scope *s, status why)
{
    scope_hold(s);
    scope_cancel_running(s, why);
    scope_release(s);
}

/* --- the life of a scope ---------------------------------------------------------------------- */

/* With the lock held, which it gives back: ends the wait.  A share of `pending` is the caller's. */
static void scope_tell_waiter(struct scope *s, status outcome)
{
    status_handler waiter = s->waiter;
    s->waiter = NULL;
    spin_unlock(&s->lock);
    apply(waiter, outcome);
    scope_release(s);
}

closure_method(thunk, scope_wait_over, struct scope, wait_over)
{
    struct scope *s = owner();
    spin_lock(&s->lock);
    scope_tell_waiter(s, s->first_failure);
}

closure_method(cancel_handler, scope_parent_cancels, struct scope, parent_cancels, status why)
{
    struct scope *s = owner();
    spin_lock(&s->lock);
    s->closing = true;
    s->pending++;
    spin_unlock(&s->lock);
    scope_cancel_running(s, why);
    scope_release(s);
}

/* Nobody tells this scope anything any more.  Its owner may be closing it just now. */
closure_method(status_handler, scope_left_parent, struct scope, left_parent, status outcome)
{
    struct scope *s = owner();
    struct scope_step step = {.executor = NULL};
    (void)outcome;
    spin_lock(&s->lock);
    s->ended = true;
    if (s->pending == 0)
        step = scope_drained_locked(s);
    spin_unlock(&s->lock);
    scope_take_step(step);
}

static void scope_join_parent(struct scope *s, struct scope *parent)
{
    init_method(&s->parent_cancels, scope_parent_cancels);
    init_method(&s->left_parent, scope_left_parent);
    s->parent_landed = operation_start(parent, &s->in_parent, &s->parent_cancels, &s->left_parent);
    if (s->parent_landed) {
        operation_started(&s->in_parent);
    } else {
        closure_freed(&s->left_parent.header);
        s->closing = s->ended = true;
    }
}

void scope_init(struct scope *s, struct scope *parent, const struct executor *e, const char *name)
{
    *s = (struct scope){.lock = SPINLOCK(RANK_SCOPE, name),
                        .executor = e,
                        .name = name,
                        .first_failure = STATUS_OK,
                        .parent = parent};
    list_init(&s->running);
    list_init(&s->cancelled);
    init_method(&s->wait_over, scope_wait_over);
    if (parent)
        scope_join_parent(s, parent);
    else
        scope_join_roots(s);
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* In time, but this thunk was on the way already: what was put off until now. */
static void scope_deadline_in_time(struct scope *s)
{
    struct scope_step step = scope_drained_locked(s);
    spin_unlock(&s->lock);
    scope_take_step(step);
}

/* Too late: the wait ends, the operations go on. */
closure_method(thunk, scope_deadline, struct scope, deadline_passed)
{
    struct scope *s = owner();
    spin_lock(&s->lock);
    s->timed = false;
    if (s->pending == 0) {
        scope_deadline_in_time(s);
        return;
    }
    u32 pending = s->pending++;
    scope_tell_waiter(s, status_error(ETIMEDOUT, "scope: operations are still in flight", pending));
}

/* This call's own share keeps the scope from being drained before the wait is complete. */
void scope_wait(struct scope *s, status_handler done)
{
    spin_lock(&s->lock);
    assert(!s->waiter);
    s->waiter = done;
    s->pending++;
    spin_unlock(&s->lock);
    scope_release(s);
}

void scope_wait_until(struct scope *s, u64 deadline_ns, status_handler done)
{
    init_method(&s->deadline_passed, scope_deadline);
    spin_lock(&s->lock);
    assert(!s->waiter && !s->timed);
    s->waiter = done;
    s->pending++;
    s->timed = true;
    s->executor->timer_set(s->executor, &s->deadline, deadline_ns, &s->deadline_passed);
    spin_unlock(&s->lock);
    scope_release(s);
}

void scope_close(struct scope *s, status_handler done)
{
    spin_lock(&s->lock);
    assert(!s->closer);
    s->closing = true;
    s->closer = done;
    s->pending++;
    spin_unlock(&s->lock);
    scope_cancel_running(s, status_error(ECANCELED, "the scope was closed", 0));
    scope_release(s);
}

/* --- what others may ask ---------------------------------------------------------------------- */

bool scope_idle(struct scope *s)
{
    spin_lock(&s->lock);
    bool idle = list_empty(&s->running) && list_empty(&s->cancelled);
    spin_unlock(&s->lock);
    return idle;
}
u32 scope_failures(struct scope *s)
{
    return __atomic_load_n(&s->failures, __ATOMIC_RELAXED);
}

/* --- the census ------------------------------------------------------------------------------- */

#define DEPTH_MOST 8 /* of nested scopes that the census follows */

static u32 scope_visit(struct scope *s, u32 depth, operation_visitor visitor);

static u32 operations_visit(struct scope *s, struct list *operations, u32 depth,
                            operation_visitor visitor)
{
    u32 left_out = 0;
    u64 now = s->executor->now_ns(s->executor);
    list_for_each (operations, l) {
        struct operation *o = container_of(l, struct operation, link);
        if (o->done->header.info == &scope_left_parent_info) {
            left_out += scope_visit(container_of(o, struct scope, in_parent), depth + 1, visitor);
            continue;
        }
        struct operation_seen seen = {.scope = s->name,
                                      .depth = depth,
                                      .waits = o->done->header.info,
                                      .age_ns = now - o->started_ns,
                                      .cancelled = o->told};
        apply(visitor, &seen);
    }
    return left_out;
}

static u32 scope_visit(struct scope *s, u32 depth, operation_visitor visitor)
{
    if (depth == DEPTH_MOST || !spin_try(&s->lock))
        return 1;
    u32 left_out = operations_visit(s, &s->running, depth, visitor);
    left_out += operations_visit(s, &s->cancelled, depth, visitor);
    spin_unlock(&s->lock);
    return left_out;
}

u32 scope_census(operation_visitor visitor)
{
    u32 left_out = 0;
    if (!spin_try(&roots_lock))
        return 1;
    list_for_each (&roots, l)
        left_out += scope_visit(container_of(l, struct scope, root_link), 0, visitor);
    spin_unlock(&roots_lock);
    return left_out;
}
