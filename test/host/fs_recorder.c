/* See test/host/fs_recorder.h. */
#include "test/host/fs_recorder.h"

#include <stdlib.h>
#include <string.h>

/* --- the device ------------------------------------------------------------------------------- */

struct passing {
    struct block_request request;
    struct block_request *from;
    struct status_handler landed;
};

static u32 live_passing;

static bool is_zero(const u8 *p, u64 bytes)
{
    return p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0;
}

static char event_of(struct block_request *q)
{
    u8 *bytes = malloc(q->sectors * SECTOR_BYTES + 1);
    char e = DATA;
    if (q->operation != BLOCK_WRITE) {
        free(bytes);
        return q->operation == BLOCK_FLUSH ? FLUSH : READ;
    }
    sg_copy_out(q->sg, 0, bytes, q->sectors * SECTOR_BYTES);
    if (q->sector == SUPERBLOCK_A || q->sector == SUPERBLOCK_B * BLOCK_SECTORS)
        e = SUPER;
    else if (((struct group *)(void *)bytes)->magic == GROUP_MAGIC)
        e = GROUP;
    else if (is_zero(bytes, q->sectors * SECTOR_BYTES))
        e = ZERO;
    free(bytes);
    return e;
}

closure_method(status_handler, passing_landed, struct passing, landed, status s)
{
    struct passing *p = owner();
    status_handler done = p->from->done;
    live_passing--;
    free(p);
    apply(done, s);
}

closure_method(block_io, recorder_take, struct recorder, io, struct block_request *q)
{
    struct recorder *of = owner();
    char e = event_of(q);
    must(of->count < EVENTS_MOST);
    of->requests++;
    if (e != READ) {
        of->sectors[of->count] = q->sector;
        of->events[of->count++] = e;
        of->early += e == FLUSH && live_passing;
        of->writes++;
    }
    struct passing *p = calloc(1, sizeof(*p));
    if (!p)
        panic("out of memory");
    p->request = *q;
    p->from = q;
    init_method(&p->landed, passing_landed);
    p->request.done = &p->landed;
    live_passing++;
    if (e != READ && of->fail_writes_from && of->writes >= of->fail_writes_from &&
        of->writes < of->fail_writes_from + of->fail_writes) {
        host_run_later_status(&p->landed, of->fail_with == EROFS
                                              ? status_error(EROFS, "recorder: read-only", 0)
                                              : status_error(EIO, "recorder: told to fail", 0));
        return;
    }
    apply(of->disk.device.io, &p->request);
}

/* What has been issued is the disk's, and ends when it answers. */
closure_method(block_cancel, recorder_cancel, struct recorder, cancel, struct block_request *q)
{
    struct recorder *of = owner();
    (void)q;
    list_for_each (&of->disk.waiting, l)
        container_of(l, struct block_request, link)->cancelled = true;
}

void record_clear(struct recorder *of)
{
    of->count = 0;
    of->early = 0;
    of->writes = 0;
    of->fail_writes_from = of->fail_writes = 0;
    memset(of->events, 0, sizeof(of->events));
}

static void recorder_begin(struct recorder *of)
{
    init_method(&of->io, recorder_take);
    init_method(&of->cancel, recorder_cancel);
    of->device = (struct block_device){.io = &of->io,
                                       .cancel = &of->cancel,
                                       .sectors = of->disk.device.sectors,
                                       .name = "recorder"};
    record_clear(of);
}

/* --- time ------------------------------------------------------------------------------------- */

static u64 now;
static struct timer *timers[8];

static u64 queue_now(__attribute__((unused)) const struct executor *e)
{
    return now;
}

static bool queue_timer_cancel(__attribute__((unused)) const struct executor *e, struct timer *t)
{
    for (u32 n = 0; n < 8; n++)
        if (timers[n] == t) {
            timers[n] = NULL;
            return true;
        }
    return false;
}

static void queue_timer_set(const struct executor *e, struct timer *t, u64 ns, thunk expired)
{
    queue_timer_cancel(e, t);
    t->expires_ns = ns;
    t->expired = expired;
    u32 n = 0;
    while (timers[n])
        must(++n < 8);
    timers[n] = t;
}

static const struct executor queue = {.later = test_later,
                                      .now_ns = queue_now,
                                      .timer_set = queue_timer_set,
                                      .timer_cancel = queue_timer_cancel};

void time_pass(u64 ns)
{
    now += ns;
    for (u32 n = 0; n < 8; n++) {
        struct timer *t = timers[n];
        if (!t || t->expires_ns > now)
            continue;
        timers[n] = NULL;
        host_run_later(t->expired);
    }
    host_run();
}

/* --- a filesystem on it ----------------------------------------------------------------------- */

struct recorder recorder;
struct filesystem *fs;
static struct counting_heap memory;
u64 recorder_warned;

static void __attribute__((format(printf, 1, 2))) warn(const char *format, ...)
{
    (void)format;
    recorder_warned++;
}

status mount_with(bool read_only)
{
    struct filesystem_environment environment = {.heap = &memory.h,
                                                 .pages = &memory.h,
                                                 .device = &recorder.device,
                                                 .executor = &queue,
                                                 .cache_pages_most = 4096,
                                                 .read_only = read_only,
                                                 .warn = warn};
    status s = test_mount_in(&environment, &fs);
    record_clear(&recorder);
    return s;
}

void mount(void)
{
    status s = mount_with(false);
    if (!fs)
        note("%s (%llu)", status_text(s), (unsigned long long)s.detail);
    must(fs != NULL);
}

void unmount(void)
{
    test_unmount(fs);
    fs = NULL;
}

status ended(void)
{
    struct host_result result;
    filesystem_end(fs, host_result_init(&result));
    host_run();
    must(result.applied == 1);
    return result.s;
}

void disk_new_of(u64 bytes)
{
    struct test_tree t;
    test_tree_init(&t);
    struct tree_node *old = test_tree_add(&t, t.nodes, "old", INODE_FILE);
    old->bytes = 20000;
    test_image(&t, &(struct image_options){.extra_bytes = bytes}, &recorder.disk);
    test_tree_destroy(&t);
    recorder_begin(&recorder);
}

void disk_gone(void)
{
    host_disk_destroy(&recorder.disk);
}

u8 *disk_copy(void)
{
    u8 *copy = malloc(recorder.disk.length);
    must(copy != NULL);
    memcpy(copy, recorder.disk.bytes, recorder.disk.length);
    return copy;
}

void disk_put(const u8 *copy)
{
    memcpy(recorder.disk.bytes, copy, recorder.disk.length);
}

status make(const char *name, struct inode **made)
{
    static const struct inode_initial initial = {.mode = 0644};
    struct inode *i;
    status s = inode_create(filesystem_root(fs), name, strlen(name), INODE_FILE, &initial, &i);
    if (made)
        *made = is_ok(s) ? i : NULL;
    return s;
}

struct inode *made(const char *name)
{
    struct inode *i;
    status s = make(name, &i);
    if (!i)
        note("%s", status_text(s));
    must(i != NULL);
    return i;
}

static void fill(u8 *to, u64 bytes, u64 seed)
{
    for (u64 n = 0; n < bytes; n++)
        to[n] = (u8)(seed * 131 + n * 7 + n / 255);
}

status put(struct inode *i, u64 page, u64 pages, u64 seed)
{
    for (u64 n = page; n < page + pages; n++) {
        struct page_write w;
        status s = page_write_begin(i, n * 4096, 4096, &w);
        if (!is_ok(s))
            return s;
        fill(page_memory(w.page), 4096, seed + n);
        page_write_end(i, n * 4096, 4096, &w);
    }
    return STATUS_OK;
}

bool holds(const char *name, u64 pages, u64 seed)
{
    struct inode *i = test_lookup(fs, name);
    if (!i || inode_bytes(i) != pages * 4096)
        return false;
    for (u64 n = 0; n < pages; n++) {
        u8 got[4096], expected[4096];
        u64 bytes;
        fill(expected, 4096, seed + n);
        if (!is_ok(test_read(i, n * 4096, got, 4096, &bytes)) || memcmp(got, expected, 4096))
            return false;
    }
    return true;
}

status sync_of(struct inode *i, enum sync_kind kind)
{
    struct host_result result;
    struct sync_wait w = {NULL};
    if (i)
        file_sync(i, 0, ~0ull, kind, &w, host_result_init(&result));
    else
        filesystem_sync(fs, &w, host_result_init(&result));
    host_run();
    must(result.applied == 1);
    return result.s;
}

void must_sync(struct inode *i)
{
    status s = sync_of(i, SYNC_ALL);
    if (!is_ok(s))
        note("%s", status_text(s));
    must(is_ok(s));
}

void recorder_open(void)
{
    counting_heap_init(&memory, "filesystem");
}

void recorder_close(void)
{
    counting_heap_close(&memory);
}

u64 recorder_fail_allocation(u64 n)
{
    u64 failed = memory.failed;
    memory.failed = 0;
    memory.fail_at = n ? memory.calls + n : 0;
    return failed;
}
