/* The ELF64 parser; see unix/elf.h.  Offsets are those of the System V ABI, chapters 4 and 5. */
#include "unix/elf.h"

#include "runtime/memory.h"

enum { TYPE_EXEC = 2, TYPE_DYN = 3, MACHINE_386 = 3, MACHINE_X86_64 = 62 };
enum { SEGMENT_LOAD = 1, SEGMENT_INTERP = 3, SEGMENT_PHDR = 6, SEGMENT_GNU_STACK = 0x6474e551 };

static u64 read_bytes(const u8 *from, u32 bytes)
{
    u64 value = 0;
    for (u32 i = bytes; i > 0; i--)
        value = value << 8 | from[i - 1];
    return value;
}

#define read16(from) ((u32)read_bytes((from), 2))
#define read32(from) ((u32)read_bytes((from), 4))
#define read64(from) read_bytes((from), 8)

static status identify(const u8 *head, u64 head_bytes, u64 file_bytes)
{
    if (file_bytes == 0)
        return status_error(ENOEXEC, "elf: the file is empty", 0);
    if (head_bytes >= 2 && head[0] == '#' && head[1] == '!')
        return status_error(ENOEXEC, "elf: a script (#!), not a program; run its interpreter", 0);
    if (head_bytes < 4 || memcmp(head, "\177ELF", 4) != 0)
        return status_error(ENOEXEC, "elf: not an ELF program", 0);
    if (head_bytes < ELF_HEADER_BYTES)
        return status_error(ENOEXEC, "elf: the file is truncated within its header", file_bytes);
    if (head[4] == 1)
        return status_error(ENOEXEC, "elf: a 32-bit program; only x86-64 ones can run", 0);
    if (head[4] != 2 || head[5] != 1 || head[6] != 1)
        return status_error(ENOEXEC, "elf: not a 64-bit little-endian ELF file of version 1",
                            head[4]);
    return STATUS_OK;
}

status elf_parse_header(const u8 *head, u64 head_bytes, u64 file_bytes, struct elf_header *header)
{
    status s = identify(head, head_bytes, file_bytes);
    if (!is_ok(s))
        return s;
    u32 type = read16(head + 16), machine = read16(head + 18);
    if (machine != MACHINE_X86_64)
        return status_error(ENOEXEC, "elf: made for another processor than x86-64", machine);
    if (type != TYPE_EXEC && type != TYPE_DYN)
        return status_error(ENOEXEC, "elf: neither an executable nor a shared object", type);
    if (read16(head + 54) != ELF_PROGRAM_HEADER_BYTES)
        return status_error(ENOEXEC, "elf: program headers of a wrong size", read16(head + 54));
    *header = (struct elf_header){
        .position_independent = type == TYPE_DYN,
        .entry = read64(head + 24),
        .program_headers = read64(head + 32),
        .program_header_count = read16(head + 56),
    };
    if (header->program_header_count == 0)
        return status_error(ENOEXEC, "elf: no program headers (an object file?)", 0);
    if (header->program_header_count > ELF_PROGRAM_HEADERS_MOST)
        return status_error(ENOEXEC, "elf: too many program headers", header->program_header_count);
    u64 bytes = (u64)header->program_header_count * ELF_PROGRAM_HEADER_BYTES;
    if (header->program_headers > file_bytes || bytes > file_bytes - header->program_headers)
        return status_error(ENOEXEC,
                            "elf: the file is truncated: its program headers lie beyond "
                            "its end",
                            header->program_headers);
    return STATUS_OK;
}

/* Everything about one segment that does not depend on the others. */
static status check_segment(const struct elf_segment *s, u64 alignment, u64 file_bytes)
{
    if (s->file_bytes > s->memory_bytes)
        return status_error(EINVAL, "elf: a segment has more bytes in the file than in memory",
                            s->address);
    if (alignment > 1 && (alignment & (alignment - 1)))
        return status_error(ENOEXEC, "elf: a segment's alignment is not a power of two",
                            s->address);
    if (alignment > GiB)
        return status_error(ENOEXEC, "elf: a segment's alignment is too large", s->address);
    if ((s->address ^ s->offset) & (ELF_PAGE - 1))
        return status_error(ENOEXEC, "elf: a segment's offset and address do not fit together",
                            s->address);
    if (s->address >= ELF_ADDRESS_MAX || s->memory_bytes > ELF_ADDRESS_MAX - s->address)
        return status_error(EINVAL, "elf: a segment lies outside of user memory", s->address);
    if (s->offset > file_bytes || s->file_bytes > file_bytes - s->offset)
        return status_error(ENOEXEC, "elf: the file is truncated: a segment lies beyond its end",
                            s->offset);
    return STATUS_OK;
}

static status add_segment(struct elf_image *image, const u8 *ph, u64 file_bytes)
{
    struct elf_segment s = {
        .address = read64(ph + 16),
        .memory_bytes = read64(ph + 40),
        .offset = read64(ph + 8),
        .file_bytes = read64(ph + 32),
        .flags = read32(ph + 4),
    };
    u64 alignment = read64(ph + 48);
    status checked = check_segment(&s, alignment, file_bytes);
    if (!is_ok(checked) || s.memory_bytes == 0)
        return checked;
    if (image->segment_count == ELF_SEGMENTS_MOST)
        return status_error(ENOEXEC, "elf: too many loadable segments", ELF_SEGMENTS_MOST);
    range pages =
        range_of(align_down(s.address, ELF_PAGE), align_up(s.address + s.memory_bytes, ELF_PAGE));
    if (image->segment_count == 0)
        image->extent = pages;
    else if (pages.start < image->extent.end)
        return status_error(ENOEXEC, "elf: segments overlap or are not in ascending order",
                            s.address);
    image->extent.end = pages.end;
    image->alignment = max(image->alignment, alignment);
    image->segments[image->segment_count++] = s;
    return STATUS_OK;
}

static status add_interpreter(struct elf_image *image, const u8 *ph, u64 file_bytes)
{
    u64 offset = read64(ph + 8), bytes = read64(ph + 32);
    if (image->interpreter_bytes)
        return status_error(ENOEXEC, "elf: two interpreters are named", 0);
    if (bytes < 2 || bytes > ELF_PATH_MOST)
        return status_error(ENOEXEC, "elf: the interpreter's name has an impossible length", bytes);
    if (offset > file_bytes || bytes > file_bytes - offset)
        return status_error(ENOEXEC,
                            "elf: the file is truncated: its interpreter's name lies "
                            "beyond its end",
                            offset);
    image->interpreter_offset = offset;
    image->interpreter_bytes = bytes;
    return STATUS_OK;
}

static status add_header(struct elf_image *image, const u8 *ph, u64 file_bytes)
{
    switch (read32(ph)) {
    case SEGMENT_LOAD:
        return add_segment(image, ph, file_bytes);
    case SEGMENT_INTERP:
        return add_interpreter(image, ph, file_bytes);
    case SEGMENT_GNU_STACK:
        image->stack_executable = read32(ph + 4) & ELF_EXECUTE;
        return STATUS_OK;
    case SEGMENT_PHDR:
        image->program_header_address = read64(ph + 16);
        return STATUS_OK;
    default:
        return STATUS_OK;
    }
}

/* Where the program headers are in memory: in the segment that holds their place in the file.
   PT_PHDR may say it too, but is not believed. */
static void find_program_headers(struct elf_image *image)
{
    u64 start = image->header.program_headers;
    u64 bytes = (u64)image->header.program_header_count * ELF_PROGRAM_HEADER_BYTES;
    image->program_header_address = 0;
    for (u32 i = 0; i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];
        if (start >= s->offset && start - s->offset <= s->file_bytes &&
            bytes <= s->file_bytes - (start - s->offset))
            image->program_header_address = s->address + (start - s->offset);
    }
}

static bool in_executable_segment(const struct elf_image *image, u64 address)
{
    for (u32 i = 0; i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];
        if ((s->flags & ELF_EXECUTE) && address >= s->address &&
            address - s->address < s->memory_bytes)
            return true;
    }
    return false;
}

status elf_parse_segments(const struct elf_header *header, const u8 *program_headers,
                          u64 file_bytes, struct elf_image *image)
{
    memset(image, 0, sizeof(*image));
    image->header = *header;
    image->alignment = ELF_PAGE;
    for (u32 i = 0; i < header->program_header_count; i++) {
        const u8 *ph = program_headers + (u64)i * ELF_PROGRAM_HEADER_BYTES;
        status s = add_header(image, ph, file_bytes);
        if (!is_ok(s))
            return s;
    }
    if (image->segment_count == 0)
        return status_error(ENOEXEC, "elf: nothing to load", 0);
    if (!header->position_independent && image->extent.start < ELF_ADDRESS_MIN)
        return status_error(EPERM, "elf: a segment lies below the lowest user address",
                            image->extent.start);
    if (!in_executable_segment(image, header->entry))
        return status_error(ENOEXEC, "elf: the entry point is not in an executable segment",
                            header->entry);
    find_program_headers(image);
    return STATUS_OK;
}
