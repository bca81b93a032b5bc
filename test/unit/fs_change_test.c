/* Changes of names and attributes: every call and errno against Linux itself (a tmpfs of the host),
   random trees of names against the same tmpfs with remounts between, times, extended attributes,
   memory that is used again, and every allocation failed in turn. */
#define _GNU_SOURCE

#include "fs/internal.h"
#include "test/host/fs_fixture.h"
#include "test/host/fs_writable.h"
#include "test/host/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct inode_initial initial = {.mode = 0750, .uid = 3, .gid = 4};

/* Asks again while the answer is "not now". */
#define again(volume, call)                                                                        \
    ({                                                                                             \
        status again_ = (call);                                                                    \
        for (u32 times_ = 0; status_errno(again_) == EAGAIN; times_++) {                           \
            must(times_ < 1000);                                                                   \
            must(is_ok(writable_wait_room(volume)));                                               \
            again_ = (call);                                                                       \
        }                                                                                          \
        again_;                                                                                    \
    })

/* --- beside a tmpfs --------------------------------------------------------------------------- */

#define HANDLES    10
#define NAMES      12
#define WALK_DEPTH 60

/* The same file or directory, there and here. */
struct handle {
    int fd;
    struct inode *inode; /* held; NULL: free */
};

struct beside {
    struct writable v;
    struct random random;
    char top[64];
    struct handle handles[HANDLES]; /* 0: the root */
    char names[NAMES][260];
    u64 refused; /* calls that both refused */
    u64 done;
};

static void beside_top_open(struct beside *b)
{
    b->handles[0].fd = open(b->top, O_RDONLY | O_DIRECTORY);
    must(b->handles[0].fd >= 0);
    b->handles[0].inode = filesystem_root(b->v.fs);
    inode_hold(b->handles[0].inode);
}

static bool beside_init(struct beside *b, u64 seed)
{
    memset(b, 0, sizeof(*b));
    random_init(&b->random, seed);
    snprintf(b->top, sizeof(b->top), "/dev/shm/fs_change.XXXXXX");
    if (!mkdtemp(b->top))
        return false;
    umask(0);
    writable_init(&b->v, 24 * MiB, host_heap);
    for (u32 n = 0; n < NAMES; n++) {
        u32 bytes = n == 0 ? 255 : n == 1 ? 256 : 1 + n * n / 8;
        memset(b->names[n], 'a' + (char)n, bytes);
    }
    beside_top_open(b);
    return true;
}

static void handle_close(struct handle *h)
{
    if (!h->inode)
        return;
    close(h->fd);
    inode_release(h->inode);
    h->inode = NULL;
}

static void beside_close(struct beside *b)
{
    for (u32 n = 0; n < HANDLES; n++)
        handle_close(&b->handles[n]);
}

static void beside_destroy(struct beside *b)
{
    char command[128];
    beside_close(b);
    writable_destroy(&b->v);
    snprintf(command, sizeof(command), "rm -rf %s", b->top);
    must(system(command) == 0);
}

static struct handle *beside_handle(struct beside *b)
{
    struct handle *h = &b->handles[random_below(&b->random, HANDLES)];
    return h->inode ? h : &b->handles[0];
}

static const char *beside_name(struct beside *b)
{
    return b->names[random_below(&b->random, NAMES)];
}

static void agree(struct beside *b, const char *what, int host, status ours)
{
    int expected = host < 0 ? errno : 0;
    b->refused += expected != 0;
    b->done += expected == 0;
    if (expected != status_errno(ours)) {
        note("%s: Linux says %d, we say %d (%s)", what, expected, status_errno(ours),
             status_text(ours));
        must(!"the same errno");
    }
}

/* Opens by name, into a random slot. */
static void beside_open(struct beside *b)
{
    struct handle *in = beside_handle(b), opened;
    const char *name = beside_name(b);
    opened.fd = openat(in->fd, name, O_PATH | O_NOFOLLOW);
    status s = inode_lookup(in->inode, name, strlen(name), &opened.inode);
    agree(b, "open", opened.fd, s);
    if (!is_ok(s))
        return;
    struct handle *h = &b->handles[1 + random_below(&b->random, HANDLES - 1)];
    inode_hold(opened.inode);
    handle_close(h);
    *h = opened;
}

static void beside_create(struct beside *b, enum inode_type type)
{
    struct handle *in = beside_handle(b);
    const char *name = beside_name(b);
    struct inode *made;
    int host;
    status s;
    if (type == INODE_SYMLINK) {
        host = symlinkat("to/nowhere", in->fd, name);
        s = again(&b->v,
                  symlink_create(in->inode, name, strlen(name), "to/nowhere", 10, &initial, &made));
    } else {
        host = type == INODE_DIRECTORY ? mkdirat(in->fd, name, 0750)
                                       : openat(in->fd, name, O_CREAT | O_EXCL | O_WRONLY, 0750);
        s = again(&b->v, inode_create(in->inode, name, strlen(name), type, &initial, &made));
    }
    agree(b, "create", host, s);
    if (type == INODE_FILE && host >= 0)
        close(host);
}

static void beside_link(struct beside *b)
{
    struct handle *in = beside_handle(b), *what = beside_handle(b);
    const char *name = beside_name(b);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", what->fd);
    int host = linkat(AT_FDCWD, path, in->fd, name, AT_SYMLINK_FOLLOW);
    agree(b, "link", host, again(&b->v, inode_link(in->inode, name, strlen(name), what->inode)));
}

static void beside_remove(struct beside *b)
{
    struct handle *in = beside_handle(b);
    const char *name = beside_name(b);
    if (random_below(&b->random, 2))
        agree(b, "rmdir", unlinkat(in->fd, name, AT_REMOVEDIR),
              again(&b->v, directory_remove(in->inode, name, strlen(name))));
    else
        agree(b, "unlink", unlinkat(in->fd, name, 0),
              again(&b->v, inode_unlink(in->inode, name, strlen(name))));
}

static void beside_rename(struct beside *b)
{
    struct handle *from = beside_handle(b), *to = beside_handle(b);
    const char *old = beside_name(b), *new = beside_name(b);
    static const u32 flags[] = {0, 0, RENAME_NO_REPLACE, RENAME_EXCHANGE_NAMES};
    u32 f = flags[random_below(&b->random, 4)];
    int host = renameat2(from->fd, old, to->fd, new, f);
    agree(
        b, "rename", host,
        again(&b->v, inode_rename(from->inode, old, strlen(old), to->inode, new, strlen(new), f)));
}

static void beside_unnamed(struct beside *b)
{
    int names = random_below(&b->random, 3) ? 0 : O_EXCL; /* it never gets one */
    struct handle made = {.fd = openat(b->handles[0].fd, ".", O_TMPFILE | O_WRONLY | names, 0750)};
    must(made.fd >= 0);
    status s = again(&b->v, inode_create_unnamed(b->v.fs, &initial, &made.inode));
    if (is_ok(s) && names)
        inode_refuse_names(made.inode);
    agree(b, "tmpfile", 0, s);
    struct handle *h = &b->handles[1 + random_below(&b->random, HANDLES - 1)];
    handle_close(h);
    *h = made;
}

static void beside_step(struct beside *b)
{
    switch (random_below(&b->random, 16)) {
    case 0 ... 2:
        beside_open(b);
        break;
    case 3:
        beside_create(b, INODE_FILE);
        break;
    case 4 ... 6:
        beside_create(b, INODE_DIRECTORY);
        break;
    case 7:
        beside_create(b, INODE_SYMLINK);
        break;
    case 8 ... 9:
        beside_link(b);
        break;
    case 10 ... 11:
        beside_remove(b);
        break;
    case 12:
        beside_unnamed(b);
        break;
    default:
        beside_rename(b);
        break;
    }
}

static void same_attributes(int fd, const struct inode *i)
{
    static const u32 types[] = {0, S_IFREG, S_IFDIR, S_IFLNK};
    struct stat there;
    struct inode_attributes here;
    must(fstat(fd, &there) == 0);
    inode_attributes(i, &here);
    must((there.st_mode & S_IFMT) == types[here.type]);
    must(there.st_nlink == here.links);
    if (here.type != INODE_SYMLINK && i != i->fs->root)
        must((there.st_mode & 07777) == here.mode);
}

static u64 names_there(int fd)
{
    int again_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY);
    DIR *d = fdopendir(again_fd);
    u64 count = 0;
    must(d);
    while (d && readdir(d))
        count++;
    if (d)
        closedir(d);
    return count - 2;
}

/* Every name here is there, and there are as many; the same below. */
static u64 same_tree(int fd, struct inode *directory, u32 depth)
{
    struct directory_entry e = {.cookie = 0};
    u64 count = 0, links = 2;
    must(depth < WALK_DEPTH);
    while (directory_next(directory, e.cookie, &e)) {
        char name[256] = {0};
        memcpy(name, e.name, e.name_bytes);
        int child = openat(fd, name, O_PATH | O_NOFOLLOW);
        must(child >= 0);
        same_attributes(child, e.inode);
        struct inode *found;
        must(is_ok(inode_lookup(directory, name, e.name_bytes, &found)) && found == e.inode);
        if (inode_type(e.inode) == INODE_DIRECTORY) {
            must(inode_parent(e.inode) == directory);
            count += same_tree(child, e.inode, depth + 1);
            links++;
        } else if (inode_type(e.inode) == INODE_SYMLINK) {
            u64 bytes;
            must(memcmp(symlink_target(e.inode, &bytes), "to/nowhere", 10) == 0 && bytes == 10);
        }
        close(child);
        count++;
    }
    struct stat there;
    must(fstat(fd, &there) == 0 && there.st_nlink == links);
    must(names_there(fd) == directory->entries_live);
    return count;
}

static void beside_compare(struct beside *b)
{
    u64 names = same_tree(b->handles[0].fd, b->handles[0].inode, 0);
    must(names == b->v.fs->entries);
    for (u32 n = 0; n < HANDLES; n++)
        if (b->handles[n].inode)
            same_attributes(b->handles[n].fd, b->handles[n].inode);
}

static void check_beside_tmpfs(u64 seed)
{
    struct beside b;
    if (!beside_init(&b, seed)) {
        note("no /dev/shm here: nothing to compare with");
        return;
    }
    u64 remounts = 0;
    for (u32 step = 0; step < 20000; step++) {
        beside_step(&b);
        if (step % 64 == 0)
            beside_compare(&b);
        if (step % 1500 == 1499) {
            beside_close(&b);
            must(is_ok(writable_remount(&b.v, step % 3000 == 1499)));
            remounts++;
            beside_top_open(&b);
            beside_compare(&b);
        }
    }
    ok(b.done > 2000 && b.refused > 2000, "as on Linux: %llu calls done, %llu refused, %llu mounts",
       (unsigned long long)b.done, (unsigned long long)b.refused, (unsigned long long)remounts);
    beside_destroy(&b);
}

/* --- times ------------------------------------------------------------------------------------ */

#define ROOT(v)       filesystem_root((v)->fs)
#define CALL(v, call) must(is_ok(again(v, call)))

static struct inode *make(struct writable *v, struct inode *in, const char *name,
                          enum inode_type type)
{
    struct inode *made;
    CALL(v, inode_create(in, name, strlen(name), type, &initial, &made));
    return made;
}

enum { A = 1, M = 2, C = 4 }; /* times that are others than before */

static u32 times_moved(struct inode_attributes *before, const struct inode *i)
{
    struct inode_attributes now;
    inode_attributes(i, &now);
    u32 moved = (now.accessed_ns != before->accessed_ns ? A : 0) |
                (now.modified_ns != before->modified_ns ? M : 0) |
                (now.changed_ns != before->changed_ns ? C : 0);
    *before = now;
    return moved;
}

struct times {
    struct inode *inode[4]; /* directory, other directory, file, other file */
    struct inode_attributes before[4];
};

static void check_moved(struct times *t, u32 directory, u32 other_directory, u32 file,
                        u32 other_file, const char *what)
{
    u32 expected[4] = {directory, other_directory, file, other_file};
    bool right = true;
    for (u32 n = 0; n < 4; n++)
        right &= times_moved(&t->before[n], t->inode[n]) == expected[n];
    ok(right, "%s changes the times that Linux changes", what);
}

static void check_times(void)
{
    struct writable v;
    writable_init(&v, 24 * MiB, host_heap);
    struct inode *d = make(&v, ROOT(&v), "d", INODE_DIRECTORY);
    struct inode *e = make(&v, ROOT(&v), "e", INODE_DIRECTORY);
    struct inode *f = make(&v, d, "f", INODE_FILE), *g = make(&v, e, "g", INODE_FILE);
    struct times t = {.inode = {d, e, f, g}};
    for (u32 n = 0; n < 4; n++) {
        times_moved(&t.before[n], t.inode[n]);
        inode_hold(t.inode[n]);
    }
    struct inode_attributes *new = &t.before[2];
    ok(new->accessed_ns == new->modified_ns &&new->modified_ns == new->changed_ns,
       "a new file's times are one");
    CALL(&v, inode_link(e, "h", 1, f));
    check_moved(&t, 0, M | C, C, 0, "link");
    CALL(&v, inode_unlink(e, "h", 1));
    check_moved(&t, 0, M | C, C, 0, "unlink");
    CALL(&v, inode_rename(d, "f", 1, e, "f", 1, 0));
    check_moved(&t, M | C, M | C, C, 0, "rename");
    CALL(&v, inode_rename(e, "f", 1, e, "k", 1, 0));
    check_moved(&t, 0, M | C, C, 0, "rename in place");
    make(&v, d, "n", INODE_FILE);
    check_moved(&t, M | C, 0, 0, 0, "create");
    CALL(&v, inode_rename(d, "n", 1, e, "k", 1, RENAME_EXCHANGE_NAMES));
    check_moved(&t, M | C, M | C, C, 0, "exchange");
    CALL(&v, inode_rename(e, "k", 1, e, "g", 1, 0));
    check_moved(&t, 0, M | C, 0, C, "rename over a held file");
    CALL(&v, inode_change(f, &(struct inode_change){.what = CHANGE_MODE, .mode = 0600}));
    check_moved(&t, 0, 0, C, 0, "chmod");
    CALL(&v, inode_change(f, &(struct inode_change){.what = CHANGE_ACCESSED | CHANGE_MODIFIED,
                                                    .accessed_ns = 5,
                                                    .modified_ns = 7}));
    ok(new->mode == 0600 && f->accessed_ns == 5 && f->modified_ns == 7, "attributes are set");
    check_moved(&t, 0, 0, A | M | C, 0, "utimensat");
    inode_accessed(f);
    check_moved(&t, 0, 0, A, 0, "reading what was changed since");
    inode_accessed(f);
    check_moved(&t, 0, 0, 0, 0, "reading it again");
    v.now_ns += 25ll * 3600 * (s64)NS_PER_SECOND;
    inode_accessed(f);
    check_moved(&t, 0, 0, A, 0, "reading it a day later");
    CALL(&v, xattr_set(f, "user.x", 6, "1", 1, 0));
    check_moved(&t, 0, 0, C, 0, "setxattr");
    CALL(&v, xattr_remove(f, "user.x", 6));
    check_moved(&t, 0, 0, C, 0, "removexattr");
    make(&v, d, "sub", INODE_DIRECTORY);
    check_moved(&t, M | C, 0, 0, 0, "mkdir");
    CALL(&v, directory_remove(d, "sub", 3));
    check_moved(&t, M | C, 0, 0, 0, "rmdir");
    for (u32 n = 0; n < 4; n++)
        inode_release(t.inode[n]);
    writable_destroy(&v);
}

/* --- extended attributes ---------------------------------------------------------------------- */

static char long_value[XATTR_VALUE_MOST + 1];

static void check_xattr_errors(struct writable *v, struct inode *f)
{
    char got[8], name[256];
    u64 bytes;
    memset(name, 'n', sizeof(name));
    const struct {
        status s;
        int expected;
        const char *what;
    } calls[] = {
        {xattr_get(f, "user.no", 7, got, 8, &bytes), ENODATA, "get of none"},
        {again(v, xattr_remove(f, "user.no", 7)), ENODATA, "remove of none"},
        {again(v, xattr_set(f, "user.no", 7, "", 0, XATTR_REPLACE_ONLY)), ENODATA, "replace"},
        {again(v, xattr_set(f, "user.a", 6, "one", 3, 0)), 0, "set"},
        {again(v, xattr_set(f, "user.a", 6, "", 0, XATTR_CREATE_ONLY)), EEXIST, "create"},
        {again(v, xattr_set(f, "user.a", 6, "three", 5, XATTR_REPLACE_ONLY)), 0, "replace"},
        {xattr_get(f, "user.a", 6, got, 4, &bytes), ERANGE, "get with too little room"},
        {xattr_get(f, "user.a", 6, NULL, 0, &bytes), 0, "get of the length"},
        {again(v, xattr_set(f, name, 256, "", 0, 0)), ERANGE, "a long name"},
        {again(v, xattr_set(f, "", 0, "", 0, 0)), ERANGE, "no name"},
        {again(v, xattr_set(f, name, 255, "", 0, 0)), 0, "the longest name"},
        {again(v, xattr_set(f, "user.b", 6, long_value, XATTR_VALUE_MOST + 1, 0)), E2BIG, "E2BIG"},
        {again(v, xattr_set(f, "user.b", 6, long_value, XATTR_VALUE_MOST, 0)), 0, "the longest"},
    };
    for (u32 n = 0; n < countof(calls); n++)
        is(status_errno(calls[n].s), calls[n].expected, "xattr: %s", calls[n].what);
    is(bytes, 5, "a length without room for the value");
}

static void check_xattrs(void)
{
    struct writable v;
    writable_init(&v, 24 * MiB, host_heap);
    memset(long_value, 'v', sizeof(long_value));
    struct inode *f = make(&v, ROOT(&v), "f", INODE_FILE);
    check_xattr_errors(&v, f);
    char name[16], got[XATTR_VALUE_MOST];
    u64 bytes = 0, text = v.fs->text_bytes;
    u32 count = 0;
    for (u32 n = 3; n < XATTRS_MOST; n++) {
        snprintf(name, sizeof(name), "user.%u", n);
        CALL(&v, xattr_set(f, name, strlen(name), name, strlen(name), 0));
    }
    is(status_errno(again(&v, xattr_set(f, "user.more", 9, "", 0, 0))), ENOSPC,
       "256, not one more");
    must(is_ok(writable_remount(&v, true)));
    f = test_lookup(v.fs, "/f");
    while (xattr_name(f, count, &bytes))
        count++;
    is(count, XATTRS_MOST, "all of them are there after a mount");
    must(is_ok(xattr_get(f, "user.b", 6, got, sizeof(got), &bytes)));
    ok(bytes == XATTR_VALUE_MOST && memcmp(got, long_value, bytes) == 0, "so is a long value");
    for (u32 n = 3; n < XATTRS_MOST; n++) {
        snprintf(name, sizeof(name), "user.%u", n);
        must(is_ok(xattr_get(f, name, strlen(name), got, sizeof(got), &bytes)));
        must(bytes == strlen(name) && memcmp(got, name, bytes) == 0);
        CALL(&v, xattr_remove(f, name, strlen(name)));
    }
    is(v.fs->text_bytes, text, "the accounts are as before");
    writable_destroy(&v);
}

/* --- memory ----------------------------------------------------------------------------------- */

static u64 fold(u64 digest, u64 value)
{
    return (digest ^ value) * 0x9e3779b97f4a7c15ull ^ digest >> 29;
}

/* Of all that a change may change, in memory. */
static u64 state_digest(struct inode *directory)
{
    struct filesystem *fs = directory->fs;
    struct directory_entry e = {.cookie = 0};
    u64 digest = fold(fold(fold(fs->entries, fs->linked), fs->text_bytes), fs->next_inode);
    digest = fold(fold(fold(digest, fs->inodes), directory->modified_ns), directory->changed_ns);
    while (directory_next(directory, e.cookie, &e)) {
        digest = fold(fold(digest, e.inode->number), e.inode->changed_ns);
        digest = fold(fold(digest, e.inode->links), xattr_count(e.inode));
        for (u64 at = 0; at < e.name_bytes; at++)
            digest = fold(digest, (u8)e.name[at]);
        if (e.inode->type == INODE_DIRECTORY)
            digest = fold(digest, state_digest(e.inode));
    }
    return digest;
}

#define FAILING_STEPS 14
#define ARENA_LEFT    50 /* words of memory that are left before the heap is asked */

static status failing_step(struct writable *v, u32 step)
{
    struct inode *root = ROOT(v), *made, *d = test_lookup(v->fs, "/d"),
                 *f = test_lookup(v->fs, "/f");
    static const char target[600] = {[0 ... 598] = 't'};
    switch (step) {
    case 0:
        return inode_create(root, "d", 1, INODE_DIRECTORY, &initial, &made);
    case 1:
        return inode_create(root, "f", 1, INODE_FILE, &initial, &made);
    case 2:
        return symlink_create(d, "s", 1, target, 599, &initial, &made);
    case 3:
        return inode_link(d, "g", 1, f);
    case 4:
        return inode_rename(d, "g", 1, d, "a longer name", 13, 0);
    case 5:
        return inode_rename(d, "s", 1, root, "s", 1, 0);
    case 6:
        return inode_rename(root, "s", 1, d, "a longer name", 13, RENAME_EXCHANGE_NAMES);
    case 7:
        return xattr_set(f, "user.a", 6, long_value, 5000, 0);
    case 8:
        return xattr_remove(f, "user.a", 6);
    case 9:
        return inode_change(d, &(struct inode_change){.what = CHANGE_UID, .uid = 9});
    case 10:
        return inode_rename(d, "a longer name", 13, root, "s", 1, 0);
    case 11:
        return inode_unlink(root, "f", 1);
    case 12:
        return directory_remove(root, "d", 1);
    default:
        return inode_create_unnamed(v->fs, &initial, &made);
    }
}

/* The arena gives that many bytes more before it asks its heap. */
static void arena_leave(struct writable *v, u64 bytes)
{
    struct arena *a = &v->fs->arena;
    memset(a->free, 0, sizeof(a->free));
    a->at = a->end = NULL;
    a->chunk_bytes = 4 * KiB;
    if (bytes && !arena_allocate(a, 8))
        must(!"memory");
    a->end = a->at + bytes;
}

/* The step with its nth allocation failing; false when it did not ask for that many and is done. */
static bool step_fails(struct writable *v, struct counting_heap *h, u32 step, u64 nth)
{
    u64 before = state_digest(ROOT(v)), live = v->fs->inodes;
    h->fail_at = h->calls + nth;
    status s = failing_step(v, step);
    h->fail_at = 0;
    if (is_ok(s))
        return false;
    must(status_errno(s) == ENOMEM);
    must(state_digest(ROOT(v)) == before && v->fs->inodes == live);
    return true;
}

/* Whatever allocation fails: the call is refused and nothing has changed. */
static void check_no_memory(void)
{
    struct counting_heap h;
    struct writable v;
    u64 failures = 0;
    counting_heap_init(&h, "fs");
    writable_init(&v, 24 * MiB, &h.h);
    for (u32 step = 0; step < FAILING_STEPS; step++) {
        bool failing = true;
        for (u64 n = 0; failing; n++) {
            arena_leave(&v, n % ARENA_LEFT * 8);
            failing = step_fails(&v, &h, step, 1 + n / ARENA_LEFT);
            failures += failing;
        }
        must(is_ok(writable_remount(&v, step % 2)));
    }
    ok(failures > 10 * FAILING_STEPS, "%llu failed allocations changed nothing",
       (unsigned long long)failures);
    writable_destroy(&v);
    is(h.live, 0, "all memory is given back");
    counting_heap_close(&h);
}

#define WINDOW 300

static void churn_name(char *name, u64 n)
{
    snprintf(name, 40, "f%llu%.*s", (unsigned long long)n % 100000, (int)(n % 7), "-------");
}

/* Files come and go in a directory, WINDOW of them there at a time. */
static void check_churn(u64 rounds, bool held)
{
    struct counting_heap h;
    struct writable v;
    char name[40];
    u64 settled = 0, places = 0;
    counting_heap_init(&h, "fs");
    writable_init(&v, 24 * MiB, &h.h);
    struct inode *d = make(&v, ROOT(&v), "d", INODE_DIRECTORY);
    if (held)
        inode_hold(d);
    for (u64 n = 0; n < rounds; n++) {
        churn_name(name, n);
        make(&v, d, name, INODE_FILE);
        if (n >= WINDOW) {
            churn_name(name, n - WINDOW);
            CALL(&v, inode_unlink(d, name, strlen(name)));
        }
        places = max(places, (u64)d->places_capacity);
        if (n % (rounds / 10) == rounds / 10 - 1) {
            must(is_ok(writable_sync(&v)));
            settled = settled ? settled : h.live_bytes;
        }
    }
    ok(h.live_bytes <= settled + 64 * KiB,
       "%llu files that came and went leave %llu bytes, not more "
       "than the first tenth (%llu)",
       (unsigned long long)rounds, (unsigned long long)h.live_bytes, (unsigned long long)settled);
    ok(places <= 4 * WINDOW, "%s directory has %llu places at most", held ? "a held" : "the",
       (unsigned long long)places);
    if (held)
        inode_release(d);
    must(is_ok(writable_remount(&v, false)));
    is(v.fs->inodes, WINDOW + 2, "what is left is there after a mount");
    writable_destroy(&v);
    counting_heap_close(&h);
}

/* Who reads a directory sees what stays there once, whatever comes and goes meanwhile. */
static void check_cookies(void)
{
    struct writable v;
    char name[40];
    static u8 seen[2000];
    struct directory_entry e = {.cookie = 0};
    memset(seen, 0, sizeof(seen));
    writable_init(&v, 24 * MiB, host_heap);
    struct inode *d = make(&v, ROOT(&v), "d", INODE_DIRECTORY);
    inode_hold(d);
    for (u32 n = 0; n < 2000; n++) {
        snprintf(name, sizeof(name), "%u", n);
        make(&v, d, name, INODE_FILE);
    }
    u32 churned = 0;
    while (directory_next(d, e.cookie, &e)) {
        memcpy(name, e.name, e.name_bytes);
        name[e.name_bytes] = 0;
        if (name[0] != 'x')
            must(seen[atoi(name)]++ == 0);
        snprintf(name, sizeof(name), "x%u", churned);
        make(&v, d, name, INODE_FILE);
        if (churned % 2)
            CALL(&v, inode_unlink(d, name, strlen(name)));
        snprintf(name, sizeof(name), "%u", churned * 2 + 1);
        if (churned++ < 1000)
            CALL(&v, inode_unlink(d, name, strlen(name)));
        must(churned < 10000);
    }
    u32 missed = 0;
    for (u32 n = 0; n < 2000; n += 2)
        missed += !seen[n];
    is(missed, 0, "a listing has all that stayed");
    inode_release(d);
    writable_destroy(&v);
}

static void check_many(u32 count)
{
    struct writable v;
    char name[40];
    writable_init(&v, 32 * MiB + 600ull * count, host_heap);
    struct inode *d = make(&v, ROOT(&v), "d", INODE_DIRECTORY), *found;
    struct directory_entry e = {.cookie = 0};
    for (u32 n = 0; n < count; n++) {
        snprintf(name, sizeof(name), "file-%u", n);
        make(&v, d, name, INODE_FILE);
    }
    must(is_ok(writable_remount(&v, true)));
    d = test_lookup(v.fs, "/d");
    u32 listed = 0, missing = 0;
    while (directory_next(d, e.cookie, &e))
        listed++;
    for (u32 n = 0; n < count; n++) {
        snprintf(name, sizeof(name), "file-%u", n);
        missing += !is_ok(inode_lookup(d, name, strlen(name), &found));
    }
    ok(listed == count && missing == 0, "%u files in a directory are listed and found", count);
    for (u32 n = 0; n < count; n++) {
        snprintf(name, sizeof(name), "file-%u", n);
        CALL(&v, inode_unlink(d, name, strlen(name)));
    }
    must(is_ok(writable_remount(&v, true)));
    is(v.fs->inodes, 2, "and removed");
    writable_destroy(&v);
}

int main(void)
{
    struct random r;
    bool soak = getenv("SOAK");
    random_init(&r, test_seed());
    check_times();
    check_xattrs();
    check_no_memory();
    check_cookies();
    check_churn(1000000, false);
    check_churn(100000, true);
    check_many(soak ? 1000000 : 50000);
    for (u32 run = 0; run < (soak ? 100 : 3); run++)
        check_beside_tmpfs(random_next(&r));
    return done_testing();
}
