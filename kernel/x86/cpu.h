/* Per-CPU data, reached through GS: in the kernel GS's base is this CPU's struct cpu; entries from
   user mode swap it in.  What belongs to one CPU lives here, never in a static variable.

   The first fields are at offsets that assembly knows (CPU_* in kernel/x86/offsets.inc).
   Callers: everything in kernel/. */
#pragma once

#include "kernel/x86/gdt.h"
#include "runtime/types.h"

struct closure_info;
struct user_frame;
struct page_space;
struct cpu_queues; /* the run loop's: kernel/run_loop.c */
struct cpu_timers; /* the clock's */

struct cpu {
    struct cpu *self;         /* [I] gs:0 */
    u64 scratch;              /* gs:8, the user's rsp while a system call enters */
    u64 stack_top;            /* [I] gs:16, where this CPU's kernel stack begins; TSS.rsp0 too */
    struct user_frame *frame; /* gs:24, whose registers user mode has now; NULL: none */

    struct user_frame *fpu_owner; /* gs:32, whose FPU state and bases the registers hold */
    u64 fs_base, gs_base;         /* gs:40, gs:48, as they were loaded for fpu_owner */
    u64 work_pending;             /* gs:56, not 0: the run loop has something to do */
    u64 progress; /* gs:64, closures applied, system calls and traps of user mode: the watchdog's */

    const struct closure_info *closure; /* what the run loop applies, or applied last */
    bool halted; /* [a] in the idle loop, and no interrupt is being handled: the watchdog's */

    u32 id;       /* [I] 0: the boot CPU */
    u32 apic_id;  /* [I] */
    bool in_user; /* a frame was entered since the run loop last ran */

    const struct page_space *space; /* the space that CR3 holds; NULL: the kernel's own */
    struct cpu_queues *queues;      /* [I] */
    struct cpu_timers *timers;      /* [I] */
    struct thread *thread;          /* unix/'s: whose memory copy_in and copy_out reach */

    struct gdt gdt;
    struct tss tss;
};

_Static_assert(offsetof(struct cpu, scratch) == 8, "assembly knows it");
_Static_assert(offsetof(struct cpu, stack_top) == 16, "assembly knows it");
_Static_assert(offsetof(struct cpu, frame) == 24, "assembly knows it");
_Static_assert(offsetof(struct cpu, fpu_owner) == 32, "assembly knows it");
_Static_assert(offsetof(struct cpu, fs_base) == 40, "assembly knows it");
_Static_assert(offsetof(struct cpu, gs_base) == 48, "assembly knows it");
_Static_assert(offsetof(struct cpu, work_pending) == 56, "assembly knows it");
_Static_assert(offsetof(struct cpu, progress) == 64, "assembly knows it");

extern struct cpu boot_cpu;

static inline struct cpu *this_cpu(void)
{
    struct cpu *cpu;
    asm("movq %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

/* Loads this CPU's GDT, TSS and GS base.  `stack_top` is where its kernel stack begins. */
void cpu_init(struct cpu *cpu, u32 id, u64 stack_top);

/* Turns on what the CPU offers: NX, WP, SMEP, SMAP, UMIP, FSGSBASE, global pages, SSE. */
void cpu_protect(void);
