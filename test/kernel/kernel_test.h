/* Tests that run inside a booted kernel: TAP on the serial line, and the machine's exit status.

   A test begins in its function and ends when test_pass or test_fail is called, from there or from
   a closure that the run loop applies later.  One test runs at a time.  A test that does not end
   within TEST_SECONDS fails, and the rest are not run. */
#pragma once

#include "kernel/boot_info.h"
#include "kernel/run_loop.h"
#include "runtime/closure.h"

#define TEST_SECONDS 60

struct kernel_test {
    const char *name;
    void (*begin)(void);
};

void test_pass(void);
void test_skip(const char *why);
void test_fail(const char *file, int line, const char *what);
/* A line of comment in the TAP output. */
void test_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* In a test's function or continuation: ends the test when the condition does not hold. */
#define expect(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            test_fail(__FILE__, __LINE__, #condition);                                             \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* test/kernel/provoke.c: does not come back when something was to be provoked. */
void provoke_if_asked(void);

/* The lists, one for each file; each ends with a test without a name. */
extern const struct kernel_test memory_tests[], trap_tests[], closure_tests[], timer_tests[],
    user_tests[], disk_tests[], bytes_tests[], smp_tests[], ping_pong_tests[], cpus_tests[],
    watchdog_tests[];
