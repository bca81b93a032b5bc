/* Reading an ELF file's headers and mapping its segments; see unix/program.h. */
#include "kernel/machine.h"
#include "unix/program.h"
#include "unix/vdso.h"

#include "runtime/memory.h"

/* Where things go before randomisation, as on Linux: a position-independent program low, mmap and
   the stack at the top. */
#define PROGRAM_BASE 0x0000555555554000ull
#define STACK_TOP    0x00007ffffffff000ull
#define STACK_BYTES  (8 * MiB)
#define STACK_GAP    (1 * MiB)    /* between the stack and what mmap places */
#define RANDOM_PAGES (1ull << 28) /* of the program's and of mmap's base */
#define RANDOM_BREAK (1ull << 13) /* pages */
#define RANDOM_STACK (1ull << 22) /* pages */

/* --- reading ---------------------------------------------------------------------------------- */

/* Reads from the page cache.  -EAGAIN: g->missing has to come first. */
static s64 read_cached(struct program *g, struct inode *i, u64 offset, void *to, u64 bytes)
{
    u8 *at = to;
    while (bytes) {
        u64 index = offset >> PAGE_ORDER, within = offset & (PAGE_BYTES - 1);
        u64 piece = min(bytes, PAGE_BYTES - within);
        struct page *p = page_find(i, index);
        if (!p) {
            g->missing = i;
            g->missing_page = index;
            return -EAGAIN;
        }
        memcpy(at, (u8 *)page_memory(p) + within, piece);
        page_release(p);
        at += piece;
        offset += piece;
        bytes -= piece;
    }
    return 0;
}

static s64 refuse(struct program *g, const char *text, u8 failure, s64 error)
{
    g->text = text;
    g->failure = failure;
    return error;
}

static s64 refuse_status(struct program *g, status s)
{
    const char *text = status_text(s);
    if (strncmp(text, "elf: ", 5) == 0)
        text += 5; /* the line names the file already */
    return refuse(g, text, 126, -(s64)status_errno(s));
}

static s64 read_image(struct program *g, struct program_file *f)
{
    u8 head[ELF_HEADER_BYTES];
    u8 headers[ELF_PROGRAM_HEADERS_MOST * ELF_PROGRAM_HEADER_BYTES];
    u64 file_bytes = inode_bytes(f->inode);
    u64 head_bytes = min(file_bytes, (u64)sizeof(head));
    struct elf_header h;
    s64 result = read_cached(g, f->inode, 0, head, head_bytes);
    if (result)
        return result;
    status s = elf_parse_header(head, head_bytes, file_bytes, &h);
    if (!is_ok(s))
        return refuse_status(g, s);
    result = read_cached(g, f->inode, h.program_headers, headers,
                         (u64)h.program_header_count * ELF_PROGRAM_HEADER_BYTES);
    if (result)
        return result;
    s = elf_parse_segments(&h, headers, file_bytes, &f->image);
    return is_ok(s) ? 0 : refuse_status(g, s);
}

static s64 check_type(struct program *g, struct inode *i)
{
    struct inode_attributes a;
    inode_attributes(i, &a);
    if (a.type == INODE_DIRECTORY)
        return refuse(g, "is a directory, not a program", 126, -EACCES);
    if (a.type != INODE_FILE)
        return refuse(g, "is not a regular file", 126, -EACCES);
    if (!(a.mode & 0111))
        return refuse(g, "permission denied: it is not executable", 126, -EACCES);
    return 0;
}

static s64 find_main(struct program *g)
{
    if (g->main.inode)
        return check_type(g, g->main.inode);
    s64 result = path_find(g->process, g->process->path, &g->main.inode);
    switch (result) {
    case 0:
        return check_type(g, g->main.inode);
    case -ENOENT:
        return refuse(g, "no such file in the image", 127, result);
    case -ENOTDIR:
        return refuse(g, "a part of its path is not a directory", 126, result);
    case -ELOOP:
        return refuse(g, "too many symbolic links in its path", 126, result);
    default:
        return refuse(g, "its path cannot be followed", 126, result);
    }
}

static s64 find_interpreter(struct program *g)
{
    const struct elf_image *image = &g->main.image;
    char *path = g->interpreter_path;
    s64 result =
        read_cached(g, g->main.inode, image->interpreter_offset, path, image->interpreter_bytes);
    if (result)
        return result;
    if (path[image->interpreter_bytes - 1] != 0)
        return refuse(g, "the name of its interpreter has no end", 126, -ENOEXEC);
    if (!g->interpreter.inode && path_find(g->process, path, &g->interpreter.inode) != 0) {
        g->interpreter.inode = NULL;
        return refuse(g, "its interpreter (PT_INTERP) is not in the image", 127, -ENOENT);
    }
    if (inode_type(g->interpreter.inode) != INODE_FILE)
        return refuse(g, "its interpreter is not a regular file", 126, -EACCES);
    result = read_image(g, &g->interpreter);
    if (result == -EAGAIN || result == 0)
        return result;
    return refuse(g, "its interpreter is not a program that can be loaded", 126, -ELIBBAD);
}

s64 program_read(struct program *g)
{
    s64 result = find_main(g);
    if (result == 0)
        result = read_image(g, &g->main);
    if (result == 0 && g->main.image.interpreter_bytes)
        result = find_interpreter(g);
    return result;
}

/* --- mapping ---------------------------------------------------------------------------------- */

static bool randomize(void)
{
    return !boot_option("noaslr");
}

static u64 random_pages(u64 most)
{
    u64 value = 0;
    if (randomize())
        random_bytes(&value, sizeof(value));
    return (value % most) * PAGE_BYTES;
}

static u32 segment_flags(const struct elf_segment *s)
{
    return (s->flags & ELF_READ ? (u32)REGION_READ : 0) |
           (s->flags & ELF_WRITE ? (u32)REGION_WRITE : 0) |
           (s->flags & ELF_EXECUTE ? (u32)REGION_EXECUTE : 0);
}

/* The part of a segment that the file has, and the zero pages after it.  The bytes between the end
   of the one and its page are zeroed when that page comes (region.zero_from). */
static s64 map_segment(struct user_memory *m, const struct program_file *f,
                       const struct elf_segment *s)
{
    u64 start = align_down(s->address, PAGE_BYTES) + f->bias;
    u64 file_end = s->address + s->file_bytes + f->bias;
    u64 file_pages_end = s->file_bytes ? align_up(file_end, PAGE_BYTES) : start;
    u64 end = align_up(s->address + s->memory_bytes + f->bias, PAGE_BYTES);
    struct region model = {.flags = segment_flags(s), .zero_from = ~0ull};
    s64 result = 0;
    if (file_pages_end > start) {
        struct region file = model;
        file.inode = f->inode;
        file.offset = align_down(s->offset, PAGE_BYTES);
        if (s->memory_bytes > s->file_bytes)
            file.zero_from = s->offset + s->file_bytes;
        result = region_add(m, range_of(start, file_pages_end), &file);
    }
    if (result == 0 && end > file_pages_end)
        result = region_add(m, range_of(file_pages_end, end), &model);
    return result;
}

static s64 map_file(struct program *g, struct program_file *f)
{
    struct user_memory *m = &g->process->memory;
    range extent = range_of(f->image.extent.start + f->bias, f->image.extent.end + f->bias);
    struct region *there = region_at_or_next(m, extent.start);
    if (extent.start < USER_START || extent.end > USER_END ||
        (there && there->range.r.start < extent.end))
        return refuse(g, "there is no room for its segments", 126, -ENOMEM);
    for (u32 i = 0; i < f->image.segment_count; i++)
        if (map_segment(m, f, &f->image.segments[i]) != 0)
            return refuse(g, "not enough memory to start it", 126, -ENOMEM);
    return 0;
}

static s64 map_interpreter(struct program *g)
{
    struct program_file *f = &g->interpreter;
    u64 address, bytes = range_length(f->image.extent);
    if (!f->image.header.position_independent)
        return map_file(g, f);
    if (!region_place(&g->process->memory, bytes, f->image.alignment, &address))
        return refuse(g, "there is no room for its interpreter", 126, -ENOMEM);
    f->bias = address - f->image.extent.start;
    return map_file(g, f);
}

static s64 map_stack(struct program *g)
{
    struct user_memory *m = &g->process->memory;
    u32 execute = g->main.image.stack_executable ? (u32)REGION_EXECUTE : 0;
    struct region model = {.flags = REGION_READ | REGION_WRITE | REGION_STACK | execute,
                           .zero_from = ~0ull,
                           .name = "[stack]"};
    m->stack_top = STACK_TOP - random_pages(RANDOM_STACK);
    m->map_top = m->stack_top - STACK_BYTES - STACK_GAP - random_pages(RANDOM_PAGES);
    m->map_hint = m->map_top;
    if (region_add(m, range_of(m->stack_top - STACK_BYTES, m->stack_top), &model) != 0)
        return refuse(g, "not enough memory to start it", 126, -ENOMEM);
    return 0;
}

s64 program_map(struct program *g)
{
    struct user_memory *m = &g->process->memory;
    struct program_file *f = &g->main;
    s64 result = map_stack(g);
    if (f->image.header.position_independent)
        f->bias = align_down(PROGRAM_BASE + random_pages(RANDOM_PAGES), f->image.alignment) -
                  align_down(f->image.extent.start, f->image.alignment);
    if (result == 0)
        result = map_file(g, f);
    if (result == 0 && g->interpreter.inode)
        result = map_interpreter(g);
    if (result == 0 && vdso_map(m) != 0)
        result = refuse(g, "not enough memory to start it", 126, -ENOMEM);
    m->break_start = f->image.extent.end + f->bias + random_pages(RANDOM_BREAK);
    m->break_end = m->break_start;
    return result;
}
