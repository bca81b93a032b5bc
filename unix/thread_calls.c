/* The system calls of threads and processes: identity, registers, creation, ending, affinity. */
#include "kernel/cpus.h"
#include "kernel/log.h"
#include "kernel/run_loop.h"
#include "kernel/user_copy.h"
#include "unix/syscall.h"

s64 sys_getpid(struct thread *t)
{
    return t->process->pid;
}

s64 sys_getppid(struct thread *t)
{
    return t->process->parent_pid;
}

s64 sys_gettid(struct thread *t)
{
    return t->tid;
}

s64 sys_set_tid_address(struct thread *t, u64 address)
{
    t->clear_tid = address;
    return t->tid;
}

#define ROBUST_HEAD_BYTES 24

s64 sys_set_robust_list(struct thread *t, u64 head, u64 bytes)
{
    if (bytes != ROBUST_HEAD_BYTES)
        return -EINVAL;
    t->robust_list = head;
    return 0;
}

s64 sys_get_robust_list(struct thread *t, s32 tid, u64 head, u64 bytes)
{
    u64 size = ROBUST_HEAD_BYTES;
    if (tid != 0 && (u32)tid != t->tid)
        return -ESRCH;
    if (copy_out(bytes, &size, sizeof(size)) ||
        copy_out(head, &t->robust_list, sizeof(t->robust_list)))
        return -EFAULT;
    return 0;
}

/* The C library takes ENOSYS for "this kernel has none" and does without. */
s64 sys_rseq(struct thread *t, u64 area, u32 bytes, s32 flags, u32 signature)
{
    (void)t, (void)area, (void)bytes, (void)flags, (void)signature;
    return -ENOSYS;
}

enum { ARCH_SET_GS = 0x1001, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS };

s64 sys_arch_prctl(struct thread *t, s32 code, u64 address)
{
    switch (code) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
        if (address >= USER_END)
            return -EPERM;
        if (code == ARCH_SET_FS)
            t->frame.fs_base = address;
        else
            t->frame.gs_base = address;
        t->frame.full = 1;
        return 0;
    case ARCH_GET_FS:
    case ARCH_GET_GS:
        user_fpu_sync(&t->frame); /* a program may have changed them without a system call */
        return copy_out(address, code == ARCH_GET_FS ? &t->frame.fs_base : &t->frame.gs_base,
                        sizeof(u64))
                   ? -EFAULT
                   : 0;
    default:
        return -EINVAL;
    }
}

s64 sys_exit(struct thread *t, s32 code)
{
    thread_end(t, (u8)code);
    return SYSCALL_LATER;
}

s64 sys_exit_group(struct thread *t, s32 code)
{
    process_exit(t->process, (u8)code);
    return SYSCALL_LATER;
}

/* There are no children. */
s64 sys_wait4(struct thread *t, s32 pid, u64 exit_status, s32 options, u64 usage)
{
    (void)t, (void)pid, (void)exit_status, (void)options, (void)usage;
    return -ECHILD;
}

s64 sys_waitid(struct thread *t, s32 type, s32 id, u64 info, s32 options, u64 usage)
{
    (void)t, (void)type, (void)id, (void)info, (void)options, (void)usage;
    return -ECHILD;
}

/* --- scheduling ------------------------------------------------------------------------------- */

/* Without the surface lock: a thread that is ready is in nobody's hands but the run loop's. */
s64 sys_sched_yield(struct thread *t)
{
    if (t->process->thread_count == 1 || !run_threads_wait())
        return 0;
    syscall_return(t, 0);
    return SYSCALL_LATER;
}

/* 0 is the caller. */
static struct thread *thread_of_tid(struct thread *t, s32 tid)
{
    if (tid == 0)
        return t;
    list_for_each (&t->process->threads, l)
        if (container_of(l, struct thread, link)->tid == (u32)tid)
            return container_of(l, struct thread, link);
    return NULL;
}

static u64 cpus_there(void)
{
    return ~0ull >> (CPUS_MOST - cpus_online());
}

/* The mask is returned in words of 8 bytes. */
s64 sys_sched_getaffinity(struct thread *t, s32 tid, u64 bytes, u64 mask)
{
    if (bytes < sizeof(u64) || (bytes & (sizeof(u64) - 1)))
        return -EINVAL;
    const struct thread *of = thread_of_tid(t, tid);
    if (!of)
        return -ESRCH;
    u64 cpus = of->runnable.cpus & cpus_there();
    return copy_out(mask, &cpus, sizeof(cpus)) ? -EFAULT : (s64)sizeof(cpus);
}

/* A thread that is where it may not be any more goes through its CPU's run loop: at once, if it is
   the caller. */
s64 sys_sched_setaffinity(struct thread *t, s32 tid, u64 bytes, u64 mask)
{
    u64 cpus = 0;
    struct thread *of = thread_of_tid(t, tid);
    if (!of)
        return -ESRCH;
    if (copy_in(&cpus, mask, min(bytes, (u64)sizeof(cpus))))
        return -EFAULT;
    if (!(cpus & cpus_there()))
        return -EINVAL;
    runnable_set_cpus(&of->runnable, cpus);
    if (of != t)
        run_thread_interrupt(&of->runnable);
    else if (!(cpus >> cpu_number() & 1)) {
        syscall_return(t, 0);
        return SYSCALL_LATER;
    }
    return 0;
}

enum { MEMBARRIER_QUERY = 0, MEMBARRIER_GLOBAL = 1, MEMBARRIER_PRIVATE = 8, MEMBARRIER_JOIN = 16 };

/* Threads of one CPU see each other's memory in order already.  With several there is no such call
   yet, and a program that asks is told so. */
s64 sys_membarrier(struct thread *t, s32 command, u32 flags, s32 cpu)
{
    (void)t, (void)cpu;
    if (flags)
        return -EINVAL;
    if (cpus_online() > 1)
        return command == MEMBARRIER_QUERY ? 0 : -EINVAL;
    if (command == MEMBARRIER_QUERY)
        return MEMBARRIER_GLOBAL | MEMBARRIER_PRIVATE | MEMBARRIER_JOIN;
    bool known =
        command == MEMBARRIER_GLOBAL || command == MEMBARRIER_PRIVATE || command == MEMBARRIER_JOIN;
    return known ? 0 : -EINVAL;
}

/* --- clone ------------------------------------------------------------------------------------ */

enum clone_flags {
    CLONE_VM = 0x100,
    CLONE_FS = 0x200,
    CLONE_FILES = 0x400,
    CLONE_SIGHAND = 0x800,
    CLONE_THREAD = 0x10000,
    CLONE_SYSVSEM = 0x40000,
    CLONE_SETTLS = 0x80000,
    CLONE_PARENT_SETTID = 0x100000,
    CLONE_CHILD_CLEARTID = 0x200000,
    CLONE_DETACHED = 0x400000, /* means nothing since Linux 2.6.2 */
    CLONE_CHILD_SETTID = 0x1000000,
};

#define CLONE_SHARED (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define CLONE_KNOWN                                                                                \
    (CLONE_SHARED | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID |    \
     CLONE_DETACHED | CLONE_CHILD_SETTID)

struct clone_request {
    u64 flags;
    u64 stack; /* its top */
    u64 parent_tid, child_tid, tls;
};

/* A thread shares everything; a process of its own (fork) there cannot be yet. */
static s64 clone_check(const struct clone_request *q)
{
    if ((q->flags & CLONE_SHARED) != CLONE_SHARED) {
        static bool said;
        if (!said)
            log_warning("a program cannot start another process (fork) here: ENOSYS");
        said = true;
        return -ENOSYS;
    }
    if (q->flags & ~(u64)CLONE_KNOWN)
        return -EINVAL;
    if ((q->flags & CLONE_SETTLS) && q->tls >= USER_END)
        return -EPERM;
    return 0;
}

static s64 thread_clone(struct thread *t, const struct clone_request *q)
{
    s64 result = clone_check(q);
    if (result)
        return result;
    struct thread *n = thread_create(t->process);
    if (!n)
        return -EAGAIN;
    user_fpu_sync(&t->frame);
    memcpy(n->fpu, t->fpu, user_fpu_bytes());
    n->frame = t->frame;
    n->frame.fpu = n->fpu;
    n->frame.full = 1;
    n->frame.rax = 0;
    n->frame.rcx = n->frame.rip; /* as SYSCALL leaves them */
    n->frame.r11 = n->frame.rflags;
    n->signal_mask = t->signal_mask;
    if (q->stack)
        n->frame.rsp = q->stack;
    if (q->flags & CLONE_SETTLS)
        n->frame.fs_base = q->tls;
    if (q->flags & CLONE_CHILD_CLEARTID)
        n->clear_tid = q->child_tid;
    /* Unwritable places are the program's affair: Linux does not look at these results either. */
    if (q->flags & CLONE_PARENT_SETTID)
        copy_out(q->parent_tid, &n->tid, sizeof(n->tid));
    if (q->flags & CLONE_CHILD_SETTID)
        copy_out(q->child_tid, &n->tid, sizeof(n->tid));
    u32 tid = n->tid; /* the thread may run and end before anybody looks at it again */
    thread_resume(n);
    return tid;
}

s64 sys_clone(struct thread *t, u64 flags, u64 stack, u64 parent_tid, u64 child_tid, u64 tls)
{
    const struct clone_request q = {flags & ~0xffull, stack, parent_tid, child_tid, tls};
    return thread_clone(t, &q);
}

struct clone_arguments { /* include/uapi/linux/sched.h, version 0 */
    u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_bytes, tls;
};

s64 sys_clone3(struct thread *t, u64 arguments, u64 bytes)
{
    struct clone_arguments a;
    if (bytes < sizeof(a))
        return -EINVAL;
    if (bytes > PAGE_BYTES)
        return -E2BIG;
    if (copy_in(&a, arguments, sizeof(a)))
        return -EFAULT;
    if (a.exit_signal > SIGNALS || (a.stack == 0) != (a.stack_bytes == 0))
        return -EINVAL;
    const struct clone_request q = {a.flags, a.stack + a.stack_bytes, a.parent_tid, a.child_tid,
                                    a.tls};
    return thread_clone(t, &q);
}
