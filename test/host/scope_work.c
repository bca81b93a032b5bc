/* Work for scopes: see test/host/scope_work.h. */
#include "test/host/scope_work.h"

void bench_init(struct bench *b, u64 seed)
{
    host_executor_init(&b->x, seed);
    slow_device_init(&b->device, &b->x.e);
    counting_heap_init(&b->h, "scopes");
    b->ended = 0;
    b->last = STATUS_OK;
}

void bench_close(struct bench *b)
{
    must(!b->x.first && b->x.timer_count == 0);
    must(b->device.in_flight == 0 && list_empty(&b->device.requests));
    must(b->h.live == 0);
    counting_heap_close(&b->h);
}

closure_method(status_handler, work_done, struct work, done, status outcome)
{
    struct work *w = owner();
    struct bench *b = w->bench;
    b->ended++;
    b->last = outcome;
    deallocate(&b->h.h, w, sizeof(*w));
}

static struct work *work_make(struct bench *b, enum slow_answer kind)
{
    struct work *w = allocate(&b->h.h, sizeof(*w));
    w->bench = b;
    slow_request_init(&w->r, &b->device, kind);
    init_method(&w->done, work_done);
    return w;
}

static struct work *work_submit(struct work *w, status_handler landed)
{
    if (!landed) {
        closure_freed(&w->done.header);
        deallocate(&w->bench->h.h, w, sizeof(*w));
        return NULL;
    }
    slow_request_submit(&w->r, landed);
    operation_started(&w->o);
    return w;
}

struct work *work_start(struct bench *b, struct scope *s, enum slow_answer kind)
{
    struct work *w = work_make(b, kind);
    return work_submit(w, operation_start(s, &w->o, &w->r.cancel, &w->done));
}

struct work *work_start_until(struct bench *b, struct scope *s, enum slow_answer kind,
                              u64 deadline_ns)
{
    struct work *w = work_make(b, kind);
    return work_submit(w, operation_start_until(s, &w->o, &w->r.cancel, deadline_ns, &w->done));
}

closure_method(status_handler, owned_scope_closed, struct owned_scope, closed, status outcome)
{
    struct owned_scope *c = owner();
    struct bench *b = c->bench;
    must(is_ok(outcome));
    must(scope_idle(&c->s));
    ++*c->closes;
    deallocate(&b->h.h, c, sizeof(*c));
}

struct owned_scope *owned_scope_make(struct bench *b, struct scope *parent, u32 *closes)
{
    struct owned_scope *c = allocate(&b->h.h, sizeof(*c));
    c->bench = b;
    c->closes = closes;
    scope_init(&c->s, parent, &b->x.e, "owned");
    return c;
}

void owned_scope_close(struct owned_scope *c)
{
    init_method(&c->closed, owned_scope_closed);
    scope_close(&c->s, &c->closed);
}
