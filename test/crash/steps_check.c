/* The host's half of the crash tests: looks at what a machine left on its disk and holds it against
   what it had acknowledged.

       steps_check image IMAGE ACKED         the disk as it is; steps up to ACKED were acknowledged
       steps_check log IMAGE LOG             IMAGE is the disk before, LOG what QEMU's blklogwrites
                                             recorded: the disk at every flush is looked at

   The files are in /crash.  In the second case nobody says what had been acknowledged at a flush,
   but the writes do: a write that carries step N says that step N - 1 had been acknowledged when it
   was issued.

   Each state is mounted read-only by the code the kernel has, and must hold: every record of "log"
   whole up to the acknowledged step; "current" whole, of one step that is not older than
   acknowledged; each sector of "pages" of a step that is not older; each file that was to be there,
   whole, and none that was to be gone.  And fs/check.h must find nothing wrong with it.

   At each flush of a log the disk is looked at twice: as it is then, and, before, as a power cut
   just before it could have left it: with a random half of what was written since the flush before.

   LOG is laid out as the Linux kernel's dm-log-writes (Documentation/admin-guide/device-mapper/
   log-writes.rst): a sector with a header, then for each write a sector with its entry and the
   data. */
#include "test/crash/steps.h"

#include "fs/check.h"
#include "test/host/fs_fixture.h"
#include "test/host/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_PAGES     1024
#define FILE_BYTES_READ (8 * MiB)

static u8 content[FILE_BYTES_READ];
static u64 violations;
static const char *where = ""; /* which state, for messages */
static u64 where_number;

static void __attribute__((format(printf, 1, 2))) violated(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (violations++ < 20) {
        printf("# %s %llu: ", where, (unsigned long long)where_number);
        vprintf(format, list);
        printf("\n");
    }
    va_end(list);
}

static u64 content_of(struct filesystem *fs, const char *name)
{
    struct inode *i = test_lookup(fs, name);
    u64 got = 0;
    if (!i)
        return 0;
    u64 bytes = min(inode_bytes(i), (u64)FILE_BYTES_READ);
    if (!is_ok(test_read(i, 0, content, bytes, &got)))
        violated("%s cannot be read", name);
    return got;
}

/* --- what each file is held against ----------------------------------------------------------- */

static void log_check(struct filesystem *fs, u64 acked)
{
    u64 bytes = content_of(fs, "/crash/log");
    u64 records = step_last(acked, 0) / 4;
    if (bytes < records * RECORD)
        violated("log has %llu bytes, %llu records are acknowledged", (unsigned long long)bytes,
                 (unsigned long long)records);
    for (u64 r = 0; r < records && (r + 1) * RECORD <= bytes; r++)
        for (u64 s = 0; s < RECORD / SECTOR; s++)
            if (step_of(content + r * RECORD + s * SECTOR, s) != (r + 1) * 4)
                violated("log: record %llu is damaged", (unsigned long long)r);
}

/* Whole and of one step; which one. */
static u64 whole_step(const char *name, u64 bytes)
{
    u64 step = bytes == CURRENT ? step_of(content, 0) : 0;
    for (u64 s = 1; step && s < CURRENT / SECTOR; s++)
        if (step_of(content + s * SECTOR, s) != step)
            step = 0;
    if (!step)
        violated("%s is not whole (%llu bytes)", name, (unsigned long long)bytes);
    return step;
}

static void current_check(struct filesystem *fs, u64 acked)
{
    u64 expected = step_last(acked, 1);
    bool there = test_lookup(fs, "/crash/current") != NULL;
    if (!there && !expected)
        return;
    u64 step = there ? whole_step("current", content_of(fs, "/crash/current")) : 0;
    if (step < expected)
        violated("current is of step %llu, %llu is acknowledged", (unsigned long long)step,
                 (unsigned long long)expected);
}

static void pages_check(struct filesystem *fs, u64 acked)
{
    u64 bytes = content_of(fs, "/crash/pages");
    for (u64 p = 0; p < PAGES; p++) {
        u64 expected = step_last(acked, 2);
        while (expected && expected / 4 % PAGES != p)
            expected = expected > 4 ? expected - 4 : 0;
        for (u64 s = 0; expected && s < PAGE / SECTOR; s++) {
            u64 at = p * PAGE + s * SECTOR;
            u64 step = at < bytes ? step_of(content + at, s) : 0;
            if (step < expected)
                violated("pages: block %llu sector %llu is of step %llu, %llu is acknowledged",
                         (unsigned long long)p, (unsigned long long)s, (unsigned long long)step,
                         (unsigned long long)expected);
        }
    }
}

static void files_check(struct filesystem *fs, u64 acked)
{
    u64 newest = step_last(acked, 3);
    for (u64 step = 3; step <= newest; step += 4) {
        char name[64];
        snprintf(name, sizeof(name), "/crash/file-%llu", (unsigned long long)step);
        bool there = test_lookup(fs, name) != NULL;
        bool removed = step + FILES_KEPT <= newest;
        /* The next step of its kind may have removed it without having been acknowledged. */
        bool either = !removed && step + FILES_KEPT <= newest + 4;
        if (removed && there)
            violated("%s is there again", name);
        if (!removed && !either && !there)
            violated("%s is gone", name);
        if (there && !removed && whole_step(name, content_of(fs, name)) != step && !either)
            violated("%s holds something else", name);
    }
}

closure_function(thunk, poll_queue, ())
{
    host_run();
}

closure_function(check_line, problem_say, (), const char *line)
{
    violated("check: %s", line);
}

static void format_check(struct host_disk *disk)
{
    struct check_options options = {.device = &disk->device,
                                    .poll = stack_closure(poll_queue),
                                    .heap = host_heap,
                                    .data = true};
    struct check_result result;
    status s = filesystem_check(&options, &result);
    if (is_ok(s) && result.problems == 0)
        return;
    violated("the check ends with %llu problems, %s", (unsigned long long)result.problems,
             status_text(s));
    options.line = stack_closure(problem_say);
    filesystem_check(&options, &result);
}

static void state_check(struct host_disk *disk, u64 acked)
{
    status why;
    format_check(disk);
    struct filesystem *fs = test_mount(disk, host_heap, test_block_pages, CACHE_PAGES, &why);
    if (!fs) {
        violated("not mounted: %s", status_text(why));
        return;
    }
    log_check(fs, acked);
    current_check(fs, acked);
    pages_check(fs, acked);
    files_check(fs, acked);
    test_unmount(fs);
}

/* --- disks ------------------------------------------------------------------------------------ */

static void disk_load(struct host_disk *disk, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        fprintf(stderr, "steps_check: %s: %s\n", path, strerror(errno));
        exit(2);
    }
    host_disk_init(disk, (u64)st.st_size);
    for (u64 at = 0; at < (u64)st.st_size;) {
        ssize_t n = pread(fd, disk->bytes + at, (u64)st.st_size - at, (off_t)at);
        must(n > 0);
        at += (u64)n;
    }
    disk->device.read_only = true;
    close(fd);
}

#define LOG_MAGIC   0x6a736677736872ull
#define LOG_FLUSH   1u
#define LOG_DISCARD 4u

struct log_header {
    u64 magic, version, entries;
    u32 sector_bytes;
} __attribute__((packed));

struct log_entry {
    u64 sector, sectors, flags, bytes;
};

/* The newest step that the data of a write carries. */
static u64 steps_in(const u8 *data, u64 bytes)
{
    u64 newest = 0;
    for (u64 at = 0; at + SECTOR <= bytes; at += SECTOR) {
        struct step_sector s;
        memcpy(&s, data + at, SECTOR);
        if (s.magic == STEP_MAGIC && s.index < 16 && step_of(data + at, s.index))
            newest = max(newest, s.step);
    }
    return newest;
}

/* What was written between two flushes, to do it again and to undo it. */
#define WRITES_MOST 4096

struct write {
    u64 sector, bytes;
    u8 *data, *before;
};

static struct write writes[WRITES_MOST];
static u32 write_count;
static struct random chance;

static void write_apply(struct host_disk *disk, const struct write *w)
{
    memcpy(disk->bytes + w->sector * SECTOR, w->data, w->bytes);
}

/* Undone in the opposite order, so that what was written twice is as it was before both. */
static void subset_check(struct host_disk *disk, u64 acked)
{
    u64 taken[WRITES_MOST / 64] = {0};
    for (u32 n = 0; n < write_count; n++) {
        struct write *w = &writes[n];
        if (random_below(&chance, 2))
            continue;
        taken[n / 64] |= 1ull << n % 64;
        memcpy(w->before, disk->bytes + w->sector * SECTOR, w->bytes);
        /* Of some only a part, in whole sectors. */
        u64 bytes = w->bytes;
        if (random_below(&chance, 4) == 0)
            bytes = random_below(&chance, w->bytes / SECTOR) * SECTOR;
        memcpy(disk->bytes + w->sector * SECTOR, w->data, bytes);
    }
    state_check(disk, acked);
    for (u32 n = write_count; n-- > 0;)
        if (taken[n / 64] >> n % 64 & 1)
            memcpy(disk->bytes + writes[n].sector * SECTOR, writes[n].before, writes[n].bytes);
}

static void flush_check(struct host_disk *disk, u64 acked)
{
    subset_check(disk, acked);
    for (u32 n = 0; n < write_count; n++) {
        write_apply(disk, &writes[n]);
        free(writes[n].data);
        free(writes[n].before);
    }
    write_count = 0;
    state_check(disk, acked);
}

static void write_note(struct host_disk *disk, int fd, u64 at, u64 sector, u64 bytes)
{
    must(bytes <= disk->length && sector <= (disk->length - bytes) / SECTOR);
    must(write_count < WRITES_MOST);
    struct write *w = &writes[write_count++];
    *w = (struct write){sector, bytes, malloc(bytes), malloc(bytes)};
    must(pread(fd, w->data, bytes, (off_t)at) == (ssize_t)bytes);
}

static u64 log_replay(struct host_disk *disk, const char *path)
{
    struct log_header header;
    u64 flushes = 0, acked = 0, at;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
        header.magic != LOG_MAGIC || header.sector_bytes != SECTOR) {
        fprintf(stderr, "steps_check: %s is no log of writes\n", path);
        exit(2);
    }
    at = header.sector_bytes;
    for (u64 n = 0; n < header.entries; n++) {
        struct log_entry e;
        must(pread(fd, &e, sizeof(e), (off_t)at) == sizeof(e));
        at += header.sector_bytes;
        u64 bytes = e.sectors * SECTOR;
        if (bytes && !(e.flags & LOG_DISCARD)) {
            write_note(disk, fd, at, e.sector, bytes);
            u64 step = steps_in(writes[write_count - 1].data, bytes);
            acked = max(acked, step ? step - 1 : 0);
            at += bytes;
        }
        if (e.flags & LOG_FLUSH) {
            where_number = flushes++;
            flush_check(disk, acked);
        }
    }
    for (u32 n = 0; n < write_count; n++) { /* behind the last flush */
        free(writes[n].data);
        free(writes[n].before);
    }
    close(fd);
    printf("%llu writes and flushes, %llu states, steps up to %llu, %llu violations\n",
           (unsigned long long)header.entries, (unsigned long long)flushes * 2,
           (unsigned long long)acked, (unsigned long long)violations);
    return flushes;
}

int main(int argc, char **argv)
{
    struct host_disk disk;
    if (argc != 4)
        return 2;
    disk_load(&disk, argv[2]);
    if (!strcmp(argv[1], "log")) {
        where = "flush";
        random_init(&chance, test_seed());
        if (log_replay(&disk, argv[3]) == 0)
            violated("the log holds no flush");
    } else {
        where = "after step";
        where_number = strtoull(argv[3], NULL, 10);
        state_check(&disk, where_number);
        printf("%llu violations\n", (unsigned long long)violations);
    }
    host_disk_destroy(&disk);
    return violations != 0;
}
