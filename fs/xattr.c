/* Extended attributes: a short list in each inode, newest first.  An inode has XATTRS_MOST of them
   at most, so walking the list is bounded.  unix/ is the caller, and replay for the parts that do
   not log. */
#include "fs/checkpoint.h"
#include "fs/log.h"
#include "fs/writeback.h"

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

/* --- the calls -------------------------------------------------------------------------------- */

static status xattr_name_check(u64 name_bytes)
{
    if (name_bytes == 0 || name_bytes > NAME_BYTES_MOST)
        return status_error(ERANGE, "fs: an impossible name of an extended attribute", name_bytes);
    return STATUS_OK;
}

static status xattr_missing(const struct inode *i)
{
    return status_error(ENODATA, "fs: no such extended attribute", i->number);
}

status xattr_get(const struct inode *i, const char *name, u64 name_bytes, void *to, u64 room,
                 u64 *bytes)
{
    status named = xattr_name_check(name_bytes);
    if (!is_ok(named))
        return named;
    const struct xattr *x = xattr_find(i, name, name_bytes);
    if (!x)
        return xattr_missing(i);
    *bytes = x->value_bytes;
    if (room == 0)
        return STATUS_OK;
    if (room < x->value_bytes)
        return status_error(ERANGE, "fs: no room for an extended attribute", x->value_bytes);
    memcpy(to, x->text + x->name_bytes, x->value_bytes);
    return STATUS_OK;
}

const char *xattr_name(const struct inode *i, u32 n, u64 *name_bytes)
{
    const struct xattr *x = i->xattrs;
    while (x && n--)
        x = x->next;
    if (!x)
        return NULL;
    *name_bytes = x->name_bytes;
    return x->text;
}

static status xattr_set_check(const struct inode *i, const struct xattr *before, u64 name_bytes,
                              u64 bytes, u32 flags)
{
    status allowed = change_allowed(i->fs);
    if (!is_ok(allowed))
        return allowed;
    status named = xattr_name_check(name_bytes);
    if (!is_ok(named))
        return named;
    if (bytes > XATTR_VALUE_MOST)
        return status_error(E2BIG, "fs: an extended attribute that is too long", bytes);
    if (before && flags & XATTR_CREATE_ONLY)
        return status_error(EEXIST, "fs: the extended attribute exists", i->number);
    if (!before && flags & XATTR_REPLACE_ONLY)
        return xattr_missing(i);
    if (!before && xattr_count(i) >= XATTRS_MOST)
        return status_error(ENOSPC, "fs: too many extended attributes", i->number);
    return STATUS_OK;
}

/* Its attributes changed in a record of their own just now; the time of that follows. */
static void xattr_changed(struct inode *i)
{
    i->changed_ns = change_time(i->fs, i->changed_ns);
    i->live->position = log_position(i->fs);
}

_Static_assert(sizeof(struct record_xattr_set) + NAME_BYTES_MOST + XATTR_VALUE_MOST + 8 <
                   LOG_CHANGE_MOST,
               "an attribute is one change");

status xattr_set(struct inode *i, const char *name, u64 name_bytes, const void *value, u64 bytes,
                 u32 flags)
{
    struct filesystem *fs = i->fs;
    struct xattr *before = xattr_find(i, name, name_bytes);
    status s = xattr_set_check(i, before, name_bytes, bytes, flags);
    if (!is_ok(s))
        return s;
    struct xattr *made = xattr_make(fs, name, name_bytes, value, bytes);
    if (!made)
        return status_error(ENOMEM, "fs: no memory for an extended attribute", i->number);
    s = inode_dirty(i);
    if (is_ok(s))
        s = log_begin(fs, xattr_record_bytes(name_bytes, bytes), LOG_GROWS);
    if (!is_ok(s)) {
        arena_free(&fs->arena, made, xattr_bytes(made));
        return s;
    }
    checkpoint_before_inode(i);
    struct record_xattr_set r = {
        .inode = i->number, .name_bytes = (u16)name_bytes, .value_bytes = (u32)bytes};
    log_record(fs, &r.r, sizeof(r), RECORD_XATTR_SET, name, name_bytes, value, bytes);
    log_end(fs);
    if (before)
        xattr_discard(i, before);
    xattr_attach(i, made);
    xattr_changed(i);
    return STATUS_OK;
}

status xattr_remove(struct inode *i, const char *name, u64 name_bytes)
{
    struct filesystem *fs = i->fs;
    status s = change_allowed(fs);
    if (is_ok(s))
        s = xattr_name_check(name_bytes);
    if (!is_ok(s))
        return s;
    struct xattr *gone = xattr_find(i, name, name_bytes);
    if (!gone)
        return xattr_missing(i);
    struct record_xattr_remove r = {.inode = i->number, .name_bytes = (u16)name_bytes};
    s = inode_dirty(i);
    if (is_ok(s))
        s = log_begin(fs, align_up(sizeof(r) + name_bytes, 8), LOG_SHRINKS);
    if (!is_ok(s))
        return s;
    checkpoint_before_inode(i);
    log_record(fs, &r.r, sizeof(r), RECORD_XATTR_REMOVE, name, name_bytes, NULL, 0);
    log_end(fs);
    xattr_discard(i, gone);
    xattr_changed(i);
    return STATUS_OK;
}
