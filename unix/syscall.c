/* Dispatch of system calls; see unix/syscall.h.

   The fast path: the hook finds the thread around the frame, looks the number up, calls, stores
   the result and returns to user mode.  Only what waits goes through the run loop. */
#include "unix/syscall.h"

#include "kernel/log.h"
#include "kernel/run_loop.h"
#include "runtime/trace.h"
#include "unix/strace.h"
#include "unix/syscall_table.h"

/* --- unpackers: the registers of the calling convention become typed arguments -----------------
 */

#define REGISTERS_0
#define REGISTERS_1 , f->rdi
#define REGISTERS_2 REGISTERS_1, f->rsi
#define REGISTERS_3 REGISTERS_2, f->rdx
#define REGISTERS_4 REGISTERS_3, f->r10
#define REGISTERS_5 REGISTERS_4, f->r8
#define REGISTERS_6 REGISTERS_5, f->r9

/* Passing a u64 to a parameter of the prototype's type cuts it as the ABI says. */
#define SYSCALL(number, name, format, ...)                                                         \
    static s64 enter_##name(struct thread *t)                                                      \
    {                                                                                              \
        const struct user_frame *f = &t->frame;                                                    \
        (void)f;                                                                                   \
        _Static_assert(sizeof(format) == CLOSURE_COUNT(__VA_ARGS__) + 1,                           \
                       #name ": one letter of trace format an argument");                          \
        return sys_##name(t CLOSURE_PASTE(REGISTERS_, CLOSURE_COUNT(__VA_ARGS__)));                \
    }
#include "unix/syscalls.def"
#undef SYSCALL

#define SYSCALL(number, name, format, ...)          [number] = {enter_##name, #name, format, false},
#define SYSCALL_PARALLEL(number, name, format, ...) [number] = {enter_##name, #name, format, true},
static const struct syscall_entry table[SYSCALL_NUMBERS] = {
#include "unix/syscalls.def"
};
#undef SYSCALL

const struct syscall_entry *syscall_of(u32 number)
{
    return number < SYSCALL_NUMBERS && table[number].enter ? &table[number] : NULL;
}

static u64 unknown_logged[SYSCALL_NUMBERS / 64 + 1]; /* bits; the last word is for all beyond */

static s64 syscall_unknown(u32 number)
{
    u32 bit = min(number, (u32)SYSCALL_NUMBERS);
    u64 mask = 1ull << (bit % 64);
    if (!(unknown_logged[bit / 64] & mask)) {
        unknown_logged[bit / 64] |= mask;
        log_info("system call %u is not known: ENOSYS", number);
    }
    return -ENOSYS;
}

/* For the trace. */
static const char *syscall_name(u32 number)
{
    const struct syscall_entry *entry = syscall_of(number);
    return entry ? entry->name : "unknown";
}

static inline __attribute__((always_inline)) s64 syscall_call(struct thread *t)
{
    u32 number = (u32)t->frame.orig_rax;
    if (unlikely(number >= SYSCALL_NUMBERS || !table[number].enter))
        return syscall_unknown(number);
    return table[number].enter(t);
}

static s64 syscall_call_shown(struct thread *t)
{
    const struct syscall_entry *entry = syscall_of((u32)t->frame.orig_rax);
    return strace_enabled && entry ? strace_call(t, entry) : syscall_call(t);
}

/* `call` is known where this is put in line. */
static inline __attribute__((always_inline)) void syscall_serve(struct user_frame *frame,
                                                                s64 (*call)(struct thread *t))
{
    struct thread *t = container_of(frame, struct thread, frame);
    t->in_syscall = true;
    TRACE(SYSCALL_BEGIN, t->tid, frame->orig_rax, syscall_name((u32)frame->orig_rax));
    s64 result = call(t);
    if (unlikely(result == SYSCALL_LATER))
        run_loop();
    TRACE(SYSCALL_END, t->tid, frame->orig_rax, result);
    t->in_syscall = false;
    frame->rax = (u64)result;
    if (unlikely(t->attention)) {
        t->interrupted = result == -EINTR;
        thread_resume(t);
        run_loop();
    }
}

void syscall_hook(struct user_frame *frame)
{
    syscall_serve(frame, syscall_call);
}

void syscall_hook_shown(struct user_frame *frame)
{
    syscall_serve(frame, syscall_call_shown);
}

/* Giving up the lock is the last that is done here for the call; run_loop() does it too. */
void syscall_hook_shared(struct user_frame *frame)
{
    const struct syscall_entry *entry = syscall_of((u32)frame->orig_rax);
    if (entry && entry->parallel && !strace_enabled) {
        syscall_serve(frame, syscall_call);
        if (surface_lock_held()) /* it had to wait for a page: user_fetch */
            surface_unlock();
        return;
    }
    surface_lock();
    syscall_serve(frame, syscall_call_shown);
    surface_unlock();
}

void syscall_return(struct thread *t, s64 result)
{
    if (unlikely(strace_enabled))
        strace_result(t, result);
    TRACE(SYSCALL_END, t->tid, t->frame.orig_rax, result);
    t->interrupted = result == -EINTR;
    t->fetches = 0;
    t->in_syscall = false;
    t->frame.rax = (u64)result;
    thread_resume(t);
}

closure_method(thunk, syscall_again, struct thread, restart)
{
    struct thread *t = owner();
    if (t->ended || t->process->exiting)
        return;
    thread_activate(t);
    s64 result = syscall_call_shown(t);
    if (result != SYSCALL_LATER)
        syscall_return(t, result);
}

void syscall_restart(struct thread *t)
{
    init_method(&t->restart, syscall_again);
    run_later(&t->restart);
}
