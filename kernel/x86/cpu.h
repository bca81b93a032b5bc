/* Per-CPU data, reached through GS: in the kernel GS's base is this CPU's struct cpu; entries from
   user mode swap it in.  What belongs to one CPU lives here, never in a static variable.

   The first fields are at offsets that assembly knows (CPU_* in kernel/x86/offsets.inc).
   Callers: everything in kernel/. */
#pragma once

#include "kernel/memory.h"
#include "kernel/x86/gdt.h"
#include "runtime/lock.h"

struct closure_info;
struct user_frame;
struct page_space;
struct cpu_queues; /* the run loop's: kernel/run_loop.c */
struct cpu_timers; /* the clock's */

#define STACK_BYTES     (32 * KiB)
#define IST_STACK_BYTES (8 * KiB)
#define IST_STACKS      3

/* Each stack grows down to a page that is not mapped. */
struct cpu_stacks {
    u8 guard[PAGE_BYTES];
    u8 stack[STACK_BYTES];
    struct {
        u8 guard[PAGE_BYTES];
        u8 stack[IST_STACK_BYTES];
    } ist[IST_STACKS];
};

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

    u32 id;            /* [I] 0: the boot CPU */
    u32 apic_id;       /* [I] */
    bool surface_held; /* this CPU has the surface lock; only while there are several CPUs */
    bool fpu_unsaved;  /* fpu_owner's state in the registers is newer than the one in memory */

    /* [a] The space that CR3 holds, and the one that it is about to hold; NULL: the kernel's own.
       Between switches they are the same.  See kernel/x86/shootdown.c. */
    const struct page_space *space, *space_next;
    u32 flush_wanted; /* [a] what other CPUs ask of this one's TLB */
    bool lazy;        /* [a] idle: it flushes before it uses `space` again */

    struct cpu_stacks *stacks; /* [I] */
    struct cpu_queues *queues; /* [I] */
    struct cpu_timers *timers; /* [I] */
    struct thread *thread;     /* unix/'s: whose memory copy_in and copy_out reach */

    struct gdt gdt;
    struct tss tss;
#ifdef CLOSURE_CHECKS
    struct lock_stack locks;
#endif
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

/* The CPU of that number, below CPUS_MOST; NULL: there is none.  Set before it is online. */
struct cpu *cpu_of(u32 number);
void cpu_set(u32 number, struct cpu *cpu);

/* A struct cpu with stacks of its own.  NULL: out of memory. */
struct cpu *cpu_make(void);

/* Loads this CPU's GDT, TSS and GS base, from which on it has its stacks for exceptions. */
void cpu_init(struct cpu *cpu);
void cpu_init_boot(void);

/* Turns on what the CPU offers: NX, WP, SMEP, SMAP, UMIP, FSGSBASE, global pages, SSE. */
void cpu_protect(void);
