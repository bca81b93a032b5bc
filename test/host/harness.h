/* What hosted tests stand on: TAP, heaps that count and fail, a run queue, and seeds.

   A test program calls ok() and its kin and ends with `return done_testing();`.  done_testing also
   fails when a completion is still owed (CLOSURE_CHECKS) or a counting heap still holds memory.
   Single-threaded, except for host_heap and panic_at. */
#pragma once

#include "runtime/closure.h"
#include "runtime/list.h"

/* --- TAP -------------------------------------------------------------------------------------- */

/* One test: a line of TAP with what the format says.  Returns whether it passed. */
bool test_ok(bool passed, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool test_is(u64 got, u64 expected, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
bool test_is_string(const char *got, const char *expected, const char *file, int line,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

#define ok(condition, ...)     test_ok(!!(condition), __FILE__, __LINE__, __VA_ARGS__)
#define is(got, expected, ...) test_is((u64)(got), (u64)(expected), __FILE__, __LINE__, __VA_ARGS__)
#define is_string(got, expected, ...)                                                              \
    test_is_string((got), (expected), __FILE__, __LINE__, __VA_ARGS__)

/* For loops of checks that would drown the output: silent while it holds, a failed test and the
   end of the program when it does not. */
__attribute__((noreturn)) void test_must_failed(const char *file, int line, const char *condition);
#define must(condition) ((condition) ? (void)0 : test_must_failed(__FILE__, __LINE__, #condition))

/* A line of comment. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The rest of the program's tests do not apply here, and why; ends the program. */
__attribute__((noreturn)) void skip_all(const char *why);

/* Prints the plan.  The program's exit status. */
int done_testing(void);

/* The seed of this run, printed: TEST_SEED from the environment, or one of its own. */
u64 test_seed(void);

/* True when the body panics (or is stopped by a sanitizer); it runs in a child process. */
bool panics(thunk body);

/* --- heaps ------------------------------------------------------------------------------------ */

/* malloc, aligned as runtime/heap.h promises. */
extern heap host_heap;

#define COUNTING_BUCKETS 1024

/* Knows every block it gave out, checks what comes back, and fails when told to.  Memory it gives
   out is filled with 0xa5, so that nobody depends on zeroes. */
struct counting_heap {
    struct heap h; /* pass &c->h on */
    u64 calls;     /* allocations asked for so far */
    u64 fail_at;   /* the call that fails, counted from 1; 0: none does */
    u64 failed;    /* how many did */
    u64 live;      /* blocks given out and not returned */
    u64 live_bytes;
    u64 bytes_most; /* beyond that many live bytes every allocation fails; 0: no limit */
    struct list blocks[COUNTING_BUCKETS];
    struct list link; /* among all counting heaps, for done_testing */
};

void counting_heap_init(struct counting_heap *c, const char *name);
/* Forgets the heap; a failed test when it still holds memory, saying how much. */
void counting_heap_close(struct counting_heap *c);

/* A test of something that allocates from h.  Says whether it succeeded; when it was refused
   memory it says false, and has given everything back in both cases. */
closure_type(allocation_test, bool, heap h);

/* Applies `body` with the 1st, 2nd, 3rd... allocation failing until one run met no failure.  One
   test for the whole of it: every run gives all memory back, the last one succeeds, and none that
   was refused claims what it may not (the body's own checks).  Returns the number of runs. */
u64 fail_each_allocation(const char *what, allocation_test body);

/* --- the run queue ---------------------------------------------------------------------------- */

/* As kernel/run_loop.h has them; applied by host_run. */
void host_run_later(thunk t);
void host_run_later_status(status_handler done, status s);
/* As an executor's `later`. */
void host_run_later_deferred(struct closure_header *deferred);

/* Applies what is queued, and what that queues, until nothing is left.  Returns how many.  More
   than HOST_RUN_MOST is taken for a loop without end, and panics. */
#define HOST_RUN_MOST 100000000ull
u64 host_run(void);

/* With a seed other than 0, host_run takes a random one of the queued closures each time. */
void host_run_shuffle(u64 seed);

/* A completion that keeps what it was applied with; embedded in a test's frame or struct. */
struct host_result {
    struct status_handler done; /* pass &r.done on */
    u32 applied;
    status s;
};

status_handler host_result_init(struct host_result *r);
