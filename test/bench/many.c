/* Makes an image with many files for the benchmark of mounting, mounts it in this process, and says
   what that took:

       many IMAGE FILES PROGRAM

   The files are empty, in directories of 1,000; PROGRAM is what the image starts.  "N bytes a file"
   is the memory of a filesystem with them less that of one without, "N ms" the time of this
   process. */
#include "fs/builder.h"
#include "tools/disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILES_PER_DIRECTORY 1000

static u64 live_bytes;

static void *counted_allocate(__attribute__((unused)) heap h, u64 bytes)
{
    void *p = aligned_alloc(bytes >= 4096 ? 4096 : 16, (bytes + 4095) / 16 * 16 + 4096);
    live_bytes += p ? bytes : 0;
    return p;
}

static void counted_deallocate(__attribute__((unused)) heap h, void *p, u64 bytes)
{
    live_bytes -= p ? bytes : 0;
    free(p);
}

static struct heap counted = {counted_allocate, counted_deallocate, "counted"};

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "many: %s\n", what);
    exit(1);
}

/* --- the image -------------------------------------------------------------------------------- */

struct program {
    struct builder_source source;
    const u8 *bytes;
};

closure_method(builder_source, program_read, struct program, source, u64 offset, void *to,
               u64 bytes, bool *hole)
{
    memcpy(to, owner()->bytes + offset, bytes);
    *hole = false;
    return true;
}

static void add(struct builder *b, const struct builder_node *n)
{
    must(is_ok(builder_add(b, n)), n->path);
}

static void image_make(const char *path, u64 files, const char *program)
{
    static struct program p;
    struct stat st;
    char name[64];
    int fd = open(program, O_RDONLY);
    must(fd >= 0 && fstat(fd, &st) == 0, program);
    u8 *bytes = malloc((size_t)st.st_size);
    must(bytes && read(fd, bytes, (size_t)st.st_size) == st.st_size, program);
    close(fd);
    p.bytes = bytes;
    init_method(&p.source, program_read);
    struct builder *b = builder_create(&counted);
    add(b, &(struct builder_node){.path = "/program",
                                  .type = INODE_FILE,
                                  .mode = 0755,
                                  .bytes = (u64)st.st_size,
                                  .source = &p.source});
    for (u64 n = 0; n < files; n++) {
        if (n % FILES_PER_DIRECTORY == 0) {
            snprintf(name, sizeof(name), "/d%llu", (unsigned long long)(n / FILES_PER_DIRECTORY));
            add(b, &(struct builder_node){.path = name, .type = INODE_DIRECTORY, .mode = 0755});
        }
        snprintf(name, sizeof(name), "/d%llu/f%llu", (unsigned long long)(n / FILES_PER_DIRECTORY),
                 (unsigned long long)n);
        add(b, &(struct builder_node){.path = name, .type = INODE_FILE, .mode = 0644});
    }
    must(is_ok(builder_setting(b, "program", "/program")) &&
             is_ok(builder_setting(b, "arg", "program")),
         "settings");
    struct builder_options how = {.uuid = "bench-many-files", .data_checksums = true};
    u64 needed = builder_size(b, &how);
    struct disk d;
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    must(fd >= 0 && ftruncate(fd, (off_t)needed) == 0, path);
    disk_init(&d, fd, path, needed);
    must(is_ok(builder_write(b, &how, &d.device, &d.poll)), "the image cannot be written");
    builder_destroy(b);
    close(fd);
    free(bytes);
}

/* --- the mount -------------------------------------------------------------------------------- */

struct mounting {
    struct executor executor;
    struct closure_header *first, **end;
    struct mount_handler mounted;
    struct status_handler unmounted;
    struct filesystem *fs;
    bool done;
};

static void mounting_later(const struct executor *e, struct closure_header *deferred)
{
    struct mounting *m = (struct mounting *)(u64)e; /* the field is the struct's first */
    deferred->next = NULL;
    *m->end = deferred;
    m->end = &deferred->next;
}

static u64 mounting_now(__attribute__((unused)) const struct executor *e)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

closure_method(mount_handler, mounting_mounted, struct mounting, mounted, struct filesystem *fs,
               status s)
{
    struct mounting *m = owner();
    must(is_ok(s), status_text(s));
    m->fs = fs;
    m->done = true;
}

closure_method(status_handler, mounting_unmounted, struct mounting, unmounted, status s)
{
    (void)s;
    owner()->done = true;
}

static void mounting_wait(struct mounting *m, struct disk *d)
{
    for (m->done = false; !m->done;) {
        struct closure_header *first = m->first;
        if (!first) {
            must(disk_poll(d), "nothing is in flight");
            continue;
        }
        m->first = first->next;
        if (!m->first)
            m->end = &m->first;
        closure_run_deferred(first);
    }
}

static void image_measure(const char *path, u64 files)
{
    static struct mounting m = {.executor = {.later = mounting_later, .now_ns = mounting_now}};
    struct stat st;
    struct disk d;
    int fd = open(path, O_RDONLY);
    must(fd >= 0 && fstat(fd, &st) == 0, path);
    disk_init(&d, fd, path, (u64)st.st_size);
    m.end = &m.first;
    struct filesystem_environment environment = {.heap = &counted,
                                                 .pages = &counted,
                                                 .device = &d.device,
                                                 .executor = &m.executor,
                                                 .read_only = true,
                                                 .cache_pages_most = 1024};
    init_method(&m.mounted, mounting_mounted);
    u64 before = live_bytes, start = mounting_now(&m.executor);
    filesystem_mount(&environment, &m.mounted);
    mounting_wait(&m, &d);
    printf("%.1f ms\n", (double)(mounting_now(&m.executor) - start) / 1e6);
    printf("%.1f bytes a file\n", (double)(live_bytes - before) / (double)files);
    init_method(&m.unmounted, mounting_unmounted);
    filesystem_unmount(m.fs, &m.unmounted);
    mounting_wait(&m, &d);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    u64 files = strtoull(argv[2], NULL, 10);
    image_make(argv[1], files, argv[3]);
    image_measure(argv[1], files);
    return 0;
}
