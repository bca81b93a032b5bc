/* Random work for the crash test: see test/host/crash_work.h. */
#include "test/host/crash_work.h"

#include "fs/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_MOST 20000u

static void __attribute__((format(printf, 2, 3)))
failed(struct crash_worker *w, const char *format, ...)
{
    va_list list;
    if (w->failure[0])
        return;
    va_start(list, format);
    vsnprintf(w->failure, sizeof(w->failure), format, list);
    va_end(list);
}

/* True when the change was made.  Some refusals belong to random work, others must not be. */
static bool made(struct crash_worker *w, const char *what, status s)
{
    if (getenv("CRASH_SHOW"))
        note("%llu: %s: %s", (unsigned long long)w->model->time + 1, what, status_text(s));
    static const int usual[] = {EEXIST, ENOTEMPTY, EISDIR, ENOTDIR, EINVAL, ENOSPC, ENODATA, EPERM};
    if (is_ok(s)) {
        w->changes++;
        return true;
    }
    w->refused++;
    for (u32 n = 0; n < countof(usual); n++)
        if (status_errno(s) == usual[n])
            return false;
    bool late = status_errno(s) == ETIMEDOUT || status_errno(s) == ELOOP;
    if (!w->faults || (late && !w->hangs))
        failed(w, "%s: errno %d, %s", what, status_errno(s), status_text(s));
    return false;
}

/* A change that may say EAGAIN; `call` is evaluated again. */
#define CHANGE(w, what, call)                                                                      \
    ({                                                                                             \
        status s_ = (call);                                                                        \
        for (u32 n_ = 0; n_ < 1000 && status_errno(s_) == EAGAIN; n_++) {                          \
            s_ = crash_machine_room((w)->machine);                                                 \
            if (is_ok(s_))                                                                         \
                s_ = (call);                                                                       \
        }                                                                                          \
        made((w), (what), s_);                                                                     \
    })

struct inode *crash_work_inode(struct crash_worker *w, const struct model_inode *i)
{
    struct inode *found = inode_find(w->machine->fs, i->number);
    must(found);
    return found;
}

/* --- choosing --------------------------------------------------------------------------------- */

static u64 below(struct crash_worker *w, u64 limit)
{
    return random_below(&w->random, limit);
}

static struct model_entry *entry_choose(struct crash_worker *w, enum inode_type type)
{
    struct crash_model *m = w->model;
    for (u32 n = 0; n < 20 && m->entry_count; n++) {
        struct model_entry *e = &m->entries[below(w, m->entry_count)];
        if (e->inode->type == type)
            return e;
    }
    return NULL;
}

static struct model_inode *directory_choose(struct crash_worker *w)
{
    struct model_entry *e = below(w, 2) ? entry_choose(w, INODE_DIRECTORY) : NULL;
    return e ? e->inode : w->model->inodes[0];
}

static const char *name_make(struct crash_worker *w)
{
    static char name[64];
    static const char tail[] = "-with-a-longer-name-than-usual-and-more";
    u64 more = below(w, 8) ? 0 : below(w, sizeof(tail));
    snprintf(name, sizeof(name), "n%u%.*s", w->names_made++, (int)more, tail);
    return name;
}

static struct model_entry *entry_named(struct crash_model *m, const struct model_inode *directory,
                                       const char *name)
{
    for (u32 n = 0; n < m->entry_count; n++)
        if (m->entries[n].directory == directory && strcmp(m->entries[n].name, name) == 0)
            return &m->entries[n];
    return NULL;
}

/* --- names ------------------------------------------------------------------------------------ */

static void work_create(struct crash_worker *w)
{
    struct model_inode *d = directory_choose(w);
    struct inode *above = crash_work_inode(w, d), *i;
    struct inode_initial initial = {.mode = (u32)below(w, 01000), .uid = (u32)below(w, 3)};
    const char *name = name_make(w);
    if (w->model->entry_count >= w->names_most)
        return;
    u64 kind = below(w, 8);
    if (kind == 0) {
        const char *target = kind + below(w, 2) ? "../somewhere/else" : "x";
        if (CHANGE(w, "symlink",
                   symlink_create(above, name, strlen(name), target, strlen(target), &initial, &i)))
            model_create(w->model, d, name, i, target);
        return;
    }
    enum inode_type type = kind == 1 ? INODE_DIRECTORY : INODE_FILE;
    if (CHANGE(w, "create", inode_create(above, name, strlen(name), type, &initial, &i)))
        model_create(w->model, d, name, i, NULL);
}

static void work_link(struct crash_worker *w)
{
    struct model_inode *d = directory_choose(w);
    struct model_entry *e = entry_choose(w, INODE_FILE);
    const char *name = name_make(w);
    if (!e || w->model->entry_count >= w->names_most)
        return;
    struct model_inode *i = e->inode;
    if (CHANGE(w, "link",
               inode_link(crash_work_inode(w, d), name, strlen(name), crash_work_inode(w, i))))
        model_link(w->model, d, name, i);
}

static void work_hold(struct crash_worker *w)
{
    struct model_entry *e = entry_choose(w, INODE_FILE);
    u64 n = below(w, WORK_HOLDS);
    if (w->held[n]) {
        inode_release(w->held[n]);
        w->held[n] = NULL;
    } else if (e) {
        w->held[n] = crash_work_inode(w, e->inode);
        inode_hold(w->held[n]);
    }
}

static void work_unlink(struct crash_worker *w)
{
    enum inode_type type = below(w, 4) ? INODE_FILE : below(w, 2) ? INODE_DIRECTORY : INODE_SYMLINK;
    struct model_entry *e = entry_choose(w, type);
    if (!e)
        return;
    struct inode *above = crash_work_inode(w, e->directory);
    u64 bytes = strlen(e->name);
    bool gone = type == INODE_DIRECTORY
                    ? CHANGE(w, "rmdir", directory_remove(above, e->name, bytes))
                    : CHANGE(w, "unlink", inode_unlink(above, e->name, bytes));
    if (gone)
        model_unlink(w->model, e);
}

static void work_rename(struct crash_worker *w)
{
    struct model_entry *from = entry_choose(w, below(w, 4) ? INODE_FILE : INODE_DIRECTORY);
    struct model_entry *over = below(w, 2) ? entry_choose(w, INODE_FILE) : NULL;
    struct model_inode *d = over ? over->directory : directory_choose(w);
    if (!from || (over && over->inode == from->inode))
        return;
    char name[64];
    snprintf(name, sizeof(name), "%s", over ? over->name : name_make(w));
    u32 flags = over && below(w, 3) == 0 ? RENAME_EXCHANGE_NAMES : 0;
    if (CHANGE(w, "rename",
               inode_rename(crash_work_inode(w, from->directory), from->name, strlen(from->name),
                            crash_work_inode(w, d), name, strlen(name), flags)))
        model_rename(w->model, from, d, name, over, flags != 0);
}

/* A file is written beside another one and takes its place: the usual way to save. */
static void work_replace(struct crash_worker *w);

static void work_xattr(struct crash_worker *w)
{
    static const char *const names[] = {"user.a", "user.bb", "user.ccc"};
    struct model_entry *e = entry_choose(w, below(w, 3) ? INODE_FILE : INODE_DIRECTORY);
    u8 old[400], value[400];
    u64 old_bytes = 0, bytes = below(w, sizeof(value)) + 1;
    if (!e)
        return;
    const char *name = names[below(w, countof(names))];
    struct inode *i = crash_work_inode(w, e->inode);
    bool had = is_ok(xattr_get(i, name, strlen(name), old, sizeof(old), &old_bytes));
    random_fill(&w->random, value, bytes);
    if (below(w, 3) == 0) {
        if (CHANGE(w, "xattr_remove", xattr_remove(i, name, strlen(name))))
            model_xattr(w->model, e->inode, name, had ? old : NULL, old_bytes, NULL, 0);
    } else if (CHANGE(w, "xattr_set", xattr_set(i, name, strlen(name), value, bytes, 0))) {
        model_xattr(w->model, e->inode, name, had ? old : NULL, old_bytes, value, bytes);
    }
}

static void work_attributes(struct crash_worker *w)
{
    struct model_entry *e = entry_choose(w, below(w, 3) ? INODE_FILE : INODE_DIRECTORY);
    struct inode_change c = {.what = CHANGE_MODE | CHANGE_UID | CHANGE_GID};
    if (!e)
        return;
    c.mode = (u32)below(w, 01000);
    c.uid = (u32)below(w, 100);
    c.gid = (u32)below(w, 100);
    if (CHANGE(w, "change", inode_change(crash_work_inode(w, e->inode), &c)))
        model_attributes_set(w->model, e->inode, c.mode, c.uid, c.gid);
}

/* --- data ------------------------------------------------------------------------------------- */

static void file_write(struct crash_worker *w, struct model_inode *f, u64 offset, u64 bytes)
{
    static u8 data[WRITE_MOST];
    struct inode *i = crash_work_inode(w, f);
    random_fill(&w->random, data, bytes);
    /* Page by page, so that the model knows how far it came when it had to wait. */
    for (u64 at = 0; at < bytes;) {
        u64 part = min(bytes - at, 4096 - (offset + at) % 4096);
        if (!made(w, "write", crash_machine_write(w->machine, i, offset + at, data + at, part)))
            return;
        model_write(w->model, f, offset + at, data + at, part);
        at += part;
    }
}

static void work_write(struct crash_worker *w)
{
    struct model_entry *e = entry_choose(w, INODE_FILE);
    static const u32 sizes[] = {1, 100, 511, 512, 4096, 4097, 9000, WRITE_MOST};
    if (!e)
        return;
    u64 most = w->file_bytes_most, length = e->inode->length;
    u64 bytes = 1 + below(w, min(sizes[below(w, countof(sizes))], most));
    u64 offset = below(w, 3) == 0   ? length
                 : below(w, 8) == 0 ? below(w, most)
                                    : below(w, length + 1);
    if (below(w, 3) == 0)
        offset = offset / 4096 * 4096, bytes = align_up(bytes, 4096);
    bytes = min(bytes, WRITE_MOST);
    if (offset + bytes <= most)
        file_write(w, e->inode, offset, bytes);
}

static void work_truncate(struct crash_worker *w)
{
    struct model_entry *e = entry_choose(w, INODE_FILE);
    if (!e)
        return;
    u64 bytes = below(w, 4) == 0   ? 0
                : below(w, 4) == 0 ? below(w, w->file_bytes_most)
                                   : below(w, e->inode->length + 1);
    status s = crash_machine_truncate(w->machine, crash_work_inode(w, e->inode), bytes);
    if (made(w, "truncate", s))
        model_length_set(w->model, e->inode, bytes);
}

static void work_allocate(struct crash_worker *w)
{
    static const u32 flags[] = {0, ALLOCATE_KEEP_SIZE, ALLOCATE_PUNCH | ALLOCATE_KEEP_SIZE,
                                ALLOCATE_PUNCH | ALLOCATE_KEEP_SIZE, ALLOCATE_ZERO};
    struct model_entry *e = entry_choose(w, INODE_FILE);
    if (!e)
        return;
    u32 f = flags[below(w, countof(flags))];
    struct model_inode *i = e->inode;
    u64 offset = below(w, i->length + 1), bytes = 1 + below(w, WRITE_MOST);
    if (offset + bytes > w->file_bytes_most)
        return;
    bool zeros = f & (ALLOCATE_PUNCH | ALLOCATE_ZERO);
    u64 within = f & ALLOCATE_KEEP_SIZE ? min(bytes, i->length - offset) : bytes;
    must(bytes / 4096 + 2 < ALLOCATE_PARTS); /* so what fails changes nothing */
    status s = crash_machine_allocate(w->machine, crash_work_inode(w, i), f, offset, bytes);
    if (!made(w, "allocate", s))
        return;
    if (zeros && within)
        model_write(w->model, i, offset, NULL, within);
    else if (!zeros && !(f & ALLOCATE_KEEP_SIZE) && offset + bytes > i->length)
        model_length_set(w->model, i, offset + bytes);
}

static void work_replace(struct crash_worker *w)
{
    struct model_entry *over = entry_choose(w, INODE_FILE);
    struct inode_initial initial = {.mode = 0600};
    struct inode *i;
    if (!over)
        return;
    struct model_inode *d = over->directory, *old = over->inode;
    char name[64], temporary[64];
    snprintf(name, sizeof(name), "%s", over->name);
    snprintf(temporary, sizeof(temporary), "%s", name_make(w));
    struct inode *above = crash_work_inode(w, d);
    if (!CHANGE(w, "create",
                inode_create(above, temporary, strlen(temporary), INODE_FILE, &initial, &i)))
        return;
    struct model_inode *f = model_create(w->model, d, temporary, i, NULL);
    file_write(w, f, 0, 1 + below(w, min(w->file_bytes_most, WRITE_MOST)));
    over = entry_named(w->model, d, name);
    must(over && over->inode == old);
    if (CHANGE(w, "rename",
               inode_rename(above, temporary, strlen(temporary), above, name, strlen(name), 0)))
        model_rename(w->model, entry_named(w->model, d, temporary), d, name, over, false);
}

/* --- syncs ------------------------------------------------------------------------------------ */

static void sync_ended(struct crash_worker *w, struct work_sync *s)
{
    s->running = false;
    if (is_ok(s->result.s)) {
        w->synced++;
        model_sync_ended(w->model, s->promise);
        return;
    }
    w->sync_failures++;
    if (!w->faults)
        failed(w, "a sync failed: %s", status_text(s->result.s));
}

static void syncs_look(struct crash_worker *w)
{
    for (u32 n = 0; n < WORK_SYNCS; n++)
        if (w->syncs[n].running && w->syncs[n].result.applied)
            sync_ended(w, &w->syncs[n]);
}

static void sync_wait_for(struct crash_worker *w, struct work_sync *s)
{
    if (!s->running)
        return;
    if (crash_machine_wait(w->machine, &s->result)) {
        sync_ended(w, s);
        return;
    }
    if (!w->hangs)
        failed(w, "a sync does not end");
    must(sync_wait_cancel(&s->wait));
    closure_freed(&s->result.done.header);
    s->running = false;
    s->result.s = status_error(ETIMEDOUT, "test: a sync does not end", 0);
}

/* i NULL: everything. */
static struct work_sync *sync_start(struct crash_worker *w, struct model_inode *i,
                                    enum sync_kind kind)
{
    struct work_sync *s = &w->syncs[below(w, WORK_SYNCS)];
    sync_wait_for(w, s);
    if (getenv("CRASH_SHOW"))
        note("%llu: sync of %llu, kind %u", (unsigned long long)w->model->time,
             (unsigned long long)(i ? i->number : 0), kind);
    *s = (struct work_sync){.running = true, .promise = model_sync_begun(w->model, i, kind)};
    status_handler done = host_result_init(&s->result);
    if (i)
        file_sync(crash_work_inode(w, i), 0, ~0ull, kind, &s->wait, done);
    else
        filesystem_sync(w->machine->fs, &s->wait, done);
    return s;
}

static void work_sync(struct crash_worker *w)
{
    struct model_entry *e = entry_choose(w, below(w, 5) ? INODE_FILE : INODE_DIRECTORY);
    enum sync_kind kind = below(w, 3) ? SYNC_ALL : SYNC_DATA;
    struct model_inode *i = e && below(w, 6) ? e->inode : NULL;
    if (e && e->inode->type == INODE_DIRECTORY)
        kind = SYNC_ALL;
    struct work_sync *s = sync_start(w, i, kind);
    if (below(w, 3) == 0)
        sync_wait_for(w, s);
}

bool crash_work_sync_all(struct crash_worker *w)
{
    struct work_sync *s = sync_start(w, NULL, SYNC_ALL);
    sync_wait_for(w, s);
    return is_ok(s->result.s);
}

void crash_work_drain(struct crash_worker *w)
{
    for (u32 n = 0; n < WORK_SYNCS; n++)
        sync_wait_for(w, &w->syncs[n]);
    for (u32 n = 0; n < WORK_HOLDS; n++) {
        if (w->held[n])
            inode_release(w->held[n]);
        w->held[n] = NULL;
    }
}

/* --- steps ------------------------------------------------------------------------------------ */

void crash_worker_init(struct crash_worker *w, struct crash_machine *c, struct crash_model *m,
                       u64 seed)
{
    *w = (struct crash_worker){.machine = c, .model = m, .file_bytes_most = 100000};
    w->names_most = 60;
    w->names_made = (u32)(seed % 9000 + 1000) * 1000;
    random_init(&w->random, seed);
}

static void time_passes(struct crash_worker *w)
{
    struct host_executor *x = &w->machine->x;
    u64 kind = below(w, 20);
    if (kind == 0)
        host_executor_pass(x, below(w, 7 * NS_PER_SECOND));
    else if (kind < 4)
        host_executor_pass(x, below(w, 3 * NS_PER_MS));
    for (u64 n = below(w, 12); n && host_executor_step(x); n--)
        ;
    syncs_look(w);
}

void crash_work_step(struct crash_worker *w)
{
    static const struct {
        u32 weight;
        void (*work)(struct crash_worker *w);
    } works[] = {
        {30, work_write},   {10, work_create},  {6, work_unlink},  {6, work_rename},
        {4, work_link},     {3, work_hold},     {4, work_xattr},   {4, work_attributes},
        {6, work_truncate}, {5, work_allocate}, {4, work_replace}, {12, work_sync},
    };
    u32 total = 0, n = 0;
    for (u32 k = 0; k < countof(works); k++)
        total += works[k].weight;
    u64 chosen = below(w, total);
    for (; chosen >= works[n].weight; n++)
        chosen -= works[n].weight;
    works[n].work(w);
    time_passes(w);
}
