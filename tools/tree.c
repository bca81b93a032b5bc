/* The tree of an image to be: see tree.h. */
#include "tools/tree.h"
#include "tools/say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYMLINKS_MOST 40 /* as Linux: a longer chain is a loop */

static inline struct tree_entry *entry_of(rbnode n)
{
    return container_of(n, struct tree_entry, node);
}

closure_method(rb_key_compare, entry_compare, struct tree, compare, rbnode a, rbnode b)
{
    (void)closure_self;
    return strcmp(entry_of(a)->path, entry_of(b)->path);
}

static struct tree_entry *tree_at(struct tree *t, char *path)
{
    struct tree_entry key = {.path = path};
    rbnode found = rbtree_lookup(&t->entries, &key.node);
    return found ? entry_of(found) : NULL;
}

static struct tree_entry *entry_insert(struct tree *t, char *path, enum inode_type type, u32 mode)
{
    struct tree_entry *e = must_allocate(sizeof(*e));
    e->path = path;
    e->type = type;
    e->mode = mode;
    rbtree_insert(&t->entries, &e->node);
    return e;
}

void tree_init(struct tree *t)
{
    *t = (struct tree){};
    init_method(&t->compare, entry_compare);
    rbtree_init(&t->entries, &t->compare);
    entry_insert(t, text_copy(""), INODE_DIRECTORY, 0755);
}

char *path_normal(const char *path)
{
    char *result = must_allocate(strlen(path) + 2);
    u64 length = 0;
    while (*path) {
        u64 part = strcspn(path, "/");
        if (part == 2 && path[0] == '.' && path[1] == '.') {
            while (length && result[--length] != '/')
                ;
        } else if (part && !(part == 1 && path[0] == '.')) {
            result[length++] = '/';
            memcpy(result + length, path, part);
            length += part;
        }
        path += part + (path[part] == '/');
    }
    result[length] = 0;
    return result;
}

/* What remains to be walked after the symlink at `e`: its target, seen from its directory. */
static char *link_followed(const struct tree_entry *e, const char *rest)
{
    char *parent = text_copy(e->path);
    char *slash = strrchr(parent, '/');
    if (slash)
        *slash = 0;
    char *result = e->target[0] == '/' ? text_of("%s/%s", e->target, rest)
                                       : text_of("%s/%s/%s", parent, e->target, rest);
    free(parent);
    return result;
}

/* The normal path with every symlink of the tree on the way resolved; of the last component too
   when `last` says so.  ".." in a target counts after the links before it, as in a kernel, because
   each link is resolved before what follows it is looked at. */
enum last_component { LAST_KEPT, LAST_FOLLOWED };
static char *path_resolve(struct tree *t, const char *path, enum last_component last)
{
    char *normal = path_normal(path);
    for (u32 links = 0; links < SYMLINKS_MOST; links++) {
        char *followed = NULL;
        for (char *at = normal; *at && !followed;) {
            char *end = at + 1 + strcspn(at + 1, "/");
            char after = *end;
            if (!after && last == LAST_KEPT)
                break;
            *end = 0;
            struct tree_entry *e = tree_at(t, normal);
            if (e && e->type == INODE_SYMLINK)
                followed = link_followed(e, after ? end + 1 : "");
            *end = after;
            at = end;
        }
        if (!followed)
            return normal;
        free(normal);
        normal = path_normal(followed);
        free(followed);
    }
    die(EXIT_FAILED, "%s: too many symlinks in the tree of the image", path);
}

struct tree_entry *tree_lookup(struct tree *t, const char *path)
{
    char *resolved = path_resolve(t, path, LAST_FOLLOWED);
    struct tree_entry *e = tree_at(t, resolved);
    free(resolved);
    return e;
}

/* Makes the directories above `path` (resolved) that are not there yet. */
static void parents_make(struct tree *t, const char *path)
{
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        char *parent = strndup(path, (size_t)(slash - path));
        struct tree_entry *e = tree_at(t, parent);
        if (!e) {
            entry_insert(t, parent, INODE_DIRECTORY, 0755);
            continue;
        }
        if (e->type != INODE_DIRECTORY)
            die(EXIT_FAILED, "%s: %s is a file in the image, so nothing can be below it", path,
                parent);
        free(parent);
    }
}

/* The entry for `guest`, new or in the place of the one that was there. */
static struct tree_entry *entry_place(struct tree *t, const char *guest, enum inode_type type)
{
    char *path = path_resolve(t, guest, LAST_KEPT);
    struct tree_entry *e = tree_at(t, path);
    if (e && e->type == INODE_SYMLINK && type == INODE_DIRECTORY) {
        free(path);
        path = path_resolve(t, guest, LAST_FOLLOWED);
        e = tree_at(t, path);
    }
    if (*path)
        parents_make(t, path);
    if (!e)
        return entry_insert(t, path, type, 0);
    if ((e->type == INODE_DIRECTORY) != (type == INODE_DIRECTORY))
        die(EXIT_FAILED, "%s: a folder and a file are both added to the image at this path", guest);
    e->type = type;
    e->host = NULL;
    e->data = NULL;
    return e;
}

static void entry_metadata(struct tree *t, struct tree_entry *e, const struct stat *st)
{
    e->mode = st->st_mode & 07777;
    e->uid = t->owned_by_root ? 0 : st->st_uid;
    e->gid = t->owned_by_root ? 0 : st->st_gid;
    e->modified_ns = (s64)st->st_mtim.tv_sec * (s64)NS_PER_SECOND + st->st_mtim.tv_nsec;
    e->device = st->st_dev;
    e->inode = st->st_ino;
    e->linked = !S_ISDIR(st->st_mode) && st->st_nlink > 1;
}

static char *link_read(const char *host)
{
    char target[PATH_MAX];
    ssize_t n = readlink(host, target, sizeof(target) - 1);
    if (n < 0)
        die(EXIT_FAILED, "%s: cannot read the symlink: %s", host, strerror(errno));
    target[n] = 0;
    return text_copy(target);
}

static void folder_walk(struct tree *t, const char *host, const char *guest);

/* Adds what `st` (from lstat or stat) describes. */
static void host_add(struct tree *t, const char *host, const char *guest, const struct stat *st)
{
    if (S_ISDIR(st->st_mode)) {
        entry_metadata(t, entry_place(t, guest, INODE_DIRECTORY), st);
        folder_walk(t, host, guest);
    } else if (S_ISLNK(st->st_mode)) {
        struct tree_entry *e = entry_place(t, guest, INODE_SYMLINK);
        entry_metadata(t, e, st);
        e->target = link_read(host);
    } else if (S_ISREG(st->st_mode)) {
        if (access(host, R_OK) != 0)
            die(EXIT_FAILED, "%s: cannot be read: %s", host, strerror(errno));
        struct tree_entry *e = entry_place(t, guest, INODE_FILE);
        entry_metadata(t, e, st);
        e->bytes = (u64)st->st_size;
        e->host = text_copy(host);
        say_more("adding %s (%llu bytes)", e->path, (unsigned long long)e->bytes);
    } else {
        say("%s: left out: a socket, pipe or device has no place in an image", host);
    }
}

static void folder_walk(struct tree *t, const char *host, const char *guest)
{
    DIR *folder = opendir(host);
    if (!folder)
        die(EXIT_FAILED, "%s: the folder cannot be read: %s", host, strerror(errno));
    progress("looking through %s", host);
    for (struct dirent *d; (d = readdir(folder));) {
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
            continue;
        char *host_path = text_of("%s/%s", host, d->d_name);
        char *guest_path = text_of("%s/%s", guest, d->d_name);
        struct stat st;
        if (lstat(host_path, &st) != 0)
            die(EXIT_FAILED, "%s: %s", host_path, strerror(errno));
        host_add(t, host_path, guest_path, &st);
        free(host_path);
        free(guest_path);
    }
    closedir(folder);
}

void tree_add(struct tree *t, const char *host, const char *guest)
{
    struct stat st;
    if (stat(host, &st) != 0)
        die(EXIT_FAILED, "%s: cannot be added to the image: %s", host, strerror(errno));
    host_add(t, host, guest, &st);
}

void tree_add_as_here(struct tree *t, const char *path)
{
    char *rest = path_normal(path);
    for (u32 links = 0; links < SYMLINKS_MOST; links++) {
        char *followed = NULL;
        for (char *at = rest; *at && !followed;) {
            char *end = at + 1 + strcspn(at + 1, "/");
            char after = *end;
            *end = 0;
            struct stat st;
            if (lstat(rest, &st) != 0)
                die(EXIT_FAILED, "%s: %s", rest, strerror(errno));
            if (S_ISLNK(st.st_mode)) {
                struct tree_entry link = {.path = rest, .target = link_read(rest)};
                host_add(t, rest, rest, &st);
                followed = link_followed(&link, after ? end + 1 : "");
            } else if (!after) {
                host_add(t, rest, rest, &st);
            } else if (!tree_lookup(t, rest)) {
                entry_metadata(t, entry_place(t, rest, INODE_DIRECTORY), &st);
            }
            *end = after;
            at = end;
        }
        if (!followed)
            return;
        rest = path_normal(followed);
    }
    die(EXIT_FAILED, "%s: too many symlinks", path);
}

void tree_add_memory(struct tree *t, const char *guest, const void *data, u64 bytes, u32 mode)
{
    struct tree_entry *e = entry_place(t, guest, INODE_FILE);
    e->data = data;
    e->bytes = bytes;
    e->mode = mode;
}

void tree_add_folder(struct tree *t, const char *guest, u32 mode)
{
    entry_place(t, guest, INODE_DIRECTORY)->mode = mode;
}

void tree_add_symlink(struct tree *t, const char *guest, const char *target)
{
    struct tree_entry *e = entry_place(t, guest, INODE_SYMLINK);
    e->target = text_copy(target);
    e->mode = 0777;
}

void tree_visit(struct tree *t, tree_visitor visitor)
{
    for (rbnode n = rbtree_first(&t->entries); n; n = rbtree_next(n))
        apply(visitor, entry_of(n));
}

/* --- giving the tree to the builder ----------------------------------------------------------- */

/* Files are read in order, a piece at a time, so one of them is open. */
static struct {
    const struct tree_entry *entry;
    int fd;
} source = {NULL, -1};

static bool source_open(const struct tree_entry *e)
{
    if (source.entry == e)
        return true;
    if (source.fd >= 0)
        close(source.fd);
    source.entry = NULL;
    source.fd = open(e->host, O_RDONLY | O_CLOEXEC);
    if (source.fd < 0) {
        say("%s: cannot be read: %s", e->host, strerror(errno));
        return false;
    }
    source.entry = e;
    return true;
}

closure_method(builder_source, entry_source, struct tree_entry, source, u64 offset, void *to,
               u64 bytes, bool *hole)
{
    struct tree_entry *e = owner();
    *hole = false;
    if (!e->host) {
        memcpy(to, (const char *)e->data + offset, bytes);
        return true;
    }
    if (!source_open(e))
        return false;
    off_t data = lseek(source.fd, (off_t)offset, SEEK_DATA);
    if ((data < 0 && errno == ENXIO) || (data > 0 && (u64)data >= offset + bytes)) {
        *hole = true;
        return true;
    }
    for (u64 done = 0; done < bytes;) {
        ssize_t n = pread(source.fd, (char *)to + done, bytes - done, (off_t)(offset + done));
        if (n > 0) {
            done += (u64)n;
            continue;
        }
        say("%s: %s", e->host, n ? strerror(errno) : "became shorter while it was read");
        return false;
    }
    return true;
}

static int same_file(const void *a, const void *b)
{
    const struct tree_entry *x = a, *y = b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

/* The first name under which the file was given to the builder; NULL when this is it. */
static const char *earlier_name(struct tree_entry *e, void **names)
{
    if (!e->linked)
        return NULL;
    struct tree_entry **first = tsearch(e, names, same_file);
    if (!first)
        die(EXIT_FAILED, "out of memory");
    return *first == e ? NULL : (*first)->path;
}

status tree_build(struct tree *t, struct builder *b)
{
    void *names = NULL;
    u64 count = 0;
    for (rbnode n = rbtree_first(&t->entries); n; n = rbtree_next(n)) {
        struct tree_entry *e = entry_of(n);
        struct builder_node node = {
            .path = *e->path ? e->path : "/",
            .type = e->type,
            .mode = e->mode,
            .uid = e->uid,
            .gid = e->gid,
            .modified_ns = e->modified_ns,
            .bytes = e->type == INODE_FILE ? e->bytes : 0,
            .target = e->target,
            .link_to = earlier_name(e, &names),
        };
        if (e->type == INODE_FILE) {
            init_method(&e->source, entry_source);
            node.source = &e->source;
        }
        status s = builder_add(b, &node);
        if (!is_ok(s)) {
            say("%s: %s", node.path, status_text(s));
            return s;
        }
        if (++count % 256 == 0)
            progress("packing, %llu files", (unsigned long long)count);
    }
    return STATUS_OK;
}
