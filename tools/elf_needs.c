/* Shared libraries of a program: see elf_needs.h.  Reads ELF64 itself, with every offset checked:
   the files are whatever somebody has on the disk. */
#include "tools/elf_needs.h"
#include "tools/say.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OBJECTS_MOST       1024 /* a program with more libraries is refused */
#define DYNAMIC_MOST       65536
#define CONF_INCLUDES_MOST 8

/* One mapped file. */
struct object {
    char *path;
    const u8 *bytes;
    u64 size;
    const char *interpreter;
    const char *rpath, *runpath;
    struct text_list needed;
    struct object *wanted_by; /* NULL for the program */
};

struct needs {
    struct tree *tree;
    enum needs_manner manner;
    struct object *objects[OBJECTS_MOST];
    u32 count;
    struct text_list default_folders; /* where the interpreter looks by itself */
    struct text_list conf_folders;    /* what ld.so.cache holds */
    bool musl;
    bool cache_needed; /* something was found only through ld.so.conf */
};

/* --- reading ---------------------------------------------------------------------------------- */

static const void *object_at(const struct object *o, u64 offset, u64 bytes)
{
    return offset <= o->size && bytes <= o->size - offset ? o->bytes + offset : NULL;
}

static const char *object_text(const struct object *o, u64 offset)
{
    const char *s = object_at(o, offset, 1);
    return s && memchr(s, 0, o->size - offset) ? s : NULL;
}

static struct object *object_open(const char *path)
{
    struct object *o = must_allocate(sizeof(*o));
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        die(EXIT_FAILED, "%s: cannot be read: %s", path, strerror(errno));
    o->path = text_copy(path);
    o->size = (u64)st.st_size;
    void *map = o->size ? mmap(NULL, o->size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    close(fd);
    if (map == MAP_FAILED)
        die(EXIT_NOT_RUNNABLE, "%s: cannot be mapped", path);
    o->bytes = map;
    return o;
}

static const Elf64_Phdr *object_header(const struct object *o, u32 i)
{
    const Elf64_Ehdr *e = object_at(o, 0, sizeof(*e));
    if (!e || i >= e->e_phnum || e->e_phentsize != sizeof(Elf64_Phdr) || e->e_phoff > o->size)
        return NULL;
    return object_at(o, e->e_phoff + i * sizeof(Elf64_Phdr), sizeof(Elf64_Phdr));
}

/* The file offset of a virtual address; the file's size, which is no place, when there is none. */
static u64 object_offset(const struct object *o, u64 address)
{
    const Elf64_Phdr *p;
    for (u32 i = 0; (p = object_header(o, i)); i++) {
        if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr < p->p_filesz)
            return p->p_offset + (address - p->p_vaddr);
    }
    return o->size;
}

static void object_read_dynamic(struct object *o, const Elf64_Phdr *p)
{
    u64 most = min(p->p_filesz / sizeof(Elf64_Dyn), (u64)DYNAMIC_MOST);
    const Elf64_Dyn *d = object_at(o, p->p_offset, most * sizeof(Elf64_Dyn));
    if (!d)
        die(EXIT_NOT_RUNNABLE, "%s: truncated: its dynamic section lies beyond its end", o->path);
    u64 strings = o->size;
    for (u64 i = 0; i < most && d[i].d_tag != DT_NULL; i++) {
        if (d[i].d_tag == DT_STRTAB)
            strings = object_offset(o, d[i].d_un.d_ptr);
    }
    for (u64 i = 0; i < most && d[i].d_tag != DT_NULL; i++) {
        s64 tag = d[i].d_tag;
        if (tag != DT_NEEDED && tag != DT_RPATH && tag != DT_RUNPATH)
            continue;
        const char *s = object_text(o, strings + d[i].d_un.d_val);
        if (!s)
            die(EXIT_NOT_RUNNABLE, "%s: damaged: a name in its dynamic section lies outside",
                o->path);
        if (tag == DT_NEEDED)
            text_list_add(&o->needed, s);
        else if (tag == DT_RPATH)
            o->rpath = s;
        else
            o->runpath = s;
    }
}

static void object_read(struct object *o)
{
    const Elf64_Phdr *p;
    for (u32 i = 0; (p = object_header(o, i)); i++) {
        if (p->p_type == PT_INTERP) {
            o->interpreter = object_text(o, p->p_offset);
            if (!o->interpreter)
                die(EXIT_NOT_RUNNABLE, "%s: truncated: its interpreter's name lies beyond its end",
                    o->path);
        } else if (p->p_type == PT_DYNAMIC) {
            object_read_dynamic(o, p);
        }
    }
    if (o->runpath)
        o->rpath = NULL; /* as the linker: one replaces the other */
}

/* --- where libraries are ---------------------------------------------------------------------- */

static void conf_read(struct text_list *folders, const char *path, u32 depth)
{
    FILE *f = depth < CONF_INCLUDES_MOST ? fopen(path, "re") : NULL;
    if (!f)
        return;
    char line[4096];
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "#\n")] = 0;
        char *word = line + strspn(line, " \t");
        if (text_begins(word, "include") && strchr(" \t", word[7])) {
            glob_t found;
            if (glob(word + 8 + strspn(word + 8, " \t"), 0, NULL, &found) == 0) {
                for (size_t i = 0; i < found.gl_pathc; i++)
                    conf_read(folders, found.gl_pathv[i], depth + 1);
                globfree(&found);
            }
        } else if (word[0] == '/') {
            word[strcspn(word, " \t:,")] = 0;
            text_list_add(folders, word);
        }
    }
    fclose(f);
}

static void folders_find(struct needs *n, const char *interpreter)
{
    static const char *const glibc[] = {"/lib/x86_64-linux-gnu",
                                        "/usr/lib/x86_64-linux-gnu",
                                        "/lib64",
                                        "/usr/lib64",
                                        "/lib",
                                        "/usr/lib"};
    static const char *const musl[] = {"/lib", "/usr/local/lib", "/usr/lib",
                                       "/lib/x86_64-linux-musl", "/usr/lib/x86_64-linux-musl"};
    n->musl = interpreter && strstr(interpreter, "ld-musl");
    const char *const *folders = n->musl ? musl : glibc;
    for (u32 i = 0; i < (n->musl ? countof(musl) : countof(glibc)); i++)
        text_list_add(&n->default_folders, folders[i]);
    if (!n->musl)
        conf_read(&n->conf_folders, "/etc/ld.so.conf", 0);
}

static bool usable_library(const char *path)
{
    return access(path, F_OK) == 0 && elf_refuse(path) == ELF_RUNNABLE;
}

/* `folder` with $ORIGIN, $LIB and $PLATFORM spelled out. */
static char *folder_expand(const char *folder, u64 length, const char *origin_of)
{
    char *result = text_copy("");
    u64 origin_length = (u64)(strrchr(origin_of, '/') - origin_of);
    for (u64 i = 0; i < length;) {
        const char *put = NULL;
        u64 skip = 1, put_length = 1;
        static const char *const names[] = {"$ORIGIN", "${ORIGIN}", "$LIB", "${LIB}"};
        for (u32 k = 0; k < countof(names) && !put; k++) {
            if (strncmp(folder + i, names[k], strlen(names[k])) == 0) {
                skip = strlen(names[k]);
                put = k < 2 ? origin_of : "lib/x86_64-linux-gnu";
                put_length = k < 2 ? origin_length : strlen(put);
            }
        }
        char *longer = text_of("%s%.*s", result, (int)put_length, put ? put : folder + i);
        free(result);
        result = longer;
        i += skip;
    }
    return result;
}

/* Looks in a colon-separated list of folders. */
static char *search_path(const char *list, const char *origin_of, const char *name)
{
    while (list && *list) {
        u64 length = strcspn(list, ":");
        char *folder = folder_expand(list, length, origin_of);
        char *path = text_of("%s/%s", folder, name);
        free(folder);
        if (length && usable_library(path))
            return path;
        free(path);
        list += length + (list[length] == ':');
    }
    return NULL;
}

static char *search_folders(const struct text_list *folders, const char *name)
{
    for (u32 i = 0; i < folders->count; i++) {
        char *path = text_of("%s/%s", folders->items[i], name);
        if (usable_library(path))
            return path;
        free(path);
    }
    return NULL;
}

/* In the order of ld.so(8): RPATH of the object and of who wanted it, RUNPATH, the cache, the
   default folders.  The default folders go before the cache here, so that what the guest finds
   without a cache is preferred; a library in both is the same one on a sane system. */
static char *library_find(struct needs *n, struct object *wanted_by, const char *name)
{
    if (strchr(name, '/'))
        return usable_library(name) ? text_copy(name) : NULL;
    char *path = NULL;
    for (struct object *o = wanted_by; o && !path && !wanted_by->runpath; o = o->wanted_by)
        path = search_path(o->rpath, o->path, name);
    if (!path)
        path = search_path(wanted_by->runpath, wanted_by->path, name);
    if (!path)
        path = search_folders(&n->default_folders, name);
    if (!path && (path = search_folders(&n->conf_folders, name)))
        n->cache_needed = true;
    return path;
}

/* --- gathering -------------------------------------------------------------------------------- */

static bool object_known(const struct needs *n, const char *name)
{
    for (u32 i = 0; i < n->count; i++) {
        const char *base = strrchr(n->objects[i]->path, '/');
        if (!strcmp(n->objects[i]->path, name) || (base && !strcmp(base + 1, name)))
            return true;
    }
    return false;
}

static void object_take(struct needs *n, const char *path, struct object *wanted_by)
{
    if (n->count == OBJECTS_MOST)
        die(EXIT_FAILED, "%s: needs more than %d libraries", n->objects[0]->path, OBJECTS_MOST);
    struct object *o = object_open(path);
    o->wanted_by = wanted_by;
    object_read(o);
    n->objects[n->count++] = o;
    if (wanted_by)
        tree_add_as_here(n->tree, path);
}

static void object_follow(struct needs *n, struct object *o)
{
    for (u32 i = 0; i < o->needed.count; i++) {
        const char *name = o->needed.items[i];
        if (object_known(n, name) || (n->musl && text_begins(name, "libc.")))
            continue;
        char *path = library_find(n, o, name);
        if (!path && n->manner == NEEDS_FOUND) {
            say_more("%s: the library %s, which it names, is not on this machine", o->path, name);
            continue;
        }
        if (!path)
            die(EXIT_FAILED,
                "%s: the library %s, which it needs, is not on this machine; install it, or give "
                "a whole tree with --root",
                o->path, name);
        object_take(n, path, o);
        free(path);
    }
}

void elf_needs_add(struct tree *t, const char *path, enum needs_manner manner)
{
    static struct needs n;
    n = (struct needs){.tree = t, .manner = manner};
    char *real = realpath(path, NULL);
    object_take(&n, real ? real : path, NULL);
    free(real);
    const char *interpreter = n.objects[0]->interpreter;
    folders_find(&n, interpreter);
    if (interpreter) {
        enum elf_refusal r = elf_refuse(interpreter);
        if (r != ELF_RUNNABLE && manner == NEEDS_ALL)
            die(EXIT_FAILED, "%s: its interpreter %s %s", path, interpreter, elf_refusal_text(r));
        if (r == ELF_RUNNABLE)
            object_take(&n, interpreter, n.objects[0]);
    }
    for (u32 i = 0; i < n.count; i++)
        object_follow(&n, n.objects[i]);
    if (n.cache_needed && access("/etc/ld.so.cache", R_OK) == 0)
        tree_add_as_here(t, "/etc/ld.so.cache");
    for (u32 i = 0; i < n.count; i++) {
        munmap((void *)(uintptr_t)n.objects[i]->bytes, n.objects[i]->size);
        free(n.objects[i]);
    }
}

/* --- can it be run at all ----------------------------------------------------------------------
 */

static enum elf_refusal header_refuse(const u8 *bytes, u64 size)
{
    const Elf64_Ehdr *e = (const void *)bytes;
    if (size >= 2 && bytes[0] == '#' && bytes[1] == '!')
        return ELF_SCRIPT;
    if (size < EI_NIDENT || memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return size >= 1 && memcmp(bytes, ELFMAG, min(size, (u64)SELFMAG)) == 0 ? ELF_TRUNCATED
                                                                                : ELF_FOREIGN;
    if (bytes[EI_CLASS] == ELFCLASS32)
        return ELF_32_BIT;
    if (size < sizeof(*e))
        return ELF_TRUNCATED;
    if (bytes[EI_CLASS] != ELFCLASS64 || bytes[EI_DATA] != ELFDATA2LSB || e->e_machine != EM_X86_64)
        return ELF_OTHER_MACHINE;
    return ELF_RUNNABLE;
}

enum elf_refusal elf_refuse(const char *path)
{
    alignas(8) u8 bytes[sizeof(Elf64_Ehdr)];
    struct stat st;
    if (stat(path, &st) != 0)
        return errno == ENOENT || errno == ENOTDIR ? ELF_MISSING : ELF_UNREADABLE;
    if (S_ISDIR(st.st_mode))
        return ELF_DIRECTORY;
    if (!S_ISREG(st.st_mode))
        return ELF_SPECIAL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ELF_UNREADABLE;
    ssize_t size = read(fd, bytes, sizeof(bytes));
    close(fd);
    return size < 0 ? ELF_UNREADABLE : header_refuse(bytes, (u64)size);
}

const char *elf_refusal_text(enum elf_refusal r)
{
    static const char *const texts[] = {
        [ELF_RUNNABLE] = "can be run",
        [ELF_MISSING] = "is not there",
        [ELF_UNREADABLE] = "cannot be read",
        [ELF_DIRECTORY] = "is a folder, not a program",
        [ELF_SPECIAL] = "is a device, pipe or socket, not a program",
        [ELF_SCRIPT] = "is a script; give its interpreter as PROGRAM and the script with --add",
        [ELF_FOREIGN] = "is not an ELF program",
        [ELF_TRUNCATED] = "is cut short: its ELF header is not whole",
        [ELF_32_BIT] = "is a 32-bit program; only x86-64 programs can be run",
        [ELF_OTHER_MACHINE] = "is a program for another machine than x86-64",
    };
    return texts[r];
}
