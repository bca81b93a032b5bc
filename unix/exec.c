/* Starting the program that the image names: read its headers, map it, make its stack and its first
   thread.  Nothing is kept of a start that fails but one line and an exit status as a shell's.

   Reading may have to wait for the disk: then the page is fetched and reading begins again from the
   start, which finds in the cache what it had before. */
#include "kernel/log.h"
#include "kernel/run_loop.h"
#include "runtime/format.h"
#include "unix/program.h"
#include "unix/strace.h"
#include "unix/thread.h"

#define FETCHES_MOST 64 /* of one start; there are four places to read, a page or two each */

struct program_start {
    struct program program;
    process_ended ended;
    struct status_handler fetched;
    u32 fetches;
};

static void start_failed(struct program_start *s, const char *what, u8 exit_status)
{
    struct process *p = s->program.process;
    log_error("%s: %s", p ? p->path : "program", what);
    process_ended ended = s->ended;
    if (s->program.main.inode)
        inode_release(s->program.main.inode);
    if (s->program.interpreter.inode)
        inode_release(s->program.interpreter.inode);
    if (p)
        process_destroy(p);
    deallocate(general_heap, s, sizeof(*s));
    apply(ended, exit_status);
}

static void first_thread(struct program_start *s)
{
    struct program *g = &s->program;
    struct process *p = g->process;
    u64 sp = 0;
    if (program_map(g) != 0) {
        start_failed(s, g->text, 126);
        return;
    }
    struct thread *t = thread_create(p);
    if (!t || (thread_activate(t), program_stack(g, &sp) != 0)) {
        start_failed(s, t && g->text ? g->text : "not enough memory to start it", 126);
        return;
    }
    struct program_file *entered = g->interpreter.inode ? &g->interpreter : &g->main;
    t->frame.rip = entered->image.header.entry + entered->bias;
    t->frame.rsp = sp;
    p->executable = g->main.inode;
    if (g->interpreter.inode)
        inode_release(g->interpreter.inode);
    deallocate(general_heap, s, sizeof(*s));
    thread_resume(t);
}

static void start_read(struct program_start *s);

closure_method(status_handler, start_fetched, struct program_start, fetched, status came)
{
    struct program_start *s = owner();
    if (!is_ok(came))
        start_failed(s, status_text(came), 126);
    else if (++s->fetches > FETCHES_MOST)
        start_failed(s, "not enough memory to start it", 126);
    else
        start_read(s);
}

static void start_read(struct program_start *s)
{
    struct program *g = &s->program;
    s64 result = program_read(g);
    if (result == 0) {
        first_thread(s);
    } else if (result == -EAGAIN) {
        init_method(&s->fetched, start_fetched);
        pages_fetch(g->missing, g->missing_page, pages_read_ahead(g->missing, g->missing_page, 1),
                    &s->fetched);
    } else {
        start_failed(s, g->text, g->failure);
    }
}

/* argv[0]'s last component is the name, as exec makes it from the path. */
static void set_name(struct process *p)
{
    const char *name = p->path;
    for (const char *c = p->path; *c; c++)
        if (*c == '/' && c[1])
            name = c + 1;
    format_text(p->name, sizeof(p->name), "%s", name);
}

/* What of the settings is needed before the program is read: NULL, or what is wrong. */
static const char *apply_settings(struct process *p)
{
    const char *cwd = filesystem_setting(p->fs, "cwd", 0);
    struct inode *directory;
    if (cwd && *cwd) {
        if (path_find(p, cwd, &directory) != 0)
            return "its working directory is not in the image";
        if (inode_type(directory) != INODE_DIRECTORY) {
            inode_release(directory);
            return "its working directory is not a directory";
        }
        inode_release(p->cwd);
        p->cwd = directory;
    }
    return NULL;
}

void process_start(struct filesystem *root, process_ended ended)
{
    const char *path = filesystem_setting(root, "program", 0);
    struct program_start *s = allocate_zero(general_heap, sizeof(*s));
    if (!s) {
        log_error("not enough memory to start a program");
        apply(ended, 126);
        return;
    }
    strace_init();
    thread_set_hooks();
    s->ended = ended;
    struct process *p = s->program.process = process_create(root, ended);
    if (!p) {
        start_failed(s, "not enough memory to start it", 126);
        return;
    }
    if (!path || !*path || strlen(path) >= sizeof(p->path)) {
        start_failed(s, path && *path ? "its path is too long" : "the image names no program", 127);
        return;
    }
    memcpy(p->path, path, strlen(path) + 1);
    set_name(p);
    const char *wrong = apply_settings(p);
    /* The open files begin in the working directory, so they come after it. */
    if (!wrong && files_create(p) != 0)
        wrong = "not enough memory to start it";
    if (wrong)
        start_failed(s, wrong, 126);
    else
        start_read(s);
}
