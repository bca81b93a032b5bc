/* Processes: made, and ended; see unix/process.h. */
#include "unix/process.h"

#include "drivers/console.h"
#include "kernel/clock.h"
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
    p->ended = ended;
    p->started_ns = clock_monotonic_ns();
    list_init(&p->threads);
    list_init(&p->ended_threads);
    if (memory_create(&p->memory, fs) != 0) {
        deallocate(general_heap, p, sizeof(*p));
        return NULL;
    }
    p->root = filesystem_root(fs);
    p->cwd = p->root;
    inode_hold(p->root);
    inode_hold(p->cwd);
    process_census_start(p);
    return p;
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
    memory_destroy(&p->memory);
    deallocate(general_heap, p, sizeof(*p));
}

/* The machine ends when this is applied, so the process's memory is not given back before. */
closure_method(status_handler, process_drained, struct process, drained, status s)
{
    struct process *p = owner();
    (void)s; /* a console that failed cannot be told so */
    apply(p->ended, p->exit_status);
}

void process_exit(struct process *p, u8 exit_status)
{
    if (p->exiting)
        return;
    p->exiting = true;
    p->exit_status = exit_status;
    init_method(&p->drained, process_drained);
    console_drain(&p->drained);
}
