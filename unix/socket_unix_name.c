/* The names of AF_UNIX sockets: paths, which lead to an inode of their own kind in the filesystem,
   and abstract ones, which begin with a zero byte and are nowhere.  All bound sockets are in one
   table; a path is found by its inode. */
#include "runtime/format.h"
#include "runtime/hash64.h"
#include "unix/descriptor.h"
#include "unix/socket_unix.h"

#define NAME_BUCKETS 64

static struct list *name_buckets(void)
{
    static struct list buckets[NAME_BUCKETS];
    if (!buckets[0].next)
        for (u32 i = 0; i < NAME_BUCKETS; i++)
            list_init(&buckets[i]);
    return buckets;
}

static struct list *bucket_of_inode(const struct inode *i)
{
    return &name_buckets()[((u64)i >> 5) % NAME_BUCKETS];
}

static struct list *bucket_of_abstract(const struct socket_address *a)
{
    u64 hash = 5381;
    for (u32 i = UNIX_ADDRESS_FAMILY; i < a->bytes; i++)
        hash = hash * 33 + a->data[i];
    return &name_buckets()[hash % NAME_BUCKETS];
}

static bool address_is_abstract(const struct socket_address *a)
{
    return !a->data[UNIX_ADDRESS_FAMILY];
}

static struct path_string address_path(const struct socket_address *a)
{
    const char *text = (const char *)a->data + UNIX_ADDRESS_FAMILY;
    return (struct path_string){text, strlen(text)};
}

s64 socket_unix_address_check(struct socket_address *a)
{
    if (a->bytes <= UNIX_ADDRESS_FAMILY || a->bytes > UNIX_ADDRESS_MOST || a->family != AF_UNIX)
        return -EINVAL;
    /* A path of 108 bytes has no terminator of its own; the rest of data[] is zero. */
    if (!address_is_abstract(a))
        a->bytes = UNIX_ADDRESS_FAMILY + (u32)address_path(a).bytes + 1;
    return 0;
}

/* --- finding ---------------------------------------------------------------------------------- */

static struct socket_unix *find_inode(const struct inode *i)
{
    list_for_each (bucket_of_inode(i), l) {
        struct socket_unix *u = container_of(l, struct socket_unix, name_link);
        if (u->inode == i)
            return u;
    }
    return NULL;
}

static struct socket_unix *find_abstract(const struct socket_address *a, u16 type)
{
    list_for_each (bucket_of_abstract(a), l) {
        struct socket_unix *u = container_of(l, struct socket_unix, name_link);
        if (!u->inode && u->name.bytes == a->bytes && u->socket.type == type &&
            !memcmp(u->name.data, a->data, a->bytes))
            return u;
    }
    return NULL;
}

static s64 find_path(struct thread *t, const struct socket_address *a, struct socket_unix **found)
{
    struct path_result at;
    struct node start;
    s64 r = path_start(t, AT_FDCWD, (const char *)a->data + UNIX_ADDRESS_FAMILY, &start);
    if (!r)
        r = path_walk(t->process, &start, address_path(a), WALK_FOLLOW, &at);
    if (!r && filesystem_read_only(t->process->fs) && at.node.inode)
        r = -EROFS;
    if (r)
        return r;
    bool is_socket = at.node.inode && inode_type(at.node.inode) == INODE_SOCKET;
    *found = is_socket ? find_inode(at.node.inode) : NULL;
    return 0;
}

s64 socket_unix_find(struct thread *t, const struct socket_address *a, u16 type,
                     struct socket_unix **found)
{
    s64 r = 0;
    if (address_is_abstract(a))
        *found = find_abstract(a, type);
    else
        r = find_path(t, a, found);
    if (r)
        return r;
    if (!*found)
        return -ECONNREFUSED;
    return (*found)->socket.type == type ? 0 : -EPROTOTYPE;
}

/* --- binding ---------------------------------------------------------------------------------- */

s64 socket_unix_bind_any(struct socket_unix *u)
{
    static u32 next;
    struct socket_address a = {.family = AF_UNIX};
    if (u->name.bytes)
        return 0;
    a.bytes = UNIX_ADDRESS_FAMILY + 6;
    for (u32 tries = 0; tries < 0x100000; tries++) {
        char digits[8];
        next = (next + 1) & 0xfffff;
        format_text(digits, sizeof(digits), "%05x", next);
        a.data[UNIX_ADDRESS_FAMILY] = 0;
        memcpy(a.data + UNIX_ADDRESS_FAMILY + 1, digits, 5);
        if (find_abstract(&a, u->socket.type))
            continue;
        u->name = a;
        list_push_back(bucket_of_abstract(&a), &u->name_link);
        return 0;
    }
    return -ENOSPC;
}

static s64 bind_abstract(struct socket_unix *u, const struct socket_address *a)
{
    if (find_abstract(a, u->socket.type))
        return -EADDRINUSE;
    u->name = *a;
    list_push_back(bucket_of_abstract(a), &u->name_link);
    return 0;
}

/* As mknod of a socket at that path; what is there already is in use. */
static s64 bind_place(struct thread *t, const struct socket_address *a, struct path_result *at)
{
    struct node start, found;
    s64 r = path_start(t, AT_FDCWD, (const char *)a->data + UNIX_ADDRESS_FAMILY, &start);
    if (!r)
        r = path_walk(t->process, &start, address_path(a), WALK_PARENT, at);
    if (r)
        return r;
    if (at->type != LAST_NAME)
        return -EADDRINUSE;
    r = node_lookup(t->process, &at->parent, at->last, at->last_bytes, &found);
    if (!r)
        return -EADDRINUSE;
    if (r != -ENOENT || at->slashes || at->parent.virtual)
        return r;
    return node_may_change(t->process, &at->parent);
}

static s64 bind_path(struct thread *t, struct socket_unix *u, const struct socket_address *a)
{
    struct path_result at;
    struct inode *made;
    s64 r = bind_place(t, a, &at);
    if (!r && u->name.bytes)
        r = -EINVAL;
    if (r)
        return r;
    struct inode_initial initial = process_initial(t->process, at.parent.inode, 0777);
    r = change_result(
        t, inode_create(at.parent.inode, at.last, at.last_bytes, INODE_SOCKET, &initial, &made));
    if (r)
        return r;
    inode_hold(made);
    u->inode = made;
    u->name = *a;
    list_push_back(bucket_of_inode(made), &u->name_link);
    return 0;
}

s64 socket_unix_bind(struct thread *t, struct socket *s, const struct socket_address *a)
{
    struct socket_unix *u = socket_unix_of(s);
    struct socket_address name = *a;
    if (a->bytes == UNIX_ADDRESS_FAMILY && a->family == AF_UNIX)
        return socket_unix_bind_any(u);
    s64 r = socket_unix_address_check(&name);
    if (r)
        return r;
    if (address_is_abstract(&name))
        return u->name.bytes ? -EINVAL : bind_abstract(u, &name);
    return bind_path(t, u, &name);
}

void socket_unix_unbind(struct socket_unix *u)
{
    list_remove(&u->name_link);
    if (u->inode)
        inode_release(u->inode);
    u->inode = NULL;
}
