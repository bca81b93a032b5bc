/* A filesystem that tests write to: see test/host/fs_writable.h. */
#include "test/host/fs_writable.h"

#include "fs/builder.h"
#include "test/host/fs_fixture.h"
#include "test/host/harness.h"

#include <stdio.h>

#define CACHE_PAGES 1024

u64 writable_dirty_pages;

static struct writable *clock_of; /* the one whose filesystem is asked */

static s64 clock_now(void)
{
    clock_of->now_ns += (s64)NS_PER_MS;
    return clock_of->now_ns;
}

static void __attribute__((format(printf, 1, 2))) warn(const char *format, ...)
{
    char line[512];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    note("%s", line);
}

static status writable_mount(struct writable *v)
{
    struct filesystem_environment environment = {
        .heap = v->heap,
        .pages = v->heap,
        .device = &v->disk.device,
        .executor = &test_executor,
        .cache_pages_most = CACHE_PAGES,
        .dirty_pages_most = writable_dirty_pages,
        .commit_interval_ns = ~0ull, /* never by itself: there are no timers */
        .time_ns = clock_now,
        .warn = warn,
    };
    clock_of = v;
    return test_mount_in(&environment, &v->fs);
}

void writable_init_image(struct writable *v, const struct image_options *o, heap h)
{
    struct test_tree t;
    v->heap = h;
    v->now_ns = 1800000000ll * (s64)NS_PER_SECOND;
    test_tree_init(&t);
    test_image(&t, o, &v->disk);
    test_tree_destroy(&t);
    must(is_ok(writable_mount(v)));
}

void writable_init(struct writable *v, u64 bytes, heap h)
{
    writable_init_image(v, &(struct image_options){.extra_bytes = bytes}, h);
}

void writable_destroy(struct writable *v)
{
    clock_of = v;
    if (v->fs)
        test_unmount(v->fs);
    host_disk_destroy(&v->disk);
}

static status wait_for(const struct host_result *r)
{
    host_run();
    must(r->applied == 1);
    return r->s;
}

status writable_sync(struct writable *v)
{
    struct host_result r;
    struct sync_wait w = {NULL};
    clock_of = v;
    filesystem_sync(v->fs, &w, host_result_init(&r));
    return wait_for(&r);
}

status writable_wait_room(struct writable *v)
{
    struct host_result r;
    struct room_wait w = {.fs = NULL};
    clock_of = v;
    filesystem_wait_room(v->fs, &w, host_result_init(&r));
    return wait_for(&r);
}

status writable_cut(struct writable *v)
{
    clock_of = v;
    test_unmount(v->fs);
    v->fs = NULL;
    return writable_mount(v);
}

status writable_remount(struct writable *v, bool ended)
{
    struct host_result r;
    status s;
    clock_of = v;
    if (ended) {
        filesystem_end(v->fs, host_result_init(&r));
        s = wait_for(&r);
    } else {
        s = writable_sync(v);
    }
    test_unmount(v->fs);
    v->fs = NULL;
    return is_ok(s) ? writable_mount(v) : s;
}
