/* Inodes: their making and end, their attributes, and what an open file holds. */
#include "fs/internal.h"
#include "fs/log.h"

#include "runtime/format.h"

#define DIRECTORY_BYTES   4096 /* what stat says of any directory */
#define DIRECTORY_SECTORS 8
#define PATH_DEPTH_MOST   64 /* components that a message shows */

/* Field by field: what a compiler makes of an assignment of the whole is slow under emulation. */
static inline void inode_init(struct inode *i, struct filesystem *fs, u64 number, u8 type)
{
    i->fs = fs;
    i->number = number;
    i->bytes = 0;
    i->type = type;
    i->said = fs->checkpoint_epoch;
    i->mode = i->unnamed = 0;
    i->uid = i->gid = i->links = i->holds = i->places_capacity = 0;
    i->accessed_ns = i->modified_ns = i->changed_ns = i->created_ns = 0;
    i->entry = NULL;
    i->xattrs = NULL;
    i->live = NULL;
    /* What belongs to a directory is the longest part of the union. */
    i->entries = NULL;
    i->places = i->entries_live = i->subdirectories = i->place_next = 0;
}
_Static_assert(offsetof(struct inode, place_next) + sizeof(u32) == sizeof(struct inode),
               "inode_init clears all of it");

REPLAY_CODE struct inode *inode_make(struct filesystem *fs, u64 number, u8 type)
{
    struct inode *i = arena_allocate(&fs->arena, sizeof(*i));
    if (!i)
        return NULL;
    inode_init(i, fs, number, type);
    if (!inode_index_add(i)) {
        arena_free(&fs->arena, i, sizeof(*i));
        return NULL;
    }
    fs->inodes++;
    return i;
}

void inodes_release(struct filesystem *fs)
{
    for (struct inode *i = inode_next(fs, 0); i; i = inode_next(fs, i->number + 1))
        if (i->type == INODE_DIRECTORY)
            directory_release(i);
    fs->inode_top = fs->inode_leaf = NULL;
    fs->inode_height = 0;
}

/* What belongs to its type. */
static void inode_body_free(struct filesystem *fs, struct inode *i)
{
    if (i->type == INODE_DIRECTORY) {
        directory_release(i);
    } else if (i->type == INODE_FILE) {
        arena_free(&fs->arena, i->extents, sizeof(*i->extents));
    } else if (i->target) {
        char *target = i->target;
        arena_free(&fs->arena, target, i->bytes);
        fs->text_bytes -= symlink_record_bytes(i->bytes);
    }
}

void inode_forget(struct filesystem *fs, struct inode *i)
{
    inode_index_remove(i);
    fs->inodes--;
    inode_live_drop(i);
    while (i->xattrs)
        xattr_discard(i, i->xattrs);
    inode_body_free(fs, i);
    arena_free(&fs->arena, i, sizeof(*i));
}

u64 link_record_bytes(u64 name_bytes)
{
    return align_up(sizeof(struct record_link) + name_bytes, 8);
}

u64 symlink_record_bytes(u64 target_bytes)
{
    return align_up(sizeof(struct record_symlink) + target_bytes, 8);
}

void inode_record(const struct inode *i, struct record_inode *r)
{
    *r = (struct record_inode){
        .number = i->number,
        .type = i->type,
        .mode = i->mode,
        .uid = i->uid,
        .gid = i->gid,
        .bytes = i->type == INODE_FILE ? i->bytes : 0,
        .accessed_ns = i->accessed_ns,
        .modified_ns = i->modified_ns,
        .changed_ns = i->changed_ns,
        .created_ns = i->created_ns,
    };
}

struct inode_live *inode_live(struct inode *i)
{
    if (i->live)
        return i->live;
    struct inode_live *l = allocate_zero(i->fs->environment.heap, sizeof(*l));
    if (!l)
        return NULL;
    l->inode = i;
    list_init(&l->dirty);
    list_init(&l->writes);
    list_init(&l->data);
    list_init(&l->promises);
    l->logged_bytes = i->bytes;
    /* Nobody has kept where the log speaks of it; that is not behind its present end. */
    l->position = log_position(i->fs);
    list_push_back(&i->fs->live, &l->link);
    i->live = l;
    return l;
}

void inode_live_drop(struct inode *i)
{
    struct inode_live *l = i->live;
    if (!l)
        return;
    cache_drop_inode(i);
    list_remove(&l->dirty);
    list_remove(&l->link);
    i->live = NULL;
    deallocate(i->fs->environment.heap, l, sizeof(*l));
}

void inode_attributes(const struct inode *i, struct inode_attributes *to)
{
    bool directory = i->type == INODE_DIRECTORY;
    *to = (struct inode_attributes){
        .number = i->number,
        .type = i->type,
        .mode = i->mode,
        .uid = i->uid,
        .gid = i->gid,
        .links = directory_attached(i) ? 2 + i->subdirectories : i->links,
        .bytes = directory ? DIRECTORY_BYTES : i->bytes,
        .blocks = directory               ? DIRECTORY_SECTORS
                  : i->type == INODE_FILE ? i->blocks * BLOCK_SECTORS
                                          : 0,
        .accessed_ns = i->accessed_ns,
        .modified_ns = i->modified_ns,
        .changed_ns = i->changed_ns,
    };
}

enum inode_type inode_type(const struct inode *i)
{
    return i->type;
}

u64 inode_bytes(const struct inode *i)
{
    return i->bytes;
}

void inode_hold(struct inode *i)
{
    i->holds++;
}

void inode_release(struct inode *i)
{
    assert(i->holds > 0);
    if (--i->holds == 0 && unlikely(i->links == 0))
        orphan_forget(i);
}

const char *symlink_target(const struct inode *i, u64 *bytes)
{
    assert(i->type == INODE_SYMLINK);
    *bytes = i->bytes;
    return i->target;
}

const char *inode_path(const struct inode *i, char *to, u64 size)
{
    const struct entry *components[PATH_DEPTH_MOST];
    u32 depth = 0;
    const struct entry *e = i->entry;
    for (; e && depth < PATH_DEPTH_MOST; e = e->directory->entry)
        components[depth++] = e;
    /* What is too deep begins with "...". */
    u64 at = format_text(to, size, "%s", e ? "..." : depth ? "" : i == i->fs->root ? "/" : "?");
    while (depth-- && at < size)
        at += format_text(to + at, size - at, "/%.*s", (int)components[depth]->name_bytes,
                          components[depth]->name);
    return to;
}
