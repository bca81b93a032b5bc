/* An image mounted in this process: see mounted.h.  Waiting is answering the disk's requests until
   the completion came. */
#include "tools/mounted.h"
#include "tools/disk.h"
#include "tools/image.h"
#include "tools/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SYMLINKS_MOST 40   /* as Linux */
#define CACHE_PAGES   4096 /* 16 MiB */
#define PATH_BYTES    8192
#define ATTEMPTS_MOST 10000

struct mounted {
    struct executor executor;
    struct closure_header *first, **end; /* what the executor was given */
    struct disk disk;
    const char *name;
    struct filesystem *fs;
    struct mount_handler mounted;
    struct status_handler read_done;
    bool waiting;
    u32 attempts; /* of one change */
    status outcome;
};

static void warn_line(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    say("%s", line);
}

closure_method(mount_handler, mount_landed, struct mounted, mounted, struct filesystem *fs,
               status s)
{
    struct mounted *m = owner();
    m->fs = fs;
    m->outcome = s;
    m->waiting = false;
}

closure_method(status_handler, read_landed, struct mounted, read_done, status s)
{
    struct mounted *m = owner();
    m->outcome = s;
    m->waiting = false;
}

static struct mounted *mounted_of(const struct executor *e)
{
    return (struct mounted *)(u64)e; /* the field is the struct's first */
}

static void mounted_later(const struct executor *e, struct closure_header *deferred)
{
    struct mounted *m = mounted_of(e);
    deferred->next = NULL;
    *m->end = deferred;
    m->end = &deferred->next;
}

/* How long a request takes is of interest to nobody here. */
static u64 mounted_now(const struct executor *e)
{
    (void)e;
    return 0;
}

/* Nothing has to happen by itself: whoever changes something ends the mount, which syncs. */
static void mounted_timer_set(const struct executor *e, struct timer *t, u64 expires_ns,
                              thunk expired)
{
    (void)e, (void)t, (void)expires_ns, (void)expired;
}

static bool mounted_timer_cancel(const struct executor *e, struct timer *t)
{
    (void)e, (void)t;
    return false;
}

static s64 clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (s64)t.tv_sec * (s64)NS_PER_SECOND + t.tv_nsec;
}

static bool mounted_run(struct mounted *m)
{
    struct closure_header *first = m->first;
    if (!first)
        return false;
    m->first = first->next;
    if (!m->first)
        m->end = &m->first;
    closure_run_deferred(first);
    return true;
}

static void wait_for(struct mounted *m, const char *what)
{
    while (m->waiting) {
        if (!mounted_run(m) && !disk_poll(&m->disk))
            die(EXIT_FAILED, "%s: %s: nothing is in flight, and it did not end", m->name, what);
    }
}

struct mounted *image_mount(const char *path)
{
    return image_mount_open(image_open(path, IMAGE_READ), path);
}

struct mounted *image_mount_open(int fd, const char *path)
{
    struct mounted *m = must_allocate(sizeof(*m));
    m->name = path;
    disk_init(&m->disk, fd, path, image_length(fd));
    m->executor = (struct executor){.later = mounted_later,
                                    .now_ns = mounted_now,
                                    .timer_set = mounted_timer_set,
                                    .timer_cancel = mounted_timer_cancel};
    m->end = &m->first;
    struct filesystem_environment environment = {.heap = &malloc_heap,
                                                 .pages = &malloc_pages,
                                                 .device = &m->disk.device,
                                                 .executor = &m->executor,
                                                 .cache_pages_most = CACHE_PAGES,
                                                 .commit_interval_ns = ~0ull,
                                                 .time_ns = clock_ns,
                                                 .warn = warn_line};
    init_method(&m->mounted, mount_landed);
    m->waiting = true;
    filesystem_mount(&environment, &m->mounted);
    wait_for(m, "mounting");
    if (!is_ok(m->outcome))
        die(EXIT_FAILED, "%s: %s", path, status_text(m->outcome));
    return m;
}

void image_unmount(struct mounted *m)
{
    init_method(&m->read_done, read_landed);
    m->waiting = true;
    filesystem_unmount(m->fs, &m->read_done);
    wait_for(m, "unmounting");
    close(m->disk.fd);
    free(m);
}

struct filesystem *mounted_filesystem(struct mounted *m)
{
    return m->fs;
}

/* Puts a symlink's target before what is left of the path. */
static void path_follow(struct mounted *m, const struct inode *link, char *rest, const char *path)
{
    u64 bytes;
    const char *target = symlink_target(link, &bytes);
    char *longer = text_of("%.*s/%s", (int)bytes, target, rest);
    if (strlen(longer) >= PATH_BYTES)
        die(EXIT_FAILED, "%s: %s: too long once its symlinks are followed", m->name, path);
    strcpy(rest, longer);
    free(longer);
}

/* ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG. */
static status path_find(struct mounted *m, const char *path, enum path_last last,
                        struct inode **found)
{
    struct inode *at = filesystem_root(m->fs);
    u32 links = 0;
    char rest[PATH_BYTES];
    if (strlen(path) >= sizeof(rest))
        return status_error(ENAMETOOLONG, "the path is too long", strlen(path));
    strcpy(rest, path);
    for (char *p = rest; *(p += strspn(p, "/"));) {
        u64 length = strcspn(p, "/");
        char *after = p + length + strspn(p + length, "/");
        struct inode *next = at;
        status s = STATUS_OK;
        if (length == 2 && !strncmp(p, "..", 2))
            next = inode_type(at) == INODE_DIRECTORY ? inode_parent(at) : at;
        else if (!(length == 1 && *p == '.'))
            s = inode_lookup(at, p, length, &next);
        if (!is_ok(s))
            return s;
        if (inode_type(next) == INODE_SYMLINK && (*after || last == PATH_LAST_FOLLOWED)) {
            if (++links > SYMLINKS_MOST)
                return status_error(ELOOP, "too many symlinks", links);
            memmove(rest, after, strlen(after) + 1);
            path_follow(m, next, rest, path);
            if (rest[0] == '/')
                at = filesystem_root(m->fs);
            p = rest;
            continue;
        }
        at = next;
        p = after;
    }
    *found = at;
    return STATUS_OK;
}

struct inode *mounted_lookup(struct mounted *m, const char *path, enum path_last last)
{
    struct inode *found = NULL;
    status s = path_find(m, path, last, &found);
    if (!is_ok(s))
        die(EXIT_FAILED, "%s: %s: %s", m->name, path, strerror(status_errno(s)));
    return found;
}

struct inode *mounted_find(struct mounted *m, const char *path)
{
    struct inode *found = NULL;
    return is_ok(path_find(m, path, PATH_LAST_FOLLOWED, &found)) ? found : NULL;
}

bool mounted_has(struct mounted *m, const char *path)
{
    struct inode *found = NULL;
    return is_ok(path_find(m, path, PATH_LAST_FOLLOWED, &found)) && inode_type(found) == INODE_FILE;
}

/* --- changing --------------------------------------------------------------------------------- */

static void room_wait(struct mounted *m)
{
    struct room_wait w = {};
    init_method(&m->read_done, read_landed);
    m->waiting = true;
    filesystem_wait_room(m->fs, &w, &m->read_done);
    wait_for(m, "waiting for room");
}

static void page_wait(struct mounted *m, struct inode *i, u64 index)
{
    init_method(&m->read_done, read_landed);
    m->waiting = true;
    pages_fetch(i, index, 1, &m->read_done);
    wait_for(m, "reading");
}

bool mounted_again(struct mounted *m, status s, struct inode *i, u64 fetch)
{
    if (is_ok(s) || status_errno(s) != EAGAIN) {
        m->attempts = 0;
        return false;
    }
    if (++m->attempts > ATTEMPTS_MOST)
        die(EXIT_FAILED, "%s: cannot be changed: %s, again and again", m->name, status_text(s));
    if (i && fetch != NO_PAGE)
        page_wait(m, i, fetch);
    else
        room_wait(m);
    if (!is_ok(m->outcome))
        die(EXIT_FAILED, "%s: cannot be changed: %s", m->name, status_text(m->outcome));
    return true;
}

void mounted_setting(struct mounted *m, const char *name, const struct text_list *values)
{
    status s;
    do
        s = filesystem_setting_change(m->fs, name, (const char *const *)values->items,
                                      values->count);
    while (mounted_again(m, s, NULL, NO_PAGE));
    if (!is_ok(s))
        die(EXIT_FAILED, "%s: its %s cannot be changed: %s", m->name, name, status_text(s));
}

void mounted_sync(struct mounted *m)
{
    struct sync_wait w = {};
    init_method(&m->read_done, read_landed);
    m->waiting = true;
    filesystem_sync(m->fs, &w, &m->read_done);
    wait_for(m, "syncing");
    if (!is_ok(m->outcome))
        die(EXIT_FAILED, "%s: %s", m->name, status_text(m->outcome));
}

void mounted_end(struct mounted *m)
{
    init_method(&m->read_done, read_landed);
    m->waiting = true;
    filesystem_end(m->fs, &m->read_done);
    wait_for(m, "syncing");
    if (!is_ok(m->outcome))
        die(EXIT_FAILED, "%s: %s", m->name, status_text(m->outcome));
}

/* --- reading ---------------------------------------------------------------------------------- */

u64 mounted_read(struct mounted *m, struct inode *i, u64 offset, void *to, u64 bytes)
{
    struct sg_list sg;
    u64 got = 0;
    sg_init(&sg, &malloc_heap);
    if (!sg_add(&sg, to, bytes))
        die(EXIT_FAILED, "out of memory");
    init_method(&m->read_done, read_landed);
    m->waiting = true;
    file_read(i, offset, &sg, &got, &m->read_done);
    wait_for(m, "reading");
    if (!is_ok(m->outcome))
        die(EXIT_FAILED, "%s: %s (%llu)", m->name, status_text(m->outcome),
            (unsigned long long)m->outcome.detail);
    sg_clear(&sg);
    return got;
}
