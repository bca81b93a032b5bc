/* Threads: made, run, faulting, ended; see unix/thread.h. */
#include "unix/thread.h"

#include "kernel/cpus.h"
#include "kernel/log.h"
#include "kernel/run_loop.h"
#include "kernel/x86/cpu.h"
#include "runtime/trace.h"
#include "unix/futex.h"
#include "unix/signal_delivery.h"
#include "unix/strace.h"
#include "unix/syscall_table.h"
#include "unix/wait.h"

#define THREADS_MOST 4096 /* of a process; further ones are EAGAIN */
#define FETCHES_MOST 64   /* page-ins for one instruction before memory is called too small */

struct thread *thread_current(void)
{
    return this_cpu()->thread;
}

void thread_activate(struct thread *t)
{
    struct cpu *cpu = this_cpu();
    const struct page_space *space = &t->process->memory.space;
    cpu->thread = t;
    if (cpu->space != space)
        page_space_switch(space);
}

closure_method(thunk, thread_run, struct thread, runnable.run)
{
    struct thread *t = owner();
    if (t->ended || t->process->exiting)
        return;
    thread_activate(t);
    if (t->attention)
        signal_deliver(t);
    if (t->ended || t->process->exiting)
        return;
    TRACE(THREAD_RUN, t->tid);
    user_enter(&t->frame, &t->process->memory.space);
}

void thread_resume(struct thread *t)
{
    if (unlikely(t->ended || t->process->exiting))
        return;
    run_thread(&t->runnable);
}

/* The CPU wants its FPU area aligned to 64 bytes; a heap aligns by the size. */
static u64 fpu_bytes(void)
{
    return align_up(user_fpu_bytes(), 64);
}

struct thread *thread_create(struct process *p)
{
    if (p->thread_count >= THREADS_MOST || p->exiting)
        return NULL;
    struct thread *t = allocate_zero(general_heap, sizeof(*t));
    if (!t)
        return NULL;
    t->fpu = allocate(general_heap, fpu_bytes());
    if (!t->fpu) {
        deallocate(general_heap, t, sizeof(*t));
        return NULL;
    }
    user_fpu_init(t->fpu);
    t->frame.fpu = t->fpu;
    t->frame.full = 1;
    t->frame.rflags = 0x202; /* interrupts on */
    t->process = p;
    t->tid = p->next_tid++;
    t->alternate_flags = SIGNAL_STACK_DISABLED;
    runnable_init(&t->runnable);
    init_method(&t->runnable.run, thread_run);
    scope_init(&t->scope, &p->scope, &kernel_executor, "thread");
    list_push_back(&p->threads, &t->link);
    p->thread_count++;
    return t;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* From the run loop of the CPU that had the thread's registers: it is in user mode nowhere. */
closure_method(thunk, thread_reap, struct thread, reap)
{
    struct thread *t = owner();
    user_fpu_sync(&t->frame); /* so that no CPU saves registers into it later */
    if (this_cpu()->thread == t)
        this_cpu()->thread = NULL;
    deallocate(general_heap, t->fpu, fpu_bytes());
    deallocate(general_heap, t, sizeof(*t));
}

/* Its last system call began on a CPU that may still be on its way out of it. */
closure_method(status_handler, thread_closed, struct thread, closed, status s)
{
    struct thread *t = owner();
    u32 on_cpu = __atomic_load_n(&t->runnable.on_cpu, __ATOMIC_ACQUIRE);
    (void)s; /* what its waits came to was for its system calls to say */
    init_method(&t->reap, thread_reap);
    run_on(on_cpu ? on_cpu - 1 : cpu_number(), &t->reap);
}

void thread_end(struct thread *t, u8 code)
{
    struct process *p = t->process;
    if (t->ended)
        return;
    t->ended = true;
    TRACE(SYSCALL_END, t->tid, t->frame.orig_rax, 0);
    futex_thread_ended(t);
    list_remove(&t->link);
    signal_retarget(p, ~0ull);
    if (--p->thread_count == 0)
        process_exit(p, code);
    init_method(&t->closed, thread_closed);
    scope_close(&t->scope, &t->closed);
}

/* --- pages ------------------------------------------------------------------------------------ */

static void out_of_memory(struct thread *t)
{
    log_error("out of memory: %s is killed (it has %llu KiB, the machine %llu KiB)",
              t->process->path, t->process->memory.pages_own * (PAGE_BYTES / KiB),
              memory_statistics().total_bytes / KiB);
    process_exit(t->process, 128 + SIGNAL_KILL);
}

closure_method(status_handler, thread_pages_came, struct thread, pages_came, status s)
{
    struct thread *t = owner();
    if (t->ended || t->process->exiting)
        return;
    if (is_ok(s) && ++t->fetches > FETCHES_MOST)
        s = status_error(ENOMEM, "memory: pages are evicted before they can be used", t->tid);
    if (status_errno(s) == ENOMEM) {
        out_of_memory(t);
    } else if (status_errno(s) == EINTR) { /* a signal that ends the process is pending */
        if (t->in_syscall)
            syscall_return(t, -EINTR);
        else
            thread_resume(t);
    } else if (t->in_syscall) {
        if (is_ok(s))
            syscall_restart(t);
        else
            syscall_return(t, -EFAULT);
    } else {
        if (!is_ok(s)) {
            log_error("a page of %s cannot be read: %s", t->process->path, status_text(s));
            signal_raise(t, SIGNAL_BUS);
        }
        thread_resume(t);
    }
}

status_handler thread_pages_handler(struct thread *t)
{
    init_method(&t->pages_came, thread_pages_came);
    return &t->pages_came;
}

enum { ERROR_WRITE = 2, ERROR_FETCH = 16, VECTOR_PAGE = 14 }; /* Intel SDM 3A, 4.7 */

static void page_fault(struct thread *t, const struct user_fault *fault)
{
    struct user_memory *m = &t->process->memory;
    enum user_access access = fault->error_code & ERROR_FETCH   ? USER_EXECUTE
                              : fault->error_code & ERROR_WRITE ? USER_WRITE
                                                                : USER_READ;
    enum fault_result result = fault_resolve(m, fault->address, access);
    switch (result) {
    case FAULT_DONE:
        t->fetches = 0;
        return;
    case FAULT_FETCH:
        fault_fetch(t, fault->address, thread_pages_handler(t));
        run_loop();
    case FAULT_NO_MEMORY:
        out_of_memory(t);
        run_loop();
    default:
        signal_page_fault(t, fault, result);
        thread_resume(t);
        run_loop();
    }
}

static void fault_hook(struct user_frame *frame, const struct user_fault *fault)
{
    struct thread *t = container_of(frame, struct thread, frame);
    if (fault->vector == VECTOR_PAGE) {
        page_fault(t, fault);
        return;
    }
    signal_exception(t, fault);
    thread_resume(t);
    run_loop();
}

static bool copy_fault_hook(u64 address, bool write)
{
    struct thread *t = thread_current();
    return t && fault_resolve(&t->process->memory, address, write ? USER_WRITE : USER_READ) ==
                    FAULT_DONE;
}

/* Other work first, then this thread again. */
static void interrupted_hook(struct user_frame *frame)
{
    thread_resume(container_of(frame, struct thread, frame));
    run_loop();
}

/* Nobody but the thread itself ends it, so it is still there. */
static void served_hook(struct user_frame *frame)
{
    struct thread *t = container_of(frame, struct thread, frame);
    if (unlikely(t->attention || t->process->exiting)) {
        thread_resume(t);
        run_loop();
    }
    thread_activate(t);
}

void thread_set_hooks(void)
{
    const struct user_hooks hooks = {
        .syscall = strace_enabled ? syscall_hook_shown : syscall_hook,
        .syscall_shared = syscall_hook_shared,
        .fault = fault_hook,
        .copy_fault = copy_fault_hook,
        .interrupted = interrupted_hook,
        .served = served_hook,
    };
    user_set_hooks(&hooks);
}
