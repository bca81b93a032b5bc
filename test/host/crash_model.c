/* The model's past: see test/host/crash_model.h.  crash_verify.c holds a mount against it. */
#include "test/host/crash_model.h"

#include "runtime/hash64.h"
#include "test/host/crash_state.h"
#include "test/host/harness.h"

#include <stdlib.h>
#include <string.h>

/* --- memory ----------------------------------------------------------------------------------- */

struct model_chunk {
    struct model_chunk *next;
    u64 used, bytes;
    u8 memory[];
};

static void *model_allocate(struct crash_model *m, u64 bytes)
{
    bytes = align_up(bytes, 16);
    if (!m->chunks || m->chunks->bytes - m->chunks->used < bytes) {
        u64 room = max(bytes, 256 * KiB);
        struct model_chunk *c = malloc(sizeof(*c) + room);
        if (!c)
            panic("out of memory");
        *c = (struct model_chunk){.next = m->chunks, .bytes = room};
        m->chunks = c;
    }
    void *p = m->chunks->memory + m->chunks->used;
    m->chunks->used += bytes;
    return p;
}

static void *array_room(void *array, u32 count, u32 *capacity, u64 element)
{
    if (count < *capacity)
        return array;
    *capacity = max(2 * *capacity, 4u);
    array = realloc(array, *capacity * element);
    if (!array)
        panic("out of memory");
    return array;
}

#define ARRAY_ADD(array, count, capacity, ...)                                                     \
    ({                                                                                             \
        (array) = array_room((array), (count), &(capacity), sizeof(*(array)));                     \
        (array)[(count)] = (__VA_ARGS__);                                                          \
        &(array)[(count)++];                                                                       \
    })

/* --- names ------------------------------------------------------------------------------------ */

u64 crash_entry_hash(u64 directory, const char *name, u64 name_bytes, u64 inode,
                     enum inode_type type)
{
    u64 h = hash64_of(directory * 31 + (u64)type);
    for (u64 n = 0; n < name_bytes; n++)
        h = hash64_of(h ^ (u8)name[n]);
    return hash64_of(h + inode);
}

u64 crash_text_hash(const void *text, u64 bytes)
{
    u64 h = bytes + 1;
    for (u64 n = 0; n < bytes; n++)
        h = hash64_of(h ^ ((const u8 *)text)[n]);
    return h;
}

u64 crash_xattr_hash(u64 inode, const char *name, u64 name_bytes, const void *value, u64 bytes)
{
    return hash64_of(crash_text_hash(name, name_bytes) * 3 + crash_text_hash(value, bytes) +
                     hash64_of(inode));
}

u64 crash_inode_hash(u64 inode, u64 target_hash, u64 xattr_sum)
{
    return hash64_of(inode ^ target_hash) + xattr_sum;
}

static u64 inode_hash(const struct model_inode *i)
{
    return crash_inode_hash(i->number, i->target_hash, i->xattr_sum);
}

static u64 entry_hash(const struct model_entry *e)
{
    return crash_entry_hash(e->directory->number, e->name, strlen(e->name), e->inode->number,
                            e->inode->type);
}

static struct model_inode *inode_add(struct crash_model *m, u64 number, enum inode_type type)
{
    struct model_inode *i = model_allocate(m, sizeof(*i));
    *i = (struct model_inode){.number = number, .type = type};
    ARRAY_ADD(m->inodes, m->inode_count, m->inode_capacity, i);
    ARRAY_ADD(i->lengths, i->length_count, i->length_capacity,
              (struct model_length){.time = m->time});
    return i;
}

static void entry_add(struct crash_model *m, struct model_inode *directory, const char *name,
                      struct model_inode *i)
{
    struct model_entry *e = ARRAY_ADD(m->entries, m->entry_count, m->entry_capacity,
                                      (struct model_entry){.directory = directory, .inode = i});
    must(strlen(name) < sizeof(e->name));
    strcpy(e->name, name);
    if (i->links++ == 0)
        m->hash += inode_hash(i);
    m->hash += entry_hash(e);
    directory->last_touch = i->last_touch = m->time;
}

static void entry_remove(struct crash_model *m, struct model_entry *e)
{
    m->hash -= entry_hash(e);
    if (--e->inode->links == 0)
        m->hash -= inode_hash(e->inode);
    e->directory->last_touch = e->inode->last_touch = m->time;
    *e = m->entries[--m->entry_count];
}

static void state_add(struct crash_model *m)
{
    ARRAY_ADD(m->states, m->state_count, m->state_capacity,
              (struct model_state){.time = m->time, .hash = m->hash});
}

static void attributes_add(struct crash_model *m, struct model_inode *i, u32 mode, u32 uid, u32 gid)
{
    ARRAY_ADD(i->attributes, i->attribute_count, i->attribute_capacity,
              (struct model_attributes){.time = m->time, .mode = mode, .uid = uid, .gid = gid});
}

struct model_inode *model_create(struct crash_model *m, struct model_inode *directory,
                                 const char *name, struct inode *made, const char *target)
{
    struct inode_attributes a;
    inode_attributes(made, &a);
    m->time++;
    struct model_inode *i = inode_add(m, a.number, a.type);
    if (target)
        i->target_hash = crash_text_hash(target, strlen(target));
    attributes_add(m, i, a.mode, a.uid, a.gid);
    entry_add(m, directory, name, i);
    state_add(m);
    return i;
}

void model_link(struct crash_model *m, struct model_inode *directory, const char *name,
                struct model_inode *i)
{
    m->time++;
    entry_add(m, directory, name, i);
    state_add(m);
}

void model_unlink(struct crash_model *m, struct model_entry *e)
{
    m->time++;
    entry_remove(m, e);
    state_add(m);
}

static struct model_entry *entry_of(struct crash_model *m, const struct model_inode *directory,
                                    const char *name)
{
    for (u32 n = 0; n < m->entry_count; n++)
        if (m->entries[n].directory == directory && strcmp(m->entries[n].name, name) == 0)
            return &m->entries[n];
    panic("model: no entry %s", name);
}

void model_rename(struct crash_model *m, struct model_entry *from, struct model_inode *directory,
                  const char *name, struct model_entry *to, bool exchange)
{
    struct model_entry f = *from, t = to ? *to : (struct model_entry){.inode = NULL};
    m->time++;
    if (to) {
        entry_remove(m, to);
        if (!exchange && f.inode->type == INODE_FILE)
            ARRAY_ADD(f.inode->replaces, f.inode->replace_count, f.inode->replace_capacity,
                      m->time);
    }
    entry_remove(m, entry_of(m, f.directory, f.name));
    entry_add(m, directory, name, f.inode);
    must(!exchange || t.inode);
    if (exchange)
        entry_add(m, f.directory, f.name, t.inode);
    f.directory->last_touch = m->time;
    state_add(m);
}

void model_xattr(struct crash_model *m, struct model_inode *i, const char *name, const void *old,
                 u64 old_bytes, const void *value, u64 bytes)
{
    m->time++;
    if (i->links)
        m->hash -= inode_hash(i);
    if (old)
        i->xattr_sum -= crash_xattr_hash(i->number, name, strlen(name), old, old_bytes);
    if (value)
        i->xattr_sum += crash_xattr_hash(i->number, name, strlen(name), value, bytes);
    if (i->links)
        m->hash += inode_hash(i);
    i->last_touch = m->time;
    state_add(m);
}

/* --- data ------------------------------------------------------------------------------------- */

static void bytes_room(struct model_inode *i, u64 length)
{
    u64 sectors = align_up(length, SECTOR_BYTES) / SECTOR_BYTES;
    if (sectors <= i->sector_count)
        return;
    i->bytes = realloc(i->bytes, sectors * SECTOR_BYTES);
    i->sectors = realloc(i->sectors, sectors * sizeof(*i->sectors));
    if (!i->bytes || !i->sectors)
        panic("out of memory");
    u64 had = i->sector_count;
    memset(i->bytes + had * SECTOR_BYTES, 0, (sectors - had) * SECTOR_BYTES);
    memset(i->sectors + had, 0, (sectors - had) * sizeof(*i->sectors));
    i->sector_count = sectors;
    i->capacity = sectors * SECTOR_BYTES;
}

static void sectors_changed(struct crash_model *m, struct model_inode *i, u64 offset, u64 count)
{
    for (u64 n = offset / SECTOR_BYTES; n * SECTOR_BYTES < offset + count; n++) {
        struct model_sector *s = &i->sectors[n];
        u8 *copy = model_allocate(m, SECTOR_BYTES);
        memcpy(copy, i->bytes + n * SECTOR_BYTES, SECTOR_BYTES);
        ARRAY_ADD(s->values, s->count, s->capacity,
                  (struct model_value){.time = m->time, .bytes = copy});
    }
}

static void length_add(struct crash_model *m, struct model_inode *i, u64 length)
{
    ARRAY_ADD(
        i->lengths, i->length_count, i->length_capacity,
        (struct model_length){.time = m->time, .length = length, .shrinks = length < i->length});
    i->length = length;
}

void model_write(struct crash_model *m, struct model_inode *i, u64 offset, const u8 *bytes,
                 u64 count)
{
    m->time++;
    bytes_room(i, offset + count);
    if (bytes)
        memcpy(i->bytes + offset, bytes, count);
    else
        memset(i->bytes + offset, 0, count);
    sectors_changed(m, i, offset, count);
    if (offset + count > i->length)
        length_add(m, i, offset + count);
}

void model_length_set(struct crash_model *m, struct model_inode *i, u64 length)
{
    u64 old = i->length;
    m->time++;
    bytes_room(i, length);
    if (length < old) {
        memset(i->bytes + length, 0, old - length);
        sectors_changed(m, i, length, old - length);
    }
    length_add(m, i, length);
}

void model_attributes_set(struct crash_model *m, struct model_inode *i, u32 mode, u32 uid, u32 gid)
{
    m->time++;
    attributes_add(m, i, mode, uid, gid);
}

/* --- syncs ------------------------------------------------------------------------------------ */

u32 model_sync_begun(struct crash_model *m, struct model_inode *i, enum sync_kind kind)
{
    struct model_promise p = {.inode = i, .begun = m->time, .from = FAULTY_NEVER};
    p.names = !i || kind == SYNC_ALL;
    p.names_time = !i ? m->time : p.names ? i->last_touch : 0;
    ARRAY_ADD(m->promises, m->promise_count, m->promise_capacity, p);
    return m->promise_count - 1;
}

void model_sync_ended(struct crash_model *m, u32 promise)
{
    m->promises[promise].from = m->disk->event_count;
}

/* --- the beginning ---------------------------------------------------------------------------- */

static void file_adopt(struct crash_model *m, struct model_inode *i, struct inode *found, u64 bytes,
                       model_reader reader)
{
    u64 got = 0;
    bytes_room(i, bytes);
    if (bytes) {
        status s = apply(reader, found, 0, i->bytes, bytes, &got);
        if (!is_ok(s))
            panic("model: inode %llu: %s", (unsigned long long)i->number, status_text(s));
        must(got == bytes);
    }
    sectors_changed(m, i, 0, bytes);
    length_add(m, i, bytes);
}

static struct model_inode *inode_adopt(struct crash_model *m, struct inode *found,
                                       model_reader reader)
{
    struct inode_attributes a;
    inode_attributes(found, &a);
    for (u32 n = 0; n < m->inode_count; n++)
        if (m->inodes[n]->number == a.number)
            return m->inodes[n];
    struct model_inode *i = inode_add(m, a.number, a.type);
    attributes_add(m, i, a.mode, a.uid, a.gid);
    i->xattr_sum = crash_xattr_sum(found, a.number);
    if (a.type == INODE_FILE)
        file_adopt(m, i, found, a.bytes, reader);
    u64 length;
    if (a.type == INODE_SYMLINK) {
        const char *target = symlink_target(found, &length);
        i->target_hash = crash_text_hash(target, length);
    }
    return i;
}

static void directory_adopt(struct crash_model *m, struct inode *directory, model_reader reader)
{
    struct directory_entry e;
    struct model_inode *above = inode_adopt(m, directory, reader);
    for (u64 cookie = 0; directory_next(directory, cookie, &e); cookie = e.cookie) {
        char name[64];
        must(e.name_bytes < sizeof(name));
        memcpy(name, e.name, e.name_bytes);
        name[e.name_bytes] = 0;
        entry_add(m, above, name, inode_adopt(m, e.inode, reader));
        if (inode_type(e.inode) == INODE_DIRECTORY)
            directory_adopt(m, e.inode, reader);
    }
}

void crash_model_init(struct crash_model *m, struct faulty_disk *disk, struct filesystem *fs,
                      model_reader reader)
{
    *m = (struct crash_model){.disk = disk};
    struct model_inode *root = inode_adopt(m, filesystem_root(fs), reader);
    root->links = 1;
    m->hash = inode_hash(root);
    directory_adopt(m, filesystem_root(fs), reader);
    state_add(m);
    disk->clock = &m->time;
    faulty_disk_log(disk);
}

void crash_model_destroy(struct crash_model *m)
{
    for (u32 n = 0; n < m->inode_count; n++) {
        struct model_inode *i = m->inodes[n];
        for (u64 s = 0; s < i->sector_count; s++)
            free(i->sectors[s].values);
        free(i->sectors);
        free(i->bytes);
        free(i->lengths);
        free(i->attributes);
        free(i->replaces);
    }
    while (m->chunks) {
        struct model_chunk *c = m->chunks;
        m->chunks = c->next;
        free(c);
    }
    free(m->inodes);
    free(m->entries);
    free(m->states);
    free(m->promises);
}
