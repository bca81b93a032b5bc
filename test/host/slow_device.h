/* A simulated device that is slow, fails, or does not answer.

   A request belongs to its issuer until the device has applied `landed`, which it does from the
   executor, once.  Asked to give a request up, the device lets go of it after a while, unless it is
   stuck: then only a reset gets it back.  Single-threaded. */
#pragma once

#include "runtime/scope.h"

enum slow_answer {
    SLOW_ANSWERS, /* after latency_ns */
    SLOW_FAILS,   /* after latency_ns, with EIO */
    SLOW_SILENT,  /* when it was cancelled */
    SLOW_STUCK,   /* when the device is reset; a cancellation resets it */
};

struct slow_device {
    const struct executor *executor;
    u64 latency_ns;
    u64 letting_go_ns;
    struct list requests;
    u32 in_flight;
    u32 cancelled, resets; /* so far */
};

struct slow_request {
    struct list link;
    struct slow_device *device;
    struct timer timer;
    struct thunk answer;
    struct cancel_handler cancel; /* for operation_start, ready after slow_request_init */
    status_handler landed;
    status outcome;
    enum slow_answer kind;
    bool answering; /* the timer decides, or has decided */
    u32 cancels;
};

void slow_device_init(struct slow_device *d, const struct executor *e);
void slow_request_init(struct slow_request *r, struct slow_device *d, enum slow_answer kind);
void slow_request_submit(struct slow_request *r, status_handler landed);
/* Every request lands now, with EIO. */
void slow_device_reset(struct slow_device *d);
