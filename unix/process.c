/* Processes: made, and ended; see unix/process.h. */
#include "unix/process.h"

#include "drivers/console.h"
#include "kernel/clock.h"
#include "kernel/log.h"
#include "kernel/net/net.h"
#include "kernel/run_loop.h"
#include "unix/program.h"
#include "unix/thread.h"

/* Pid 1 behaves specially in many programs, so the program is the first child of one that is
   not there. */
#define FIRST_PID 2

struct process *process_create(struct filesystem *fs, process_ended ended)
{
    struct process *p = allocate_zero(general_heap, sizeof(*p));
    if (!p)
        return NULL;
    p->lock = SPINLOCK(RANK_PROCESS, "process");
    p->pid = p->next_tid = FIRST_PID;
    p->parent_pid = FIRST_PID - 1;
    p->fs = fs;
    p->umask = 022;
    p->group_count = 1; /* 0, as a login of root has */
    p->ended = ended;
    p->started_ns = clock_monotonic_ns();
    list_init(&p->threads);
    if (memory_create(&p->memory, fs) != 0) {
        deallocate(general_heap, p, sizeof(*p));
        return NULL;
    }
    scope_init(&p->scope, NULL, &kernel_executor, "process");
    p->root = filesystem_root(fs);
    p->cwd = p->root;
    inode_hold(p->root);
    inode_hold(p->cwd);
    process_census_start(p);
    return p;
}

closure_method(status_handler, process_free, struct process, closed, status s)
{
    struct process *p = owner();
    (void)s;
    memory_destroy(&p->memory);
    deallocate(general_heap, p, sizeof(*p));
}

void process_destroy(struct process *p)
{
    process_census_end(p);
    if (p->files)
        files_destroy(p);
    if (p->executable)
        inode_release(p->executable);
    inode_release(p->cwd);
    inode_release(p->root);
    init_method(&p->closed, process_free);
    scope_close(&p->scope, &p->closed);
}

/* The machine ends when this is applied, so the process's memory is not given back before. */
closure_method(status_handler, process_drained, struct process, drained, status s)
{
    struct process *p = owner();
    (void)s; /* a console that failed cannot be told so */
    apply(p->ended, p->exit_status);
}

#define EXIT_WAIT_NS (2 * NS_PER_SECOND) /* for what the threads had in flight */

closure_function(operation_visitor, operation_name, (const struct process *p),
                 const struct operation_seen *seen)
{
    log_warning("%s: in flight at its end: %s, in %s, for %llu ms", bound(p)->path,
                seen->waits->name, seen->scope, (unsigned long long)(seen->age_ns / NS_PER_MS));
}

#define EXIT_SEND_NS (2 * NS_PER_SECOND) /* for what other machines are still to get */

closure_method(status_handler, process_quiet, struct process, quiet, status s)
{
    struct process *p = owner();
    if (!is_ok(s))
        log_info("%s: %llu connections had more to send at its end", p->path,
                 (unsigned long long)s.detail);
    init_method(&p->drained, process_drained);
    console_drain(&p->drained);
}

/* As on Linux, where connections outlive who made them: what was written arrives, and the other
   side learns that it is over. */
static void process_sockets_end(struct process *p)
{
    init_method(&p->quiet, process_quiet);
    if (files_close_sockets(p) || !net_is_quiet())
        net_wait_quiet(clock_monotonic_ns() + EXIT_SEND_NS, &p->quiet);
    else
        run_later_status(&p->quiet, STATUS_OK);
}

/* Its scope may be open still: what is left in it ends with the machine. */
closure_method(status_handler, process_waits_ended, struct process, waits_ended, status s)
{
    struct process *p = owner();
    if (status_errno(s) == ETIMEDOUT)
        scope_census(stack_closure(operation_name, p));
    process_sockets_end(p);
}

closure_method(status_handler, process_closed, struct process, closed, status s)
{
    (void)owner();
    (void)s;
}

/* Threads in user mode come back and find that they do not go on. */
static void threads_stop(struct process *p)
{
    list_for_each (&p->threads, l) {
        struct thread *t = container_of(l, struct thread, link);
        t->attention = true;
        run_thread_interrupt(&t->runnable);
    }
}

void process_exit(struct process *p, u8 exit_status)
{
    if (p->exiting)
        return;
    p->exiting = true;
    p->exit_status = exit_status;
    timer_cancel(&p->alarm);
    threads_stop(p);
    init_method(&p->waits_ended, process_waits_ended);
    init_method(&p->closed, process_closed);
    scope_wait_until(&p->scope, clock_monotonic_ns() + EXIT_WAIT_NS, &p->waits_ended);
    scope_close(&p->scope, &p->closed);
}
