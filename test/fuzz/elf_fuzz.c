/* libFuzzer: any bytes as an ELF file.  What the parser accepts must lie within the file. */
#include "unix/elf.c" /* the kernel's; it needs nothing else of unix/ */

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t count);
__attribute__((noreturn)) void panic_at(const char *where, int line, const char *format, ...)
{
    (void)where, (void)line, (void)format;
    abort();
}

static void check_image(const struct elf_image *image, u64 file_bytes)
{
    u64 end = 0;
    if (image->segment_count == 0 || image->segment_count > ELF_SEGMENTS_MOST)
        abort();
    for (u32 i = 0; i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];
        if (s->offset > file_bytes || s->file_bytes > file_bytes - s->offset ||
            s->file_bytes > s->memory_bytes || align_down(s->address, ELF_PAGE) < end)
            abort();
        end = align_up(s->address + s->memory_bytes, ELF_PAGE);
    }
    if (end != image->extent.end || image->interpreter_offset > file_bytes ||
        image->interpreter_bytes > file_bytes - image->interpreter_offset ||
        image->interpreter_bytes > ELF_PATH_MOST)
        abort();
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t count)
{
    struct elf_header header;
    struct elf_image image;
    u64 head = min((u64)count, (u64)ELF_HEADER_BYTES);
    if (!is_ok(elf_parse_header(bytes, head, count, &header)))
        return 0;
    /* The headers in memory of exactly their size, so that reading past them is seen. */
    u64 size = (u64)header.program_header_count * ELF_PROGRAM_HEADER_BYTES;
    u8 *headers = malloc(size);
    if (!headers)
        return 0;
    memcpy(headers, bytes + header.program_headers, size);
    if (is_ok(elf_parse_segments(&header, headers, count, &image)))
        check_image(&image, count);
    free(headers);
    return 0;
}
