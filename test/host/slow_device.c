/* The slow device: see test/host/slow_device.h. */
#include "test/host/slow_device.h"

#include "runtime/assert.h"

static void request_answer_at(struct slow_request *r, u64 after_ns, status outcome)
{
    const struct executor *e = r->device->executor;
    r->outcome = outcome;
    r->answering = true;
    e->timer_set(e, &r->timer, e->now_ns(e) + after_ns, &r->answer);
}

closure_method(thunk, request_answer, struct slow_request, answer)
{
    struct slow_request *r = owner();
    status_handler landed = r->landed;
    status outcome = r->outcome;
    list_remove(&r->link);
    r->device->in_flight--;
    apply(landed, outcome);
}

closure_method(cancel_handler, request_cancel, struct slow_request, cancel, status why)
{
    struct slow_request *r = owner();
    const struct executor *e = r->device->executor;
    assert(r->cancels++ == 0);
    r->device->cancelled++;
    if (r->kind == SLOW_STUCK)
        slow_device_reset(r->device);
    else if (!r->answering || e->timer_cancel(e, &r->timer))
        request_answer_at(r, r->device->letting_go_ns, why);
}

void slow_device_init(struct slow_device *d, const struct executor *e)
{
    *d = (struct slow_device){
        .executor = e, .latency_ns = NS_PER_MS, .letting_go_ns = 10 * NS_PER_US};
    list_init(&d->requests);
}

void slow_request_init(struct slow_request *r, struct slow_device *d, enum slow_answer kind)
{
    *r = (struct slow_request){.device = d, .kind = kind};
    init_method(&r->answer, request_answer);
    init_method(&r->cancel, request_cancel);
}

void slow_request_submit(struct slow_request *r, status_handler landed)
{
    struct slow_device *d = r->device;
    r->landed = landed;
    list_push_back(&d->requests, &r->link);
    d->in_flight++;
    if (r->kind == SLOW_ANSWERS)
        request_answer_at(r, d->latency_ns, STATUS_OK);
    else if (r->kind == SLOW_FAILS)
        request_answer_at(r, d->latency_ns, status_error(EIO, "slow device: failed", d->in_flight));
}

void slow_device_reset(struct slow_device *d)
{
    const struct executor *e = d->executor;
    d->resets++;
    list_for_each (&d->requests, l) {
        struct slow_request *r = container_of(l, struct slow_request, link);
        if (!r->answering || e->timer_cancel(e, &r->timer))
            request_answer_at(r, 0, status_error(EIO, "slow device: reset", d->resets));
    }
}
