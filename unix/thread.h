/* A thread of a process: the registers of user mode, and what it is waiting for.

   A thread is a thunk of the run loop (run_thread).  While it runs a system call that waits, the
   call's state is in `operation`; nothing is allocated for it.  What it waits for is an operation
   in its scope (unix/wait.h), and the scope is a part of its process's: so the end of either ends
   every wait.

   Rules for an operation in `operation`: it begins where the system call starts and ends with
   syscall_return; its continuations are closures embedded in it.  A continuation that touches user
   memory calls thread_activate(t) first. */
#pragma once

#include "kernel/clock.h"
#include "kernel/run_loop.h"
#include "kernel/user.h"
#include "runtime/scope.h"
#include "unix/file_wait.h"
#include "unix/process.h"

#define THREAD_OPERATION_BYTES 1024

struct thread {
    struct user_frame frame;  /* first: the frame that the kernel hands back is the thread */
    struct process *process;  /* [I] */
    u32 tid;                  /* [I] */
    struct list link;         /* process->threads [process lock] */
    struct runnable runnable; /* its thunk enters user mode */
    struct thunk restart;     /* starts the system call again */
    struct status_handler pages_came; /* ready it with thread_pages_handler */

    struct scope scope;                 /* of the process's; holds what the thread waits for: */
    struct operation wait;              /* thread_wait's */
    struct operation fetch;             /* thread_fetch's, or of file_wait */
    struct file_wait file_wait;         /* for the filesystem: room, a sync */
    struct pages_wait pages_wait;       /* its place with the filesystem */
    struct cancel_handler fetch_cancel; /* takes it from there */
    status_handler fetch_landed;
    struct status_handler closed; /* the scope, after thread_end */
    struct thunk reap;            /* gives the memory back, on the CPU that had its registers */

    u64 signal_mask;
    u64 signal_pending;                       /* of this thread alone */
    struct signal_info signal_infos[SIGNALS]; /* by number - 1, of what is pending */
    u64 saved_mask;                           /* sigsuspend, ppoll: restored after delivery */
    bool restore_mask;
    u64 alternate_stack, alternate_bytes; /* sigaltstack */
    u32 alternate_flags;
    struct user_fault fault; /* the last one: what a handler is told */
    u64 clear_tid;           /* set_tid_address */
    u64 robust_list;

    bool in_syscall;  /* between dispatch and its result */
    bool attention;   /* something to do before user mode: a signal */
    bool interrupted; /* its last call ended with EINTR, and may be started again after a handler */
    bool wait_timed;  /* its last wait had a deadline: such a call is not started again */
    bool ended;
    u32 fetches; /* page-ins for the same instruction or call in a row; bounded */

    u8 *fpu; /* owns frame.fpu */

    alignas(16) u8 operation[THREAD_OPERATION_BYTES];
};

/* The state of the system call that is running, as a struct of its own.  It is not cleared. */
#define thread_operation(t, type)                                                                  \
    ({                                                                                             \
        _Static_assert(sizeof(type) <= THREAD_OPERATION_BYTES, "operation is too large");          \
        (type *)(void *)(t)->operation;                                                            \
    })

/* The thread whose space is current on this CPU; NULL before the first. */
struct thread *thread_current(void);

/* Makes the thread's space current and the thread the one that faults are charged to. */
void thread_activate(struct thread *t);

/* t->pages_came, made ready: when the pages have come, the faulting instruction or the system call
   is tried again; when they could not be read, it is SIGBUS or EFAULT. */
status_handler thread_pages_handler(struct thread *t);

/* NULL when out of memory.  The frame is zero but for its FPU state. */
struct thread *thread_create(struct process *p);

/* Lets the thread go on in user mode, through the run loop; one that ends does not. */
void thread_resume(struct thread *t);

/* Called by the thread's own system call.  Takes the thread out of its process and wakes who joins
   it; the last one ends the process with `code`.  Its memory goes when its scope has closed and no
   CPU has its registers. */
void thread_end(struct thread *t, u8 code);

/* What kernel/user.h calls. */
void thread_set_hooks(void);
