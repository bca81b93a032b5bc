/* /proc/PID and /proc/self: the process as it shows itself.  There is one process for now, so an
   index below is a descriptor or a thread's number, never a process's. */
#include "kernel/user_copy.h"
#include "runtime/format.h"
#include "unix/descriptor.h"
#include "unix/identity.h"
#include "unix/proc.h"

/* --- where an inode is ------------------------------------------------------------------------ */

#define SEARCH_DEPTH   64
#define SEARCH_ENTRIES 200000 /* then the name is given up and left out */

/* The path of an inode by searching the tree: for maps, which nobody reads often. */
static bool inode_path(struct process *p, const struct inode *wanted, char *to, u64 most)
{
    struct inode *at[SEARCH_DEPTH] = {p->root};
    u64 cookies[SEARCH_DEPTH] = {0};
    u32 depth = 0;
    for (u32 looked = 0; looked < SEARCH_ENTRIES; looked++) {
        struct directory_entry e;
        if (!directory_next(at[depth], cookies[depth], &e)) {
            if (!depth--)
                return false;
            continue;
        }
        cookies[depth] = e.cookie;
        if (e.inode == wanted) {
            struct node directory = node_of_inode(at[depth]);
            return path_text(p, &directory, e.name, e.name_bytes, to, most) > 0;
        }
        if (inode_type(e.inode) == INODE_DIRECTORY && depth + 1 < SEARCH_DEPTH) {
            at[++depth] = e.inode;
            cookies[depth] = 0;
        }
    }
    return false;
}

/* --- texts ------------------------------------------------------------------------------------ */

#define MAPS_NAME_COLUMN 73

static void maps_line(struct process *p, struct region *r, struct text *to, char *path)
{
    u64 start = to->used;
    struct inode_attributes a = {.number = 0};
    if (r->inode)
        inode_attributes(r->inode, &a);
    text_add(to, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", r->range.r.start, r->range.r.end,
             r->flags & REGION_READ ? 'r' : '-', r->flags & REGION_WRITE ? 'w' : '-',
             r->flags & REGION_EXECUTE ? 'x' : '-', r->flags & REGION_SHARED ? 's' : 'p',
             r->inode ? r->offset : 0, r->inode ? 254 : 0, 0, a.number);
    const char *name = r->name;
    if (r->inode && inode_path(p, r->inode, path, LINUX_PATH_MOST))
        name = path;
    while (name && to->used - start < MAPS_NAME_COLUMN && !to->failed)
        text_add(to, " ");
    if (name)
        text_add_bytes(to, name, strlen(name));
    text_add(to, "\n");
}

static void maps_text(struct thread *t, u32 index, struct text *to)
{
    (void)index;
    char *path = allocate(general_heap, LINUX_PATH_MOST);
    to->failed = !path;
    struct region *r = path ? region_at_or_next(&t->process->memory, 0) : NULL;
    for (; r; r = region_next(r))
        maps_line(t->process, r, to, path);
    deallocate(general_heap, path, LINUX_PATH_MOST);
}

static u64 resident_pages(struct process *p)
{
    return p->memory.pages_own + p->memory.pages_cached;
}

static void status_text_memory(struct process *p, struct text *to)
{
    u64 mapped = p->memory.bytes_mapped / KiB;
    u64 resident = resident_pages(p) * (PAGE_BYTES / KiB);
    text_add(to, "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\n", mapped, mapped);
    text_add(to, "VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\n", resident, resident);
    text_add(to, "RssAnon:\t%8lu kB\nRssFile:\t%8lu kB\n", p->memory.pages_own * 4,
             p->memory.pages_cached * 4);
    text_add(to, "VmSwap:\t%8u kB\n", 0);
}

static void status_text_of(struct thread *t, u32 index, struct text *to)
{
    (void)index;
    struct process *p = t->process;
    text_add(to, "Name:\t%s\nUmask:\t%04o\nState:\tR (running)\n", p->name, p->umask);
    text_add(to, "Tgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:\t%u\nTracerPid:\t0\n", p->pid, p->pid,
             p->parent_pid);
    text_add(to, "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t%u\nGroups:\t", p->files->capacity);
    for (u32 i = 0; i < p->group_count; i++)
        text_add(to, "%u ", p->groups[i]);
    text_add(to, "%s\n", p->group_count ? "" : " ");
    status_text_memory(p, to);
    text_add(to, "Threads:\t%u\nSigQ:\t0/1024\nSigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\n",
             p->thread_count, t->signal_pending, p->signals.pending, t->signal_mask);
    text_add(to, "CapInh:\t%016x\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\n", 0);
    text_add(to, "CapBnd:\t000001ffffffffff\nCapAmb:\t%016x\nNoNewPrivs:\t0\nSeccomp:\t0\n", 0);
    text_add(to, "Cpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\n"
                 "Mems_allowed_list:\t0\n");
    text_add(to, "voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n");
}

/* proc(5), fields 1 to 52. */
static void stat_text_of(struct thread *t, u32 index, struct text *to)
{
    (void)index;
    struct process *p = t->process;
    u64 ticks = NS_PER_SECOND / TICKS_PER_SECOND;
    u64 used = (clock_monotonic_ns() - p->started_ns) / ticks;
    text_add(to, "%u (%s) R %u %u %u 0 -1 4194304 0 0 0 0 ", p->pid, p->name, p->parent_pid, p->pid,
             p->pid);
    text_add(to, "%lu 0 0 0 20 0 %u 0 %lu %lu %lu 18446744073709551615 ", used, p->thread_count,
             p->started_ns / ticks, p->memory.bytes_mapped, resident_pages(p));
    text_add(to, "0 0 %lu 0 0 %lu %lu 0 0 0 0 0 17 0 0 0 0 0 0 0 0 %lu ", p->memory.stack_top,
             p->signals.pending, t->signal_mask, p->memory.break_start);
    text_add(to, "%lu %lu %lu %lu 0\n", p->argument_start, p->argument_end, p->environment_start,
             p->environment_end);
}

static void statm_text(struct thread *t, u32 index, struct text *to)
{
    (void)index;
    struct user_memory *m = &t->process->memory;
    text_add(to, "%llu %lu %lu 0 0 %lu 0\n", m->bytes_mapped / PAGE_BYTES,
             resident_pages(t->process), m->pages_cached, m->pages_own);
}

static void comm_text(struct thread *t, u32 index, struct text *to)
{
    (void)index;
    text_add(to, "%s\n", t->process->name);
}

/* A range of the program's own memory: what is not there any more ends it. */
static void memory_text(struct text *to, u64 start, u64 end)
{
    char piece[256];
    while (start < end) {
        u64 bytes = min(end - start, sizeof(piece));
        u64 missed = copy_in(piece, start, bytes);
        text_add_bytes(to, piece, bytes - missed);
        if (missed)
            return;
        start += bytes;
    }
}

static void process_cmdline_text(struct thread *t, u32 index, struct text *to)
{
    (void)index;
    memory_text(to, t->process->argument_start, t->process->argument_end);
}

static void environ_text(struct thread *t, u32 index, struct text *to)
{
    (void)index;
    memory_text(to, t->process->environment_start, t->process->environment_end);
}

static void auxv_text(struct thread *t, u32 index, struct text *to)
{
    (void)index;
    memory_text(to, t->process->auxv_start, t->process->auxv_end);
}

static void limits_text(struct thread *t, u32 index, struct text *to)
{
    static const char *const names[LIMITS] = {
        "Max cpu time",       "Max file size",     "Max data size",         "Max stack size",
        "Max core file size", "Max resident set",  "Max processes",         "Max open files",
        "Max locked memory",  "Max address space", "Max file locks",        "Max pending signals",
        "Max msgqueue size",  "Max nice priority", "Max realtime priority", "Max realtime timeout"};
    (void)index;
    text_add(to, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (u32 i = 0; i < LIMITS; i++) {
        const struct limit *l = &t->process->files->limits[i];
        char soft[24] = "unlimited", hard[24] = "unlimited";
        if (l->soft != LIMIT_NONE)
            format_text(soft, sizeof(soft), "%lu", l->soft);
        if (l->hard != LIMIT_NONE)
            format_text(hard, sizeof(hard), "%lu", l->hard);
        text_add(to, "%-25s %-20s %-20s\n", names[i], soft, hard);
    }
}

static void cgroup_text(struct thread *t, u32 index, struct text *to)
{
    (void)t, (void)index;
    text_add(to, "0::/\n");
}

static void score_text(struct thread *t, u32 index, struct text *to)
{
    (void)t, (void)index;
    text_add(to, "0\n");
}

/* --- links ------------------------------------------------------------------------------------ */

static s64 text_to(char *to, u64 most, const char *from)
{
    u64 bytes = strlen(from);
    if (bytes > most)
        return -ERANGE;
    memcpy(to, from, bytes);
    return (s64)bytes;
}

static s64 self_target(struct process *p, u32 index, char *to, u64 most)
{
    (void)index;
    char text[16];
    format_text(text, sizeof(text), "%u", p->pid);
    return text_to(to, most, text);
}

static s64 thread_self_target(struct process *p, u32 index, char *to, u64 most)
{
    (void)index;
    char text[40];
    struct thread *t = thread_current();
    format_text(text, sizeof(text), "%u/task/%u", p->pid, t ? t->tid : p->pid);
    return text_to(to, most, text);
}

static s64 exe_target(struct process *p, u32 index, char *to, u64 most)
{
    (void)index;
    return text_to(to, most, p->path);
}

static s64 exe_jump(struct process *p, u32 index, struct node *to)
{
    (void)index;
    *to = node_of_inode(p->executable);
    return p->executable ? 0 : -ENOENT;
}

/* path_text's length counts the terminator; a link's does not. */
static s64 link_length(s64 r)
{
    return r > 0 ? r - 1 : r;
}

static s64 cwd_target(struct process *p, u32 index, char *to, u64 most)
{
    (void)index;
    struct node cwd = process_directory(p);
    return link_length(path_text(p, &cwd, NULL, 0, to, most));
}

static s64 cwd_jump(struct process *p, u32 index, struct node *to)
{
    (void)index;
    *to = process_directory(p);
    return 0;
}

static s64 root_target(struct process *p, u32 index, char *to, u64 most)
{
    (void)p, (void)index;
    return text_to(to, most, "/");
}

static s64 root_jump(struct process *p, u32 index, struct node *to)
{
    (void)index;
    *to = process_root(p);
    return 0;
}

/* The name that a file has in the directory it was opened in, or elsewhere.  One without a name is
   shown by its number, as Linux shows those of O_TMPFILE. */
static s64 file_target(struct process *p, struct file *f, char *to, u64 most)
{
    if (f->node.virtual) {
        const struct virtual_node *v = f->node.virtual;
        struct node above = {NULL, v->parent ? v->parent : v, NULL, f->node.index};
        const char *name = virtual_name(p, &f->node);
        return path_text(p, &above, name, v->parent ? strlen(name) : 0, to, most);
    }
    if (node_is_directory(&f->node))
        return path_text(p, &f->node, NULL, 0, to, most);
    struct directory_entry e = {.cookie = 0};
    while (f->parent.inode && directory_next(f->parent.inode, e.cookie, &e))
        if (e.inode == f->node.inode)
            return path_text(p, &f->parent, e.name, e.name_bytes, to, most);
    if (inode_path(p, f->node.inode, to, most))
        return (s64)strlen(to) + 1;
    struct inode_attributes a;
    char name[48];
    inode_attributes(f->node.inode, &a);
    u64 bytes = format_text(name, sizeof(name), "#%lu (deleted)", a.number);
    struct node above = f->parent.inode ? f->parent : process_root(p);
    return path_text(p, &above, name, bytes, to, most);
}

static s64 fd_target(struct process *p, u32 index, char *to, u64 most)
{
    struct file *f = descriptor_file(p, (s32)index);
    char text[40];
    if (!f)
        return -ENOENT;
    if (!node_is_none(&f->node))
        return link_length(file_target(p, f, to, most));
    const char *name = f->operations->name;
    bool anonymous = !memcmp(name, "anon_inode:", min(strlen(name), 11ul));
    format_text(text, sizeof(text), anonymous ? "%s" : "%s:[%lu]", name, f->number);
    return text_to(to, most, text);
}

static s64 fd_jump(struct process *p, u32 index, struct node *to)
{
    struct file *f = descriptor_file(p, (s32)index);
    if (!f)
        return -ENOENT;
    *to = f->node;
    if (node_is_none(to))
        to->file = f;
    return 0;
}

/* --- directories ------------------------------------------------------------------------------ */

static const struct virtual_node process_directory_node, directory_fd, directory_task, task_node;

static const struct virtual_node fd_link = {.name = "fd",
                                            .mode = S_IFLNK | 0700,
                                            .number = 120,
                                            .parent = &directory_fd,
                                            .target = fd_target,
                                            .jump = fd_jump};

static s64 fd_lookup(struct process *p, u32 index, const char *name, u64 bytes, struct node *found)
{
    u32 fd;
    (void)index;
    if (!name_number(name, bytes, &fd) || !descriptor_file(p, (s32)fd))
        return -ENOENT;
    *found = (struct node){NULL, &fd_link, NULL, fd};
    return 0;
}

/* Names of numbered entries live until the next one is asked for. */
static const char *number_name(u32 number)
{
    static char name[16];
    format_text(name, sizeof(name), "%u", number);
    return name;
}

static bool fd_next(struct process *p, u32 index, u64 cookie, struct virtual_entry *entry)
{
    (void)index;
    while (cookie < p->files->capacity && !p->files->entries[cookie].file)
        cookie++;
    if (cookie >= p->files->capacity)
        return false;
    *entry = (struct virtual_entry){
        number_name((u32)cookie), {NULL, &fd_link, NULL, (u32)cookie}, cookie + 1};
    return true;
}

static struct thread *thread_at(struct process *p, u64 position)
{
    list_for_each (&p->threads, link) {
        if (!position--)
            return container_of(link, struct thread, link);
    }
    return NULL;
}

static s64 task_lookup(struct process *p, u32 index, const char *name, u64 bytes,
                       struct node *found)
{
    u32 tid;
    struct thread *t;
    (void)index;
    if (!name_number(name, bytes, &tid))
        return -ENOENT;
    for (u64 i = 0; (t = thread_at(p, i)); i++) {
        if (t->tid == tid) {
            *found = (struct node){NULL, &task_node, NULL, tid};
            return 0;
        }
    }
    return -ENOENT;
}

static bool task_next(struct process *p, u32 index, u64 cookie, struct virtual_entry *entry)
{
    (void)index;
    struct thread *t = thread_at(p, cookie);
    if (!t)
        return false;
    *entry =
        (struct virtual_entry){number_name(t->tid), {NULL, &task_node, NULL, t->tid}, cookie + 1};
    return true;
}

s64 proc_process_lookup(struct process *p, u32 index, const char *name, u64 bytes,
                        struct node *found)
{
    u32 pid;
    (void)index;
    if (!name_number(name, bytes, &pid) || pid != p->pid)
        return -ENOENT;
    *found = (struct node){NULL, &process_directory_node, NULL, 0};
    return 0;
}

bool proc_process_next(struct process *p, u32 index, u64 cookie, struct virtual_entry *entry)
{
    (void)index;
    if (cookie)
        return false;
    *entry =
        (struct virtual_entry){number_name(p->pid), {NULL, &process_directory_node, NULL, 0}, 1};
    return true;
}

/* --- the tree --------------------------------------------------------------------------------- */

#define TEXT(variable, label, inode_number, above, function)                                       \
    static const struct virtual_node variable = {.name = (label),                                  \
                                                 .mode = S_IFREG | 0444,                           \
                                                 .number = (inode_number),                         \
                                                 .parent = (above),                                \
                                                 .text = (function)}
#define LINK(variable, label, inode_number, text_function, jump_function)                          \
    static const struct virtual_node variable = {.name = (label),                                  \
                                                 .mode = S_IFLNK | 0777,                           \
                                                 .number = (inode_number),                         \
                                                 .parent = &process_directory_node,                \
                                                 .target = (text_function),                        \
                                                 .jump = (jump_function)}

TEXT(task_status, "status", 130, &task_node, status_text_of);
TEXT(task_stat, "stat", 131, &task_node, stat_text_of);
TEXT(task_comm, "comm", 132, &task_node, comm_text);
static const struct virtual_node *const task_children[] = {&task_comm, &task_stat, &task_status,
                                                           NULL};
static const struct virtual_node task_node = {.name = "task",
                                              .mode = S_IFDIR | 0555,
                                              .number = 133,
                                              .parent = &directory_task,
                                              .children = task_children};

static const struct virtual_node directory_fd = {.name = "fd",
                                                 .mode = S_IFDIR | 0500,
                                                 .number = 100,
                                                 .parent = &process_directory_node,
                                                 .lookup = fd_lookup,
                                                 .next = fd_next};
static const struct virtual_node directory_task = {.name = "task",
                                                   .mode = S_IFDIR | 0555,
                                                   .number = 101,
                                                   .parent = &process_directory_node,
                                                   .lookup = task_lookup,
                                                   .next = task_next};
LINK(process_exe, "exe", 102, exe_target, exe_jump);
LINK(process_cwd, "cwd", 103, cwd_target, cwd_jump);
LINK(process_root_link, "root", 104, root_target, root_jump);
TEXT(process_maps, "maps", 105, &process_directory_node, maps_text);
TEXT(process_status, "status", 106, &process_directory_node, status_text_of);
TEXT(process_stat, "stat", 107, &process_directory_node, stat_text_of);
TEXT(process_statm, "statm", 108, &process_directory_node, statm_text);
TEXT(process_comm, "comm", 109, &process_directory_node, comm_text);
TEXT(process_cmdline, "cmdline", 110, &process_directory_node, process_cmdline_text);
TEXT(process_environ, "environ", 111, &process_directory_node, environ_text);
TEXT(process_auxv, "auxv", 112, &process_directory_node, auxv_text);
TEXT(process_mounts, "mounts", 113, &process_directory_node, mounts_text);
TEXT(process_limits, "limits", 114, &process_directory_node, limits_text);
TEXT(process_cgroup, "cgroup", 115, &process_directory_node, cgroup_text);
TEXT(process_oom, "oom_score_adj", 116, &process_directory_node, score_text);

static const struct virtual_node *const process_children[] = {
    &process_auxv,      &process_cgroup, &process_cmdline,
    &process_comm,      &process_cwd,    &process_environ,
    &process_exe,       &directory_fd,   &process_limits,
    &process_maps,      &process_mounts, &process_oom,
    &process_root_link, &process_stat,   &process_statm,
    &process_status,    &directory_task, NULL};

static const struct virtual_node process_directory_node = {
    .mode = S_IFDIR | 0555, .number = 99, .parent = &virtual_proc, .children = process_children};

const struct virtual_node proc_self = {.name = "self",
                                       .mode = S_IFLNK | 0777,
                                       .number = 97,
                                       .parent = &virtual_proc,
                                       .target = self_target};
const struct virtual_node proc_thread_self = {.name = "thread-self",
                                              .mode = S_IFLNK | 0777,
                                              .number = 98,
                                              .parent = &virtual_proc,
                                              .target = thread_self_target};
