/* Looking into an image: see look.h. */
#include "tools/look.h"
#include "tools/mounted.h"
#include "tools/put.h"
#include "tools/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES (1 * MiB)

/* Handles --help and the number of words; what is left are words of the verb. */
static void usage_check(int count, char **words, int least, int most, const char *usage,
                        const char *what)
{
    if (count == 1 && !strcmp(words[0], "--help")) {
        printf("thunk %s: %s\n", usage, what);
        exit(EXIT_OK);
    }
    for (int i = 0; i < count; i++) {
        if (words[i][0] == '-' && words[i][1])
            die(EXIT_USAGE, "%s: there is no such option; write thunk %.*s", words[i],
                (int)strcspn(usage, "\n"), usage);
    }
    if (count < least || count > most)
        die(EXIT_USAGE, "write thunk %.*s", (int)strcspn(usage, "\n"), usage);
}

static void output_flush(void)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        die(EXIT_FAILED, "standard output: cannot be written: %s", strerror(errno));
}

/* --- ls --------------------------------------------------------------------------------------- */

static void mode_text(char text[11], const struct inode_attributes *a)
{
    static const char letters[] = "rwxrwxrwx";
    static const char letters_of_types[] = {
        [INODE_FILE] = '-', [INODE_DIRECTORY] = 'd', [INODE_SYMLINK] = 'l', [INODE_SOCKET] = 's'};
    text[0] = letters_of_types[a->type];
    for (u32 i = 0; i < 9; i++)
        text[1 + i] = a->mode & (0400 >> i) ? letters[i] : '-';
    if (a->mode & S_ISUID)
        text[3] = a->mode & 0100 ? 's' : 'S';
    if (a->mode & S_ISGID)
        text[6] = a->mode & 0010 ? 's' : 'S';
    if (a->mode & S_ISVTX)
        text[9] = a->mode & 0001 ? 't' : 'T';
    text[10] = 0;
}

static void time_text(char text[64], s64 at_ns)
{
    s64 seconds = at_ns / (s64)NS_PER_SECOND;
    s64 ns = at_ns % (s64)NS_PER_SECOND;
    if (ns < 0) {
        ns += (s64)NS_PER_SECOND;
        seconds--;
    }
    time_t t = (time_t)seconds;
    struct tm parts;
    char day[40];
    strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", gmtime_r(&t, &parts));
    snprintf(text, 64, "%s.%09lld", day, (long long)ns);
}

static void line_print(struct inode *i, const char *name, u64 name_bytes)
{
    struct inode_attributes a;
    char mode[11], when[64];
    inode_attributes(i, &a);
    mode_text(mode, &a);
    time_text(when, a.modified_ns);
    printf("%s %3u %5u %5u %10llu %.19s %.*s", mode, a.links, a.uid, a.gid,
           (unsigned long long)a.bytes, when, (int)name_bytes, name);
    if (a.type == INODE_SYMLINK) {
        u64 bytes;
        const char *target = symlink_target(i, &bytes);
        printf(" -> %.*s", (int)bytes, target);
    }
    putchar('\n');
}

static int name_compare(const void *a, const void *b)
{
    const struct directory_entry *x = a, *y = b;
    int order = memcmp(x->name, y->name, min(x->name_bytes, y->name_bytes));
    return order ? order : (x->name_bytes > y->name_bytes) - (x->name_bytes < y->name_bytes);
}

/* The entries of a directory by name; the caller's to free. */
static struct directory_entry *entries_sorted(struct inode *directory, u64 *count)
{
    struct directory_entry *entries = NULL, entry;
    u64 room = 0, cookie = 0;
    *count = 0;
    while (directory_next(directory, cookie, &entry)) {
        if (*count == room) {
            room = room ? room * 2 : 32;
            entries = must_grow(entries, room * sizeof(*entries));
        }
        entries[(*count)++] = entry;
        cookie = entry.cookie;
    }
    if (entries)
        qsort(entries, *count, sizeof(*entries), name_compare);
    return entries;
}

int ls_command(int count, char **words)
{
    bool with_attributes = count && !strcmp(words[0], "-l");
    if (with_attributes)
        words++, count--;
    usage_check(count, words, 1, 2, "ls [-l] IMAGE [PATH]",
                "list a folder of an image\nexample: thunk ls -l app.img /etc");
    struct mounted *m = image_mount(words[0]);
    const char *path = count > 1 ? words[1] : "/";
    struct inode *i = mounted_lookup(m, path, PATH_LAST_FOLLOWED);
    if (inode_type(i) != INODE_DIRECTORY) {
        if (with_attributes)
            line_print(i, path, strlen(path));
        else
            puts(path);
    } else {
        u64 entry_count;
        struct directory_entry *entries = entries_sorted(i, &entry_count);
        for (u64 k = 0; k < entry_count; k++) {
            if (with_attributes)
                line_print(entries[k].inode, entries[k].name, entries[k].name_bytes);
            else
                printf("%.*s\n", (int)entries[k].name_bytes, entries[k].name);
        }
        free(entries);
    }
    output_flush();
    image_unmount(m);
    return EXIT_OK;
}

/* --- tree ------------------------------------------------------------------------------------- */

static void tree_print(struct inode *directory, const char *prefix)
{
    u64 count;
    struct directory_entry *entries = entries_sorted(directory, &count);
    for (u64 k = 0; k < count; k++) {
        bool last = k + 1 == count;
        struct inode *i = entries[k].inode;
        printf("%s%s%.*s", prefix, last ? "`-- " : "|-- ", (int)entries[k].name_bytes,
               entries[k].name);
        if (inode_type(i) == INODE_SYMLINK) {
            u64 bytes;
            const char *target = symlink_target(i, &bytes);
            printf(" -> %.*s", (int)bytes, target);
        }
        putchar('\n');
        if (inode_type(i) == INODE_DIRECTORY) {
            char *deeper = text_of("%s%s", prefix, last ? "    " : "|   ");
            tree_print(i, deeper);
            free(deeper);
        }
    }
    free(entries);
}

int tree_command(int count, char **words)
{
    usage_check(count, words, 1, 2, "tree IMAGE [PATH]",
                "show all that is below a folder of an image\nexample: thunk tree app.img /usr");
    struct mounted *m = image_mount(words[0]);
    const char *path = count > 1 ? words[1] : "/";
    struct inode *i = mounted_lookup(m, path, PATH_LAST_FOLLOWED);
    puts(path);
    if (inode_type(i) == INODE_DIRECTORY)
        tree_print(i, "");
    output_flush();
    image_unmount(m);
    return EXIT_OK;
}

/* --- cat -------------------------------------------------------------------------------------- */

static void bytes_write(int fd, const char *name, const char *bytes, u64 count)
{
    while (count) {
        ssize_t n = write(fd, bytes, count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            die(EXIT_FAILED, "%s: cannot be written: %s", name, strerror(errno));
        bytes += n;
        count -= (u64)n;
    }
}

int cat_command(int count, char **words)
{
    static char piece[PIECE_BYTES];
    usage_check(count, words, 2, 2, "cat IMAGE PATH",
                "write a file of an image to standard output\n"
                "example: thunk cat app.img /etc/hosts");
    struct mounted *m = image_mount(words[0]);
    struct inode *i = mounted_lookup(m, words[1], PATH_LAST_FOLLOWED);
    if (inode_type(i) == INODE_DIRECTORY)
        die(EXIT_FAILED, "%s: %s: is a folder; thunk ls lists it", words[0], words[1]);
    u64 n;
    for (u64 at = 0; (n = mounted_read(m, i, at, piece, sizeof(piece))); at += n)
        bytes_write(STDOUT_FILENO, "standard output", piece, n);
    image_unmount(m);
    return EXIT_OK;
}

/* --- cp --------------------------------------------------------------------------------------- */

/* The first copy of every inode with several names, to link the others to. */
struct copied {
    struct copied *next;
    u64 number;
    char *path;
};

struct copy {
    struct mounted *mounted;
    struct copied *copied;
};

static bool all_zero(const char *bytes, u64 count)
{
    return count == 0 || (bytes[0] == 0 && !memcmp(bytes, bytes + 1, count - 1));
}

/* Blocks of zeroes are left out, so that holes stay holes. */
static void file_copy(struct mounted *m, struct inode *i, const char *to)
{
    static char piece[PIECE_BYTES];
    unlink(to);
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        die(EXIT_FAILED, "%s: cannot be made: %s", to, strerror(errno));
    u64 n, bytes = inode_bytes(i);
    for (u64 at = 0; at < bytes && (n = mounted_read(m, i, at, piece, sizeof(piece))); at += n) {
        for (u64 k = 0; k < n; k += 4 * KiB) {
            u64 block = min(4 * KiB, n - k);
            if (all_zero(piece + k, block))
                continue;
            if (lseek(fd, (off_t)(at + k), SEEK_SET) < 0)
                die(EXIT_FAILED, "%s: %s", to, strerror(errno));
            bytes_write(fd, to, piece + k, block);
        }
    }
    if (ftruncate(fd, (off_t)bytes) != 0 || close(fd) != 0)
        die(EXIT_FAILED, "%s: cannot be written: %s", to, strerror(errno));
}

/* What this machine's filesystem does not take, or not from us, is said and left out. */
static void xattr_copy(const struct inode *i, const char *name, const char *to)
{
    static u8 value[64 * KiB]; /* as long as one may be */
    u64 bytes = 0;
    status s = xattr_get(i, name, strlen(name), value, sizeof(value), &bytes);
    if (!is_ok(s))
        die(EXIT_FAILED, "%s: attribute %s: %s", to, name, status_text(s));
    if (lsetxattr(to, name, value, bytes, 0) == 0)
        return;
    if (errno != ENOTSUP && errno != EPERM && errno != ENOSPC && errno != E2BIG)
        die(EXIT_FAILED, "%s: attribute %s cannot be set: %s", to, name, strerror(errno));
    say("%s: attribute %s is left out: %s", to, name, strerror(errno));
}

static void xattrs_copy(const struct inode *i, const char *to)
{
    u64 bytes;
    const char *text;
    for (u32 n = 0; (text = xattr_name(i, n, &bytes)); n++) {
        char *name = text_of("%.*s", (int)bytes, text);
        xattr_copy(i, name, to);
        free(name);
    }
}

/* Owner (when we may), extended attributes, mode and time: the owner first, since changing it takes
   set-id bits and capabilities away; the mode behind what needs the right to write. */
static void metadata_copy(const struct inode *i, const struct inode_attributes *a, const char *to)
{
    s64 seconds = a->modified_ns / (s64)NS_PER_SECOND, ns = a->modified_ns % (s64)NS_PER_SECOND;
    if (ns < 0) {
        ns += (s64)NS_PER_SECOND;
        seconds--;
    }
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = seconds, .tv_nsec = ns}};
    bool failed = geteuid() == 0 && lchown(to, a->uid, a->gid) != 0;
    xattrs_copy(i, to);
    if (a->type != INODE_SYMLINK)
        failed |= chmod(to, a->mode) != 0;
    failed |= utimensat(AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW) != 0;
    if (failed)
        die(EXIT_FAILED, "%s: its attributes cannot be set: %s", to, strerror(errno));
}

/* True when an earlier name of the same inode was linked. */
static bool link_copy(struct copy *c, const struct inode_attributes *a, const char *to)
{
    if (a->type == INODE_DIRECTORY || a->links < 2)
        return false;
    for (struct copied *k = c->copied; k; k = k->next) {
        if (k->number != a->number)
            continue;
        unlink(to);
        if (link(k->path, to) != 0)
            die(EXIT_FAILED, "%s: cannot be linked to %s: %s", to, k->path, strerror(errno));
        return true;
    }
    struct copied *k = must_allocate(sizeof(*k));
    *k = (struct copied){c->copied, a->number, text_copy(to)};
    c->copied = k;
    return false;
}

static void inode_copy(struct copy *c, struct inode *i, const char *to);

static void directory_copy(struct copy *c, struct inode *i, const char *to)
{
    struct directory_entry entry;
    if (mkdir(to, 0700) != 0 && errno != EEXIST)
        die(EXIT_FAILED, "%s: cannot be made: %s", to, strerror(errno));
    for (u64 cookie = 0; directory_next(i, cookie, &entry); cookie = entry.cookie) {
        char *below = text_of("%s/%.*s", to, (int)entry.name_bytes, entry.name);
        inode_copy(c, entry.inode, below);
        free(below);
    }
}

static void inode_copy(struct copy *c, struct inode *i, const char *to)
{
    struct inode_attributes a;
    inode_attributes(i, &a);
    if (link_copy(c, &a, to))
        return;
    progress("copying %s", to);
    if (a.type == INODE_DIRECTORY) {
        directory_copy(c, i, to);
    } else if (a.type == INODE_FILE) {
        file_copy(c->mounted, i, to);
    } else {
        u64 bytes;
        const char *target = symlink_target(i, &bytes);
        char *text = strndup(target, bytes);
        unlink(to);
        if (!text || symlink(text, to) != 0)
            die(EXIT_FAILED, "%s: the symlink cannot be made: %s", to, strerror(errno));
        free(text);
    }
    metadata_copy(i, &a, to);
}

static int copy_out(const char *from, const char *colon, const char *to);

int cp_command(int count, char **words)
{
    usage_check(
        count, words, 2, 2, "cp IMAGE:/PATH HOST  or  thunk cp HOST IMAGE:/PATH",
        "copy a file, or a folder with\nall that is in it, out of an image or into one\n"
        "example: thunk cp app.img:/var/log ./log\n\n"
        "Into an image that has a folder of that name, it goes into that folder; a file takes\n"
        "the place of one of the same name.  The image is as it was, or has whole files; what\n"
        "is copied is on this machine's disk when the command ends.");
    const char *from = strstr(words[0], ":/"), *to = strstr(words[1], ":/");
    if (!from == !to)
        die(EXIT_USAGE, "cp: write one of the two as IMAGE:/PATH");
    if (from)
        return copy_out(words[0], from, words[1]);
    char *image = text_of("%.*s", (int)(to - words[1]), words[1]);
    put_into_image(words[0], image, to + 1);
    free(image);
    return EXIT_OK;
}

static int copy_out(const char *from, const char *colon, const char *to)
{
    char *image = text_of("%.*s", (int)(colon - from), from);
    struct copy c = {.mounted = image_mount(image)};
    struct inode *i = mounted_lookup(c.mounted, colon + 1, PATH_LAST_KEPT);
    struct stat st;
    const char *base = strrchr(from, '/') + 1;
    if (stat(to, &st) == 0 && S_ISDIR(st.st_mode) && *base)
        to = text_of("%s/%s", to, base);
    inode_copy(&c, i, to);
    progress_end();
    image_unmount(c.mounted);
    return EXIT_OK;
}

/* --- stat ------------------------------------------------------------------------------------- */

static void image_describe(struct mounted *m, const char *name)
{
    static const char *const settings[] = {"program", "arg", "env", "cwd", "hostname"};
    struct filesystem *fs = mounted_filesystem(m);
    struct filesystem_statistics s = filesystem_statistics(fs);
    printf("image %s\nblock bytes %llu\nblocks %llu\nblocks free %llu\ninodes %llu\n", name,
           (unsigned long long)s.block_bytes, (unsigned long long)s.blocks,
           (unsigned long long)s.blocks_free, (unsigned long long)s.inodes);
    for (u32 k = 0; k < countof(settings); k++) {
        const char *value;
        for (u32 i = 0; (value = filesystem_setting(fs, settings[k], i)); i++)
            printf("%s %s\n", settings[k], value);
    }
}

static void inode_describe(struct inode *i, const char *path)
{
    static const char *const types[] = {[INODE_FILE] = "file",
                                        [INODE_DIRECTORY] = "directory",
                                        [INODE_SYMLINK] = "symlink",
                                        [INODE_SOCKET] = "socket"};
    struct inode_attributes a;
    char when[64];
    inode_attributes(i, &a);
    time_text(when, a.modified_ns);
    printf("path %s\ntype %s\ninode %llu\nmode %04o\nuid %u\ngid %u\nlinks %u\n", path,
           types[a.type], (unsigned long long)a.number, a.mode, a.uid, a.gid, a.links);
    printf("bytes %llu\nsectors %llu\nmodified %s\n", (unsigned long long)a.bytes,
           (unsigned long long)a.blocks, when);
    if (a.type == INODE_SYMLINK) {
        u64 bytes;
        const char *target = symlink_target(i, &bytes);
        printf("target %.*s\n", (int)bytes, target);
    }
}

int stat_command(int count, char **words)
{
    usage_check(count, words, 1, 2, "stat IMAGE [PATH]",
                "show an image's figures and settings, or a file's attributes\n"
                "example: thunk stat app.img /bin/sh");
    struct mounted *m = image_mount(words[0]);
    if (count > 1)
        inode_describe(mounted_lookup(m, words[1], PATH_LAST_KEPT), words[1]);
    else
        image_describe(m, words[0]);
    output_flush();
    image_unmount(m);
    return EXIT_OK;
}
