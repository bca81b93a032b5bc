/* Scopes: see runtime/scope.h.

   An operation ends when it has landed and nobody pins it any more: the function that issues it,
   its deadline, a cancellation that is being told.  Whoever takes the last pin away, or lands it
   unpinned, ends it: takes it off the scope, then applies `done`.

   A scope is drained when `pending` comes to zero.  What then follows (the waiter, the closer) goes
   through the executor, so that it comes after the `done` of the operation that ended last, and so
   that nothing of the scope is touched after its lock was given back for the last time. */
#include "runtime/scope.h"

#include "runtime/assert.h"

static struct spinlock roots_lock = {0, RANK_TIMER, "scopes"};
static struct list roots; /* [roots_lock] ready when next is not NULL */

static void scope_join_roots(struct scope *s)
{
    spin_lock(&roots_lock);
    if (!roots.next)
        list_init(&roots);
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

/* Takes the completions of a scope that is drained.  What is to be applied inline, with no lock
   held, is returned: the parent's. */
static status_handler scope_drained_locked(struct scope *s)
{
    if (s->timed && !s->executor->timer_cancel(s->executor, &s->deadline))
        return NULL; /* the deadline's thunk is on the way, and comes by here */
    s->timed = false;
    if (s->waiter) {
        executor_later_status(s->executor, s->waiter, s->first_failure);
        s->waiter = NULL;
    }
    if (!s->closing)
        return NULL;
    if (!s->ended && !s->parent)
        scope_leave_roots(s);
    s->ended = true;
    if (s->closer) {
        executor_later_status(s->executor, s->closer, STATUS_OK);
        s->closer = NULL;
    }
    status_handler landed = s->parent_landed;
    s->parent_landed = NULL;
    return landed;
}

/* One pending less.  Gives the lock back; nothing of s may be touched afterwards, for a scope that
   ends with this.  The result is for the caller to apply with STATUS_OK, unless it is NULL. */
static status_handler scope_unpend(struct scope *s)
{
    assert(s->pending != 0);
    status_handler landed = --s->pending == 0 ? scope_drained_locked(s) : NULL;
    spin_unlock(&s->lock);
    return landed;
}

static void scope_release(struct scope *s)
{
    status_handler landed = scope_unpend(s);
    if (landed)
        apply(landed, STATUS_OK);
}

/* --- the end of an operation ------------------------------------------------------------------ */

static void failure_note_locked(struct scope *s, status outcome)
{
    if (is_ok(outcome))
        return;
    if (s->failures++ == 0)
        s->first_failure = outcome;
}

/* With the scope's lock held, which it gives back: ends o when nothing holds it any more. */
static void operation_check(struct operation *o)
{
    struct scope *s = o->scope;
    if (!o->landed || o->pins) {
        spin_unlock(&s->lock);
        return;
    }
    status_handler done = o->done;
    status outcome = o->outcome;
    list_remove(&o->link);
    o->scope = NULL;
    failure_note_locked(s, outcome);
    scope_release(s);
    apply(done, outcome);
}

closure_method(status_handler, operation_landed, struct operation, landed_with, status outcome)
{
    struct operation *o = owner();
    struct scope *s = o->scope;
    spin_lock(&s->lock);
    o->landed = true;
    o->outcome = outcome;
    if (o->timed && s->executor->timer_cancel(s->executor, &o->deadline)) {
        o->timed = false;
        o->pins--;
    }
    operation_check(o);
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

static void operation_init(struct operation *o, struct scope *s, cancel_handler cancel,
                           status_handler done)
{
    o->scope = s;
    o->cancel = cancel;
    o->done = done;
    o->pins = 1; /* until operation_started */
    o->landed = o->told = o->timed = o->issued = false;
    o->started_ns = s->executor->now_ns(s->executor);
}

status_handler operation_start(struct scope *s, struct operation *o, cancel_handler cancel,
                               status_handler done)
{
    spin_lock(&s->lock);
    bool refused = s->closing;
    if (!refused) {
        operation_init(o, s, cancel, done);
        list_push_back(&s->running, &o->link);
        s->pending++;
    }
    spin_unlock(&s->lock);
    if (refused)
        return NULL;
    init_method(&o->landed_with, operation_landed);
    return &o->landed_with;
}

status_handler operation_start_until(struct scope *s, struct operation *o, cancel_handler cancel,
                                     u64 deadline_ns, status_handler done)
{
    status_handler landed = operation_start(s, o, cancel, done);
    if (!landed)
        return NULL;
    init_method(&o->deadline_passed, operation_deadline);
    spin_lock(&s->lock);
    o->timed = true;
    o->pins++;
    s->executor->timer_set(s->executor, &o->deadline, deadline_ns, &o->deadline_passed);
    spin_unlock(&s->lock);
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
    if (o->scope != s) {
        spin_unlock(&s->lock);
        return;
    }
    o->pins++;
    operation_cancel_locked(o, why);
    o->pins--;
    operation_check(o);
}

/* The operations that are running at the call; each is moved to `cancelled` when it is marked, so
   the first one of `running` is always the next. */
void scope_cancel(struct scope *s, status why)
{
    spin_lock(&s->lock);
    s->pending++;
    for (u32 n = s->pending; n > 0 && !list_empty(&s->running); n--) {
        struct operation *o = container_of(s->running.next, struct operation, link);
        o->pins++;
        operation_cancel_locked(o, why);
        o->pins--;
        operation_check(o); /* gives the lock back */
        spin_lock(&s->lock);
    }
    scope_release(s);
}

/* --- the life of a scope ---------------------------------------------------------------------- */

closure_method(cancel_handler, scope_parent_cancels, struct scope, parent_cancels, status why)
{
    struct scope *s = owner();
    spin_lock(&s->lock);
    s->closing = true;
    s->pending++; /* so that it does not end in the middle of this */
    spin_unlock(&s->lock);
    scope_cancel(s, why);
    spin_lock(&s->lock);
    scope_release(s);
}

/* An operation's memory may go when its done is applied, and this one lies in the scope that ended:
   so nothing happens here. */
closure_method(status_handler, scope_left_parent, struct scope, left_parent, status outcome)
{
    (void)owner();
    (void)outcome;
}

static void scope_join_parent(struct scope *s, struct scope *parent)
{
    init_method(&s->parent_cancels, scope_parent_cancels);
    init_method(&s->left_parent, scope_left_parent);
    s->parent_landed = operation_start(parent, &s->in_parent, &s->parent_cancels, &s->left_parent);
    if (s->parent_landed)
        operation_started(&s->in_parent);
    else
        s->closing = s->ended = true;
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
    if (parent)
        scope_join_parent(s, parent);
    else
        scope_join_roots(s);
}

/* The waiter is applied by whoever drains the scope; this call holds it open meanwhile. */
void scope_wait(struct scope *s, status_handler done)
{
    spin_lock(&s->lock);
    assert(!s->waiter);
    s->waiter = done;
    s->pending++;
    scope_release(s);
}

/* Too late: the wait ends, the operations go on.  In time, but this thunk was on the way already:
   what was put off until now. */
closure_method(thunk, scope_deadline, struct scope, deadline_passed)
{
    struct scope *s = owner();
    status_handler waiter = NULL, landed = NULL;
    spin_lock(&s->lock);
    s->timed = false;
    u32 pending = s->pending;
    if (pending) {
        waiter = s->waiter;
        s->waiter = NULL;
    } else {
        landed = scope_drained_locked(s);
    }
    spin_unlock(&s->lock);
    if (waiter)
        apply(waiter, status_error(ETIMEDOUT, "scope: operations are still in flight", pending));
    if (landed)
        apply(landed, STATUS_OK);
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
    scope_cancel(s, status_error(ECANCELED, "the scope was closed", 0));
    spin_lock(&s->lock);
    scope_release(s);
}

bool scope_idle(struct scope *s)
{
    return __atomic_load_n(&s->pending, __ATOMIC_ACQUIRE) == 0;
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
    if (!roots.next || !spin_try(&roots_lock))
        return roots.next != NULL;
    list_for_each (&roots, l)
        left_out += scope_visit(container_of(l, struct scope, root_link), 0, visitor);
    spin_unlock(&roots_lock);
    return left_out;
}
