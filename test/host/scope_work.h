/* What the tests of scopes start: requests to the slow device and child scopes, each in memory of
   its own that is given back the moment it ended, so that what touches it later is found out. */
#pragma once

#include "test/host/executor.h"
#include "test/host/harness.h"
#include "test/host/slow_device.h"

struct bench {
    struct host_executor x;
    struct slow_device device;
    struct counting_heap h;
    u32 ended; /* works whose completion was applied */
    status last;
};

void bench_init(struct bench *b, u64 seed);
/* All memory was given back, no timer is left, nothing is queued. */
void bench_close(struct bench *b);

struct work {
    struct operation o;
    struct slow_request r;
    struct status_handler done;
    struct bench *bench;
};

/* NULL when the scope refused it. */
struct work *work_start(struct bench *b, struct scope *s, enum slow_answer kind);
struct work *work_start_until(struct bench *b, struct scope *s, enum slow_answer kind,
                              u64 deadline_ns);

/* A scope in memory of its own, which goes when its close is done. */
struct owned_scope {
    struct scope s;
    struct status_handler closed;
    struct bench *bench;
    u32 *closes; /* counted up */
};

struct owned_scope *owned_scope_make(struct bench *b, struct scope *parent, u32 *closes);
void owned_scope_close(struct owned_scope *c);
