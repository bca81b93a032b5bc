/* A log record as one line of text, for messages and for `thunk dump`.  The record may break every
   rule but that of its length, so nothing in it is believed. */
#include "fs/check_internal.h"

#include "runtime/format.h"

#define TEXT_SHOWN_MOST 80u /* bytes of a name, value or target */

typedef unsigned long long number; /* as the format wants it */

const char *record_name(u16 type)
{
    static const char *const names[RECORD_TYPES] = {
        [RECORD_SEGMENT] = "SEGMENT",
        [RECORD_NEXT] = "NEXT",
        [RECORD_CHECKPOINT_BEGIN] = "CHECKPOINT_BEGIN",
        [RECORD_CHECKPOINT_END] = "CHECKPOINT_END",
        [RECORD_SETTING] = "SETTING",
        [RECORD_INODE] = "INODE",
        [RECORD_LINK] = "LINK",
        [RECORD_UNLINK] = "UNLINK",
        [RECORD_RENAME] = "RENAME",
        [RECORD_SYMLINK] = "SYMLINK",
        [RECORD_MAP] = "MAP",
        [RECORD_UNMAP] = "UNMAP",
        [RECORD_TRUNCATE] = "TRUNCATE",
        [RECORD_XATTR_SET] = "XATTR_SET",
        [RECORD_XATTR_REMOVE] = "XATTR_REMOVE",
        [RECORD_RESERVE] = "RESERVE",
        [RECORD_RELEASE] = "RELEASE",
        [RECORD_FORGET] = "FORGET",
    };
    return type < RECORD_TYPES && names[type] ? names[type] : "UNKNOWN";
}

/* In quotes, what is not printable as \xNN, cut to what is worth showing. */
static const char *quoted(char *to, u64 size, const struct record *r, const char *text, u64 bytes)
{
    u64 there = (u64)((const char *)r + r->length - text), at = 0;
    bool outside = text > (const char *)r + r->length || bytes > there;
    u64 shown = outside ? 0 : min(bytes, (u64)TEXT_SHOWN_MOST);
    at += format_text(to + at, size - at, "%s\"", outside ? "(beyond the record)" : "");
    for (u64 n = 0; n < shown && at + 8 < size; n++) {
        u8 c = (u8)text[n];
        bool plain = c >= ' ' && c != '"' && c != '\\' && c != 0x7f;
        at += format_text(to + at, size - at, plain ? "%c" : "\\x%02x", c);
    }
    format_text(to + at, size - at, "\"%s", shown < bytes && !outside ? "..." : "");
    return to;
}

static void describe_map(const struct record *record, char *to, u64 size)
{
    const struct record_map *m = (const struct record_map *)record;
    u64 at =
        format_text(to, size, "inode %llu, file blocks %llu..%llu at disk block %llu%s",
                    (number)m->inode, (number)m->file_block, (number)(m->file_block + m->blocks),
                    (number)m->disk_block, m->flags & MAP_UNWRITTEN ? ", unwritten" : "");
    if (m->flags & MAP_SUMS_INLINE && at < size)
        format_text(to + at, size - at, ", checksums here");
    if (m->flags & MAP_SUMS_RUN && at < size)
        format_text(to + at, size - at, ", checksums from %u on in block %llu", m->run_index,
                    (number)m->run_block);
}

static void describe_inode(const struct record *record, char *to, u64 size)
{
    const struct record_inode *i = (const struct record_inode *)record;
    static const char *const types[] = {"type 0",  "file",   "directory",
                                        "symlink", "type 4", "socket"};
    const char *type = i->type < countof(types) ? types[i->type] : "unknown type";
    format_text(to, size, "%llu %s mode %04o uid %u gid %u bytes %llu modified %lld.%09llu",
                (number)i->number, type, i->mode, i->uid, i->gid, (number)i->bytes,
                (long long)(i->modified_ns / (s64)NS_PER_SECOND),
                (number)((u64)i->modified_ns % NS_PER_SECOND));
}

static void describe_name(const struct record *record, char *to, u64 size)
{
    char name[600], other[600];
    const struct record_link *l = (const struct record_link *)record;
    const struct record_rename *n = (const struct record_rename *)record;
    if (record->type != RECORD_RENAME) {
        quoted(name, sizeof(name), record, l->name, l->name_bytes);
        format_text(to, size, "directory %llu, inode %llu, %s", (number)l->directory,
                    (number)l->inode, name);
        return;
    }
    quoted(name, sizeof(name), record, n->names, n->from_bytes);
    quoted(other, sizeof(other), record, n->names + n->from_bytes, n->to_bytes);
    format_text(to, size, "directory %llu %s to directory %llu %s%s", (number)n->from_directory,
                name, (number)n->to_directory, other,
                n->flags == RENAME_RECORD_EXCHANGE  ? ", exchanging"
                : n->flags == RENAME_RECORD_REPLACE ? ", replacing"
                : n->flags                          ? ", unknown flags"
                                                    : "");
}

static void describe_texts(const struct record *record, char *to, u64 size)
{
    char name[600], value[600];
    const struct record_setting *s = (const struct record_setting *)record;
    const struct record_xattr_set *x = (const struct record_xattr_set *)record;
    const struct record_xattr_remove *xr = (const struct record_xattr_remove *)record;
    const struct record_symlink *l = (const struct record_symlink *)record;
    if (record->type == RECORD_SETTING) {
        quoted(name, sizeof(name), record, s->text, s->name_bytes);
        quoted(value, sizeof(value), record, s->text + s->name_bytes, s->value_bytes);
        format_text(to, size, "%s %s %s", s->operation == SETTING_REMOVE ? "remove" : "append",
                    name, value);
    } else if (record->type == RECORD_SYMLINK) {
        quoted(name, sizeof(name), record, l->target, l->target_bytes);
        format_text(to, size, "inode %llu, %s", (number)l->inode, name);
    } else if (record->type == RECORD_XATTR_SET) {
        quoted(name, sizeof(name), record, x->text, x->name_bytes);
        format_text(to, size, "inode %llu, %s, %u bytes", (number)x->inode, name, x->value_bytes);
    } else {
        quoted(name, sizeof(name), record, xr->name, xr->name_bytes);
        format_text(to, size, "inode %llu, %s", (number)xr->inode, name);
    }
}

static void describe_log(const struct record *record, char *to, u64 size)
{
    const struct record_segment *s = (const struct record_segment *)record;
    const struct record_next *n = (const struct record_next *)record;
    const struct record_checkpoint *c = (const struct record_checkpoint *)record;
    const struct record_checkpoint_end *e = (const struct record_checkpoint_end *)record;
    const struct record_reserve *r = (const struct record_reserve *)record;
    if (record->type == RECORD_SEGMENT)
        format_text(to, size, "first sequence %llu, blocks %llu..%llu", (number)s->number,
                    (number)s->block, (number)(s->block + s->blocks));
    else if (record->type == RECORD_NEXT)
        format_text(to, size, "to blocks %llu..%llu, sequence %llu", (number)n->block,
                    (number)(n->block + n->blocks), (number)n->sequence);
    else if (record->type == RECORD_CHECKPOINT_BEGIN)
        format_text(to, size, "generation %llu, inodes %llu, entries %llu, extents %llu",
                    (number)c->generation, (number)c->inodes, (number)c->entries,
                    (number)c->extents);
    else if (record->type == RECORD_CHECKPOINT_END)
        format_text(to, size,
                    "generation %llu, inodes %llu, entries %llu, extents %llu, next inode %llu",
                    (number)e->generation, (number)e->inodes, (number)e->entries,
                    (number)e->extents, (number)e->next_inode);
    else
        format_text(to, size, "blocks %llu..%llu, %s", (number)r->block,
                    (number)(r->block + r->blocks),
                    r->kind == RESERVE_CHECKSUMS ? "checksums"
                    : r->kind == RESERVE_OTHER   ? "kept from use"
                                                 : "unknown kind");
}

static void describe_change(const struct record *record, char *to, u64 size)
{
    const struct record_unmap *u = (const struct record_unmap *)record;
    const struct record_truncate *t = (const struct record_truncate *)record;
    const struct record_forget *f = (const struct record_forget *)record;
    if (record->type == RECORD_UNMAP)
        format_text(to, size, "inode %llu, file blocks %llu..%llu", (number)u->inode,
                    (number)u->file_block, (number)(u->file_block + u->blocks));
    else if (record->type == RECORD_TRUNCATE)
        format_text(to, size, "inode %llu to %llu bytes", (number)t->inode, (number)t->bytes);
    else
        format_text(to, size, "inode %llu", (number)f->inode);
}

static const struct {
    void (*describe)(const struct record *record, char *to, u64 size);
    u64 bytes; /* of the fixed part */
} descriptions[RECORD_TYPES] = {
    [RECORD_SEGMENT] = {describe_log, sizeof(struct record_segment)},
    [RECORD_NEXT] = {describe_log, sizeof(struct record_next)},
    [RECORD_CHECKPOINT_BEGIN] = {describe_log, sizeof(struct record_checkpoint)},
    [RECORD_CHECKPOINT_END] = {describe_log, sizeof(struct record_checkpoint_end)},
    [RECORD_SETTING] = {describe_texts, sizeof(struct record_setting)},
    [RECORD_INODE] = {describe_inode, sizeof(struct record_inode)},
    [RECORD_LINK] = {describe_name, sizeof(struct record_link)},
    [RECORD_UNLINK] = {describe_name, sizeof(struct record_link)},
    [RECORD_RENAME] = {describe_name, sizeof(struct record_rename)},
    [RECORD_SYMLINK] = {describe_texts, sizeof(struct record_symlink)},
    [RECORD_MAP] = {describe_map, sizeof(struct record_map)},
    [RECORD_UNMAP] = {describe_change, sizeof(struct record_unmap)},
    [RECORD_TRUNCATE] = {describe_change, sizeof(struct record_truncate)},
    [RECORD_XATTR_SET] = {describe_texts, sizeof(struct record_xattr_set)},
    [RECORD_XATTR_REMOVE] = {describe_texts, sizeof(struct record_xattr_remove)},
    [RECORD_RESERVE] = {describe_log, sizeof(struct record_reserve)},
    [RECORD_RELEASE] = {describe_log, sizeof(struct record_reserve)},
    [RECORD_FORGET] = {describe_change, sizeof(struct record_forget)},
};

void record_describe(const struct record *r, char *to, u64 size)
{
    u64 at = format_text(to, size, "%s ", record_name(r->type));
    if (at >= size)
        return;
    if (r->type >= RECORD_TYPES || !descriptions[r->type].describe)
        format_text(to + at, size - at, "type %u, flags %u, %u bytes", r->type, r->flags,
                    r->length);
    else if (r->length < descriptions[r->type].bytes)
        format_text(to + at, size - at, "too short: %u bytes", r->length);
    else
        descriptions[r->type].describe(r, to + at, size - at);
}
