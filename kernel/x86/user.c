/* User mode: whose registers the CPU holds, and the ways in and out.  See kernel/user.h.

   A CPU's frame is whose general registers user mode had last.  Its FPU state and segment bases
   stay in the CPU after it left, until another frame is entered (cpu->fpu_owner): so a thread that
   comes back finds them, and a system call costs nothing for them.  With several CPUs they are
   saved when the thread leaves for the run loop (user_leave), because it may go on elsewhere; they
   are loaded again unless this CPU had them last (frame->fpu_cpu) and nobody's since.  fpu_owner
   may then be a frame whose memory is gone: it is compared, and not followed unless fpu_unsaved.
   Interrupts are off throughout. */
#include "kernel/x86/user.h"

#include "kernel/x86/cpu.h"
#include "kernel/x86/interrupts.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/run_loop.h"
#include "runtime/assert.h"
#include "runtime/memory.h"
#include "runtime/trace.h"

_Static_assert(offsetof(struct user_frame, rsp) == 56, "user_offsets.inc");
_Static_assert(offsetof(struct user_frame, r8) == 64, "user_offsets.inc");
_Static_assert(offsetof(struct user_frame, r15) == 120, "user_offsets.inc");
_Static_assert(offsetof(struct user_frame, rip) == 128, "user_offsets.inc");
_Static_assert(offsetof(struct user_frame, rflags) == 136, "user_offsets.inc");
_Static_assert(offsetof(struct user_frame, fs_base) == 144, "user_offsets.inc");
_Static_assert(offsetof(struct user_frame, gs_base) == 152, "user_offsets.inc");
_Static_assert(offsetof(struct user_frame, orig_rax) == 160, "user_offsets.inc");
_Static_assert(offsetof(struct user_frame, full) == 168, "user_offsets.inc");

/* The flags that a program may have: CF PF AF ZF SF TF DF OF, AC and ID. */
#define RFLAGS_USER 0x240dd5ull

/* What SYSCALL clears: whatever would change how the kernel runs. */
#define RFLAGS_CLEARED (RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | 3ull << 12 | RFLAGS_NT | RFLAGS_AC)

static struct user_hooks hooks; /* set once, before the first frame is entered */
void (*user_syscall_hook)(struct user_frame *frame);

static void syscall_hook_choose(void)
{
    user_syscall_hook = cpus_shared ? hooks.syscall_shared : hooks.syscall;
}

void user_set_hooks(const struct user_hooks *new_hooks)
{
    hooks = *new_hooks;
    syscall_hook_choose();
}

void user_share(void)
{
    user_leave();
    syscall_hook_choose();
}

void user_init(void)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SYSCALL);
    wrmsr(MSR_STAR, (u64)SELECTOR_USER_BASE << 48 | (u64)SELECTOR_KERNEL_CODE << 32);
    wrmsr(MSR_LSTAR, (u64)syscall_entry);
    wrmsr(MSR_CSTAR, (u64)syscall_entry_compatible);
    wrmsr(MSR_FMASK, RFLAGS_CLEARED);
    fpu_init();
}

/* --- segment bases ---------------------------------------------------------------------------- */

static u64 fs_base_read(void)
{
    u64 base;
    asm volatile("rdfsbase %0" : "=r"(base));
    return base;
}

static void fs_base_write(u64 base)
{
    if (cpu_features.fsgsbase)
        asm volatile("wrfsbase %0" : : "r"(base));
    else
        wrmsr(MSR_FS_BASE, base);
}

/* The user's GS base is the one that swapgs brings.  With FSGSBASE a program may have changed both
   behind our back; the frame wins when the kernel has changed it since it was loaded. */
static void bases_save(struct cpu *cpu, struct user_frame *frame)
{
    if (!cpu_features.fsgsbase)
        return;
    u64 fs_base = fs_base_read(), gs_base = rdmsr(MSR_KERNEL_GS_BASE);
    if (frame->fs_base == cpu->fs_base)
        frame->fs_base = fs_base;
    if (frame->gs_base == cpu->gs_base)
        frame->gs_base = gs_base;
    cpu->fs_base = fs_base;
    cpu->gs_base = gs_base;
}

static bool address_canonical(u64 address)
{
    return (u64)((s64)(address << 16) >> 16) == address;
}

/* A base that no load accepts becomes 0: a fault here would be the kernel's.  The one that is
   loaded was accepted. */
static u64 base_accepted(u64 *base)
{
    if (!address_canonical(*base))
        *base = 0;
    return *base;
}

static void bases_load(struct cpu *cpu, struct user_frame *frame)
{
    if (frame->fs_base != cpu->fs_base) {
        cpu->fs_base = base_accepted(&frame->fs_base);
        fs_base_write(cpu->fs_base);
    }
    if (unlikely(frame->gs_base != cpu->gs_base)) { /* dear, and nearly always 0 for everybody */
        cpu->gs_base = base_accepted(&frame->gs_base);
        wrmsr(MSR_KERNEL_GS_BASE, cpu->gs_base);
    }
}

/* --- entering --------------------------------------------------------------------------------- */

static void registers_save(struct cpu *cpu)
{
    fpu_save(cpu->fpu_owner->fpu);
    bases_save(cpu, cpu->fpu_owner);
    cpu->fpu_unsaved = false;
}

void user_leave(void)
{
    struct cpu *cpu = this_cpu();
    if (cpu->fpu_unsaved)
        registers_save(cpu);
}

void user_fpu_sync(struct user_frame *frame)
{
    struct cpu *cpu = this_cpu();
    if (cpu->fpu_owner != frame)
        return;
    user_leave();
    cpu->fpu_owner = NULL;
    frame->fpu_cpu = 0;
    frame->full = 1; /* the way back loads them */
}

/* Makes every register that the frame's return does not load the frame's. */
static void registers_take(struct cpu *cpu, struct user_frame *frame)
{
    if (cpu->fpu_owner != frame || frame->fpu_cpu != cpu->id + 1) {
        user_leave();
        fpu_load(frame->fpu);
        cpu->fpu_owner = frame;
        frame->fpu_cpu = cpu->id + 1;
    }
    bases_load(cpu, frame);
    cpu->fpu_unsaved = true;
}

__attribute__((noreturn)) static void frame_return(struct cpu *cpu, struct user_frame *frame)
{
    registers_take(cpu, frame);
    surface_leave();
    if (!frame->full)
        user_return_fast(frame);
    frame->rflags = (frame->rflags & RFLAGS_USER) | RFLAGS_IF | RFLAGS_ALWAYS;
    /* IRET to such an address would fault in the kernel.  The first one beyond user space faults
       in the program, whose fault it is. */
    if (!address_canonical(frame->rip))
        frame->rip = USER_END;
    user_return_full(frame);
}

/* Through the run loop, unless the hook returns. */
static void frame_interrupt(struct user_frame *frame)
{
    if (!surface_lock_held())
        surface_lock();
    hooks.interrupted(frame);
}

void user_enter(struct user_frame *frame, const struct page_space *space)
{
    struct cpu *cpu = this_cpu();
    cpu->frame = frame;
    if (cpu->space != space)
        page_space_switch(space);
    if (run_loop_enter_user())
        frame_interrupt(frame);
    frame_return(cpu, frame);
}

/* Applies what was queued, and then goes on: who queued it keeps its turn until its slice ends. */
static void frame_serve(struct user_frame *frame)
{
    if (!run_loop_serve_closures()) {
        frame_interrupt(frame);
        return;
    }
    surface_lock();
    hooks.served(frame);
}

void user_resume(void)
{
    struct cpu *cpu = this_cpu();
    if (cpu->work_pending)
        frame_serve(cpu->frame);
    frame_return(cpu, cpu->frame);
}

/* --- what comes back -------------------------------------------------------------------------- */

static struct user_frame *frame_from_trap(const struct trap_frame *trap)
{
    struct user_frame *frame = this_cpu()->frame;
    this_cpu()->progress++;
    frame->rax = trap->rax;
    frame->rbx = trap->rbx;
    frame->rcx = trap->rcx;
    frame->rdx = trap->rdx;
    frame->rsi = trap->rsi;
    frame->rdi = trap->rdi;
    frame->rbp = trap->rbp;
    frame->rsp = trap->rsp;
    frame->r8 = trap->r8;
    frame->r9 = trap->r9;
    frame->r10 = trap->r10;
    frame->r11 = trap->r11;
    frame->r12 = trap->r12;
    frame->r13 = trap->r13;
    frame->r14 = trap->r14;
    frame->r15 = trap->r15;
    frame->rip = trap->rip;
    frame->rflags = trap->rflags;
    frame->orig_rax = ~0ull; /* no system call to restart */
    frame->full = 1;
    return frame;
}

void user_trap(struct trap_frame *trap, const struct user_fault *fault)
{
    struct user_frame *frame = frame_from_trap(trap);
    surface_lock();
    TRACE(FAULT_BEGIN, fault->address, fault->error_code, fault->vector);
    hooks.fault(frame, fault);
    TRACE(FAULT_END);
    user_resume();
}

bool user_copy_fault(u64 address, bool write)
{
    if (surface_lock_held())
        return hooks.copy_fault(address, write);
    surface_lock(); /* a system call that goes without it */
    bool present = hooks.copy_fault(address, write);
    surface_unlock();
    return present;
}

/* A thread keeps its turn here too: else a device that interrupts all the time would take each turn
   just after its beginning, and leave the CPU to those threads that spend it in system calls. */
void user_interrupted(const struct trap_frame *trap)
{
    struct cpu *cpu = this_cpu();
    run_loop_interrupted();
    if (!cpu->work_pending)
        return;
    frame_serve(frame_from_trap(trap));
    run_loop_interrupt_served();
    frame_return(cpu, cpu->frame);
}
