/* The boot option `strace`: one line of log for each system call, as strace(1) prints them. */
#pragma once

#include "unix/syscall_table.h"

extern bool strace_enabled; /* [I] after boot */

/* Reads the boot option. */
void strace_init(void);

/* Calls, and prints the call with its result when it has one already. */
s64 strace_call(struct thread *t, const struct syscall_entry *e);

/* Prints the result of a call that waited. */
void strace_result(struct thread *t, s64 result);
