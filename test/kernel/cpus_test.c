/* Several CPUs: thunks handed to and fro, each run exactly once; threads that are placed, stolen
   and kept to their CPUs; timers that are set on one CPU and cancelled on another.

   Boot options: rounds=N is how often the ping-pong goes to and fro (with pauses, a hundredth of
   that); only_cpus and only_ping_pong leave the other tests out.  With one CPU the tests are
   skipped. */
#include "kernel/clock.h"
#include "kernel/cpus.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "kernel/page_table.h"
#include "test/kernel/kernel_test.h"

#define ROUNDS_DEFAULT 20000
#define PAUSE_SPINS    100000

/* Not with a pause: some emulators leave the guest for each. */
static void spin(u64 rounds)
{
    for (u64 i = 0; i < rounds; i++)
        asm volatile("");
}

static bool cpus_possible(void)
{
    if (cpus_online() > 1)
        return true;
    test_skip("there is one CPU");
    return false;
}

/* --- to and fro ------------------------------------------------------------------------------- */

static struct {
    struct thunk there, back;
    u64 rounds, left, began_ns;
    bool pauses;
} ball;

static void ball_ended(void)
{
    u64 ns = clock_monotonic_ns() - ball.began_ns;
    test_note("ping-pong: %llu rounds%s, %llu ns a hand-over", (unsigned long long)ball.rounds,
              ball.pauses ? " with pauses" : "", (unsigned long long)(ns / ball.rounds / 2));
    test_pass();
}

closure_function(thunk, ball_comes, ())
{
    expect(cpu_number() == 1);
    run_on(0, &ball.back);
}

/* With pauses of different lengths, so that the other CPU is met in every state. */
closure_function(thunk, ball_is_back, ())
{
    expect(cpu_number() == 0);
    if (--ball.left == 0) {
        ball_ended();
        return;
    }
    if (ball.pauses)
        spin(ball.left * 7919 % PAUSE_SPINS);
    run_on(1, &ball.there);
}

static void ball_begin(u64 rounds, bool pauses)
{
    if (!cpus_possible())
        return;
    ball.there = *stack_closure(ball_comes);
    ball.back = *stack_closure(ball_is_back);
    ball.rounds = ball.left = rounds;
    ball.pauses = pauses;
    ball.began_ns = clock_monotonic_ns();
    run_on(1, &ball.there);
}

static u64 rounds_wanted(void)
{
    u64 rounds = boot_option_number("rounds");
    return rounds ? rounds : ROUNDS_DEFAULT;
}

static void ping_pong(void)
{
    ball_begin(rounds_wanted(), false);
}

static void ping_pong_pauses(void)
{
    ball_begin(max(rounds_wanted() / 100, 100ull), true);
}

/* --- anywhere --------------------------------------------------------------------------------- */

#define THUNKS_A_CPU 5000u

struct counted {
    struct thunk run;
    u32 runs; /* [a] */
};

static struct {
    struct counted *thunks;
    u64 bytes;
    u32 count, left; /* [a] left */
    struct thunk starts[CPUS_MOST], ended;
    u32 on[CPUS_MOST]; /* [a] how many each CPU ran */
} anywhere;

closure_method(thunk, counted_run, struct counted, run)
{
    __atomic_fetch_add(&owner()->runs, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&anywhere.on[cpu_number()], 1, __ATOMIC_RELAXED);
    if (__atomic_sub_fetch(&anywhere.left, 1, __ATOMIC_ACQ_REL) == 0)
        run_on(0, &anywhere.ended);
}

closure_function(thunk, anywhere_start, ())
{
    u32 first = cpu_number() * THUNKS_A_CPU;
    for (u32 i = 0; i < THUNKS_A_CPU; i++)
        run_anywhere(&anywhere.thunks[first + i].run);
}

closure_function(thunk, anywhere_ended, ())
{
    u32 idle = 0;
    for (u32 i = 0; i < anywhere.count; i++)
        expect(anywhere.thunks[i].runs == 1);
    for (u32 i = 0; i < cpus_online(); i++)
        idle += !anywhere.on[i];
    test_note("anywhere: %u thunks, %u by this CPU, %u CPUs had none", anywhere.count,
              anywhere.on[0], idle);
    deallocate(general_heap, anywhere.thunks, anywhere.bytes);
    test_pass();
}

static void anywhere_from_all(void)
{
    if (!cpus_possible())
        return;
    u32 cpus = cpus_online();
    anywhere.count = anywhere.left = cpus * THUNKS_A_CPU;
    anywhere.bytes = anywhere.count * sizeof(struct counted);
    anywhere.thunks = allocate_zero(general_heap, anywhere.bytes);
    expect(anywhere.thunks);
    anywhere.ended = *stack_closure(anywhere_ended);
    for (u32 i = 0; i < anywhere.count; i++)
        init_method(&anywhere.thunks[i].run, counted_run);
    for (u32 i = 0; i < cpus; i++) {
        anywhere.on[i] = 0;
        anywhere.starts[i] = *stack_closure(anywhere_start);
        run_on(i, &anywhere.starts[i]);
    }
}

/* --- threads that never enter user mode ------------------------------------------------------- */

#define WORKERS_MOST   256u
#define WORK_SPINS     20000u
#define AFFINITY_TURNS 50u
#define STEAL_NS       (20 * NS_PER_SECOND) /* a busy host may keep a CPU waiting */

struct worker {
    struct runnable runnable;
    u64 may_run; /* what it was told */
    u32 turns;   /* left */
};

static struct {
    struct worker workers[WORKERS_MOST];
    u32 left; /* [a] */
    u32 wrong;
    u64 seen;  /* [a] */
    u64 until; /* ns of the clock; nobody ends before, as long as CPU 0 alone was seen */
    struct thunk ended;
} work;

static bool others_awaited(void)
{
    return __atomic_load_n(&work.seen, __ATOMIC_RELAXED) == 1 && clock_monotonic_ns() < work.until;
}

closure_method(thunk, worker_run, struct worker, runnable.run)
{
    struct worker *w = owner();
    u64 here = 1ull << cpu_number();
    if (!(w->may_run & here) || w->runnable.cpu != cpu_number() ||
        w->runnable.on_cpu != cpu_number() + 1)
        __atomic_fetch_add(&work.wrong, 1, __ATOMIC_RELAXED);
    __atomic_fetch_or(&work.seen, here, __ATOMIC_RELAXED);
    spin(WORK_SPINS);
    if (w->turns > 1 || others_awaited()) {
        w->turns -= w->turns > 1;
        run_thread(&w->runnable);
    } else if (__atomic_sub_fetch(&work.left, 1, __ATOMIC_ACQ_REL) == 0) {
        run_on(0, &work.ended);
    }
}

static void workers_make(u32 count, u32 turns)
{
    work.left = count;
    work.wrong = 0;
    work.seen = 0;
    work.until = 0;
    for (u32 i = 0; i < count; i++) {
        struct worker *w = &work.workers[i];
        runnable_init(&w->runnable);
        init_method(&w->runnable.run, worker_run);
        w->may_run = ~0ull;
        w->turns = turns;
    }
}

static void workers_start(u32 count)
{
    for (u32 i = 0; i < count; i++)
        run_thread(&work.workers[i].runnable);
}

closure_function(thunk, stealing_ended, ())
{
    u32 cpus = 0;
    expect(work.wrong == 0);
    for (u64 seen = work.seen; seen; seen &= seen - 1)
        cpus++;
    test_note("stealing: %u threads of CPU 0 were run by %u CPUs", WORKERS_MOST, cpus);
    expect(work.seen & ~1ull);
    test_pass();
}

/* All become ready on CPU 0, which keeps running one after the other. */
static void stealing(void)
{
    if (!cpus_possible())
        return;
    work.ended = *stack_closure(stealing_ended);
    workers_make(WORKERS_MOST, 1);
    work.until = clock_monotonic_ns() + STEAL_NS;
    workers_start(WORKERS_MOST);
}

closure_function(thunk, affinity_ended, ())
{
    expect(work.wrong == 0);
    expect(work.seen == ~0ull >> (CPUS_MOST - cpus_online()));
    test_pass();
}

/* Each third may run anywhere, the others on one CPU each. */
static void affinity(void)
{
    if (!cpus_possible())
        return;
    u32 count = 3 * cpus_online();
    work.ended = *stack_closure(affinity_ended);
    workers_make(count, AFFINITY_TURNS);
    for (u32 i = 0; i < count; i++) {
        struct worker *w = &work.workers[i];
        if (i % 3 == 0)
            continue;
        w->may_run = 1ull << (i * 7 % cpus_online());
        runnable_set_cpus(&w->runnable, w->may_run);
    }
    workers_start(count);
}

/* --- timers ----------------------------------------------------------------------------------- */

#define TIMERS_A_CPU  100000u
#define TIMERS_SPREAD (200 * NS_PER_MS)
#define TIMER_EVERY   3 /* is left to expire */
#define TIMER_FAR     1 /* of three: does not expire during the test */
#define TIMERS_FAR_NS (3600 * NS_PER_SECOND)
#define TIMERS_CPUS   2u

static struct {
    struct timer *timers;
    u64 bytes;
    struct thunk expired, check;
    u32 expirations;      /* [a] */
    u32 cancelled, to_do; /* [a] CPUs at work */
    struct timer wait;
} many;

closure_function(thunk, many_expired, ())
{
    __atomic_fetch_add(&many.expirations, 1, __ATOMIC_RELAXED);
}

closure_function(thunk, many_check, ())
{
    u32 all = TIMERS_CPUS * TIMERS_A_CPU;
    for (u32 i = 0; i < all; i++)
        expect(!many.timers[i].pending);
    test_note("timers: %u set on %u CPUs, %u cancelled by another CPU, %u expired", all,
              TIMERS_CPUS, many.cancelled, many.expirations);
    expect(many.cancelled + many.expirations == all);
    expect(many.cancelled >= all / TIMER_EVERY); /* those that are far, and who was in time */
    deallocate(page_heap, many.timers, many.bytes);
    test_pass();
}

static bool many_step_done(void)
{
    return __atomic_sub_fetch(&many.to_do, 1, __ATOMIC_ACQ_REL) == 0;
}

/* The other CPU's, but for every third. */
closure_function(thunk, many_cancel, (u32 of))
{
    u32 cancelled = 0;
    for (u32 i = 0; i < TIMERS_A_CPU; i++)
        if (i % TIMER_EVERY)
            cancelled += timer_cancel(&many.timers[bound(of) * TIMERS_A_CPU + i]);
    __atomic_fetch_add(&many.cancelled, cancelled, __ATOMIC_RELAXED);
    if (many_step_done())
        timer_set(&many.wait, clock_monotonic_ns() + TIMERS_SPREAD, &many.check);
}

static struct many_cancel_captured many_cancels[TIMERS_CPUS];

closure_function(thunk, many_set, (u32 of))
{
    u64 now = clock_monotonic_ns();
    for (u32 i = 0; i < TIMERS_A_CPU; i++) {
        u64 after = (u64)i * 7919 % TIMERS_A_CPU * (TIMERS_SPREAD / TIMERS_A_CPU);
        bool far = i % TIMER_EVERY == TIMER_FAR;
        timer_set(&many.timers[bound(of) * TIMERS_A_CPU + i],
                  now + after + (far ? TIMERS_FAR_NS : 0), &many.expired);
    }
    if (!many_step_done())
        return;
    many.to_do = TIMERS_CPUS;
    for (u32 n = 0; n < TIMERS_CPUS; n++)
        run_on(n, &many_cancels[n].closure);
}

static struct many_set_captured many_sets[TIMERS_CPUS];

static void timers_across(void)
{
    if (!cpus_possible())
        return;
    many.bytes = align_up(TIMERS_CPUS * TIMERS_A_CPU * sizeof(struct timer), PAGE_BYTES);
    many.timers = allocate_zero(page_heap, many.bytes);
    expect(many.timers);
    many.expired = *stack_closure(many_expired);
    many.check = *stack_closure(many_check);
    many.to_do = TIMERS_CPUS;
    many.expirations = many.cancelled = 0;
    for (u32 n = 0; n < TIMERS_CPUS; n++) {
        thunk set = stack_closure(many_set, n);
        thunk cancel = stack_closure(many_cancel, (n + 1) % TIMERS_CPUS);
        many_sets[n] = *container_of(set, struct many_set_captured, closure);
        many_cancels[n] = *container_of(cancel, struct many_cancel_captured, closure);
    }
    for (u32 n = 0; n < TIMERS_CPUS; n++)
        run_on(n, &many_sets[n].closure);
}

const struct kernel_test ping_pong_tests[] = {
    {"a thunk goes to and fro between two CPUs", ping_pong},
    {"the same with pauses", ping_pong_pauses},
    {NULL, NULL},
};

const struct kernel_test cpus_tests[] = {
    {"thunks for any CPU from all CPUs are run once each", anywhere_from_all},
    {"a CPU with nothing to do steals threads", stealing},
    {"threads run where they may", affinity},
    {"timers of two CPUs are cancelled by each other", timers_across},
    {NULL, NULL},
};
