/* The signal frame: what a handler finds on its stack, and what rt_sigreturn takes back.

   The layout is Linux's for x86-64 (arch/x86/include/uapi/asm/sigcontext.h, ucontext.h): the return
   address, ucontext, siginfo; the FPU state lies above, at a multiple of 64.  What comes back from
   the program is believed only where it cannot harm the kernel. */
#include "kernel/run_loop.h"
#include "kernel/user_copy.h"
#include "unix/signal_delivery.h"
#include "unix/syscall.h"

struct stack_description {
    u64 address;
    u32 flags;
    u32 padding;
    u64 bytes;
};

struct saved_registers {
    u64 r8, r9, r10, r11, r12, r13, r14, r15;
    u64 rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
    u16 cs, gs, fs, ss;
    u64 error, vector, old_mask, address;
    u64 fpu; /* user address */
    u64 reserved[8];
};

struct signal_frame {
    u64 return_address;
    u64 flags;
    u64 link;
    struct stack_description stack;
    struct saved_registers registers;
    u64 mask;
    /* siginfo_t, 128 bytes */
    s32 signal, error, code, padding;
    u64 info_address;
    u64 info_value;
    u64 info_rest[12];
};

_Static_assert(sizeof(struct saved_registers) == 256, "struct sigcontext");
_Static_assert(offsetof(struct signal_frame, mask) == 8 + 296, "struct ucontext");
_Static_assert(sizeof(struct signal_frame) == 8 + 304 + 128, "struct rt_sigframe");

#define USER_CS              0x33 /* what Linux shows; the kernel's own selectors stay its own */
#define USER_SS              0x2b
#define UC_FP_XSTATE         1
#define UC_SIGCONTEXT_SS     2
#define UC_STRICT_RESTORE_SS 4
#define RED_ZONE             128

/* The bytes that Linux leaves for software at the end of the legacy area (struct _fpx_sw_bytes). */
struct fpu_software {
    u32 magic1;
    u32 extended_bytes;
    u64 features;
    u32 state_bytes;
    u32 padding[7];
};
#define FPU_SOFTWARE_OFFSET 464
#define FPU_MAGIC1          0x46505853u
#define FPU_MAGIC2          0x46505845u
#define FPU_LEGACY_BYTES    512

static bool on_alternate_stack(const struct thread *t, u64 sp)
{
    return !(t->alternate_flags & SIGNAL_STACK_DISABLED) && sp > t->alternate_stack &&
           sp - t->alternate_stack <= t->alternate_bytes;
}

static u64 frame_top(const struct thread *t, const struct signal_action *action)
{
    u64 sp = t->frame.rsp;
    if ((action->flags & SIGNAL_ON_STACK) && !(t->alternate_flags & SIGNAL_STACK_DISABLED) &&
        !on_alternate_stack(t, sp))
        return t->alternate_stack + t->alternate_bytes;
    return sp - RED_ZONE;
}

static u64 fpu_features(void)
{
    /* x87, SSE; AVX when the state is longer than the two; AVX-512 when it is longer still. */
    return user_fpu_bytes() <= FPU_LEGACY_BYTES + 64 ? 3 : user_fpu_bytes() <= 832 ? 7 : 0xe7;
}

static s64 push_fpu(struct thread *t, u64 address)
{
    u64 bytes = user_fpu_bytes();
    bool extended = bytes > FPU_LEGACY_BYTES;
    struct fpu_software software = {0};
    u32 magic2 = FPU_MAGIC2;
    if (extended)
        software = (struct fpu_software){.magic1 = FPU_MAGIC1,
                                         .extended_bytes = (u32)bytes + 4,
                                         .features = fpu_features(),
                                         .state_bytes = (u32)bytes};
    user_fpu_sync(&t->frame);
    if (copy_out(address, t->fpu, bytes) ||
        copy_out(address + FPU_SOFTWARE_OFFSET, &software, sizeof(software)) ||
        (extended && copy_out(address + bytes, &magic2, sizeof(magic2))))
        return -EFAULT;
    return 0;
}

static struct saved_registers save_registers(const struct thread *t, u64 fpu)
{
    const struct user_frame *f = &t->frame;
    return (struct saved_registers){
        .r8 = f->r8,
        .r9 = f->r9,
        .r10 = f->r10,
        .r11 = f->r11,
        .r12 = f->r12,
        .r13 = f->r13,
        .r14 = f->r14,
        .r15 = f->r15,
        .rdi = f->rdi,
        .rsi = f->rsi,
        .rbp = f->rbp,
        .rbx = f->rbx,
        .rdx = f->rdx,
        .rax = f->rax,
        .rcx = f->rcx,
        .rsp = f->rsp,
        .rip = f->rip,
        .rflags = f->rflags,
        .cs = USER_CS,
        .ss = USER_SS,
        .error = t->fault.error_code,
        .vector = t->fault.vector,
        .old_mask = t->signal_mask,
        .address = t->fault.address,
        .fpu = fpu,
    };
}

static void fill_frame(struct signal_frame *f, const struct thread *t,
                       const struct signal_info *info, const struct signal_action *action, u64 fpu)
{
    memset(f, 0, sizeof(*f));
    f->return_address = action->restorer;
    f->flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS |
               (user_fpu_bytes() > FPU_LEGACY_BYTES ? UC_FP_XSTATE : 0);
    f->stack.address = t->alternate_stack;
    f->stack.flags = t->alternate_flags;
    f->stack.bytes = t->alternate_bytes;
    f->registers = save_registers(t, fpu);
    f->mask = t->restore_mask ? t->saved_mask : t->signal_mask;
    f->signal = info->signal;
    f->error = info->error;
    f->code = info->code;
    f->info_address = info->address;
    f->info_value = info->value;
}

s64 signal_frame_push(struct thread *t, const struct signal_info *info,
                      const struct signal_action *action)
{
    if (!(action->flags & SIGNAL_RESTORER))
        return -EFAULT; /* Linux has nothing else to return to either */
    u64 top = frame_top(t, action);
    u64 fpu = align_down(top - user_fpu_bytes() - 8, 64);
    u64 address = align_down(fpu - sizeof(struct signal_frame), 16) - 8;
    if (top >= USER_END || address >= USER_END || address < USER_START)
        return -EFAULT;
    struct signal_frame f;
    fill_frame(&f, t, info, action, fpu);
    if (push_fpu(t, fpu) || copy_out(address, &f, sizeof(f)))
        return -EFAULT;
    struct user_frame *r = &t->frame;
    r->rdi = (u64)info->signal;
    r->rsi = address + offsetof(struct signal_frame, signal);
    r->rdx = address + offsetof(struct signal_frame, flags);
    r->rax = 0;
    r->rsp = address;
    r->rip = action->handler;
    r->rflags = 0x202; /* direction and trap flags off, as the ABI has it at a function's entry */
    r->full = 1;
    if (r->rip >= USER_END)
        return -EFAULT;
    return 0;
}

/* --- rt_sigreturn ------------------------------------------------------------------------------
 */

#define FLAGS_OF_USER 0x240dd5ull /* CF PF AF ZF SF TF DF OF AC ID */
#define MXCSR_OFFSET  24
#define MXCSR_KNOWN   0xffffu
#define XSTATE_BV     512 /* Intel SDM 1, 13.4.2: the XSAVE header */

static bool pop_fpu(struct thread *t, u64 address)
{
    u64 bytes = user_fpu_bytes();
    user_fpu_sync(&t->frame);
    if (copy_in(t->fpu, address, bytes)) {
        user_fpu_init(t->fpu);
        return false;
    }
    u32 mxcsr;
    memcpy(&mxcsr, t->fpu + MXCSR_OFFSET, sizeof(mxcsr));
    mxcsr &= MXCSR_KNOWN;
    memcpy(t->fpu + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
    if (bytes > FPU_LEGACY_BYTES) {
        u64 features;
        memcpy(&features, t->fpu + XSTATE_BV, sizeof(features));
        features &= fpu_features();
        memset(t->fpu + XSTATE_BV, 0,
               64); /* a reserved bit that is set would fault in the kernel */
        memcpy(t->fpu + XSTATE_BV, &features, sizeof(features));
    }
    return true;
}

static void restore_registers(struct user_frame *f, const struct saved_registers *s)
{
    f->r8 = s->r8, f->r9 = s->r9, f->r10 = s->r10, f->r11 = s->r11;
    f->r12 = s->r12, f->r13 = s->r13, f->r14 = s->r14, f->r15 = s->r15;
    f->rdi = s->rdi, f->rsi = s->rsi, f->rbp = s->rbp, f->rbx = s->rbx;
    f->rdx = s->rdx, f->rax = s->rax, f->rcx = s->rcx, f->rsp = s->rsp;
    f->rip = s->rip;
    f->rflags = (s->rflags & FLAGS_OF_USER) | 0x202;
    f->full = 1;
}

/* Does not return to its caller's instruction, so it never has a result of its own. */
s64 sys_rt_sigreturn(struct thread *t)
{
    struct signal_frame f;
    u64 address = t->frame.rsp - 8;
    bool good = copy_in(&f, address, sizeof(f)) == 0 && f.registers.rip < USER_END &&
                (!f.registers.fpu || pop_fpu(t, f.registers.fpu));
    t->in_syscall = false;
    t->interrupted = false;
    if (good) {
        restore_registers(&t->frame, &f.registers);
        signal_set_mask(t, f.mask);
    } else {
        signal_raise(t, SIGNAL_SEGV);
    }
    thread_resume(t);
    return SYSCALL_LATER;
}

s64 sys_sigaltstack(struct thread *t, u64 new, u64 old)
{
    struct stack_description now = {
        .address = t->alternate_stack,
        .flags = on_alternate_stack(t, t->frame.rsp) ? 1 : t->alternate_flags,
        .bytes = t->alternate_bytes,
    };
    struct stack_description wanted = {0};
    if (new &&copy_in(&wanted, new, sizeof(wanted)))
        return -EFAULT;
    if (new) {
        if (now.flags == 1)
            return -EPERM;
        if (wanted.flags & ~(SIGNAL_STACK_DISABLED | 1u))
            return wanted.flags & 0x80000000u ? -EOPNOTSUPP : -EINVAL; /* SS_AUTODISARM */
        if (!(wanted.flags & SIGNAL_STACK_DISABLED) && wanted.bytes < 2048)
            return -ENOMEM;
    }
    if (old && copy_out(old, &now, sizeof(now)))
        return -EFAULT;
    if (new) {
        bool off = wanted.flags & SIGNAL_STACK_DISABLED;
        t->alternate_flags = off ? SIGNAL_STACK_DISABLED : 0;
        t->alternate_stack = off ? 0 : wanted.address;
        t->alternate_bytes = off ? 0 : wanted.bytes;
    }
    return 0;
}
