/* `thunk check`: see check.h.  fs/check.c does the work; this is what people see of it. */
#include "tools/check.h"
#include "fs/check.h"
#include "tools/disk.h"
#include "tools/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check_help(void)
{
    puts("thunk check [--no-data] IMAGE: verify an image whole, and say what is wrong and where\n"
         "example: thunk check app.img\n\n"
         "Both superblocks, every group and record of the log, names, links, extents, free space "
         "and\n"
         "checksum blocks are looked at, and all data that has checksums, unless --no-data is "
         "given.\n"
         "The image is not changed.  A torn tail, which a power cut leaves, is no problem: what "
         "was\n"
         "synced is there.  Exit status: 0 nothing is wrong, 1 something is, 2 wrong usage.");
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

int check_command(int count, char **words)
{
    struct check_options o = {.heap = &malloc_heap, .data = true};
    const char *image = NULL;
    for (int n = 0; n < count; n++) {
        if (!strcmp(words[n], "--help")) {
            check_help();
            return EXIT_OK;
        }
        if (!strcmp(words[n], "--no-data"))
            o.data = false;
        else if (words[n][0] == '-' && words[n][1])
            die(EXIT_USAGE, "%s: there is no such option; thunk check --help lists them", words[n]);
        else if (image)
            die(EXIT_USAGE, "write thunk check [--no-data] IMAGE");
        else
            image = words[n];
    }
    if (!image)
        die(EXIT_USAGE, "write thunk check [--no-data] IMAGE");
    struct disk d;
    struct check_result r;
    int fd = image_open(image, IMAGE_READ);
    disk_init(&d, fd, image, image_length(fd));
    o.device = &d.device;
    o.poll = &d.poll;
    o.line = stack_closure(line_print);
    status s = filesystem_check(&o, &r);
    if (!is_ok(s) && status_errno(s) != EINVAL)
        die(EXIT_FAILED, "%s: %s", image, status_text(s));
    result_print(image, &r);
    close(fd);
    if (fflush(stdout) != 0 || ferror(stdout))
        die(EXIT_FAILED, "standard output: cannot be written");
    return r.problems ? EXIT_FAILED : EXIT_OK;
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
    if (fflush(stdout) != 0 || ferror(stdout))
        die(EXIT_FAILED, "standard output: cannot be written");
    if (!is_ok(s))
        die(EXIT_FAILED, "%s: %s", words[0], status_text(s));
    close(fd);
    return EXIT_OK;
}
