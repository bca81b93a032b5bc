/* The kernel as far as a virtio driver needs it, for tests that compile a driver into themselves: a
   clock that is set by hand, one timer, the harness's run queue, heaps that count and fail.  A
   "physical" address is an address, so what is freed or out of bounds is found by the sanitizer.

   Included once by such a test, behind the driver's sources. */
#pragma once

#include "kernel/clock.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/run_loop.h"
#include "test/host/harness.h"

static struct counting_heap general, pages;
heap general_heap = &general.h;
heap page_heap = &pages.h;
u64 direct_map_base;

static u64 now_ns;
static struct timer *timer_only;
static u32 errors_logged;

physical physical_of(const void *address)
{
    return physical_at((u64)address);
}

u64 clock_monotonic_ns(void)
{
    return now_ns;
}

void timer_set(struct timer *t, u64 expires_ns, thunk expired)
{
    t->expires_ns = expires_ns;
    t->expired = expired;
    t->pending = true;
    timer_only = t;
}

bool timer_cancel(struct timer *t)
{
    bool was = t->pending;
    t->pending = false;
    return was;
}

/* Moves the clock, and applies what has expired. */
static void time_move(u64 ns)
{
    now_ns += ns;
    if (timer_only && timer_only->pending && timer_only->expires_ns <= now_ns) {
        timer_only->pending = false;
        apply(timer_only->expired);
    }
}

void run_later(thunk t)
{
    host_run_later(t);
}

void run_bottom_half(thunk t)
{
    host_run_later(t);
}

void log_line(enum log_level level, __attribute__((unused)) const char *format, ...)
{
    errors_logged += level == LOG_ERROR;
}

static void kernel_begin(void)
{
    counting_heap_init(&general, "general");
    counting_heap_init(&pages, "pages");
}

static int kernel_end(void)
{
    counting_heap_close(&general);
    counting_heap_close(&pages);
    return done_testing();
}
