/* Trees, images and comparisons for tests of fs/: see test/host/fs_fixture.h. */
#include "test/host/fs_fixture.h"

#include "fs/format.h"
#include "fs/fs.h"
#include "runtime/hash64.h"
#include "test/host/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HOLE_CHUNK (64 * KiB)
#define READ_CHUNK (512 * KiB)

u64 warn_lines;
char warn_last[512];

static void __attribute__((format(printf, 1, 2))) test_warn(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(warn_last, sizeof(warn_last), format, list);
    va_end(list);
    warn_lines++;
}

/* --- pages in blocks: what was mapped can be unmapped in parts ---------------------------------
 */

u64 test_block_pages_live, test_blocks_given;

static void *blocks_allocate(__attribute__((unused)) heap h, u64 bytes)
{
    static u64 asked;
    if (bytes > BLOCK_BYTES && asked++ % 3 == 2)
        return NULL;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    memset(p, 0xa5, bytes);
    test_block_pages_live += bytes / BLOCK_BYTES;
    test_blocks_given += bytes > BLOCK_BYTES;
    return p;
}

static void blocks_deallocate(__attribute__((unused)) heap h, void *p, u64 bytes)
{
    must(munmap(p, bytes) == 0);
    test_block_pages_live -= bytes / BLOCK_BYTES;
}

static struct heap block_pages = {blocks_allocate, blocks_deallocate, "pages in blocks"};
heap test_block_pages = &block_pages;

/* --- trees ------------------------------------------------------------------------------------ */

void test_tree_init(struct test_tree *t)
{
    t->nodes = calloc(TREE_NODES_MOST, sizeof(*t->nodes));
    t->count = 0;
    if (!t->nodes)
        panic("out of memory");
    struct tree_node *root = &t->nodes[t->count++];
    *root = (struct tree_node){.path = "", .type = INODE_DIRECTORY, .mode = 0755, .links = 1};
}

void test_tree_destroy(struct test_tree *t)
{
    free(t->nodes);
}

static bool chunk_is_hole(const struct tree_node *n, u64 chunk)
{
    return n->sparse && hash64_of(n->seed * 31 + chunk) & 1;
}

void tree_content(const struct tree_node *n, u64 offset, u8 *to, u64 bytes)
{
    for (u64 at = 0; at < bytes;) {
        u64 word = (offset + at) / 8, value = hash64_of(n->seed + word);
        if (chunk_is_hole(n, (offset + at) / HOLE_CHUNK))
            value = 0;
        for (u64 b = (offset + at) % 8; b < 8 && at < bytes; b++, at++)
            to[at] = (u8)(value >> (8 * b));
    }
}

closure_method(builder_source, tree_source, struct tree_node, source, u64 offset, void *to,
               u64 bytes, bool *hole)
{
    const struct tree_node *n = owner();
    if (offset % HOLE_CHUNK + bytes <= HOLE_CHUNK && chunk_is_hole(n, offset / HOLE_CHUNK))
        *hole = true;
    else
        tree_content(n, offset, to, bytes);
    return true;
}

struct tree_node *test_tree_add(struct test_tree *t, struct tree_node *parent, const char *name,
                                enum inode_type type)
{
    must(t->count < TREE_NODES_MOST);
    if (!parent)
        parent = &t->nodes[0];
    struct tree_node *n = &t->nodes[t->count];
    *n = (struct tree_node){.type = type, .mode = 0644, .parent = parent, .links = 1};
    n->modified_ns = 1600000000ll * (s64)NS_PER_SECOND + t->count;
    n->seed = hash64_of(t->count + 77);
    must(snprintf(n->path, sizeof(n->path), "%s/%s", parent->path, name) < (int)sizeof(n->path));
    init_method(&n->source, tree_source);
    parent->children++;
    parent->subdirectories += type == INODE_DIRECTORY;
    t->count++;
    return n;
}

static struct tree_node *random_node(struct test_tree *t, struct random *r, enum inode_type type)
{
    for (;;) {
        struct tree_node *n = &t->nodes[random_below(r, t->count)];
        if (n->type == type && !n->link_to && strlen(n->path) < 200)
            return n;
    }
}

static u64 random_length(struct random *r, u64 most)
{
    u64 limits[] = {0, 1, 100, 4096, 4097, 20000, 70000, most};
    return random_below(r, min(limits[random_below(r, countof(limits))], most) + 1);
}

void test_tree_random(struct test_tree *t, struct random *r, u32 count, u64 bytes_most)
{
    bool files = false;
    for (u32 n = 0; n < count; n++) {
        char name[64];
        u64 kind = random_below(r, 10);
        enum inode_type type = kind < 2 ? INODE_DIRECTORY : kind == 2 ? INODE_SYMLINK : INODE_FILE;
        snprintf(name, sizeof(name), "%c%x-%u", (int)('a' + random_below(r, 26)),
                 (u32)random_next(r) >> random_below(r, 32), n);
        struct tree_node *parent = random_node(t, r, INODE_DIRECTORY);
        struct tree_node *target = kind == 3 && files ? random_node(t, r, INODE_FILE) : NULL;
        struct tree_node *made = test_tree_add(t, parent, name, type);
        made->mode = (u32)random_below(r, 010000);
        made->uid = (u32)random_next(r);
        made->gid = (u32)random_below(r, 5);
        if (target) {
            made->link_to = target;
            target->links++;
        } else if (type == INODE_FILE) {
            made->bytes = random_length(r, bytes_most);
            made->sparse = random_below(r, 3) == 0;
            files = true;
        } else if (type == INODE_SYMLINK) {
            snprintf(made->target, sizeof(made->target), "../x/%llu",
                     (unsigned long long)random_next(r));
        }
    }
}

/* --- images ----------------------------------------------------------------------------------- */

closure_function(thunk, poll_run, ())
{
    host_run();
}

static status tree_describe(struct test_tree *t, struct builder *b)
{
    for (u32 n = 0; n < t->count; n++) {
        struct tree_node *node = &t->nodes[n];
        struct builder_node to = {
            .path = n ? node->path : "/",
            .type = node->type,
            .mode = node->mode,
            .uid = node->uid,
            .gid = node->gid,
            .modified_ns = node->modified_ns,
            .bytes = node->bytes,
            .source = &node->source,
            .target = node->target,
            .link_to = node->link_to ? node->link_to->path : NULL,
        };
        status s = builder_add(b, &to);
        if (!is_ok(s))
            return s;
    }
    status s = builder_setting(b, "program", "/bin/hello");
    if (is_ok(s))
        s = builder_setting(b, "arg", "hello");
    return is_ok(s) ? builder_setting(b, "arg", "") : s;
}

status test_image_write(struct test_tree *t, heap h, const struct image_options *o,
                        struct host_disk *disk)
{
    struct builder_options options = {.uuid = "0123456789abcde",
                                      .created_ns = 1700000000ll * (s64)NS_PER_SECOND,
                                      .data_checksums = !o->no_checksums,
                                      .segment_blocks = o->segment_blocks};
    struct builder *b = builder_create(h);
    if (!b)
        return status_error(ENOMEM, "test: no builder", 0);
    status s = tree_describe(t, b);
    if (is_ok(s) && !disk->bytes)
        host_disk_init(disk, builder_size(b, &options) + o->extra_bytes);
    if (is_ok(s))
        s = builder_write(b, &options, &disk->device, stack_closure(poll_run));
    builder_destroy(b);
    return s;
}

void test_image(struct test_tree *t, const struct image_options *o, struct host_disk *disk)
{
    static const struct image_options usual;
    disk->bytes = NULL;
    status s = test_image_write(t, host_heap, o ? o : &usual, disk);
    if (!is_ok(s))
        note("building: %s", status_text(s));
    must(is_ok(s));
    disk->calls = disk->in_flight_most = disk->largest = 0;
}

closure_method(mount_handler, mount_result_done, struct mount_result, done, struct filesystem *fs,
               status s)
{
    struct mount_result *m = owner();
    m->fs = fs;
    m->s = s;
    m->applied++;
}

mount_handler mount_result_init(struct mount_result *m)
{
    *m = (struct mount_result){.applied = 0};
    init_method(&m->done, mount_result_done);
    return &m->done;
}

void test_later(__attribute__((unused)) const struct executor *e, struct closure_header *deferred)
{
    host_run_later_deferred(deferred);
}

static u64 test_now(__attribute__((unused)) const struct executor *e)
{
    return 1;
}

const struct executor test_executor = {.later = test_later, .now_ns = test_now};

status test_mount_in(const struct filesystem_environment *environment, struct filesystem **fs)
{
    struct mount_result m;
    filesystem_mount(environment, mount_result_init(&m));
    host_run();
    must(m.applied == 1);
    must(is_ok(m.s) == (m.fs != NULL));
    *fs = m.fs;
    return m.s;
}

void test_unmount(struct filesystem *fs)
{
    struct host_result result;
    filesystem_unmount(fs, host_result_init(&result));
    host_run();
    must(result.applied == 1 && is_ok(result.s));
}

struct filesystem *test_mount(struct host_disk *disk, heap h, heap pages, u64 cache_pages,
                              status *why)
{
    struct filesystem *fs;
    struct filesystem_environment environment = {.heap = h,
                                                 .pages = pages,
                                                 .block_pages_most =
                                                     pages == test_block_pages ? 64 : 0,
                                                 .device = &disk->device,
                                                 .executor = &test_executor,
                                                 .cache_pages_most = cache_pages,
                                                 .warn = test_warn};
    *why = test_mount_in(&environment, &fs);
    return fs;
}

/* --- comparing -------------------------------------------------------------------------------- */

struct verify {
    struct filesystem *fs;
    struct test_tree *tree;
    bool by_pages;
    u8 *got, *expected; /* READ_CHUNK each */
    struct verify_result *result;
};

static void wrong(struct verify *v, const struct tree_node *n, const char *what)
{
    if (v->result->wrong++ == 0)
        snprintf(v->result->first, sizeof(v->result->first), "%s: %s", n->path, what);
}

status test_read(struct inode *i, u64 offset, void *to, u64 bytes, u64 *got)
{
    struct host_result result;
    struct sg_list sg;
    sg_init(&sg, host_heap);
    must(sg_add(&sg, to, bytes));
    file_read(i, offset, &sg, got, host_result_init(&result));
    host_run();
    must(result.applied == 1);
    sg_clear(&sg);
    return result.s;
}

/* Page by page, as a program's read does it. */
static status read_pages(struct inode *i, u64 offset, u8 *to, u64 bytes)
{
    for (u64 at = 0; at < bytes;) {
        u64 index = (offset + at) / 4096;
        struct page *p = page_find(i, index);
        if (!p) {
            struct host_result result;
            pages_fetch(i, index, pages_read_ahead(i, index, 1), host_result_init(&result));
            host_run();
            must(result.applied == 1);
            if (!is_ok(result.s))
                return result.s;
            p = page_find(i, index);
            if (!p)
                return status_error(ENOMEM, "test: the page was evicted", index);
        }
        u64 part = min(4096 - (offset + at) % 4096, bytes - at);
        memcpy(to + at, (u8 *)page_memory(p) + (offset + at) % 4096, part);
        page_release(p);
        at += part;
    }
    return STATUS_OK;
}

static void verify_content(struct verify *v, struct inode *i, const struct tree_node *n)
{
    v->result->files_read++;
    for (u64 at = 0; at < n->bytes; at += READ_CHUNK) {
        u64 bytes = min(READ_CHUNK, n->bytes - at), got = bytes;
        status s = v->by_pages ? read_pages(i, at, v->got, bytes)
                               : test_read(i, at, v->got, READ_CHUNK, &got);
        if (!is_ok(s)) {
            v->result->failed++;
            v->result->failure = s;
            continue;
        }
        tree_content(n, at, v->expected, bytes);
        if (got != bytes)
            wrong(v, n, "length read");
        else if (memcmp(v->got, v->expected, bytes))
            wrong(v, n, "contents");
    }
}

static void verify_attributes(struct verify *v, const struct inode *i, const struct tree_node *n,
                              const struct tree_node *name)
{
    struct inode_attributes a;
    inode_attributes(i, &a);
    if (a.type != n->type || a.mode != n->mode || a.uid != n->uid || a.gid != n->gid ||
        a.modified_ns != n->modified_ns)
        wrong(v, name, "attributes");
    if (a.links != (n->type == INODE_DIRECTORY ? 2 + n->subdirectories : n->links))
        wrong(v, name, "links");
    if (n->type == INODE_FILE && a.bytes != n->bytes)
        wrong(v, name, "length");
}

static void verify_symlink(struct verify *v, const struct inode *i, const struct tree_node *n)
{
    u64 bytes;
    const char *target = symlink_target(i, &bytes);
    if (bytes != strlen(n->target) || memcmp(target, n->target, bytes))
        wrong(v, n, "target");
}

/* The names come in the order in which they were added. */
static void verify_directory(struct verify *v, struct inode *i, const struct tree_node *n)
{
    struct directory_entry e;
    u64 cookie = 0;
    u32 count = 0;
    const struct tree_node *child = v->tree->nodes, *end = child + v->tree->count;
    for (; directory_next(i, cookie, &e); cookie = e.cookie, count++) {
        do
            child++;
        while (child < end && child->parent != n);
        if (child >= end || strlen(child->path) != strlen(n->path) + 1 + e.name_bytes ||
            memcmp(child->path + strlen(n->path) + 1, e.name, e.name_bytes))
            wrong(v, n, "entries");
        if (count > n->children)
            break;
    }
    if (count != n->children)
        wrong(v, n, "number of entries");
}

struct inode *test_lookup(struct filesystem *fs, const char *path)
{
    struct inode *i = filesystem_root(fs);
    while (*path) {
        path += *path == '/';
        u64 bytes = strcspn(path, "/");
        if (!is_ok(inode_lookup(i, path, bytes, &i)))
            return NULL;
        path += bytes;
    }
    return i;
}

static void verify_node(struct verify *v, const struct tree_node *n)
{
    const struct tree_node *content = n->link_to ? n->link_to : n;
    struct inode *i = test_lookup(v->fs, n->path);
    if (!i) {
        wrong(v, n, "is not there");
        return;
    }
    verify_attributes(v, i, content, n);
    if (inode_type(i) != content->type)
        return;
    if (n->link_to && i != test_lookup(v->fs, content->path))
        wrong(v, n, "is another inode");
    if (content->type == INODE_FILE)
        verify_content(v, i, content);
    else if (content->type == INODE_SYMLINK)
        verify_symlink(v, i, content);
    else
        verify_directory(v, i, content);
}

struct verify_result test_verify(struct filesystem *fs, struct test_tree *t, bool by_pages)
{
    struct verify_result result = {.wrong = 0};
    struct verify v = {.fs = fs, .tree = t, .by_pages = by_pages, .result = &result};
    v.got = aligned_alloc(4096, READ_CHUNK);
    v.expected = malloc(READ_CHUNK);
    if (!v.got || !v.expected)
        panic("out of memory");
    for (u32 n = 0; n < t->count; n++)
        verify_node(&v, &t->nodes[n]);
    const char *program = filesystem_setting(fs, "program", 0);
    const char *arg = filesystem_setting(fs, "arg", 1);
    if (!program || strcmp(program, "/bin/hello") || !arg || *arg ||
        filesystem_setting(fs, "arg", 2))
        wrong(&v, &t->nodes[0], "settings");
    free(v.got);
    free(v.expected);
    return result;
}
