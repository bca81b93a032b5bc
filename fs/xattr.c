/* Extended attributes: a short list in each inode, newest first.  An inode has XATTRS_MOST of them
   at most, so walking the list is bounded.  Replay is the caller. */
#include "fs/internal.h"

u64 xattr_record_bytes(u64 name_bytes, u64 value_bytes)
{
    return align_up(sizeof(struct record_xattr_set) + name_bytes + value_bytes, 8);
}

static u64 xattr_bytes(const struct xattr *x)
{
    return sizeof(*x) + x->name_bytes + x->value_bytes;
}

struct xattr *xattr_find(const struct inode *i, const char *name, u64 name_bytes)
{
    struct xattr *x = i->xattrs;
    while (x && (x->name_bytes != name_bytes || memcmp(x->text, name, name_bytes) != 0))
        x = x->next;
    return x;
}

u32 xattr_count(const struct inode *i)
{
    u32 count = 0;
    for (const struct xattr *x = i->xattrs; x; x = x->next)
        count++;
    return count;
}

struct xattr *xattr_make(struct filesystem *fs, const char *name, u64 name_bytes, const void *value,
                         u64 value_bytes)
{
    struct xattr *x = arena_allocate(&fs->arena, sizeof(*x) + name_bytes + value_bytes);
    if (!x)
        return NULL;
    *x = (struct xattr){.value_bytes = (u32)value_bytes, .name_bytes = (u16)name_bytes};
    memcpy(x->text, name, name_bytes);
    if (value_bytes)
        memcpy(x->text + name_bytes, value, value_bytes);
    return x;
}

void xattr_attach(struct inode *i, struct xattr *x)
{
    x->next = i->xattrs;
    i->xattrs = x;
    i->fs->text_bytes += xattr_record_bytes(x->name_bytes, x->value_bytes);
}

void xattr_discard(struct inode *i, struct xattr *x)
{
    struct xattr **link = &i->xattrs;
    while (*link != x)
        link = &(*link)->next;
    *link = x->next;
    i->fs->text_bytes -= xattr_record_bytes(x->name_bytes, x->value_bytes);
    arena_free(&i->fs->arena, x, xattr_bytes(x));
}
