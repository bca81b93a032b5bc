/* Copying into an image: see put.h.

   The image is mounted here and written to as a program would write to it: through the page cache
   and the log.  Each file is made under a name of its own and renamed when it is whole, so at no
   time is there half a file under the name that was asked for.  Those that take the place of others
   do so at the end, when the bytes of all of them are durable: each would have to wait for its own
   otherwise.  Everything is durable when the command ends with success. */
#include "tools/put.h"
#include "tools/image.h"
#include "tools/mounted.h"
#include "tools/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What a file is called while it is written; nobody else writes to the image meanwhile. */
static const char partial[] = ".thunk-cp.part";

/* The first name of each file of this machine that has several. */
struct put_link {
    struct put_link *next;
    u64 device, number;
    struct inode *inode;
};

/* A whole file that is to take the place of another one. */
struct put_replace {
    struct put_replace *next;
    struct inode *directory;
    char *from, *to, *host;
};

struct put {
    struct mounted *mounted;
    const char *image;
    struct put_link *links;
    struct put_replace *replaces, **replaces_end;
    u64 replaced;
    struct inode *unfinished; /* the folder that holds `partial`; NULL: none does */
};

/* What is whole stays; the half file goes, and its blocks with it. */
static __attribute__((noreturn)) void put_fail(struct put *p, const char *path, status s)
{
    int e = status_errno(s);
    if (e == ENOSPC)
        say("%s: %s: there is no room; make the image longer (truncate -s +1G) and try again",
            p->image, path);
    else
        say("%s: %s: %s", p->image, path, e ? strerror(e) : "cannot be written");
    if (p->unfinished)
        (void)inode_unlink(p->unfinished, partial, strlen(partial));
    mounted_end(p->mounted);
    exit(EXIT_FAILED);
}

static void must_change(struct put *p, const char *path, status s)
{
    if (!is_ok(s))
        put_fail(p, path, s);
}

/* --- one file's bytes ------------------------------------------------------------------------- */

static void page_put(struct put *p, struct inode *i, const char *path, u64 offset, const u8 *from,
                     u64 bytes)
{
    struct page_write w = {};
    status s;
    do {
        w.fetch = NO_PAGE;
        s = page_write_begin(i, offset, bytes, &w);
    } while (mounted_again(p->mounted, s, i, w.fetch));
    must_change(p, path, s);
    memcpy((u8 *)page_memory(w.page) + offset % (4 * KiB), from, bytes);
    page_write_end(i, offset, bytes, &w);
}

/* Holes of the file stay holes. */
static void bytes_put(struct put *p, struct inode *i, int fd, const char *host, u64 length)
{
    static u8 piece[1 * MiB];
    for (u64 at = 0; at < length;) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            return;
        at = align_down(data < 0 ? at : (u64)data, 4 * KiB);
        ssize_t n = pread(fd, piece, min(sizeof(piece), length - at), (off_t)at);
        if (n < 0)
            die(EXIT_FAILED, "%s: cannot be read: %s", host, strerror(errno));
        if (n == 0)
            return; /* it became shorter */
        for (u64 done = 0, part; done < (u64)n; done += part) {
            part = min(4 * KiB, (u64)n - done);
            page_put(p, i, host, at + done, piece + done, part);
        }
        at += (u64)n;
        progress("copying %s", host);
    }
}

static void length_put(struct put *p, struct inode *i, const char *path, u64 length)
{
    u64 fetch;
    status s;
    do {
        fetch = NO_PAGE;
        s = file_truncate(i, length, &fetch);
    } while (mounted_again(p->mounted, s, i, fetch));
    must_change(p, path, s);
}

/* --- names and attributes --------------------------------------------------------------------- */

/* A file keeps what programs and administrators gave it, and its capabilities.  The labels of this
   machine's security policy mean nothing in another one. */
static bool xattr_belongs(const char *name)
{
    return !strncmp(name, "user.", 5) || !strncmp(name, "trusted.", 8) ||
           !strcmp(name, "security.capability");
}

static void xattr_put(struct put *p, struct inode *i, const char *host, const char *name)
{
    static u8 value[64 * KiB]; /* Linux's limit, and the filesystem's */
    ssize_t n = lgetxattr(host, name, value, sizeof(value));
    if (n < 0 && errno == ENODATA)
        return; /* it was removed meanwhile */
    if (n < 0)
        die(EXIT_FAILED, "%s: attribute %s cannot be read: %s", host, name, strerror(errno));
    status s;
    do
        s = xattr_set(i, name, strlen(name), value, (u64)n, 0);
    while (mounted_again(p->mounted, s, NULL, NO_PAGE));
    must_change(p, host, s);
}

/* Those of `host` go over what is there. */
static void xattrs_put(struct put *p, struct inode *i, const char *host)
{
    static char names[64 * KiB]; /* Linux's limit */
    ssize_t bytes = llistxattr(host, names, sizeof(names));
    if (bytes < 0 && errno == ENOTSUP)
        return; /* that filesystem has none */
    if (bytes < 0)
        die(EXIT_FAILED, "%s: its attributes cannot be listed: %s", host, strerror(errno));
    for (const char *name = names; name < names + bytes; name += strlen(name) + 1)
        if (xattr_belongs(name))
            xattr_put(p, i, host, name);
}

static void attributes_put(struct put *p, struct inode *i, const char *path, const struct stat *st)
{
    xattrs_put(p, i, path);
    s64 modified = (s64)st->st_mtim.tv_sec * (s64)NS_PER_SECOND + st->st_mtim.tv_nsec;
    struct inode_change c = {.what = CHANGE_MODE | CHANGE_UID | CHANGE_GID | CHANGE_MODIFIED |
                                     CHANGE_ACCESSED,
                             .mode = st->st_mode & 07777,
                             .uid = st->st_uid,
                             .gid = st->st_gid,
                             .accessed_ns = modified,
                             .modified_ns = modified};
    status s;
    do
        s = inode_change(i, &c);
    while (mounted_again(p->mounted, s, NULL, NO_PAGE));
    must_change(p, path, s);
}

/* Takes a name away that is there; a folder stays. */
static void name_clear(struct put *p, struct inode *directory, const char *name, const char *path)
{
    struct inode *there;
    if (!is_ok(inode_lookup(directory, name, strlen(name), &there)))
        return;
    if (inode_type(there) == INODE_DIRECTORY)
        die(EXIT_FAILED, "%s: %s: is a folder there, and none here", p->image, path);
    status s;
    do
        s = inode_unlink(directory, name, strlen(name));
    while (mounted_again(p->mounted, s, NULL, NO_PAGE));
    must_change(p, path, s);
}

static void rename_put(struct put *p, struct inode *directory, const char *from, const char *to,
                       const char *host)
{
    status s;
    do
        s = inode_rename(directory, from, strlen(from), directory, to, strlen(to), 0);
    while (mounted_again(p->mounted, s, NULL, NO_PAGE));
    must_change(p, host, s);
}

/* The file under its final name, now or, when another one has it, at the end. */
static void name_take(struct put *p, struct inode *directory, const char *name, const char *host)
{
    struct inode *there;
    if (!is_ok(inode_lookup(directory, name, strlen(name), &there))) {
        rename_put(p, directory, partial, name, host);
        return;
    }
    if (inode_type(there) == INODE_DIRECTORY)
        die(EXIT_FAILED, "%s: %s: is a folder there, and none here", p->image, host);
    struct put_replace *r = must_allocate(sizeof(*r));
    *r = (struct put_replace){.directory = directory,
                              .from = text_of("%s%llu", partial, (unsigned long long)p->replaced++),
                              .to = text_copy(name),
                              .host = text_copy(host)};
    name_clear(p, directory, r->from, host);
    rename_put(p, directory, partial, r->from, host);
    *p->replaces_end = r;
    p->replaces_end = &r->next;
}

static void replaces_make(struct put *p)
{
    if (!p->replaces)
        return;
    mounted_sync(p->mounted);
    for (struct put_replace *r = p->replaces; r; r = r->next)
        rename_put(p, r->directory, r->from, r->to, r->host);
}

/* True when an earlier name of the same file was copied, and this one leads there now. */
static bool link_put(struct put *p, struct inode *directory, const char *name, const char *path,
                     const struct stat *st)
{
    for (struct put_link *l = p->links; l && st->st_nlink > 1; l = l->next) {
        if (l->device != st->st_dev || l->number != st->st_ino)
            continue;
        status s;
        name_clear(p, directory, name, path);
        do
            s = inode_link(directory, name, strlen(name), l->inode);
        while (mounted_again(p->mounted, s, NULL, NO_PAGE));
        must_change(p, path, s);
        return true;
    }
    return false;
}

static void link_remember(struct put *p, struct inode *i, const struct stat *st)
{
    if (st->st_nlink < 2)
        return;
    struct put_link *l = must_allocate(sizeof(*l));
    *l = (struct put_link){p->links, st->st_dev, st->st_ino, i};
    p->links = l;
}

/* --- files, symlinks, folders ------------------------------------------------------------------
 */

static void file_put(struct put *p, struct inode *directory, const char *name, const char *host,
                     const struct stat *st)
{
    struct inode *i = NULL;
    struct inode_initial initial = {.mode = 0600};
    if (link_put(p, directory, name, host, st))
        return;
    int fd = open(host, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die(EXIT_FAILED, "%s: cannot be opened: %s", host, strerror(errno));
    name_clear(p, directory, partial, host); /* of a copy that was cut off */
    status s;
    do
        s = inode_create(directory, partial, strlen(partial), INODE_FILE, &initial, &i);
    while (mounted_again(p->mounted, s, NULL, NO_PAGE));
    must_change(p, host, s);
    p->unfinished = directory;
    bytes_put(p, i, fd, host, (u64)st->st_size);
    if (inode_bytes(i) != (u64)st->st_size)
        length_put(p, i, host, (u64)st->st_size);
    close(fd);
    attributes_put(p, i, host, st);
    name_take(p, directory, name, host);
    p->unfinished = NULL;
    link_remember(p, i, st);
}

static void symlink_put(struct put *p, struct inode *directory, const char *name, const char *host,
                        const struct stat *st)
{
    char target[4096];
    struct inode *i = NULL;
    struct inode_initial initial = {.mode = 0777};
    ssize_t n = readlink(host, target, sizeof(target));
    if (n <= 0 || n == sizeof(target))
        die(EXIT_FAILED, "%s: the symlink cannot be read: %s", host, strerror(errno));
    name_clear(p, directory, name, host);
    status s;
    do
        s = symlink_create(directory, name, strlen(name), target, (u64)n, &initial, &i);
    while (mounted_again(p->mounted, s, NULL, NO_PAGE));
    must_change(p, host, s);
    attributes_put(p, i, host, st);
}

static void entry_put(struct put *p, struct inode *directory, const char *name, const char *host);

static struct inode *directory_make(struct put *p, struct inode *directory, const char *name,
                                    const char *host)
{
    struct inode *i = NULL;
    struct inode_initial initial = {.mode = 0700};
    if (is_ok(inode_lookup(directory, name, strlen(name), &i))) {
        if (inode_type(i) != INODE_DIRECTORY)
            die(EXIT_FAILED, "%s: %s: is a folder here, and none there", p->image, host);
        return i;
    }
    status s;
    do
        s = inode_create(directory, name, strlen(name), INODE_DIRECTORY, &initial, &i);
    while (mounted_again(p->mounted, s, NULL, NO_PAGE));
    must_change(p, host, s);
    return i;
}

/* What is in the folder `host` goes into `i`. */
static void directory_fill(struct put *p, struct inode *i, const char *host, const struct stat *st)
{
    DIR *d = opendir(host);
    if (!d)
        die(EXIT_FAILED, "%s: cannot be opened: %s", host, strerror(errno));
    struct dirent *e;
    while ((e = readdir(d))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        char *below = text_of("%s/%s", host, e->d_name);
        entry_put(p, i, e->d_name, below);
        free(below);
    }
    closedir(d);
    attributes_put(p, i, host, st);
}

static void entry_put(struct put *p, struct inode *directory, const char *name, const char *host)
{
    struct stat st;
    if (lstat(host, &st) != 0)
        die(EXIT_FAILED, "%s: %s", host, strerror(errno));
    if (S_ISREG(st.st_mode))
        file_put(p, directory, name, host, &st);
    else if (S_ISLNK(st.st_mode))
        symlink_put(p, directory, name, host, &st);
    else if (S_ISDIR(st.st_mode))
        directory_fill(p, directory_make(p, directory, name, host), host, &st);
    else
        die(EXIT_FAILED, "%s: is a device, a pipe or a socket, which images do not have", host);
}

/* --- the command ------------------------------------------------------------------------------ */

/* The folder of the image that gets the new name, and that name, which is the caller's to free;
   NULL when what is in `host` goes into that folder itself. */
static struct inode *place_find(struct put *p, const char *host, const char *path, char **name)
{
    struct inode *there = mounted_find(p->mounted, path);
    char *normal = path_normal(host);
    const char *base = strrchr(normal, '/');
    *name = text_copy(base ? base + 1 : "");
    free(normal);
    if (there && inode_type(there) == INODE_DIRECTORY) {
        u64 length = strlen(host);
        if (!**name || (length >= 2 && !strcmp(host + length - 2, "/."))) {
            free(*name);
            *name = NULL;
        }
        return there;
    }
    char *folder = path_normal(path), *slash = strrchr(folder, '/');
    free(*name);
    *name = text_copy(slash ? slash + 1 : folder);
    if (slash)
        *slash = 0;
    struct inode *i = mounted_lookup(p->mounted, *folder ? folder : "/", PATH_LAST_FOLLOWED);
    free(folder);
    return i;
}

void put_into_image(const char *host, const char *image, const char *path)
{
    struct stat st;
    if (lstat(host, &st) != 0)
        die(EXIT_FAILED, "%s: %s", host, strerror(errno));
    struct put p = {.image = image};
    p.replaces_end = &p.replaces;
    char *name;
    p.mounted = image_mount_open(image_open(image, IMAGE_WRITE), image);
    struct inode *directory = place_find(&p, host, path, &name);
    if (name)
        entry_put(&p, directory, name, host);
    else
        directory_fill(&p, directory, host, &st);
    progress("syncing %s", image);
    replaces_make(&p);
    mounted_end(p.mounted);
    progress_end();
    image_unmount(p.mounted);
    free(name);
}
