/* Extended attributes.  Three namespaces are served, as Linux has them (fs/xattr.c): user. on files
   and directories, trusted. and security. on everything; other names are EOPNOTSUPP.  Values are
   copied whole, in one step. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"

#define XATTR_VALUE_MOST 65536
#define XATTR_LIST_MOST  65536

#define XATTR_CREATE  1 /* linux/xattr.h */
#define XATTR_REPLACE 2

struct xattr_request {
    struct user_path name; /* short; the struct serves every text of a program */
    u64 value, bytes;      /* the program's buffer */
    u32 flags;
};

/* --- whose ------------------------------------------------------------------------------------ */

static s64 xattr_path(struct thread *t, u64 path, u32 walk, struct node *n)
{
    struct path_result found;
    s64 r = path_at(t, AT_FDCWD, path, walk, false, &found);
    *n = found.node;
    return r;
}

static s64 xattr_open(struct thread *t, s32 fd, struct node *n)
{
    struct file *f = descriptor_get(t->process, fd);
    if (!f)
        return -EBADF;
    *n = f->node;
    return 0;
}

/* --- names ------------------------------------------------------------------------------------ */

static s64 name_get(struct thread *t, u64 address, struct user_path *name)
{
    s64 r = user_path_get_or_empty(t, address, name);
    if (r)
        return r == -ENAMETOOLONG ? -ERANGE : r;
    return !name->bytes || name->bytes > LINUX_NAME_MOST ? -ERANGE : 0;
}

static bool name_begins(const struct user_path *name, const char *prefix)
{
    u64 bytes = strlen(prefix);
    return name->bytes >= bytes && !memcmp(name->text, prefix, bytes);
}

/* What the name's namespace says about this kind of node. */
static s64 name_check(const struct node *n, const struct user_path *name, bool writing)
{
    static const char *const prefixes[] = {"user.", "trusted.", "security."};
    const char *prefix = NULL;
    for (u32 k = 0; k < countof(prefixes) && !prefix; k++)
        prefix = name_begins(name, prefixes[k]) ? prefixes[k] : NULL;
    if (!prefix || !n->inode)
        return -EOPNOTSUPP;
    if (name->bytes == strlen(prefix))
        return -EINVAL;
    if (prefix == prefixes[0] && inode_type(n->inode) == INODE_SYMLINK)
        return writing ? -EPERM : -ENODATA;
    return 0;
}

/* --- get -------------------------------------------------------------------------------------- */

/* The buffer may be larger than the value, and absent behind it. */
static s64 value_out(struct thread *t, const struct node *n, const struct xattr_request *r,
                     u64 bytes)
{
    u8 *value = allocate(general_heap, max(bytes, 1ull));
    if (!value)
        return -ENOMEM;
    u64 copied = 0;
    s64 result =
        syscall_status(xattr_get(n->inode, r->name.text, r->name.bytes, value, bytes, &copied));
    if (!result && copied)
        result = user_prepare(t, r->value, copied, USER_WRITE);
    if (!result && copied && copy_out(r->value, value, copied))
        result = -EFAULT;
    deallocate(general_heap, value, max(bytes, 1ull));
    return result ? result : (s64)copied;
}

static s64 value_get(struct thread *t, const struct node *n, const struct xattr_request *r)
{
    u64 bytes = 0;
    s64 result = name_check(n, &r->name, false);
    if (!result)
        result = syscall_status(xattr_get(n->inode, r->name.text, r->name.bytes, NULL, 0, &bytes));
    if (result)
        return result;
    if (!r->bytes)
        return (s64)bytes;
    return r->bytes < bytes ? -ERANGE : value_out(t, n, r, bytes);
}

static s64 path_get(struct thread *t, u64 path, u32 walk, u64 name, u64 value, u64 bytes)
{
    struct xattr_request r = {.value = value, .bytes = bytes};
    struct node n;
    s64 result = name_get(t, name, &r.name);
    if (!result)
        result = xattr_path(t, path, walk, &n);
    return result ? result : value_get(t, &n, &r);
}

s64 sys_getxattr(struct thread *t, u64 path, u64 name, u64 value, u64 bytes)
{
    return path_get(t, path, WALK_FOLLOW, name, value, bytes);
}

s64 sys_lgetxattr(struct thread *t, u64 path, u64 name, u64 value, u64 bytes)
{
    return path_get(t, path, 0, name, value, bytes);
}

s64 sys_fgetxattr(struct thread *t, s32 fd, u64 name, u64 value, u64 bytes)
{
    struct xattr_request r = {.value = value, .bytes = bytes};
    struct node n;
    s64 result = xattr_open(t, fd, &n);
    if (!result)
        result = name_get(t, name, &r.name);
    return result ? result : value_get(t, &n, &r);
}

/* --- set -------------------------------------------------------------------------------------- */

static s64 request_get(struct thread *t, struct xattr_request *r, u64 name)
{
    if (r->flags & ~(u32)(XATTR_CREATE | XATTR_REPLACE))
        return -EINVAL;
    s64 result = name_get(t, name, &r->name);
    if (!result && r->bytes > XATTR_VALUE_MOST)
        result = -E2BIG;
    return result ? result : r->bytes ? user_prepare(t, r->value, r->bytes, USER_READ) : 0;
}

static s64 value_change(struct thread *t, const struct node *n, const struct xattr_request *r,
                        const void *value)
{
    u32 how = (r->flags & XATTR_CREATE ? (u32)XATTR_CREATE_ONLY : 0) |
              (r->flags & XATTR_REPLACE ? (u32)XATTR_REPLACE_ONLY : 0);
    return change_result(t, xattr_set(n->inode, r->name.text, r->name.bytes, value, r->bytes, how));
}

static s64 value_set(struct thread *t, const struct node *n, const struct xattr_request *r)
{
    s64 result = name_check(n, &r->name, true);
    if (!result)
        result = node_may_change(t->process, n);
    if (result)
        return result;
    u8 *value = allocate(general_heap, max(r->bytes, 1ull));
    if (!value)
        return -ENOMEM;
    result = copy_in(value, r->value, r->bytes) ? -EFAULT : value_change(t, n, r, value);
    deallocate(general_heap, value, max(r->bytes, 1ull));
    return result;
}

static s64 path_set(struct thread *t, u64 path, u32 walk, u64 name, struct xattr_request *r)
{
    struct node n;
    s64 result = request_get(t, r, name);
    if (!result)
        result = xattr_path(t, path, walk, &n);
    return result ? result : value_set(t, &n, r);
}

s64 sys_setxattr(struct thread *t, u64 path, u64 name, u64 value, u64 bytes, u32 flags)
{
    struct xattr_request r = {.value = value, .bytes = bytes, .flags = flags};
    return path_set(t, path, WALK_FOLLOW, name, &r);
}

s64 sys_lsetxattr(struct thread *t, u64 path, u64 name, u64 value, u64 bytes, u32 flags)
{
    struct xattr_request r = {.value = value, .bytes = bytes, .flags = flags};
    return path_set(t, path, 0, name, &r);
}

s64 sys_fsetxattr(struct thread *t, s32 fd, u64 name, u64 value, u64 bytes, u32 flags)
{
    struct xattr_request r = {.value = value, .bytes = bytes, .flags = flags};
    struct node n;
    s64 result = request_get(t, &r, name);
    if (!result)
        result = xattr_open(t, fd, &n);
    return result ? result : value_set(t, &n, &r);
}

/* --- remove ----------------------------------------------------------------------------------- */

static s64 value_remove(struct thread *t, const struct node *n, const struct user_path *name)
{
    s64 result = name_check(n, name, true);
    if (!result)
        result = node_may_change(t->process, n);
    return result ? result : change_result(t, xattr_remove(n->inode, name->text, name->bytes));
}

static s64 path_remove(struct thread *t, u64 path, u32 walk, u64 name)
{
    struct user_path text;
    struct node n;
    s64 result = name_get(t, name, &text);
    if (!result)
        result = xattr_path(t, path, walk, &n);
    return result ? result : value_remove(t, &n, &text);
}

s64 sys_removexattr(struct thread *t, u64 path, u64 name)
{
    return path_remove(t, path, WALK_FOLLOW, name);
}

s64 sys_lremovexattr(struct thread *t, u64 path, u64 name)
{
    return path_remove(t, path, 0, name);
}

s64 sys_fremovexattr(struct thread *t, s32 fd, u64 name)
{
    struct user_path text;
    struct node n;
    s64 result = xattr_open(t, fd, &n);
    if (!result)
        result = name_get(t, name, &text);
    return result ? result : value_remove(t, &n, &text);
}

/* --- list ------------------------------------------------------------------------------------- */

/* The names with their terminators, as far as they fit; returns how many bytes all of them take. */
static u64 names_write(const struct inode *i, char *to, u64 room)
{
    u64 used = 0, bytes;
    const char *name;
    for (u32 k = 0; (name = xattr_name(i, k, &bytes)); k++) {
        if (to && used + bytes + 1 <= room) {
            memcpy(to + used, name, bytes);
            to[used + bytes] = 0;
        }
        used += bytes + 1;
    }
    return used;
}

static s64 names_out(struct thread *t, const struct inode *i, u64 list, u64 bytes)
{
    char *names = allocate(general_heap, bytes);
    if (!names)
        return -ENOMEM;
    names_write(i, names, bytes);
    s64 result = user_prepare(t, list, bytes, USER_WRITE);
    if (!result && copy_out(list, names, bytes))
        result = -EFAULT;
    deallocate(general_heap, names, bytes);
    return result ? result : (s64)bytes;
}

static s64 names_get(struct thread *t, const struct node *n, u64 list, u64 bytes)
{
    u64 needed = n->inode ? names_write(n->inode, NULL, 0) : 0;
    if (!bytes || !needed)
        return (s64)needed;
    if (needed > XATTR_LIST_MOST)
        return -E2BIG;
    return bytes < needed ? -ERANGE : names_out(t, n->inode, list, needed);
}

s64 sys_listxattr(struct thread *t, u64 path, u64 list, u64 bytes)
{
    struct node n;
    s64 result = xattr_path(t, path, WALK_FOLLOW, &n);
    return result ? result : names_get(t, &n, list, bytes);
}

s64 sys_llistxattr(struct thread *t, u64 path, u64 list, u64 bytes)
{
    struct node n;
    s64 result = xattr_path(t, path, 0, &n);
    return result ? result : names_get(t, &n, list, bytes);
}

s64 sys_flistxattr(struct thread *t, s32 fd, u64 list, u64 bytes)
{
    struct node n;
    s64 result = xattr_open(t, fd, &n);
    return result ? result : names_get(t, &n, list, bytes);
}
