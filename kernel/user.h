/* User mode: the registers of a thread, entering it, and what comes back.

   unix/ sets the hooks once.  The kernel calls them on this CPU's stack with interrupts off; the
   frame is the current one.  They return to resume the same thread (the fast path), or call
   run_loop() and never return.  All but the two for system calls are called with the surface lock
   held (kernel/run_loop.h). */
#pragma once

#include "kernel/page_table.h"
#include "runtime/types.h"

/* Offsets are known to kernel/x86/entry.asm; static asserts there hold them together. */
struct user_frame {
    u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    u64 r8, r9, r10, r11, r12, r13, r14, r15;
    u64 rip, rflags;
    u64 fs_base, gs_base;
    u64 orig_rax; /* the system call's number */
    u64 full;     /* 1: return with iret, every register matters: after a trap, and whenever
                     anything but rax, or a segment base, was changed during a system call */
    u8 *fpu;      /* FPU state area, user_fpu_bytes() long, 64-byte aligned; owner allocates */
    u32 fpu_cpu;  /* user.c's: CPU number + 1 that its state was loaded on last; 0: none */
};

struct user_fault {
    u8 vector;        /* x86 exception number */
    u32 error_code;   /* as pushed by the CPU */
    u64 address;      /* CR2 for page faults */
    bool from_kernel; /* a copy_in/copy_out met it: see kernel/user_copy.h */
};

struct user_hooks {
    void (*syscall)(struct user_frame *frame);
    /* The same when there are several CPUs: takes the surface lock if the call needs it, and has
       given it up when it returns. */
    void (*syscall_shared)(struct user_frame *frame);
    void (*fault)(struct user_frame *frame, const struct user_fault *fault);
    /* A page fault of the kernel on a user address inside copy_in/out.  True: the page is there
       now, go on.  False: the copy stops. */
    bool (*copy_fault)(u64 address, bool write);
    /* The time slice is over, or there is too much other work: resume through the run loop.  May
       simply return. */
    void (*interrupted)(struct user_frame *frame);
    /* Closures were applied on the way back from a system call or an interrupt, whatever they did
       to the thread, and to the space that is current.  Returns when the frame may go on in user
       mode, its space current; otherwise calls run_loop(). */
    void (*served)(struct user_frame *frame);
};

void user_set_hooks(const struct user_hooks *hooks);

u64 user_fpu_bytes(void);
void user_fpu_init(u8 *fpu);

/* Brings the frame's FPU state into frame->fpu if this CPU's registers hold it, and forgets that
   they do: the next user_enter loads it from there.  For signal frames and for copies of a thread.
 */
void user_fpu_sync(struct user_frame *frame);

/* Enters user mode with this frame.  Switching frames saves the old one's FPU state and loads the
   new one's; entering the same frame again costs nothing. */
__attribute__((noreturn)) void user_enter(struct user_frame *frame, const struct page_space *space);
