/* System calls: the table, dispatch, and how a call that waits returns.

   syscalls.def has one line per call: its number, its name, how strace prints its arguments, and
   its typed arguments.  From the line come the prototype

       s64 sys_NAME(struct thread *t, ARGUMENTS);

   the unpacker and the table entry.  A call returns its result, or -errno, or SYSCALL_LATER when it
   has left a completion behind that calls syscall_return(t, result) (which may have happened
   already).  User addresses are u64; only copy_in and copy_out (kernel/user_copy.h) reach them,
   after user_prepare (unix/memory.h).

   A call without a line is ENOSYS, and that is logged once per number. */
#pragma once

#include "unix/thread.h"

/* Outside the errnos and outside every result. */
#define SYSCALL_LATER (-4096)

/* The result of a call that returned SYSCALL_LATER; called once, from the run loop or from inside
   the call.  The thread goes on through the run loop. */
void syscall_return(struct thread *t, s64 result);

/* Starts the thread's system call again from its registers, through the run loop.  For a call that
   returns SYSCALL_LATER and had no side effect yet. */
void syscall_restart(struct thread *t);

/* A result for a status. */
static inline s64 syscall_status(status s)
{
    return -(s64)status_errno(s);
}

#define SYSCALL(number, name, format, ...)                                                         \
    s64 sys_##name(struct thread *t __VA_OPT__(, ) __VA_ARGS__);
#include "unix/syscalls.def"
#undef SYSCALL
