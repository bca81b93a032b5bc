/* The machine whose power is cut: see test/host/crash_machine.h. */
#include "test/host/crash_machine.h"

#include "fs/builder.h"
#include "fs/check.h"
#include "runtime/hash64.h"
#include "test/host/fs_fixture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MOST 1000u

static struct crash_machine *warned; /* the filesystem's warnings carry no context */

static void __attribute__((format(printf, 1, 2))) machine_warn(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (warned)
        vsnprintf(warned->warning, sizeof(warned->warning), format, list);
    va_end(list);
    if (warned)
        warned->warnings++;
}

static s64 machine_time(void)
{
    static s64 now = 1800000000ll * (s64)NS_PER_SECOND;
    return now += 1000;
}

closure_method(model_reader, machine_read, struct crash_machine, reader, struct inode *i,
               u64 offset, void *to, u64 bytes, u64 *got)
{
    struct crash_machine *c = owner();
    struct host_result result;
    struct sg_list sg;
    u64 room = align_up(bytes, SECTOR_BYTES);
    u8 *memory = aligned_alloc(SECTOR_BYTES, room);
    if (!memory)
        panic("out of memory");
    sg_init(&sg, host_heap);
    must(sg_add(&sg, memory, room));
    file_read(i, offset, &sg, got, host_result_init(&result));
    must(crash_machine_wait(c, &result));
    sg_clear(&sg);
    *got = min(*got, bytes);
    memcpy(to, memory, *got);
    free(memory);
    return result.s;
}

void crash_machine_init(struct crash_machine *c, u64 seed)
{
    *c = (struct crash_machine){.cache_pages = 4096};
    host_executor_init(&c->x, seed);
    counting_heap_init(&c->heap, "crash");
    init_method(&c->reader, machine_read);
}

void crash_machine_destroy(struct crash_machine *c)
{
    must(!c->fs);
    counting_heap_close(&c->heap);
}

/* --- mounting --------------------------------------------------------------------------------- */

status crash_machine_mount(struct crash_machine *c, struct faulty_disk *disk)
{
    struct mount_result m;
    struct filesystem_environment environment = {.heap = &c->heap.h,
                                                 .pages = &c->heap.h,
                                                 .device = &disk->device,
                                                 .executor = &c->x.e,
                                                 .cache_pages_most = c->cache_pages,
                                                 .dirty_pages_most = c->dirty_pages,
                                                 .commit_interval_ns = c->commit_interval_ns,
                                                 .time_ns = machine_time,
                                                 .warn = machine_warn};
    warned = c;
    c->disk = disk;
    filesystem_mount(&environment, mount_result_init(&m));
    for (u32 n = 0; n < TRIES_MOST && !m.applied; n++)
        host_executor_pass(&c->x, n ? NS_PER_SECOND : 0);
    must(m.applied == 1);
    must(is_ok(m.s) == (m.fs != NULL));
    c->fs = m.fs;
    return m.s;
}

void crash_machine_unmount(struct crash_machine *c)
{
    struct host_result r;
    filesystem_unmount(c->fs, host_result_init(&r));
    must(crash_machine_wait(c, &r));
    must(is_ok(r.s));
    c->fs = NULL;
    must(c->heap.live == 0);
    must(c->disk->in_flight == 0);
}

/* --- waiting ---------------------------------------------------------------------------------- */

bool crash_machine_wait(struct crash_machine *c, const struct host_result *r)
{
    u64 end = c->x.now_ns + MACHINE_WAIT_NS;
    while (!r->applied && host_executor_step(&c->x))
        ;
    for (u64 step = NS_PER_MS; !r->applied && c->x.now_ns < end; step *= 2)
        host_executor_pass(&c->x, step);
    must(r->applied <= 1);
    return r->applied;
}

status crash_machine_room(struct crash_machine *c)
{
    struct room_wait w = {.fs = NULL};
    struct host_result r;
    filesystem_wait_room(c->fs, &w, host_result_init(&r));
    if (crash_machine_wait(c, &r))
        return r.s;
    must(room_wait_cancel(&w));
    closure_freed(&r.done.header);
    return status_error(ETIMEDOUT, "test: no room came", 0);
}

status crash_machine_fetch(struct crash_machine *c, struct inode *i, u64 index)
{
    struct pages_wait w = {.fetch = NULL};
    struct host_result r;
    pages_fetch_cancellable(i, index, 1, &w, host_result_init(&r));
    if (crash_machine_wait(c, &r))
        return r.s;
    must(pages_wait_cancel(&w));
    closure_freed(&r.done.header);
    return status_error(ETIMEDOUT, "test: a page does not come", index);
}

status crash_machine_read(struct crash_machine *c, struct inode *i, u64 offset, void *to, u64 bytes)
{
    status s = STATUS_OK;
    u32 tries = 0;
    for (u64 at = 0; at < bytes && is_ok(s);) {
        struct page *p = page_find(i, (offset + at) / 4096);
        u64 within = (offset + at) % 4096, part = min(bytes - at, 4096 - within);
        if (p) {
            memcpy((u8 *)to + at, (u8 *)page_memory(p) + within, part);
            page_release(p);
            at += part;
        } else {
            s = tries++ < TRIES_MOST ? crash_machine_fetch(c, i, (offset + at) / 4096)
                                     : status_error(ELOOP, "test: a page never stays", offset);
        }
    }
    return s;
}

status crash_machine_sync(struct crash_machine *c, struct inode *i, enum sync_kind kind)
{
    struct sync_wait w = {.sync = NULL};
    struct host_result r;
    if (i)
        file_sync(i, 0, ~0ull, kind, &w, host_result_init(&r));
    else
        filesystem_sync(c->fs, &w, host_result_init(&r));
    if (crash_machine_wait(c, &r))
        return r.s;
    must(sync_wait_cancel(&w));
    closure_freed(&r.done.header);
    return status_error(ETIMEDOUT, "test: a sync does not end", 0);
}

status crash_machine_end(struct crash_machine *c)
{
    struct host_result r;
    filesystem_end(c->fs, host_result_init(&r));
    must(crash_machine_wait(c, &r));
    return r.s;
}

/* EAGAIN was returned: waits for what it takes. */
static status again(struct crash_machine *c, struct inode *i, u64 fetch)
{
    return fetch == NO_PAGE ? crash_machine_room(c) : crash_machine_fetch(c, i, fetch);
}

static status page_put(struct crash_machine *c, struct inode *i, u64 offset, const void *bytes,
                       u64 count)
{
    for (u32 n = 0; n < TRIES_MOST; n++) {
        struct page_write w = {.fetch = NO_PAGE};
        status s = page_write_begin(i, offset, count, &w);
        if (is_ok(s)) {
            memcpy((u8 *)page_memory(w.page) + offset % 4096, bytes, count);
            page_write_end(i, offset, count, &w);
            return s;
        }
        if (status_errno(s) == EAGAIN)
            s = again(c, i, w.fetch);
        if (!is_ok(s))
            return s;
    }
    return status_error(ELOOP, "test: EAGAIN without end", offset);
}

status crash_machine_write(struct crash_machine *c, struct inode *i, u64 offset, const void *bytes,
                           u64 count)
{
    status s = STATUS_OK;
    for (u64 at = 0; at < count && is_ok(s);) {
        u64 part = min(count - at, 4096 - (offset + at) % 4096);
        s = page_put(c, i, offset + at, (const u8 *)bytes + at, part);
        at += part;
    }
    return s;
}

status crash_machine_truncate(struct crash_machine *c, struct inode *i, u64 bytes)
{
    status s = STATUS_OK;
    for (u32 n = 0; n < TRIES_MOST && is_ok(s); n++) {
        u64 fetch = NO_PAGE;
        s = file_truncate(i, bytes, &fetch);
        if (status_errno(s) != EAGAIN)
            return s;
        s = again(c, i, fetch);
    }
    return is_ok(s) ? status_error(ELOOP, "test: EAGAIN without end", bytes) : s;
}

status crash_machine_allocate(struct crash_machine *c, struct inode *i, u32 flags, u64 offset,
                              u64 bytes)
{
    status s = STATUS_OK;
    for (u32 n = 0; n < TRIES_MOST && is_ok(s); n++) {
        u64 fetch = NO_PAGE;
        s = file_allocate(i, flags, offset, bytes, &fetch);
        if (status_errno(s) != EAGAIN)
            return s;
        s = again(c, i, fetch);
    }
    return is_ok(s) ? status_error(ELOOP, "test: EAGAIN without end", bytes) : s;
}

/* --- images ----------------------------------------------------------------------------------- */

closure_function(thunk, machine_poll, (struct crash_machine * c))
{
    host_executor_run(&bound(c)->x);
}

closure_function(builder_source, source_noise, (u64 seed), u64 offset, void *to, u64 bytes,
                 bool *hole)
{
    *hole = false;
    for (u64 n = 0; n < bytes; n++)
        ((u8 *)to)[n] = (u8)hash64_of(bound(seed) + offset + n);
    return true;
}

void crash_machine_build(struct crash_machine *c, const struct machine_image *o,
                         struct faulty_disk *disk)
{
    struct builder_options options = {.uuid = "crash-test-uuid",
                                      .created_ns = 1700000000ll * (s64)NS_PER_SECOND,
                                      .data_checksums = o->checksums};
    struct random r;
    struct builder *b = builder_create(host_heap);
    must(b);
    random_init(&r, o->seed);
    memcpy(options.uuid, &o->seed, sizeof(o->seed));
    builder_source source = stack_closure(source_noise, o->seed);
    for (u32 n = 0; n < o->files; n++) {
        char path[16];
        snprintf(path, sizeof(path), "/b%u", n);
        struct builder_node node = {.path = path,
                                    .type = INODE_FILE,
                                    .mode = 0644,
                                    .bytes = o->files_least + random_below(&r, 40000),
                                    .source = source};
        must(is_ok(builder_add(b, &node)));
    }
    disk->device.sectors = (o->built_bytes ? o->built_bytes : o->bytes) / SECTOR_BYTES;
    status s = builder_write(b, &options, &disk->device, stack_closure(machine_poll, c));
    if (!is_ok(s))
        panic("building: %s", status_text(s));
    builder_destroy(b);
    disk->device.sectors = o->bytes / SECTOR_BYTES;
}

struct check_text {
    char *to;
    u64 room;
};

closure_function(check_line, check_add, (struct check_text * text), const char *line)
{
    struct check_text *t = bound(text);
    u64 bytes = strlen(t->to);
    snprintf(t->to + bytes, t->room - bytes, "%s%s", bytes ? " | " : "check: ", line);
}

bool crash_machine_check(struct crash_machine *c, struct faulty_disk *disk, char *why,
                         u64 why_bytes)
{
    struct check_text text = {.to = why, .room = why_bytes};
    struct check_result result;
    why[0] = 0;
    struct check_options options = {.device = &disk->device,
                                    .poll = stack_closure(machine_poll, c),
                                    .heap = host_heap,
                                    .data = true,
                                    .line = stack_closure(check_add, &text)};
    status s = filesystem_check(&options, &result);
    if (is_ok(s) && result.problems == 0)
        return true;
    if (!is_ok(s))
        snprintf(why, why_bytes, "check: %s", status_text(s));
    return false;
}
