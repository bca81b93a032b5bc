/* What a census says of a process: its threads, and the system call that each is in.

   Called in any context, an NMI in the middle of a change to these lists included: so every walk is
   bounded, and what it reads may be a moment old.  Registered by process_create. */
#include "kernel/census.h"

#include "kernel/clock.h"
#include "unix/process.h"
#include "unix/syscall_table.h"
#include "unix/thread.h"

#define THREADS_SHOWN 64

static void thread_write(const struct thread *t)
{
    char age[CENSUS_AGE_BYTES];
    u32 number = (u32)t->frame.orig_rax;
    const struct syscall_entry *call = syscall_of(number);
    const char *name = call ? call->name : "an unknown call";
    if (t->wait.scope && t->in_syscall)
        census_line("    thread %u waits in %s() for %s", t->tid, name,
                    census_age(age, clock_monotonic_ns() - t->wait.started_ns));
    else if (t->in_syscall)
        census_line("    thread %u is in %s()", t->tid, name);
    else if (t->runnable.on_cpu)
        census_line("    thread %u is on CPU %u", t->tid, t->runnable.on_cpu - 1);
    else
        census_line("    thread %u is ready for CPU %u", t->tid, t->runnable.cpu);
}

closure_method(census_writer, process_census, struct process, census)
{
    const struct process *p = owner();
    u32 shown = 0;
    census_line("  process %u %s: %u threads, %llu KiB%s", p->pid, p->path, p->thread_count,
                (unsigned long long)(p->memory.pages_own * (PAGE_BYTES / KiB)),
                p->exiting ? ", ending" : "");
    list_for_each (&p->threads, l) {
        if (shown++ == THREADS_SHOWN) {
            census_line("    and more");
            return;
        }
        thread_write(container_of(l, struct thread, link));
    }
}

void process_census_start(struct process *p)
{
    init_method(&p->census, process_census);
    census_register("the process", &p->census);
}

void process_census_end(struct process *p)
{
    census_unregister(&p->census);
}
