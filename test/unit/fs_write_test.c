/* Writing data: what is written, cut, punched and allocated is what is read, before and after the
   next mount; what is full says so at once; what fails stays dirty and is reported once. */
#include "fs/format.h"
#include "test/host/fs_fixture.h"
#include "test/host/fs_writable.h"
#include "test/host/harness.h"

#include <stdlib.h>
#include <string.h>

#define MODEL_BYTES (512 * KiB)
#define FILES       4
#define WAITS_MOST  100 /* for room, in a row */

static struct writable v;

/* --- calls that wait -------------------------------------------------------------------------- */

/* Waits for what EAGAIN asked for; false: it has been asked too often, or failed. */
static bool again(struct inode *i, status s, u64 fetch, u32 *waits)
{
    if (status_errno(s) != EAGAIN)
        return false;
    must(++*waits < WAITS_MOST);
    if (fetch == NO_PAGE)
        return is_ok(writable_wait_room(&v));
    struct host_result r;
    pages_fetch(i, fetch, 1, host_result_init(&r));
    host_run();
    must(r.applied == 1);
    return is_ok(r.s);
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

static status write_bytes(struct inode *i, u64 offset, const u8 *from, u64 bytes)
{
    status s = STATUS_OK;
    for (u64 at = 0, part; is_ok(s) && at < bytes; at += part) {
        part = min(BLOCK_BYTES - (offset + at) % BLOCK_BYTES, bytes - at);
        s = write_page(i, offset + at, from + at, part);
    }
    return s;
}

static status truncate_to(struct inode *i, u64 bytes)
{
    u64 fetch;
    u32 waits = 0;
    status s;
    do
        s = file_truncate(i, bytes, &fetch);
    while (again(i, s, fetch, &waits));
    return s;
}

static status allocate_range(struct inode *i, u32 flags, u64 offset, u64 bytes)
{
    u64 fetch;
    u32 waits = 0;
    status s;
    do
        s = file_allocate(i, flags, offset, bytes, &fetch);
    while (again(i, s, fetch, &waits));
    return s;
}

static status sync_file(struct inode *i, enum sync_kind kind)
{
    struct host_result r;
    struct sync_wait w = {NULL};
    file_sync(i, 0, ~0ull, kind, &w, host_result_init(&r));
    host_run();
    must(r.applied == 1);
    return r.s;
}

static struct inode *make(const char *name)
{
    struct inode *i = NULL;
    struct inode_initial initial = {.mode = 0644};
    status s;
    u32 waits = 0;
    do
        s = inode_create(filesystem_root(v.fs), name, strlen(name), INODE_FILE, &initial, &i);
    while (again(NULL, s, NO_PAGE, &waits));
    if (!is_ok(s))
        note("create: %s", status_text(s));
    must(is_ok(s));
    return i;
}

static struct inode *look(const char *name)
{
    struct inode *i = test_lookup(v.fs, name);
    if (!i)
        panic("%s is not there", name);
    return i;
}

static status remove_name(const char *name)
{
    status s;
    u32 waits = 0;
    do
        s = inode_unlink(filesystem_root(v.fs), name, strlen(name));
    while (again(NULL, s, NO_PAGE, &waits));
    return s;
}

static u64 blocks_free(void)
{
    return filesystem_statistics(v.fs).blocks_free;
}

/* --- the model -------------------------------------------------------------------------------- */

static struct model {
    char name[8];
    u8 bytes[MODEL_BYTES];
    u64 length;
} models[FILES];

static u8 got[MODEL_BYTES];

static void fill(u8 *to, u64 bytes, u64 seed)
{
    struct random r;
    random_init(&r, seed);
    for (u64 n = 0; n < bytes; n++)
        to[n] = (u8)random_next(&r);
}

/* The first byte that differs; ~0: none does. */
static u64 differs(const struct model *m)
{
    struct inode *i = look(m->name);
    u64 bytes = 0;
    if (inode_bytes(i) != m->length)
        return m->length;
    if (m->length == 0)
        return ~0ull;
    status s = test_read(i, 0, got, m->length, &bytes);
    if (!is_ok(s) || bytes != m->length)
        return 0;
    for (u64 n = 0; n < m->length; n++)
        if (got[n] != m->bytes[n])
            return n;
    return ~0ull;
}

static void model_check(const struct model *m)
{
    u64 at = differs(m);
    if (at != ~0ull)
        note("%s: differs at %llu of %llu (file: %llu)", m->name, (unsigned long long)at,
             (unsigned long long)m->length, (unsigned long long)inode_bytes(look(m->name)));
    must(at == ~0ull);
}

static void model_write(struct model *m, u64 offset, u64 bytes, u64 seed)
{
    fill(m->bytes + offset, bytes, seed);
    must(is_ok(write_bytes(look(m->name), offset, m->bytes + offset, bytes)));
    m->length = max(m->length, offset + bytes);
}

static void model_truncate(struct model *m, u64 bytes)
{
    must(is_ok(truncate_to(look(m->name), bytes)));
    if (bytes < m->length)
        memset(m->bytes + bytes, 0, m->length - bytes);
    m->length = bytes;
}

static void model_allocate(struct model *m, u32 flags, u64 offset, u64 bytes)
{
    must(is_ok(allocate_range(look(m->name), flags, offset, bytes)));
    if (flags & (ALLOCATE_PUNCH | ALLOCATE_ZERO) && offset < m->length)
        memset(m->bytes + offset, 0, min(bytes, m->length - offset));
    if (!(flags & ALLOCATE_KEEP_SIZE))
        m->length = max(m->length, offset + bytes);
}

/* What SEEK_HOLE calls a hole holds zeros, data and holes take turns, and the end is a hole. */
static void model_seek(const struct model *m)
{
    struct inode *i = look(m->name);
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

static void models_make(void)
{
    for (u32 n = 0; n < FILES; n++) {
        struct model *m = &models[n];
        memset(m, 0, sizeof(*m));
        m->name[0] = (char)('a' + n);
        make(m->name);
    }
}

static void models_check(void)
{
    for (u32 n = 0; n < FILES; n++)
        model_check(&models[n]);
}

/* --- the tests -------------------------------------------------------------------------------- */

static void test_round_trip(void)
{
    struct model *m = &models[0];
    writable_init(&v, 16 * MiB, host_heap);
    models_make();
    model_write(m, 0, 100000, 1);
    model_check(m);
    ok(1, "what was written is read, before anything is on the disk");
    is(status_errno(sync_file(look("a"), SYNC_ALL)), 0, "fsync");
    model_check(m);
    page_cache_reclaim(v.fs, ~0ull);
    model_check(m);
    ok(1, "and from the disk");
    model_write(m, 50000, 7000, 2);
    model_write(m, 99990, 30, 3);
    must(is_ok(writable_remount(&v, true)));
    model_check(m);
    ok(1, "and after the next mount, when the filesystem was ended");
    model_write(m, 0, 5, 4);
    model_write(m, 200001, 100, 5);
    must(is_ok(writable_remount(&v, false)));
    model_check(m);
    ok(1, "and after a power cut behind a sync");
    struct inode_attributes a;
    inode_attributes(look("a"), &a);
    is(a.blocks, (25 + 1) * 8, "with the blocks that it needs, and a hole");
    writable_destroy(&v);
}

static void test_flushes(void)
{
    struct model *m = &models[0];
    writable_init(&v, 16 * MiB, host_heap);
    models_make();
    model_write(m, 0, 64 * KiB, 1);
    must(is_ok(sync_file(look("a"), SYNC_ALL)));
    u64 flushes = v.disk.flushes, calls = v.disk.calls;
    model_write(m, 4096, 4096, 2);
    is(status_errno(sync_file(look("a"), SYNC_DATA)), 0, "fdatasync of a block in its place");
    is(v.disk.flushes - flushes, 1, "takes one FLUSH");
    is(v.disk.calls - calls, 2, "and one write");
    calls = v.disk.calls;
    must(is_ok(sync_file(look("a"), SYNC_DATA)));
    is(v.disk.calls - calls, 0, "again, with nothing changed, nothing at all");
    must(is_ok(sync_file(look("a"), SYNC_ALL)));
    ok(v.disk.calls > calls, "fsync writes its times");
    must(is_ok(writable_remount(&v, false)));
    model_check(m);
    writable_destroy(&v);
}

static void test_large(void)
{
    static const u64 offsets[] = {0, 5 * GiB + 1, 1ull << 40, FILE_BYTES_MOST - 4096};
    u8 text[3000], back[3000];
    u64 bytes;
    writable_init(&v, 16 * MiB, host_heap);
    struct inode *i = make("large");
    for (u32 n = 0; n < countof(offsets); n++) {
        fill(text, sizeof(text), n);
        must(is_ok(write_bytes(i, offsets[n], text, sizeof(text))));
    }
    struct page_write w;
    is(status_errno(page_write_begin(i, FILE_BYTES_MOST - 10, 11, &w)), EFBIG,
       "what is too far is EFBIG");
    must(is_ok(writable_remount(&v, true)));
    i = look("large");
    is(inode_bytes(i), FILE_BYTES_MOST - 4096 + sizeof(text), "a sparse file of 2^63 bytes");
    bool right = true;
    for (u32 n = 0; n < countof(offsets); n++) {
        fill(text, sizeof(text), n);
        right &= is_ok(test_read(i, offsets[n], back, sizeof(back), &bytes)) &&
                 memcmp(text, back, sizeof(text)) == 0;
    }
    ok(right, "holds what was written, after a mount");
    u64 found;
    ok(is_ok(file_seek_data(i, 4096, &found)) && found == align_down(offsets[1], 4096),
       "SEEK_DATA finds it");
    ok(is_ok(file_seek_hole(i, offsets[1], &found)) && found == align_up(offsets[1] + 3000, 4096),
       "SEEK_HOLE too");
    must(is_ok(truncate_to(i, 10)));
    struct inode_attributes a;
    inode_attributes(i, &a);
    is(a.blocks, 8, "truncated, it has one block");
    writable_destroy(&v);
}

static void test_full(void)
{
    static u8 block[BLOCK_BYTES];
    writable_init(&v, 8 * MiB, host_heap);
    struct inode *i = make("full");
    must(is_ok(writable_sync(&v)));
    u64 free = blocks_free(), written = 0;
    status s = STATUS_OK;
    while (is_ok(s = write_bytes(i, written * BLOCK_BYTES, block, BLOCK_BYTES)))
        written++;
    is(status_errno(s), ENOSPC, "a full disk is ENOSPC");
    is(written, free, "when as many blocks are written as were free");
    is(status_errno(sync_file(i, SYNC_ALL)), 0, "and what was written reaches the disk");
    is(blocks_free(), 0, "nothing is free");
    is(status_errno(write_bytes(i, 0, block, BLOCK_BYTES)), 0, "writing in place goes on");
    ok(is_ok(truncate_to(i, written / 2 * BLOCK_BYTES)), "truncating works");
    is(status_errno(write_bytes(i, written * BLOCK_BYTES, block, 1)), 0,
       "and gives room, when its commit is over");
    must(is_ok(writable_sync(&v)));
    is(blocks_free(), written - written / 2 - 1, "which statfs shows");
    is(status_errno(allocate_range(i, 0, 0, (u64)free * 2 * BLOCK_BYTES)), ENOSPC,
       "allocating too much is ENOSPC");
    is(blocks_free(), written - written / 2 - 1, "and takes nothing");
    must(is_ok(remove_name("full")));
    must(is_ok(writable_sync(&v)));
    is(blocks_free(), free, "all of it comes back");
    must(is_ok(writable_remount(&v, true)));
    ok(blocks_free() + 64 > free, "and is free after a mount, but for what the log keeps");
    writable_destroy(&v);
}

static void matrix_base(struct model *m, u32 state)
{
    model_truncate(m, 0);
    model_write(m, 0, 41000, 7);
    if (state > 0)
        must(is_ok(sync_file(look(m->name), SYNC_ALL)));
    if (state == 2)
        page_cache_reclaim(v.fs, ~0ull);
    if (state == 3)
        model_write(m, 10000, 9000, 8);
}

static void test_matrix(void)
{
    static const u64 edges[] = {0, 1, 4095, 4096, 4097, 12288, 20000, 40960, 41000, 45056, 50001};
    struct model *m = &models[0];
    writable_init(&v, 16 * MiB, host_heap);
    models_make();
    u32 cases = 0;
    for (u32 state = 0; state < 4; state++) {
        for (u32 a = 0; a < countof(edges); a++) {
            matrix_base(m, state);
            model_truncate(m, edges[a]);
            model_check(m);
            model_truncate(m, 60000);
            model_check(m);
            for (u32 b = a + 1; b < countof(edges); b++, cases++) {
                static const u32 kinds[] = {ALLOCATE_KEEP_SIZE | ALLOCATE_PUNCH, ALLOCATE_ZERO,
                                            ALLOCATE_ZERO | ALLOCATE_KEEP_SIZE, 0,
                                            ALLOCATE_KEEP_SIZE};
                matrix_base(m, state);
                model_allocate(m, kinds[cases % countof(kinds)], edges[a], edges[b] - edges[a]);
                model_check(m);
                model_seek(m);
                if (cases % 7 == 0)
                    must(is_ok(writable_remount(&v, cases % 2)));
                model_check(m);
                model_write(m, edges[a], 100, 9);
                model_check(m);
            }
        }
    }
    ok(cases > 200, "%u cuts, holes and allocations between all edges, dirty and clean", cases);
    writable_destroy(&v);
}

static void random_step(struct random *r)
{
    struct model *m = &models[random_below(r, FILES)];
    u64 offset = random_below(r, MODEL_BYTES / 2), bytes = 1 + random_below(r, 60000);
    u64 what = random_below(r, 100);
    if (random_below(r, 2))
        offset = align_down(offset, BLOCK_BYTES);
    if (what < 50)
        model_write(m, offset, bytes, random_next(r));
    else if (what < 62)
        model_truncate(m, random_below(r, MODEL_BYTES));
    else if (what < 70)
        model_allocate(m, ALLOCATE_KEEP_SIZE | ALLOCATE_PUNCH, offset, bytes);
    else if (what < 76)
        model_allocate(m, random_below(r, 2) ? ALLOCATE_ZERO : 0, offset, bytes);
    else if (what < 84)
        must(is_ok(sync_file(look(m->name), (enum sync_kind)random_below(r, 3))));
    else if (what < 88)
        page_cache_reclaim(v.fs, random_below(r, 200));
    else if (what < 92)
        model_seek(m);
    else if (what < 98)
        model_check(m);
    else if (what == 98)
        must(is_ok(writable_sync(&v)));
    else
        must(is_ok(writable_remount(&v, random_below(r, 2))));
}

static void test_random(u64 seed, u32 steps)
{
    struct random r;
    random_init(&r, seed);
    writable_init(&v, 16 * MiB, host_heap);
    if (random_below(&r, 2))
        host_disk_reorder(&v.disk, seed);
    models_make();
    for (u32 n = 0; n < steps; n++)
        random_step(&r);
    models_check();
    for (u32 n = 0; n < FILES; n++)
        must(is_ok(remove_name(models[n].name)));
    must(is_ok(writable_sync(&v)));
    writable_destroy(&v);
}

static void test_failures(void)
{
    struct model *m = &models[0];
    writable_init(&v, 16 * MiB, host_heap);
    models_make();
    struct inode *i = look("a");
    inode_hold(i);
    must(is_ok(writable_sync(&v)));
    model_write(m, 0, 300000, 1);
    u64 seen = inode_failures_seen(i), other = seen;
    v.disk.fail_at = v.disk.calls + 1;
    is(status_errno(sync_file(i, SYNC_ALL)), EIO, "a write that fails fails the sync");
    model_check(m);
    is(status_errno(inode_failure(i, &seen)), EIO, "and each open file hears of it");
    is(status_errno(inode_failure(i, &seen)), 0, "once");
    is(status_errno(inode_failure(i, &other)), EIO, "the other one too");
    is(status_errno(sync_file(i, SYNC_ALL)), 0, "what is still dirty is written by the next one");
    u64 calls = v.disk.calls;
    model_write(m, 8192, 4096, 2);
    v.disk.fail_at = calls + 2;
    is(status_errno(sync_file(i, SYNC_DATA)), EIO, "a FLUSH that fails fails the sync");
    v.disk.fail_at = 0;
    calls = v.disk.calls;
    is(status_errno(sync_file(i, SYNC_DATA)), 0, "the next one");
    is(v.disk.calls - calls, 2, "writes the data again");
    inode_release(i);
    must(is_ok(writable_remount(&v, false)));
    model_check(m);
    ok(1, "and all of it is there");
    writable_destroy(&v);
}

/* Who writes much waits for the disk, and the cache keeps its limit. */
static void test_throttle(void)
{
    static u8 chunk[64 * KiB];
    writable_dirty_pages = 128;
    writable_init(&v, 64 * MiB, host_heap);
    struct inode *i = make("much");
    for (u64 at = 0; at < 32 * MiB; at += sizeof(chunk))
        must(is_ok(write_bytes(i, at, chunk, sizeof(chunk))));
    ok(v.disk.bytes_written > 30 * MiB, "32 MiB through 128 dirty pages");
    u64 largest = v.disk.largest;
    ok(largest >= 128 * KiB, "in requests of many pages (%llu)", (unsigned long long)largest);
    must(is_ok(writable_remount(&v, true)));
    is(inode_bytes(look("much")), 32 * MiB, "all of it is there");
    writable_dirty_pages = 0;
    writable_destroy(&v);
}

int main(void)
{
    u64 seed = test_seed();
    test_round_trip();
    test_flushes();
    test_large();
    test_full();
    test_matrix();
    test_failures();
    test_throttle();
    for (u32 n = 0; n < 8; n++)
        test_random(seed + n, 400);
    ok(1, "random operations agree with a model, through mounts");
    return done_testing();
}
