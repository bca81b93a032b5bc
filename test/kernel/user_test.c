/* User mode: system calls, faults, FPU state, segment bases and the time slice, with programs of a
   few instructions (test/kernel/kernel_test_code.asm) and hooks of the tests' own. */
#include "kernel/clock.h"
#include "kernel/cpus.h"
#include "kernel/machine.h"
#include "kernel/page_table.h"
#include "kernel/user.h"
#include "runtime/memory.h"
#include "test/kernel/kernel_test.h"
#include "test/kernel/kernel_test_code.h"

#define CODE_AT   0x400000ull
#define DATA_AT   0x500000ull
#define ABSENT_AT 0x600000ull

#define CALL_JUMP    15 /* to rdi, with the full frame when rsi is 1 */
#define CALL_YIELD   24
#define CALL_GETPPID 39
#define CALL_EXIT    60

#define CALLS 1000u /* of user_program_calls */

struct user_thread {
    struct user_frame frame;
    struct runnable runnable;
    u64 expected; /* what it exits with; 0: anything but 0 */
};

static struct page_space space;
static u8 *code, *data;
static struct user_thread threads[2];
static u32 threads_left, interruptions, faults_seen;
static u64 threads_cpus = ~0ull; /* where those that are started may run */

/* What each system call leaves to the run loop. */
static struct {
    struct thunk thunk;
    bool wanted;
    u32 applied, served, turns;
} queued;

closure_method(thunk, thread_run, struct user_thread, runnable.run)
{
    queued.turns++;
    user_enter(&owner()->frame, &space);
}

static struct user_thread *thread_of(struct user_frame *frame)
{
    return container_of(frame, struct user_thread, frame);
}

static void thread_exits(struct user_thread *t, u64 value)
{
    bool right = t->expected ? value == t->expected : value != 0;
    user_fpu_sync(&t->frame);
    page_space_switch(&kernel_space);
    if (!right) {
        threads_left = 0;
        test_note("the program ended with %#llx", (unsigned long long)value);
        test_fail(__FILE__, __LINE__, "the program's result is the expected one");
    } else if (--threads_left == 0) {
        if (!t->expected)
            test_note("user: a system call and back took %llu ticks",
                      (unsigned long long)value / 1000);
        test_pass();
    }
    run_loop();
}

static void on_syscall(struct user_frame *frame)
{
    switch (frame->orig_rax) {
    case CALL_GETPPID:
        if (queued.wanted)
            run_later(&queued.thunk);
        frame->rax = 42;
        return;
    case CALL_JUMP:
        frame->rip = frame->rdi;
        frame->full = frame->rsi;
        return;
    case CALL_YIELD:
        run_thread(&thread_of(frame)->runnable);
        run_loop();
    default:
        thread_exits(thread_of(frame), frame->rdi);
    }
}

static void on_syscall_shared(struct user_frame *frame)
{
    surface_lock();
    on_syscall(frame);
    surface_unlock();
}

/* Where a program is to fault, and end; 0: nowhere. */
static u64 fault_awaited;

/* The absent page comes at the first fault, with a mark in it. */
static void on_fault(struct user_frame *frame, const struct user_fault *fault)
{
    faults_seen++;
    if (fault_awaited && fault->address == fault_awaited && fault->vector == 14)
        thread_exits(thread_of(frame), 1);
    if (fault->vector != 14 || align_down(fault->address, PAGE_BYTES) != ABSENT_AT ||
        !is_ok(page_map(&space, ABSENT_AT, physical_of(data), PAGE_BYTES, PAGE_USER))) {
        test_note("fault %u at %#llx, rip %#llx", fault->vector, (unsigned long long)fault->address,
                  (unsigned long long)frame->rip);
        thread_exits(thread_of(frame), 0);
    }
}

static void on_interrupted(struct user_frame *frame)
{
    interruptions++;
    run_thread(&thread_of(frame)->runnable);
    run_loop();
}

static void on_served(struct user_frame *frame)
{
    (void)frame;
    queued.served++;
    page_space_switch(&space);
}

static bool on_copy_fault(u64 address, bool write)
{
    (void)address;
    (void)write;
    return false;
}

static bool space_prepare(const u8 *program, const u8 *program_end)
{
    static const struct user_hooks hooks = {on_syscall,    on_syscall_shared, on_fault,
                                            on_copy_fault, on_interrupted,    on_served};
    user_set_hooks(&hooks);
    if (!code) {
        code = allocate(page_heap, PAGE_BYTES);
        data = allocate(page_heap, PAGE_BYTES);
        if (!code || !data || !is_ok(page_space_create(&space)))
            return false;
    }
    page_unmap(&space, ABSENT_AT, PAGE_BYTES);
    memset(data, 0, PAGE_BYTES);
    memcpy(code, program, (u64)(program_end - program));
    return is_ok(page_map(&space, CODE_AT, physical_of(code), PAGE_BYTES,
                          PAGE_USER | PAGE_EXECUTE)) &&
           is_ok(page_map(&space, DATA_AT, physical_of(data), PAGE_BYTES, PAGE_USER | PAGE_WRITE));
}

static bool thread_start(u32 i, u64 rdi, u64 rsi, u64 expected)
{
    struct user_thread *t = &threads[i];
    u8 *fpu =
        t->frame.fpu ? t->frame.fpu : allocate(general_heap, align_up(user_fpu_bytes(), 4096));
    if (!fpu)
        return false;
    user_fpu_init(fpu);
    t->frame = (struct user_frame){.rip = CODE_AT, .rdi = rdi, .rsi = rsi, .full = 1, .fpu = fpu};
    t->frame.fs_base = DATA_AT + i * 8;
    t->expected = expected;
    runnable_init(&t->runnable);
    init_method(&t->runnable.run, thread_run);
    runnable_set_cpus(&t->runnable, threads_cpus);
    threads_left++;
    run_thread(&t->runnable);
    return true;
}

static bool user_possible(void)
{
    if (!boot_option("no_user"))
        return true;
    test_skip("this emulator does not run user mode");
    return false;
}

static void system_calls(void)
{
    if (!user_possible())
        return;
    expect(space_prepare(user_program_calls, user_program_calls_end));
    expect(thread_start(0, 0, 0, 0));
}

closure_function(thunk, queued_applied, ())
{
    queued.applied++;
    page_space_switch(&kernel_space);
}

/* What a call queued is applied on its way back, and the thread keeps its turn. */
static void calls_that_queue(void)
{
    if (!user_possible())
        return;
    expect(space_prepare(user_program_calls, user_program_calls_end));
    queued.thunk = *stack_closure(queued_applied);
    queued.wanted = true;
    queued.applied = queued.served = queued.turns = interruptions = 0;
    expect(thread_start(0, 0, 0, 0));
}

static void calls_queued(void)
{
    if (!user_possible())
        return;
    queued.wanted = false;
    expect(queued.applied == CALLS);
    expect(queued.served + interruptions >= CALLS);
    expect(queued.turns <= 1 + interruptions);
    test_pass();
}

static void faults(void)
{
    if (!user_possible())
        return;
    expect(space_prepare(user_program_faults, user_program_faults_end));
    *(u64 *)(void *)data = 0x1234567;
    expect(thread_start(0, ABSENT_AT, 0, 0x1234567));
}

/* Where rip ends is nowhere in either half: the program faults, not the kernel. */
static void jump_begin(u64 full)
{
    if (!user_possible())
        return;
    expect(space_prepare(user_program_jumps, user_program_jumps_end));
    fault_awaited = USER_END;
    expect(thread_start(0, 1ull << 63, full, 1));
}

static void jump_short(void)
{
    jump_begin(0);
}

static void jump_full(void)
{
    jump_begin(1);
}

static void fpu_is_kept(void)
{
    if (!user_possible())
        return;
    expect(space_prepare(user_program_fpu, user_program_fpu_end));
    u64 *words = (u64 *)(void *)data;
    words[0] = 1000; /* FS:0 of the first thread, and of the second */
    words[1] = 2000;
    expect(thread_start(0, 0x111, 100, 0x111 + 1000));
    expect(thread_start(1, 0x222, 90, 0x222 + 2000));
}

static struct timer wake;
static struct thunk woken;

closure_function(thunk, spinning_ends, ())
{
    *(u64 *)(void *)data = 77;
}

/* Two threads that never call share the CPU, and a timer's thunk comes in between. */
static void slices(void)
{
    if (!user_possible())
        return;
    expect(space_prepare(user_program_spins, user_program_spins_end));
    interruptions = 0;
    woken = *stack_closure(spinning_ends);
    timer_set(&wake, clock_monotonic_ns() + 300 * NS_PER_MS, &woken);
    threads_cpus = 1;
    expect(thread_start(0, DATA_AT, 0, 77));
    expect(thread_start(1, DATA_AT, 0, 77));
    threads_cpus = ~0ull;
}

static void slices_came(void)
{
    if (!user_possible())
        return;
    test_note("slices: %u interruptions in 300 ms", interruptions);
    expect(interruptions >= 2);
    test_pass();
}

/* The same while a timer interrupts twenty times in a slice, as a device might: that is not the end
   of anybody's turn. */
#define SLICE_NS (10 * NS_PER_MS)
#define TICK_NS  (NS_PER_MS / 2)
#define TICKS    600u

static struct {
    struct timer timer;
    struct thunk comes;
    u64 begun_ns, ended_ns;
    u32 left;
} ticks;

closure_function(thunk, tick_comes, ())
{
    ticks.ended_ns = clock_monotonic_ns();
    if (--ticks.left > 0)
        timer_set(&ticks.timer, ticks.ended_ns + TICK_NS, &ticks.comes);
    else
        *(volatile u64 *)(void *)data = 77;
}

static void turns(void)
{
    if (!user_possible())
        return;
    expect(space_prepare(user_program_spins, user_program_spins_end));
    interruptions = 0;
    ticks.comes = *stack_closure(tick_comes);
    ticks.left = TICKS;
    ticks.begun_ns = clock_monotonic_ns();
    timer_set(&ticks.timer, ticks.begun_ns + TICK_NS, &ticks.comes);
    threads_cpus = 1;
    expect(thread_start(0, DATA_AT, 0, 77));
    expect(thread_start(1, DATA_AT, 0, 77));
    threads_cpus = ~0ull;
}

static void turns_lasted(void)
{
    if (!user_possible())
        return;
    u64 slices_most = (ticks.ended_ns - ticks.begun_ns) / SLICE_NS + 2;
    test_note("turns: %u interruptions, %u ticks", interruptions, TICKS);
    expect(interruptions >= 2);
    expect(interruptions <= slices_most);
    test_pass();
}

/* On each of two CPUs a thread that never calls, and thunks handed to and fro between them: each
   hand-over interrupts a program. */
#define SPIN_ROUNDS 200u

static struct {
    struct thunk there, back;
    u32 left;
} across;

closure_function(thunk, across_comes, ())
{
    expect(cpu_number() == 1);
    run_on(0, &across.back);
}

closure_function(thunk, across_is_back, ())
{
    expect(cpu_number() == 0);
    if (--across.left > 0)
        run_on(1, &across.there);
    else
        *(volatile u64 *)(void *)data = 77; /* the programs end, and the test with them */
}

static void spinning_everywhere(void)
{
    if (!user_possible())
        return;
    if (cpus_online() == 1) {
        test_skip("there is one CPU");
        return;
    }
    expect(space_prepare(user_program_spins, user_program_spins_end));
    across.there = *stack_closure(across_comes);
    across.back = *stack_closure(across_is_back);
    across.left = SPIN_ROUNDS;
    threads_cpus = 1;
    expect(thread_start(0, DATA_AT, 0, 77));
    threads_cpus = 2;
    expect(thread_start(1, DATA_AT, 0, 77));
    threads_cpus = ~0ull;
    run_on(1, &across.there);
}

const struct kernel_test user_tests[] = {
    {"system calls keep the registers", system_calls},
    {"system calls that queue thunks keep the registers", calls_that_queue},
    {"and their turn", calls_queued},
    {"a fault brings the page, and the program goes on", faults},
    {"a system call returns to nowhere", jump_short},
    {"a signal returns to nowhere", jump_full},
    {"two threads keep their FPU state and FS base", fpu_is_kept},
    {"a timer interrupts threads that spin", slices},
    {"spinning threads take turns", slices_came},
    {"a device interrupts threads that spin", turns},
    {"and takes no turn from them", turns_lasted},
    {"spinning threads on two CPUs keep no thunk waiting", spinning_everywhere},
    {NULL, NULL},
};
