/* A timer, and what sets one: the part of a clock that runtime/ and fs/ see.  Nanoseconds. */
#pragma once

#include "runtime/closure.h"
#include "runtime/rbtree.h"

/* Belongs to whoever sets it, who keeps it until it expired or was cancelled.  All zero: not
   pending.  The fields are the timer queue's. */
struct timer {
    struct rbnode node;
    u64 expires_ns; /* monotonic */
    thunk expired;
    bool pending;
    u32 cpu; /* whose queue it is in, while it is pending */
};
