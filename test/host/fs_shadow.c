/* Files and what they should hold: see test/host/fs_shadow.h. */
#include "test/host/fs_shadow.h"

#include "fs/format.h"
#include "test/host/fs_fixture.h"
#include "test/host/harness.h"

#include <string.h>

#define WAITS_MOST 1000 /* for room, in a row */

struct writable shadow_disk;
struct shadow shadows[SHADOWS];

/* --- calls that wait -------------------------------------------------------------------------- */

status shadow_wait(const struct host_result *r)
{
    while (host_run(), !r->applied)
        must(host_disk_answer(&shadow_disk.disk));
    must(r->applied == 1);
    return r->s;
}

/* Waits for what EAGAIN asked for; false: nothing was. */
static bool again(struct inode *i, status s, u64 fetch, u32 *waits)
{
    if (status_errno(s) != EAGAIN)
        return false;
    must(++*waits < WAITS_MOST);
    struct host_result r;
    struct room_wait w = {.fs = NULL};
    if (fetch == NO_PAGE)
        filesystem_wait_room(shadow_disk.fs, &w, host_result_init(&r));
    else
        pages_fetch(i, fetch, 1, host_result_init(&r));
    (void)shadow_wait(&r); /* a failure may pass */
    return true;
}

static status write_page(struct inode *i, u64 offset, const u8 *from, u64 bytes)
{
    struct page_write w;
    u32 waits = 0;
    status s;
    do
        s = page_write_begin(i, offset, bytes, &w);
    while (again(i, s, w.fetch, &waits));
    if (!is_ok(s))
        return s;
    memcpy((u8 *)page_memory(w.page) + offset % BLOCK_BYTES, from, bytes);
    must(page_write_end(i, offset, bytes, &w) == bytes);
    return s;
}

status shadow_write_bytes(struct inode *i, u64 offset, const u8 *from, u64 bytes)
{
    status s = STATUS_OK;
    for (u64 at = 0, part; is_ok(s) && at < bytes; at += part) {
        part = min(BLOCK_BYTES - (offset + at) % BLOCK_BYTES, bytes - at);
        s = write_page(i, offset + at, from + at, part);
    }
    return s;
}

status shadow_truncate_to(struct inode *i, u64 bytes)
{
    u64 fetch;
    u32 waits = 0;
    status s;
    do
        s = file_truncate(i, bytes, &fetch);
    while (again(i, s, fetch, &waits));
    return s;
}

status shadow_allocate_range(struct inode *i, u32 flags, u64 offset, u64 bytes)
{
    u64 fetch;
    u32 waits = 0;
    status s;
    do
        s = file_allocate(i, flags, offset, bytes, &fetch);
    while (again(i, s, fetch, &waits));
    return s;
}

status shadow_sync_file(struct inode *i, enum sync_kind kind)
{
    struct host_result r;
    struct sync_wait w = {NULL};
    file_sync(i, 0, ~0ull, kind, &w, host_result_init(&r));
    return shadow_wait(&r);
}

struct inode *shadow_make(const char *name)
{
    struct inode *i = NULL;
    struct inode_initial initial = {.mode = 0644};
    status s;
    u32 waits = 0;
    do
        s = inode_create(filesystem_root(shadow_disk.fs), name, strlen(name), INODE_FILE, &initial,
                         &i);
    while (again(NULL, s, NO_PAGE, &waits));
    if (!is_ok(s))
        note("create: %s", status_text(s));
    must(is_ok(s));
    return i;
}

struct inode *shadow_look(const char *name)
{
    struct inode *i = test_lookup(shadow_disk.fs, name);
    if (!i)
        panic("%s is not there", name);
    return i;
}

status shadow_remove(const char *name)
{
    status s;
    u32 waits = 0;
    do
        s = inode_unlink(filesystem_root(shadow_disk.fs), name, strlen(name));
    while (again(NULL, s, NO_PAGE, &waits));
    return s;
}

u64 shadow_blocks_free(void)
{
    return filesystem_statistics(shadow_disk.fs).blocks_free;
}

/* --- the model -------------------------------------------------------------------------------- */

static u8 got[SHADOW_BYTES];

void shadow_fill(u8 *to, u64 bytes, u64 seed)
{
    struct random r;
    random_init(&r, seed);
    for (u64 n = 0; n < bytes; n++)
        to[n] = (u8)random_next(&r);
}

static status read_all(struct inode *i, u64 length, u64 *bytes)
{
    struct host_result r;
    struct sg_list sg;
    sg_init(&sg, host_heap);
    must(sg_add(&sg, got, length));
    file_read(i, 0, &sg, bytes, host_result_init(&r));
    status s = shadow_wait(&r);
    sg_clear(&sg);
    return s;
}

/* The first byte that differs; ~0: none does. */
static u64 differs(const struct shadow *m)
{
    struct inode *i = shadow_look(m->name);
    u64 bytes = 0;
    if (inode_bytes(i) != m->length)
        return m->length;
    if (m->length == 0)
        return ~0ull;
    if (!is_ok(read_all(i, m->length, &bytes)) || bytes != m->length)
        return 0;
    for (u64 n = 0; n < m->length; n++)
        if (got[n] != m->bytes[n])
            return n;
    return ~0ull;
}

void shadow_check(const struct shadow *m)
{
    u64 at = differs(m);
    if (at != ~0ull)
        note("%s: differs at %llu of %llu (file: %llu)", m->name, (unsigned long long)at,
             (unsigned long long)m->length, (unsigned long long)inode_bytes(shadow_look(m->name)));
    must(at == ~0ull);
}

void shadow_write(struct shadow *m, u64 offset, u64 bytes, u64 seed)
{
    shadow_fill(m->bytes + offset, bytes, seed);
    must(is_ok(shadow_write_bytes(shadow_look(m->name), offset, m->bytes + offset, bytes)));
    m->length = max(m->length, offset + bytes);
}

void shadow_truncate(struct shadow *m, u64 bytes)
{
    must(is_ok(shadow_truncate_to(shadow_look(m->name), bytes)));
    if (bytes < m->length)
        memset(m->bytes + bytes, 0, m->length - bytes);
    m->length = bytes;
}

void shadow_allocate(struct shadow *m, u32 flags, u64 offset, u64 bytes)
{
    must(is_ok(shadow_allocate_range(shadow_look(m->name), flags, offset, bytes)));
    if (flags & (ALLOCATE_PUNCH | ALLOCATE_ZERO) && offset < m->length)
        memset(m->bytes + offset, 0, min(bytes, m->length - offset));
    if (!(flags & ALLOCATE_KEEP_SIZE))
        m->length = max(m->length, offset + bytes);
}

void shadow_seek(const struct shadow *m)
{
    struct inode *i = shadow_look(m->name);
    u64 at = 0;
    while (at < m->length) {
        u64 data = m->length, hole;
        status s = file_seek_data(i, at, &data);
        must(is_ok(s) || status_errno(s) == ENXIO);
        must(data >= at && data <= m->length);
        for (u64 n = at; n < data; n++)
            must(m->bytes[n] == 0);
        if (data == m->length)
            break;
        must(is_ok(file_seek_hole(i, data, &hole)) && hole > data && hole <= m->length);
        at = hole;
    }
}

void shadows_make(void)
{
    for (u32 n = 0; n < SHADOWS; n++) {
        struct shadow *m = &shadows[n];
        memset(m, 0, sizeof(*m));
        m->name[0] = (char)('a' + n);
        shadow_make(m->name);
    }
}

void shadows_check(void)
{
    for (u32 n = 0; n < SHADOWS; n++)
        shadow_check(&shadows[n]);
}
