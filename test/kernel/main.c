/* The kernel's own tests: instead of kernel/init.c.  See test/kernel/kernel_test.h.

   Boot options: no_user leaves the tests of user mode out, for an emulator that cannot enter it;
   limit=N gives each test N seconds; those of several CPUs are in test/kernel/cpus_test.c. */
#include "kernel/clock.h"
#include "kernel/cpus.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "kernel/watchdog.h"
#include "kernel/x86/bring_up.h"
#include "kernel/x86/early.h"
#include "runtime/format.h"
#include "runtime/memory.h"
#include "test/kernel/kernel_test.h"

static const struct kernel_test *const every_list[] = {
    bytes_tests, memory_tests, trap_tests,      closure_tests, timer_tests,    user_tests,
    disk_tests,  smp_tests,    ping_pong_tests, cpus_tests,    watchdog_tests,
};
static const struct kernel_test *const cpus_list[] = {smp_tests, ping_pong_tests, cpus_tests};
static const struct kernel_test *const ping_pong_list[] = {ping_pong_tests};

static struct {
    const struct kernel_test *const *lists; /* [I] */
    u32 lists_count;                        /* [I] */
    u32 list, test;                         /* the one that runs */
    u32 number, failed;
    bool running;
    struct thunk next;
    struct timer limit;
    u64 limit_seconds; /* [I] */
    struct thunk too_long;
} run;

static void line_write(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void line_write(const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    u64 bytes = format_text_list(line, sizeof(line), format, arguments);
    va_end(arguments);
    early_write(line, min(bytes, sizeof(line) - 1));
    early_write("\n", 1);
}

void test_note(const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    format_text_list(text, sizeof(text), format, arguments);
    va_end(arguments);
    line_write("# %s", text);
}

static const struct kernel_test *test_current(void)
{
    return &run.lists[run.list][run.test];
}

static void test_end(bool good, const char *remark)
{
    if (!run.running) {
        line_write("# %s ended twice", test_current()->name);
        run.failed++;
        return;
    }
    run.running = false;
    timer_cancel(&run.limit);
    run.number++;
    run.failed += !good;
    line_write("%sok %u - %s%s", good ? "" : "not ", run.number, test_current()->name, remark);
    run.test++;
    run_on(0, &run.next);
}

void test_pass(void)
{
    test_end(true, "");
}

void test_skip(const char *why)
{
    char remark[128];
    format_text(remark, sizeof(remark), " # SKIP %s", why);
    test_end(true, remark);
}

void test_fail(const char *file, int line, const char *what)
{
    test_note("%s:%d: %s", file, line, what);
    test_end(false, "");
}

static void tests_ended(void)
{
    line_write("1..%u", run.number);
    machine_exit(run.failed ? 1 : 0);
}

closure_function(thunk, test_next, ())
{
    while (run.list < run.lists_count && !test_current()->name) {
        run.list++;
        run.test = 0;
    }
    if (run.list == run.lists_count)
        tests_ended();
    run.running = true;
    timer_set(&run.limit, clock_monotonic_ns() + run.limit_seconds * NS_PER_SECOND, &run.too_long);
    test_current()->begin();
}

closure_function(thunk, test_too_long, ())
{
    line_write("not ok %u - %s # took more than %u s", run.number + 1, test_current()->name,
               (u32)run.limit_seconds);
    line_write("Bail out!");
    machine_exit(1);
}

#define LISTS_ARE(array) (run.lists = (array), run.lists_count = countof(array))

static void lists_choose(void)
{
    run.limit_seconds = boot_option_number("limit");
    if (!run.limit_seconds)
        run.limit_seconds = TEST_SECONDS;
    if (boot_option("only_cpus"))
        LISTS_ARE(cpus_list);
    else if (boot_option("only_ping_pong"))
        LISTS_ARE(ping_pong_list);
    else
        LISTS_ARE(every_list);
}

/* Called by boot/start.asm. */
__attribute__((noreturn)) void kernel_start(struct boot_info *boot);

void kernel_start(struct boot_info *boot)
{
    machine_bring_up(boot);
    watchdog_start();
    cpus_start(CPUS_MOST);
    provoke_if_asked();
    run.next = *stack_closure(test_next);
    run.too_long = *stack_closure(test_too_long);
    test_note("booted by %s with %u KiB free", boot->loader,
              (u32)(memory_statistics().free_bytes >> 10));
    lists_choose();
    test_note("%u CPUs", cpus_online());
    run_later(&run.next);
    run_loop();
}
