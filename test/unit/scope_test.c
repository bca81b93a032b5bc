/* Scopes, one thread: the five patterns of structured concurrency over a device that is slow, fails
   or never answers; memory that goes the moment something ended; deadlines; cancellation from odd
   places; the census.  Random orders are in scope_random_test, threads in scope_stress. */
#include "test/host/scope_work.h"

#include <string.h>

static struct bench b;

static status cancelled(void)
{
    return status_error(EINTR, "test: cancelled", 0);
}

/* --- the five patterns ------------------------------------------------------------------------ */

static void pattern_a_parent_closes_a_child(void)
{
    u32 closes = 0;
    bench_init(&b, 0);
    struct owned_scope *parent = owned_scope_make(&b, NULL, &closes);
    struct owned_scope *child = owned_scope_make(&b, &parent->s, &closes);
    work_start(&b, &child->s, SLOW_SILENT);
    work_start(&b, &parent->s, SLOW_ANSWERS);
    owned_scope_close(child);
    host_executor_run(&b.x);
    ok(closes == 0 && b.ended == 0, "closing a child waits for the device to let go");
    host_executor_pass(&b.x, b.device.letting_go_ns);
    ok(closes == 1 && b.ended == 1 && status_errno(b.last) == ECANCELED,
       "a parent closes a child, whose work was cancelled");
    ok(!scope_idle(&parent->s), "the parent's own work goes on");
    host_executor_pass(&b.x, b.device.latency_ns);
    ok(b.ended == 2 && is_ok(b.last), "and ends by itself");
    owned_scope_close(parent);
    host_executor_run(&b.x);
    is(closes, 2, "then the parent closes");
    bench_close(&b);
}

static void pattern_a_parent_closes_many(void)
{
    enum { CHILDREN = 100, WORKS = 10 };
    u32 closes = 0;
    struct owned_scope *children[CHILDREN];
    bench_init(&b, 0);
    struct owned_scope *parent = owned_scope_make(&b, NULL, &closes);
    for (u32 i = 0; i < CHILDREN; i++) {
        children[i] = owned_scope_make(&b, &parent->s, &closes);
        for (u32 k = 0; k < WORKS; k++)
            work_start(&b, &children[i]->s, k % 3 == 0 ? SLOW_ANSWERS : SLOW_SILENT);
    }
    for (u32 i = 0; i < CHILDREN; i++)
        owned_scope_close(children[i]);
    owned_scope_close(parent);
    host_executor_run(&b.x);
    is(closes, 0, "nobody is closed while the device holds on");
    host_executor_pass(&b.x, b.device.letting_go_ns);
    ok(closes == CHILDREN + 1 && b.ended == CHILDREN * WORKS,
       "a parent closes 100 children with 10 works each, and then itself");
    is(b.device.cancelled, CHILDREN * WORKS, "each work was cancelled once");
    bench_close(&b);
}

static void pattern_wait_for_a_result(void)
{
    u32 closes = 0;
    struct host_result r;
    bench_init(&b, 0);
    struct owned_scope *s = owned_scope_make(&b, NULL, &closes);
    scope_wait(&s->s, host_result_init(&r));
    is(r.applied, 0, "a wait with nothing in flight is not answered on the caller's stack");
    host_executor_run(&b.x);
    ok(r.applied == 1 && is_ok(r.s), "but from the run loop");
    work_start(&b, &s->s, SLOW_ANSWERS);
    scope_wait(&s->s, host_result_init(&r));
    host_executor_pass(&b.x, b.device.latency_ns - 1);
    is(r.applied, 0, "a wait waits");
    host_executor_pass(&b.x, 1);
    ok(r.applied == 1 && is_ok(r.s) && b.ended == 1, "for the result");
    work_start(&b, &s->s, SLOW_FAILS);
    work_start(&b, &s->s, SLOW_FAILS);
    work_start(&b, &s->s, SLOW_ANSWERS);
    scope_wait(&s->s, host_result_init(&r));
    host_executor_pass(&b.x, b.device.latency_ns);
    ok(r.applied == 1 && status_errno(r.s) == EIO && r.s.detail == 1,
       "which is the first failure when some failed");
    is(scope_failures(&s->s), 2, "and all of them are counted");
    owned_scope_close(s);
    host_executor_run(&b.x);
    is(closes, 1, "a scope that failed closes");
    bench_close(&b);
}

/* The waiter's own code: too late means close. */
struct grace {
    struct status_handler over;
    struct owned_scope *s;
    status s_over;
};

closure_method(status_handler, grace_over, struct grace, over, status s)
{
    struct grace *g = owner();
    g->s_over = s;
    owned_scope_close(g->s);
}

static void pattern_grace_period_then_cancel(void)
{
    u32 closes = 0;
    struct grace g;
    bench_init(&b, 0);
    g.s = owned_scope_make(&b, NULL, &closes);
    work_start(&b, &g.s->s, SLOW_ANSWERS);
    work_start(&b, &g.s->s, SLOW_SILENT);
    work_start(&b, &g.s->s, SLOW_STUCK);
    init_method(&g.over, grace_over);
    scope_wait_until(&g.s->s, b.x.now_ns + 10 * NS_PER_MS, &g.over);
    host_executor_pass(&b.x, 10 * NS_PER_MS - 1);
    ok(b.ended == 1 && b.device.cancelled == 0, "in the grace period nobody is cancelled");
    host_executor_pass(&b.x, 1);
    ok(status_errno(g.s_over) == ETIMEDOUT && g.s_over.detail == 2,
       "then the wait says how many are late");
    host_executor_pass(&b.x, b.device.letting_go_ns);
    ok(closes == 1 && b.ended == 3 && b.device.resets == 1,
       "and the late are cancelled, with a reset of the device where it needs one");
    bench_close(&b);

    bench_init(&b, 0);
    g.s = owned_scope_make(&b, NULL, &closes);
    work_start(&b, &g.s->s, SLOW_ANSWERS);
    init_method(&g.over, grace_over);
    scope_wait_until(&g.s->s, b.x.now_ns + 10 * NS_PER_MS, &g.over);
    host_executor_pass(&b.x, b.device.latency_ns);
    ok(is_ok(g.s_over) && closes == 2 && b.x.timer_count == 0,
       "nobody waits for the rest of a grace period when all have ended");
    bench_close(&b);
}

static void pattern_broadcast_a_shutdown_and_wait(void)
{
    u32 closes = 0;
    struct host_result r;
    bench_init(&b, 0);
    struct owned_scope *root = owned_scope_make(&b, NULL, &closes);
    struct owned_scope *services[5];
    for (u32 i = 0; i < countof(services); i++) {
        services[i] = owned_scope_make(&b, &root->s, &closes);
        work_start(&b, &services[i]->s, i == 0 ? SLOW_STUCK : SLOW_SILENT);
    }
    scope_cancel(&root->s, status_error(EINTR, "test: shutdown", 0));
    ok(!work_start(&b, &services[0]->s, SLOW_ANSWERS), "after the shutdown a service is closing");
    scope_wait(&root->s, host_result_init(&r));
    is(b.device.cancelled, 5, "everybody is told at once");
    host_executor_pass(&b.x, b.device.letting_go_ns - 1);
    ok(b.ended == 1 && r.applied == 0, "the one that was stuck came back with the device's reset");
    host_executor_pass(&b.x, 1);
    ok(r.applied == 1 && is_ok(r.s) && b.ended == 5, "then the root has waited for all of them");
    for (u32 i = 0; i < countof(services); i++)
        owned_scope_close(services[i]);
    owned_scope_close(root);
    host_executor_run(&b.x);
    is(closes, 6, "and their memory goes");
    bench_close(&b);
}

/* --- nothing outlives its scope --------------------------------------------------------------- */

static void test_nested(void)
{
    enum { DEPTH = 5 };
    u32 closes = 0;
    struct owned_scope *chain[DEPTH];
    bench_init(&b, 0);
    for (u32 i = 0; i < DEPTH; i++) {
        chain[i] = owned_scope_make(&b, i ? &chain[i - 1]->s : NULL, &closes);
        work_start(&b, &chain[i]->s, SLOW_SILENT);
    }
    owned_scope_close(chain[0]);
    is(b.device.cancelled, DEPTH, "closing the outermost of 5 scopes cancels in all of them");
    host_executor_run(&b.x);
    is(closes, 0, "and waits");
    struct owned_scope *late = owned_scope_make(&b, &chain[DEPTH - 1]->s, &closes);
    ok(!work_start(&b, &late->s, SLOW_ANSWERS), "a scope made in one that closes is closing too");
    owned_scope_close(late);
    host_executor_run(&b.x);
    is(closes, 1, "and can be closed");
    for (u32 i = 1; i < DEPTH; i++)
        owned_scope_close(chain[i]);
    host_executor_pass(&b.x, b.device.letting_go_ns);
    ok(closes == DEPTH + 1 && b.ended == DEPTH, "the others end first, the outermost last");
    bench_close(&b);
}

/* A child that its owner closes while its parent is telling it so: the parent still works with it
   when all of its operations have landed. */
struct closing_cancel {
    struct operation o;
    struct cancel_handler cancel;
    struct status_handler done;
    struct owned_scope *c;
    status_handler landed;
};

closure_method(cancel_handler, cancel_and_close, struct closing_cancel, cancel, status why)
{
    struct closing_cancel *k = owner();
    apply(k->landed, why);
    owned_scope_close(k->c);
    host_executor_run(&b.x);
}

closure_method(status_handler, closing_done, struct closing_cancel, done, status outcome)
{
    (void)owner();
    b.ended++;
    b.last = outcome;
}

static void test_child_closed_while_told(void)
{
    u32 closes = 0;
    bench_init(&b, 0);
    struct owned_scope *parent = owned_scope_make(&b, NULL, &closes);
    struct closing_cancel k = {.c = owned_scope_make(&b, &parent->s, &closes)};
    init_method(&k.cancel, cancel_and_close);
    init_method(&k.done, closing_done);
    k.landed = operation_start(&k.c->s, &k.o, &k.cancel, &k.done);
    operation_started(&k.o);
    owned_scope_close(parent);
    host_executor_run(&b.x);
    ok(closes == 2 && b.ended == 1, "a child may be closed in the middle of its parent's closing");
    bench_close(&b);
}

/* A completion starts its operation again in the same struct, and again. */
struct again {
    struct operation o;
    struct slow_request r;
    struct status_handler done;
    struct scope *s;
    u32 left, cancelled, refused;
};

static void again_start(struct again *a);

closure_method(status_handler, again_done, struct again, done, status outcome)
{
    struct again *a = owner();
    a->cancelled += status_errno(outcome) == EINTR || status_errno(outcome) == ECANCELED;
    if (a->left--)
        again_start(a);
}

static void again_start(struct again *a)
{
    slow_request_init(&a->r, &b.device, SLOW_SILENT);
    init_method(&a->done, again_done);
    status_handler landed = operation_start(a->s, &a->o, &a->r.cancel, &a->done);
    if (!landed) {
        a->refused++;
        return;
    }
    slow_request_submit(&a->r, landed);
    operation_started(&a->o);
}

static void test_restarted(void)
{
    u32 closes = 0;
    bench_init(&b, 0);
    struct owned_scope *s = owned_scope_make(&b, NULL, &closes);
    struct again a = {.s = &s->s, .left = 10};
    again_start(&a);
    scope_cancel(&s->s, cancelled());
    host_executor_pass(&b.x, NS_PER_MS);
    ok(a.cancelled == 1 && a.left == 9, "what is started after a cancellation is not cancelled");
    ok(!scope_idle(&s->s), "the scope has it in flight");
    owned_scope_close(s);
    host_executor_pass(&b.x, NS_PER_MS);
    ok(a.cancelled == 2 && a.refused == 1 && closes == 1, "a closing scope refuses the next one");
    bench_close(&b);
}

/* --- deadlines -------------------------------------------------------------------------------- */

static void test_deadlines(void)
{
    u32 closes = 0;
    bench_init(&b, 0);
    struct owned_scope *s = owned_scope_make(&b, NULL, &closes);
    work_start_until(&b, &s->s, SLOW_SILENT, b.x.now_ns + NS_PER_MS);
    host_executor_pass(&b.x, NS_PER_MS);
    ok(b.ended == 0 && b.device.cancelled == 1, "at its deadline an operation is cancelled");
    host_executor_pass(&b.x, b.device.letting_go_ns);
    ok(b.ended == 1 && status_errno(b.last) == ETIMEDOUT, "and ends when the device lets go");
    work_start_until(&b, &s->s, SLOW_ANSWERS, b.x.now_ns + 2 * NS_PER_MS);
    host_executor_pass(&b.x, b.device.latency_ns);
    ok(b.ended == 2 && is_ok(b.last) && b.x.timer_count == 0,
       "an operation in time takes its deadline away");
    work_start_until(&b, &s->s, SLOW_ANSWERS, 0);
    host_executor_pass(&b.x, NS_PER_MS);
    ok(b.ended == 3 && status_errno(b.last) == ETIMEDOUT, "a deadline in the past cancels");
    owned_scope_close(s);
    host_executor_run(&b.x);
    bench_close(&b);
}

/* The answer and the deadline expire at the same moment, in both orders. */
static void test_deadline_races(u64 seed)
{
    u32 closes = 0, in_time = 0, late = 0;
    bench_init(&b, seed | 1);
    struct owned_scope *s = owned_scope_make(&b, NULL, &closes);
    for (u32 i = 0; i < 1000; i++) {
        u32 ended = b.ended;
        work_start_until(&b, &s->s, SLOW_ANSWERS, b.x.now_ns + b.device.latency_ns);
        host_executor_move(&b.x, b.device.latency_ns);
        host_executor_pass(&b.x, b.device.letting_go_ns);
        must(b.ended == ended + 1 && b.x.timer_count == 0 && b.x.length == 0);
        in_time += is_ok(b.last);
        late += b.device.cancelled;
        b.device.cancelled = 0;
    }
    ok(in_time == 1000 && late > 100 && late < 900,
       "an answer and a deadline at the same moment: once, with the answer");
    owned_scope_close(s);
    host_executor_run(&b.x);
    bench_close(&b);
}

/* The last operation ends when the deadline of the wait has expired but was not applied yet. */
static void test_wait_deadline_races(u64 seed)
{
    u32 closes = 0, in_time = 0;
    struct host_result r;
    bench_init(&b, seed | 1);
    for (u32 i = 0; i < 1000; i++) {
        struct owned_scope *s = owned_scope_make(&b, NULL, &closes);
        work_start(&b, &s->s, SLOW_ANSWERS);
        scope_wait_until(&s->s, b.x.now_ns + b.device.latency_ns, host_result_init(&r));
        host_executor_move(&b.x, b.device.latency_ns);
        host_executor_run(&b.x);
        must(r.applied == 1 && (is_ok(r.s) || status_errno(r.s) == ETIMEDOUT));
        in_time += is_ok(r.s);
        scope_wait_until(&s->s, b.x.now_ns, host_result_init(&r));
        host_executor_run(&b.x);
        must(r.applied == 1 && is_ok(r.s));
        owned_scope_close(s);
        host_executor_run(&b.x);
        must(b.h.live == 0);
    }
    ok(in_time > 100 && in_time < 900, "a wait and its deadline at the same moment: one answer");
    bench_close(&b);
}

/* --- cancelling from odd places --------------------------------------------------------------- */

static void test_cancel_one(void)
{
    u32 closes = 0;
    bench_init(&b, 0);
    struct owned_scope *s = owned_scope_make(&b, NULL, &closes);
    struct owned_scope *other = owned_scope_make(&b, NULL, &closes);
    struct operation never = {.scope = NULL};
    operation_cancel(&s->s, &never, cancelled());
    struct work *w = work_start(&b, &s->s, SLOW_SILENT);
    work_start(&b, &s->s, SLOW_SILENT);
    operation_cancel(&other->s, &w->o, cancelled());
    is(b.device.cancelled, 0, "an operation of another scope, or of none, is left alone");
    operation_cancel(&s->s, &w->o, cancelled());
    operation_cancel(&s->s, &w->o, status_error(ECANCELED, "test: again", 0));
    is(b.device.cancelled, 1, "a second cancellation is not told");
    host_executor_pass(&b.x, b.device.letting_go_ns);
    ok(b.ended == 1 && status_errno(b.last) == EINTR, "the first one's reason counts");
    owned_scope_close(s);
    owned_scope_close(other);
    host_executor_pass(&b.x, b.device.letting_go_ns);
    is(closes, 2, "the other operation was cancelled by the closing");
    bench_close(&b);
}

/* Work that lands on the spot: when it is begun, or in its own cancellation; and whose cancellation
   cancels everything else. */
struct direct {
    struct operation o;
    struct cancel_handler cancel;
    struct status_handler done;
    status_handler landed;
    struct scope *s;
    u32 cancels, ended;
    status outcome;
};

closure_method(cancel_handler, direct_cancel, struct direct, cancel, status why)
{
    struct direct *d = owner();
    d->cancels++;
    scope_cancel(d->s, status_error(ECANCELED, "test: all others", 0));
    operation_cancel(d->s, &d->o, why);
    must(d->ended == 0);
    apply(d->landed, why);
    must(d->ended == 0); /* not before this has returned */
}

closure_method(status_handler, direct_done, struct direct, done, status outcome)
{
    struct direct *d = owner();
    d->ended++;
    d->outcome = outcome;
}

static void direct_start(struct direct *d, struct scope *s)
{
    *d = (struct direct){.s = s};
    init_method(&d->cancel, direct_cancel);
    init_method(&d->done, direct_done);
    d->landed = operation_start(s, &d->o, &d->cancel, &d->done);
}

static void direct_begin(struct direct *d, struct scope *s)
{
    *d = (struct direct){.s = s};
    init_method(&d->cancel, direct_cancel);
    init_method(&d->done, direct_done);
    d->landed = operation_begin(s, &d->o, &d->cancel, &d->done);
}

static void test_begun(void)
{
    u32 closes = 0;
    struct direct d;
    bench_init(&b, 0);
    struct owned_scope *s = owned_scope_make(&b, NULL, &closes);
    direct_begin(&d, &s->s);
    ok(!scope_idle(&s->s), "what was begun is in flight");
    apply(d.landed, STATUS_OK);
    ok(d.ended == 1 && is_ok(d.outcome) && scope_idle(&s->s), "and ends where it lands");
    direct_begin(&d, &s->s);
    operation_cancel(&s->s, &d.o, cancelled());
    ok(d.cancels == 1 && d.ended == 1 && status_errno(d.outcome) == EINTR,
       "it is told at once that it is cancelled");
    owned_scope_close(s);
    direct_begin(&d, &s->s);
    ok(!d.landed, "a scope that closes refuses it");
    closure_freed(&d.done.header);
    host_executor_run(&b.x);
    is(closes, 1, "and the scope closes");
    bench_close(&b);
}

static void test_direct(void)
{
    u32 closes = 0;
    struct direct d[3];
    bench_init(&b, 0);
    struct owned_scope *s = owned_scope_make(&b, NULL, &closes);
    direct_start(&d[0], &s->s);
    apply(d[0].landed, STATUS_OK);
    is(d[0].ended, 0, "work that lands before operation_started is held");
    operation_started(&d[0].o);
    ok(d[0].ended == 1 && is_ok(d[0].outcome), "and ends there");
    direct_start(&d[0], &s->s);
    operation_cancel(&s->s, &d[0].o, cancelled());
    is(d[0].cancels, 0, "a cancellation before operation_started is held");
    operation_started(&d[0].o);
    ok(d[0].cancels == 1 && d[0].ended == 1 && status_errno(d[0].outcome) == EINTR,
       "told there, and the operation may land in it");
    direct_start(&d[0], &s->s);
    operation_cancel(&s->s, &d[0].o, cancelled());
    apply(d[0].landed, STATUS_OK);
    operation_started(&d[0].o);
    ok(d[0].cancels == 0 && d[0].ended == 1 && is_ok(d[0].outcome),
       "what landed before it was started is not cancelled any more");
    for (u32 i = 0; i < countof(d); i++) {
        direct_start(&d[i], &s->s);
        operation_started(&d[i].o);
    }
    operation_cancel(&s->s, &d[1].o, cancelled());
    ok(d[0].cancels == 1 && d[1].cancels == 1 && d[2].cancels == 1, "a cancellation may cancel");
    ok(d[0].ended == 1 && d[1].ended == 1 && d[2].ended == 1, "and all of them have landed in it");
    ok(status_errno(d[1].outcome) == EINTR && status_errno(d[0].outcome) == ECANCELED,
       "each with its own reason");
    owned_scope_close(s);
    host_executor_run(&b.x);
    is(closes, 1, "the scope was not disturbed");
    bench_close(&b);
}

/* The last completion closes the scope that it belongs to, whose memory goes. */
struct last {
    struct operation o;
    struct slow_request r;
    struct status_handler done;
    struct owned_scope *s;
    u32 *closes;
    bool too_early;
};

closure_method(status_handler, last_done, struct last, done, __attribute__((unused)) status outcome)
{
    struct last *l = owner();
    owned_scope_close(l->s);
    l->too_early = *l->closes != 0 || !scope_idle(&l->s->s);
}

static void test_closed_in_completion(void)
{
    u32 closes = 0;
    bench_init(&b, 0);
    struct last l = {.closes = &closes, .s = owned_scope_make(&b, NULL, &closes)};
    slow_request_init(&l.r, &b.device, SLOW_ANSWERS);
    init_method(&l.done, last_done);
    slow_request_submit(&l.r, operation_start(&l.s->s, &l.o, NULL, &l.done));
    operation_started(&l.o);
    host_executor_pass(&b.x, b.device.latency_ns);
    ok(closes == 1 && !l.too_early, "a completion may close the scope that it belongs to");
    bench_close(&b);
}

static void test_not_cancellable(void)
{
    u32 closes = 0;
    bench_init(&b, 0);
    struct owned_scope *s = owned_scope_make(&b, NULL, &closes);
    struct host_result r;
    struct operation o;
    status_handler landed = operation_start(&s->s, &o, NULL, host_result_init(&r));
    operation_started(&o);
    owned_scope_close(s);
    host_executor_run(&b.x);
    ok(closes == 0 && r.applied == 0, "what cannot be cancelled is waited for");
    apply(landed, STATUS_OK);
    host_executor_run(&b.x);
    ok(closes == 1 && r.applied == 1 && is_ok(r.s), "and ends with its own result");
    bench_close(&b);
}

/* --- the census ------------------------------------------------------------------------------- */

closure_function(operation_visitor, count_seen,
                 (u32 * counts, u64 *oldest_ns, u32 *cancelled_count),
                 const struct operation_seen *seen)
{
    bool ours = strcmp(seen->scope, "owned") == 0 && strcmp(seen->waits->name, "work_done") == 0;
    must(ours && seen->depth < 3);
    bound(counts)[seen->depth]++;
    *bound(oldest_ns) = max(*bound(oldest_ns), seen->age_ns);
    *bound(cancelled_count) += seen->cancelled;
}

static void test_census(void)
{
    u32 closes = 0, counts[3] = {0}, cancelled_count = 0;
    u64 oldest_ns = 0;
    struct owned_scope *s[3];
    bench_init(&b, 0);
    for (u32 i = 0; i < countof(s); i++) {
        s[i] = owned_scope_make(&b, i ? &s[i - 1]->s : NULL, &closes);
        for (u32 k = 0; k <= i; k++)
            work_start(&b, &s[i]->s, SLOW_SILENT);
        host_executor_pass(&b.x, NS_PER_MS);
    }
    scope_cancel(&s[2]->s, cancelled());
    operation_visitor visitor = stack_closure(count_seen, counts, &oldest_ns, &cancelled_count);
    is(scope_census(visitor), 0, "the census sees every scope");
    ok(counts[0] == 1 && counts[1] == 2 && counts[2] == 3, "and every operation, at its depth");
    ok(oldest_ns == 3 * NS_PER_MS && cancelled_count == 3, "with ages, and which are cancelled");
    spin_lock(&s[1]->s.lock);
    counts[0] = counts[1] = counts[2] = 0;
    is(scope_census(visitor), 1, "a scope whose lock is held is left out, and counted");
    ok(counts[0] == 1 && counts[1] == 0 && counts[2] == 0, "with what is in it");
    spin_unlock(&s[1]->s.lock);
    owned_scope_close(s[0]);
    host_executor_pass(&b.x, NS_PER_MS);
    owned_scope_close(s[1]);
    owned_scope_close(s[2]);
    host_executor_run(&b.x);
    counts[0] = 0;
    ok(closes == 3 && scope_census(visitor) == 0 && counts[0] == 0, "closed scopes leave it");
    bench_close(&b);
}

closure_function(thunk, wait_twice, ())
{
    struct host_result first, second;
    struct scope s;
    struct host_executor x;
    host_executor_init(&x, 0);
    scope_init(&s, NULL, &x.e, "waited for twice");
    scope_wait(&s, host_result_init(&first));
    scope_wait(&s, host_result_init(&second));
}

int main(void)
{
    u64 seed = test_seed();
    pattern_a_parent_closes_a_child();
    pattern_a_parent_closes_many();
    pattern_wait_for_a_result();
    pattern_grace_period_then_cancel();
    pattern_broadcast_a_shutdown_and_wait();
    test_nested();
    test_child_closed_while_told();
    test_restarted();
    test_deadlines();
    test_deadline_races(seed);
    test_wait_deadline_races(seed);
    test_cancel_one();
    test_begun();
    test_direct();
    test_closed_in_completion();
    test_not_cancellable();
    test_census();
    ok(panics(stack_closure(wait_twice)), "two waits at a time panic");
    return done_testing();
}
