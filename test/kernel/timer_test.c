/* The clock and its timers. */
#include "kernel/clock.h"
#include "test/kernel/kernel_test.h"

static void clock_goes_on(void)
{
    u64 last = clock_monotonic_ns();
    for (u32 i = 0; i < 1000; i++) {
        u64 now = clock_monotonic_ns();
        expect(now >= last);
        last = now;
    }
    struct clock_scale scale = clock_scale();
    test_note("clock: %u ticks of the time-stamp counter in a microsecond",
              (u32)(1000ull * (1ull << 32) / scale.ns_a_tick));
    test_pass();
}

#define YEAR_2024_NS (1704067200ull * NS_PER_SECOND)
#define YEAR_2100_NS (4102444800ull * NS_PER_SECOND)

static void clock_has_a_date(void)
{
    u64 now = clock_realtime_ns();
    expect(now > YEAR_2024_NS && now < YEAR_2100_NS);
    expect(clock_realtime_ns() >= now);
    test_pass();
}

struct timed {
    struct timer timer;
    struct thunk expired;
    u64 expires_ns;
};

static struct timed timed[16];
static u32 expirations;
static u64 last_expired_ns, latest_ns;

closure_method(thunk, timed_expired, struct timed, expired)
{
    struct timed *t = owner();
    u64 now = clock_monotonic_ns();
    expect(now >= t->expires_ns);             /* not early */
    expect(t->expires_ns >= last_expired_ns); /* in order */
    expect(t != &timed[3]);                   /* it was cancelled */
    last_expired_ns = t->expires_ns;
    latest_ns = max(latest_ns, now - t->expires_ns);
    if (++expirations < countof(timed) - 1)
        return;
    test_note("timers: the latest was %u us late", (u32)(latest_ns / 1000));
    test_pass();
}

static void timers_expire_in_order(void)
{
    u64 now = clock_monotonic_ns();
    for (u32 i = 0; i < countof(timed); i++) {
        struct timed *t = &timed[i];
        init_method(&t->expired, timed_expired);
        t->expires_ns = now + (i * 7 % countof(timed) + 1) * 500 * NS_PER_US;
        timer_set(&t->timer, t->expires_ns, &t->expired);
    }
    expect(timer_cancel(&timed[3].timer));
    expect(!timer_cancel(&timed[3].timer));
}

static struct timed moved;

closure_method(thunk, moved_expired, struct timed, expired)
{
    struct timed *t = owner();
    expect(clock_monotonic_ns() >= t->expires_ns);
    expect(!t->timer.pending);
    test_pass();
}

static void timer_moves(void)
{
    init_method(&moved.expired, moved_expired);
    moved.expires_ns = clock_monotonic_ns() + 2 * NS_PER_MS;
    timer_set(&moved.timer, moved.expires_ns - NS_PER_MS, &moved.expired);
    timer_set(&moved.timer, moved.expires_ns, &moved.expired);
}

const struct kernel_test timer_tests[] = {
    {"the clock never goes back", clock_goes_on},
    {"the clock knows the date", clock_has_a_date},
    {"timers expire in order, never early, unless cancelled", timers_expire_in_order},
    {"a pending timer moves", timer_moves},
    {NULL, NULL},
};
