/* The machine around the network's stack, for hosted tests (test/unit/net_*_test.c): a clock that
   the test moves, heaps that count and fail, boot options, and log lines that can be looked at.

   There is one, as the stack has one state: a test that needs a fresh one forks
   (net_machine_child). Wires, the devices of this machine, are test/host/net_wire.h. */
#pragma once

#include "test/host/executor.h"
#include "test/host/harness.h"

/* Begins the machine and the stack (net_start), with lo alone. */
void net_machine_start(u64 seed);
/* Before net_machine_start. */
void net_machine_option(const char *name, const char *value);

/* Applies what is queued; lets time pass, and applies what that brings. */
void net_machine_run(void);
void net_machine_pass(u64 ns);
/* The machine is stopped for that long: what expires meanwhile is applied when it is over. */
void net_machine_stall(u64 ns);
u64 net_machine_now(void);

/* How often a timer was set: what an idle machine does. */
u64 net_machine_timer_sets(void);

/* general_heap's: the n-th allocation from now on fails (0: none does). */
void net_machine_fail(u64 n);
/* Whether one did since then. */
bool net_machine_failed(void);
u64 net_machine_live(void); /* blocks */
u64 net_machine_live_bytes(void);

/* Whether a line that holds the text was logged since the last call of net_machine_log_clear. */
bool net_machine_logged(const char *text);
void net_machine_log_clear(void);
const char *net_machine_log(void);

/* Runs body in a child; its tests count as one here, which says `what`. */
void net_machine_child(const char *what, void (*body)(void));
/* In a child: a line, and the end of the child, when the condition does not hold. */
__attribute__((noreturn)) void net_machine_must_failed(const char *file, int line,
                                                       const char *text);
#define net_must(condition)                                                                        \
    ((condition) ? (void)0 : net_machine_must_failed(__FILE__, __LINE__, #condition))
