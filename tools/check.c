/* `thunk check`: see check.h.  fs/check.c does the work; this is what people see of it. */
#include "tools/check.h"
#include "fs/check.h"
#include "tools/disk.h"
#include "tools/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check_help(void)
{
    puts("thunk check [--no-data] [--repair [-o COPY]] IMAGE: verify an image whole, say what is\n"
         "wrong and where, and mend it\n"
         "example: thunk check app.img\n\n"
         "Both superblocks, every group and record of the log, names, links, extents, free space "
         "and\n"
         "checksum blocks are looked at, and all data that has checksums, unless --no-data is "
         "given.\n"
         "The image is not changed.  A torn tail, which a power cut leaves, is no problem: what "
         "was\n"
         "synced is there.\n\n"
         "--repair salvages what can be, and says what is lost: a superblock is written anew from "
         "the\n"
         "other one; of a damaged log, the part that is whole becomes a new checkpoint, in blocks "
         "that\n"
         "were free; files that miss parts move to /lost+found.  With -o COPY the image stays as "
         "it is\n"
         "and the copy is repaired.\n\n"
         "Exit status: 0 nothing is wrong (any more), 1 something is, 2 wrong usage.");
}

closure_function(check_line, line_print, (), const char *line)
{
    puts(line);
}

static void result_print(const char *image, const struct check_result *r)
{
    if (r->problems) {
        printf("%s: %llu problem%s\n", image, (unsigned long long)r->problems,
               r->problems == 1 ? "" : "s");
        return;
    }
    printf("%s: nothing is wrong: %llu inodes, %llu names, %llu extents, %llu of %llu blocks free; "
           "%llu blocks of data verified; the log has %llu groups in %llu segments%s\n",
           image, (unsigned long long)r->inodes, (unsigned long long)r->entries,
           (unsigned long long)r->extents, (unsigned long long)r->blocks_free,
           (unsigned long long)r->blocks, (unsigned long long)r->blocks_verified,
           (unsigned long long)r->groups, (unsigned long long)r->segments,
           r->clean  ? ", and was ended cleanly"
           : r->torn ? ", and was cut off while it was written"
                     : ", and was not ended cleanly");
}

struct check_words {
    bool no_data, repair;
    const char *copy, *image;
};

static const char check_usage[] = "write thunk check [--no-data] [--repair [-o COPY]] IMAGE";

static void words_read(struct check_words *w, int count, char **words)
{
    for (int n = 0; n < count; n++) {
        const char *word = words[n];
        if (!strcmp(word, "--help")) {
            check_help();
            exit(EXIT_OK);
        }
        if (!strcmp(word, "--no-data"))
            w->no_data = true;
        else if (!strcmp(word, "--repair"))
            w->repair = true;
        else if (!strcmp(word, "-o") && n + 1 < count)
            w->copy = words[++n];
        else if (word[0] == '-' && word[1])
            die(EXIT_USAGE, "%s: there is no such option; thunk check --help lists them", word);
        else if (w->image)
            die(EXIT_USAGE, "%s", check_usage);
        else
            w->image = word;
    }
    if (!w->image || (w->copy && !w->repair))
        die(EXIT_USAGE, "%s", check_usage);
}

static void output_flush(void)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        die(EXIT_FAILED, "standard output: cannot be written");
}

/* True: nothing is wrong. */
static bool image_check(struct disk *d, const char *image, const struct check_options *how)
{
    struct check_options o = *how;
    struct check_result r;
    o.line = stack_closure(line_print);
    status s = filesystem_check(&o, &r);
    if (!is_ok(s) && status_errno(s) != EINVAL)
        die(EXIT_FAILED, "%s: %s", d->device.name, status_text(s));
    result_print(image, &r);
    output_flush();
    return r.problems == 0;
}

/* True: what can be repaired is; a second check says so. */
static bool image_repair(struct disk *d, const char *image, const struct check_options *how)
{
    struct check_options o = *how;
    struct repair_result r;
    o.line = stack_closure(line_print);
    status s = filesystem_repair(&o, &r);
    output_flush();
    if (!is_ok(s))
        die(EXIT_FAILED, "%s: cannot be repaired%s: %s", image,
            r.changed ? "" : ", and is what it was", status_text(s));
    printf("%s: repaired%s%s\n", image, r.moved ? "; see /lost+found" : "",
           r.lost ? "; what is said above is what was done" : "");
    return image_check(d, image, how);
}

/* The file again, holes as holes; the caller's to close. */
static int image_copy(int from, const char *name)
{
    static char piece[1 * MiB];
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        die(EXIT_FAILED, "%s: cannot be made: %s", name, strerror(errno));
    off_t length = (off_t)image_length(from), at = 0;
    bool right = ftruncate(fd, length) == 0;
    while (right && at < length && (at = lseek(from, at, SEEK_DATA)) >= 0) {
        ssize_t n = pread(from, piece, sizeof(piece), at);
        right = n > 0 && pwrite(fd, piece, (size_t)n, at) == n;
        at += n;
    }
    if (!right || (at < 0 && errno != ENXIO)) {
        unlink(name);
        die(EXIT_FAILED, "%s: cannot be written: %s", name, strerror(errno));
    }
    return fd;
}

int check_command(int count, char **words)
{
    struct check_words w = {};
    words_read(&w, count, words);
    struct disk d;
    bool in_place = w.repair && !w.copy;
    const char *image = w.copy ? w.copy : w.image;
    int fd = image_open(w.image, in_place ? IMAGE_WRITE : IMAGE_READ);
    if (w.copy)
        fd = image_copy(fd, w.copy);
    disk_init(&d, fd, image, image_length(fd));
    struct check_options how = {
        .heap = &malloc_heap, .data = !w.no_data, .device = &d.device, .poll = &d.poll};
    bool right = image_check(&d, image, &how);
    if (!right && w.repair)
        right = image_repair(&d, image, &how);
    close(fd);
    return right ? EXIT_OK : EXIT_FAILED;
}

/* --- dump ------------------------------------------------------------------------------------- */

int dump_command(int count, char **words)
{
    if (count == 1 && !strcmp(words[0], "--help")) {
        puts("thunk dump IMAGE: show the records of an image's log, one line each\n"
             "example: thunk dump app.img | grep LINK\n\n"
             "What is damaged is said and passed over.  fs/FORMAT.md says what the records mean.");
        return EXIT_OK;
    }
    if (count != 1 || words[0][0] == '-')
        die(EXIT_USAGE, "write thunk dump IMAGE");
    struct disk d;
    int fd = image_open(words[0], IMAGE_READ);
    disk_init(&d, fd, words[0], image_length(fd));
    struct check_options o = {.heap = &malloc_heap,
                              .device = &d.device,
                              .poll = &d.poll,
                              .line = stack_closure(line_print)};
    status s = filesystem_dump(&o);
    output_flush();
    if (!is_ok(s))
        die(EXIT_FAILED, "%s: %s", words[0], status_text(s));
    close(fd);
    return EXIT_OK;
}
