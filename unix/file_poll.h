/* What poll, select and epoll_wait share: readiness, timeouts and signal masks. */
#pragma once

#include "unix/file.h"

/* POLLIN and so on, as they hold now; a file that cannot tell is always ready both ways. */
static inline u32 file_ready(struct file *f)
{
    return f->operations->poll ? f->operations->poll(f)
                               : POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
}

/* Fetches a struct timespec (unit_ns 1) or timeval (unit_ns 1000) from user memory.  *ns is
   negative when there is no timeout: address 0.  0, -EINVAL, -EFAULT or SYSCALL_LATER (the call
   starts again). */
s64 poll_timeout_get(struct thread *t, u64 address, u64 unit_ns, s64 *ns);
/* Puts the mask of ppoll, pselect6 and epoll_pwait in force; it is taken back before user mode.
   -EINTR: a signal that it lets through is pending. */
s64 poll_mask_set(struct thread *t, u64 address, u64 bytes);
