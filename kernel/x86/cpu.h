/* Per-CPU data, reached through GS: in the kernel GS's base is this CPU's struct cpu; entries from
   user mode swap it in.  What belongs to one CPU lives here, never in a static variable.

   The first four fields are at offsets that assembly knows (CPU_* in kernel/x86/offsets.inc).
   Callers: everything in kernel/. */
#pragma once

#include "kernel/x86/gdt.h"
#include "runtime/types.h"

struct user_frame;
struct page_space;
struct cpu_queues; /* the run loop's: kernel/run_loop.c */
struct cpu_timers; /* the clock's */

struct cpu {
    struct cpu *self;         /* [I] gs:0 */
    u64 scratch;              /* gs:8, the user's rsp while a system call enters */
    u64 stack_top;            /* [I] gs:16, where this CPU's kernel stack begins; TSS.rsp0 too */
    struct user_frame *frame; /* gs:24, whose registers user mode has now; NULL: none */

    u32 id;       /* [I] 0: the boot CPU */
    u32 apic_id;  /* [I] */
    bool in_user; /* a frame was entered since the run loop last ran */

    struct user_frame *fpu_owner;   /* whose FPU state the registers hold */
    const struct page_space *space; /* the space that CR3 holds; NULL: the kernel's own */
    struct cpu_queues *queues;      /* [I] */
    struct cpu_timers *timers;      /* [I] */

    struct gdt gdt;
    struct tss tss;
};

_Static_assert(offsetof(struct cpu, scratch) == 8, "assembly knows it");
_Static_assert(offsetof(struct cpu, stack_top) == 16, "assembly knows it");
_Static_assert(offsetof(struct cpu, frame) == 24, "assembly knows it");

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
