/* From options to an image in a file: see image.h. */
#include "tools/image.h"
#include "tools/deb.h"
#include "tools/disk.h"
#include "tools/elf_needs.h"
#include "tools/system_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char image_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static const char *hostname_of(const struct options *o)
{
    return o->hostname ? o->hostname : "thunk";
}

/* PROGRAM in the folders of `path`, inside the tree; NULL when none has it. */
static char *program_in_tree(struct tree *t, const char *path, const char *program)
{
    if (strchr(program, '/'))
        return tree_lookup(t, program) ? text_of("%s%s", *program == '/' ? "" : "/", program)
                                       : NULL;
    while (*path) {
        int length = (int)strcspn(path, ":");
        char *file = text_of("%.*s/%s", length, path, program);
        struct tree_entry *e = tree_lookup(t, file);
        if (e && e->type == INODE_FILE)
            return file;
        free(file);
        path += length + (path[length] == ':');
    }
    return NULL;
}

/* PROGRAM on this machine, as a shell finds it; NULL when it is not there. */
static char *program_here(const char *program)
{
    if (strchr(program, '/')) {
        char *folder = *program == '/' ? text_copy("") : getcwd(NULL, 0);
        return text_of("%s/%s", folder ? folder : "", program);
    }
    const char *path = getenv("PATH");
    for (path = path && *path ? path : image_path; *path;) {
        int length = (int)strcspn(path, ":");
        char *file = text_of("%.*s/%s", length, path, program);
        struct stat st;
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0)
            return file;
        free(file);
        path += length + (path[length] == ':');
    }
    return NULL;
}

static char *program_take_here(struct tree *t, const char *program)
{
    char *file = program_here(program);
    enum elf_refusal r = file ? elf_refuse(file) : ELF_MISSING;
    if (r == ELF_MISSING)
        die(EXIT_MISSING,
            "%s: not found on this machine; with --root or --deb it is looked for "
            "in the image",
            program);
    if (r != ELF_RUNNABLE)
        die(EXIT_NOT_RUNNABLE, "%s: %s", program, elf_refusal_text(r));
    tree_add_as_here(t, file);
    elf_needs_add(t, file, NEEDS_ALL);
    char *normal = path_normal(file);
    free(file);
    return normal;
}

/* HOST[:GUEST].  Without GUEST an absolute path stays where it is, a relative one goes below the
   root; with a GUEST that ends in '/' it keeps its name there. */
static void add_take(struct tree *t, const char *spec)
{
    const char *colon = strrchr(spec, ':');
    char *host = colon ? strndup(spec, (size_t)(colon - spec)) : text_copy(spec);
    const char *guest = colon ? colon + 1 : NULL;
    if (!host || !*host || (guest && guest[0] != '/'))
        die(EXIT_USAGE, "--add %s: write it as HOST or HOST:/GUEST", spec);
    if (!guest) {
        tree_add(t, host, host);
    } else if (guest[strlen(guest) - 1] == '/' && guest[1]) {
        char *normal = path_normal(host);
        const char *base = strrchr(normal, '/');
        tree_add(t, host, text_of("%s%s", guest, base ? base + 1 : ""));
    } else {
        tree_add(t, host, guest);
    }
    free(host);
}

/* The libraries of an added file that is a library or a program itself: an interpreter's modules
   would fail to load without them. */
closure_function(tree_visitor, libraries_add, (struct tree * t), struct tree_entry *e)
{
    if (e->type != INODE_FILE || !e->host || !(e->mode & 0111 || strstr(e->path, ".so")))
        return;
    if (elf_refuse(e->host) == ELF_RUNNABLE)
        elf_needs_add(bound(t), e->host, NEEDS_FOUND);
}

void image_gather(const struct options *o, struct tree *t, char **program)
{
    tree_init(t);
    struct stat st;
    if (o->root) {
        if (stat(o->root, &st) != 0 || !S_ISDIR(st.st_mode))
            die(EXIT_FAILED, "--root %s: there is no such folder", o->root);
        tree_add(t, o->root, "/");
    }
    if (o->debs.count)
        debs_add(t, &o->debs);
    for (u32 i = 0; i < o->adds.count; i++)
        add_take(t, o->adds.items[i]);
    if (!o->root && !o->debs.count)
        tree_visit(t, stack_closure(libraries_add, t));
    char *inside = program_in_tree(t, image_path, o->program);
    if (o->root && !inside)
        inside = text_of("%s%s", *o->program == '/' ? "" : "/", o->program);
    *program = inside ? inside : program_take_here(t, o->program);
    system_files_add(t, hostname_of(o), !o->root);
    if (o->cwd) {
        struct tree_entry *e = tree_lookup(t, o->cwd);
        if (!e || e->type != INODE_DIRECTORY)
            die(EXIT_FAILED, "--cwd %s: there is no such folder in the image", o->cwd);
    }
}

static void setting(struct builder *b, const char *name, const char *value)
{
    status s = builder_setting(b, name, value);
    if (!is_ok(s))
        die(EXIT_FAILED, "%s: %s", name, status_text(s));
}

static bool env_has(const struct options *o, const char *name)
{
    for (u32 i = 0; i < o->env.count; i++) {
        if (text_begins(o->env.items[i], name))
            return true;
    }
    return false;
}

static void settings_write(const struct options *o, struct builder *b, const char *program)
{
    setting(b, "program", program);
    setting(b, "arg", o->program);
    for (u32 i = 0; i < o->arguments.count; i++)
        setting(b, "arg", o->arguments.items[i]);
    if (!env_has(o, "PATH=")) {
        char *path = text_of("PATH=%s", image_path);
        setting(b, "env", path);
        free(path);
    }
    for (u32 i = 0; i < o->env.count; i++)
        setting(b, "env", o->env.items[i]);
    setting(b, "cwd", o->cwd ? o->cwd : "/");
    setting(b, "hostname", hostname_of(o));
}

static struct builder_options builder_options_now(const struct options *o)
{
    struct builder_options b = {.data_checksums = !o->no_checksums};
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    b.created_ns = (s64)t.tv_sec * (s64)NS_PER_SECOND + t.tv_nsec;
    if (getrandom(b.uuid, sizeof(b.uuid), 0) != (ssize_t)sizeof(b.uuid))
        die(EXIT_FAILED, "this machine gives no random bytes: %s", strerror(errno));
    b.uuid[6] = (b.uuid[6] & 0x0f) | 0x40; /* RFC 4122, 4.4: a random one */
    b.uuid[8] = (b.uuid[8] & 0x3f) | 0x80;
    return b;
}

static u64 image_bytes(const struct options *o, u64 needed, u64 room_bytes)
{
    if (!o->size_bytes)
        return align_up(needed + room_bytes, 1 * MiB);
    u64 bytes = align_down(o->size_bytes, 4 * KiB);
    if (bytes < needed)
        die(EXIT_FAILED, "--size: the files need at least %llu bytes", (unsigned long long)needed);
    return bytes;
}

void image_write(const struct options *o, struct tree *t, const char *program,
                 const struct image_file *file)
{
    struct builder *b = builder_create(&malloc_heap);
    if (!b)
        die(EXIT_FAILED, "out of memory");
    if (!is_ok(tree_build(t, b)))
        exit(EXIT_FAILED);
    settings_write(o, b, program);
    struct builder_options how = builder_options_now(o);
    u64 needed = builder_size(b, &how);
    u64 bytes = image_bytes(o, needed, file->room_bytes);
    if (ftruncate(file->fd, (off_t)bytes) != 0)
        die(EXIT_FAILED, "%s: cannot be made %llu bytes long: %s", file->name,
            (unsigned long long)bytes, strerror(errno));
    struct disk d;
    disk_init(&d, file->fd, file->name, bytes);
    d.temporary = file->temporary;
    progress("writing %llu MiB", (unsigned long long)(needed / MiB));
    status s = builder_write(b, &how, &d.device, &d.poll);
    if (!is_ok(s))
        die(EXIT_FAILED, "%s: cannot be written: %s", file->name, status_text(s));
    builder_destroy(b);
    progress_end();
    say_more("%s: %llu bytes, %llu of them used", file->name, (unsigned long long)bytes,
             (unsigned long long)needed);
}

int image_open(const char *path, enum image_use use)
{
    struct stat st;
    int fd = open(path, (use == IMAGE_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0 && errno == EISDIR)
        die(EXIT_FAILED, "%s: is a folder, not an image", path);
    if (fd < 0)
        die(EXIT_FAILED, "%s: cannot be opened%s: %s", path,
            use == IMAGE_WRITE ? " for writing" : "", strerror(errno));
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode))
        die(EXIT_FAILED, "%s: is a folder, not an image", path);
    if (S_ISREG(st.st_mode) && st.st_size < (off_t)SECTOR_BYTES)
        die(EXIT_FAILED, "%s: is too short to be an image", path);
    if (flock(fd, (use == IMAGE_WRITE ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0)
        die(EXIT_FAILED, "%s: is in use%s; wait until that has ended", path,
            errno == EWOULDBLOCK && use == IMAGE_READ ? " by one who writes to it" : "");
    return fd;
}

u64 image_length(int fd)
{
    off_t end = lseek(fd, 0, SEEK_END); /* of a block device too */
    return end > 0 ? (u64)end : 0;
}

int image_temporary(void)
{
    const char *folder = getenv("TMPDIR");
    if (!folder || !*folder)
        folder = "/tmp";
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    char *path = text_of("%s/thunk.XXXXXX", folder);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        die(EXIT_FAILED, "%s: no temporary file can be made there: %s", folder, strerror(errno));
    unlink(path);
    free(path);
    return fd;
}
