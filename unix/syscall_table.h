/* The table that unix/syscalls.def becomes; for dispatch and strace. */
#pragma once

#include "unix/syscall.h"

#define SYSCALL_NUMBERS 463 /* one more than the largest that Linux 6.12 has */

struct syscall_entry {
    s64 (*enter)(struct thread *t); /* NULL: not known */
    const char *name;
    const char *format; /* one letter an argument */
    bool parallel;      /* needs no surface lock */
};

/* NULL when the number is not known. */
const struct syscall_entry *syscall_of(u32 number);

/* The kernel's hooks (kernel/user.h): with one CPU, the same when calls are shown (strace), and
   with several CPUs. */
void syscall_hook(struct user_frame *frame);
void syscall_hook_shown(struct user_frame *frame);
void syscall_hook_shared(struct user_frame *frame);
