/* The ELF parser: a sound header is read right, and each way of being wrong is refused with its
   errno; then seeded damage, which may be accepted but never believed beyond its bounds. */
#include "unix/elf.c" /* the kernel's; it needs nothing else of unix/ */

#include "test/host/harness.h"

#define FILE_BYTES 0x3000

static u8 file[FILE_BYTES];

static void put(u64 offset, u64 value, u32 bytes)
{
    for (u32 i = 0; i < bytes; i++)
        file[offset + i] = (u8)(value >> (8 * i));
}

struct program_header {
    u32 type, flags;
    u64 offset, address, file_bytes, memory_bytes, alignment;
};

static void put_header(u32 index, const struct program_header *h)
{
    u64 at = ELF_HEADER_BYTES + (u64)index * ELF_PROGRAM_HEADER_BYTES;
    put(at, h->type, 4);
    put(at + 4, h->flags, 4);
    put(at + 8, h->offset, 8);
    put(at + 16, h->address, 8);
    put(at + 24, h->address, 8);
    put(at + 32, h->file_bytes, 8);
    put(at + 40, h->memory_bytes, 8);
    put(at + 48, h->alignment, 8);
}

/* A static program: text at 0x400000, data at 0x402f00 with zeroes after it. */
static void make_sound(void)
{
    static const struct program_header headers[] = {
        {SEGMENT_LOAD, ELF_READ | ELF_EXECUTE, 0, 0x400000, 0x1800, 0x1800, 0x1000},
        {SEGMENT_LOAD, ELF_READ | ELF_WRITE, 0x1f00, 0x402f00, 0x200, 0x3000, 0x1000},
        {SEGMENT_GNU_STACK, ELF_READ | ELF_WRITE, 0, 0, 0, 0, 16},
    };
    memset(file, 0, sizeof(file));
    memcpy(file, "\177ELF\2\1\1", 7);
    put(16, TYPE_EXEC, 2);
    put(18, MACHINE_X86_64, 2);
    put(24, 0x400100, 8);
    put(32, ELF_HEADER_BYTES, 8);
    put(54, ELF_PROGRAM_HEADER_BYTES, 2);
    put(56, countof(headers), 2);
    for (u32 i = 0; i < countof(headers); i++)
        put_header(i, &headers[i]);
}

static status parse(u64 bytes, struct elf_image *image)
{
    struct elf_header header;
    status s = elf_parse_header(file, min(bytes, (u64)ELF_HEADER_BYTES), bytes, &header);
    if (is_ok(s))
        s = elf_parse_segments(&header, file + header.program_headers, bytes, image);
    return s;
}

static void test_sound(void)
{
    struct elf_image image = {0};
    make_sound();
    ok(is_ok(parse(FILE_BYTES, &image)), "a sound program is accepted");
    is(image.segment_count, 2, "with its two segments");
    is(image.extent.start, 0x400000, "from the first page");
    is(image.extent.end, 0x406000, "to the last");
    is(image.program_header_address, 0x400040, "its program headers are found in memory");
    is(image.interpreter_bytes, 0, "it has no interpreter");
    ok(!image.stack_executable, "and its stack is not executable");
    ok(!image.header.position_independent, "it is not position independent");
}

/* Sets one field of the sound program and wants to see one error. */
static void refused(u64 offset, u64 value, u32 bytes, int error, const char *what)
{
    struct elf_image image = {0};
    make_sound();
    put(offset, value, bytes);
    is(status_errno(parse(FILE_BYTES, &image)), error, "%s", what);
}

#define FIRST  ELF_HEADER_BYTES
#define SECOND (ELF_HEADER_BYTES + ELF_PROGRAM_HEADER_BYTES)

static void test_refused(void)
{
    refused(0, 0x2123, 2, ENOEXEC, "a script");
    refused(0, 0, 4, ENOEXEC, "no magic");
    refused(4, 1, 1, ENOEXEC, "32 bits");
    refused(5, 2, 1, ENOEXEC, "big-endian");
    refused(6, 7, 1, ENOEXEC, "a later version");
    refused(18, MACHINE_386, 2, ENOEXEC, "another processor");
    refused(16, 1, 2, ENOEXEC, "an object file");
    refused(54, 7, 2, ENOEXEC, "program headers of a wrong size");
    refused(56, 0, 2, ENOEXEC, "no program headers");
    refused(56, 0xffff, 2, ENOEXEC, "too many program headers");
    refused(32, FILE_BYTES - 8, 8, ENOEXEC, "program headers beyond the end");
    refused(32, ~0ull, 8, ENOEXEC, "program headers at the end of all offsets");
    refused(24, 0x402f00, 8, ENOEXEC, "an entry point in data");
    refused(24, 0xffff000000000001, 8, ENOEXEC, "an entry point outside");
    refused(FIRST + 40, 0x100, 8, EINVAL, "more in the file than in memory");
    refused(FIRST + 32, 0x100000, 8, EINVAL, "a segment longer than its memory");
    refused(FIRST + 48, 0x1001, 8, ENOEXEC, "an alignment that is no power of two");
    refused(FIRST + 48, 1ull << 40, 8, ENOEXEC, "an enormous alignment");
    refused(FIRST + 8, 8, 8, ENOEXEC, "an offset that does not fit the address");
    refused(SECOND + 16, 0xfffffffffffffff0, 8, ENOEXEC, "an address beyond the end of all");
    refused(SECOND + 16, 0x00007ffffffff000 - 0x100, 8, EINVAL, "an address beyond user memory");
    refused(SECOND + 40, ~0ull, 8, EINVAL, "a length that wraps around");
    refused(FIRST + 40, 0x2f00, 8, ENOEXEC, "segments that share a page");
    refused(FIRST + 40, 0x2000, 8, 0, "touching segments are fine");
    refused(SECOND + 16, 0x400f00, 8, ENOEXEC, "segments that overlap");
    refused(SECOND + 16, 0x300f00, 8, ENOEXEC, "segments out of order");
    refused(FIRST + 16, 0, 8, EPERM, "a program that wants page 0");
    refused(FIRST, 0, 4, ENOEXEC, "an entry point in no segment");
}

static void test_cut(void)
{
    struct elf_image image = {0};
    u32 accepted = 0;
    make_sound();
    for (u64 bytes = 0; bytes < 0x2100; bytes++)
        accepted += is_ok(parse(bytes, &image));
    is(accepted, 0, "cut anywhere before its last byte it is refused");
    ok(is_ok(parse(0x2100, &image)), "with its last byte it is accepted");
}

static void test_interpreter(void)
{
    struct elf_image image = {0};
    struct program_header h = {SEGMENT_INTERP, ELF_READ, 0x1000, 0x401000, 28, 28, 1};
    make_sound();
    put_header(2, &h);
    ok(is_ok(parse(FILE_BYTES, &image)), "a program with an interpreter is accepted");
    is(image.interpreter_offset, 0x1000, "its name is there");
    is(image.interpreter_bytes, 28, "and as long as it says");
    h.file_bytes = 1;
    put_header(2, &h);
    is(status_errno(parse(FILE_BYTES, &image)), ENOEXEC, "a name of no length is refused");
    h.file_bytes = ELF_PATH_MOST + 1;
    put_header(2, &h);
    is(status_errno(parse(FILE_BYTES, &image)), ENOEXEC, "a name longer than a path is refused");
    h.file_bytes = 28;
    h.offset = FILE_BYTES - 4;
    put_header(2, &h);
    is(status_errno(parse(FILE_BYTES, &image)), ENOEXEC, "a name beyond the end is refused");
}

/* What must hold of whatever was accepted. */
static bool believable(const struct elf_image *image)
{
    u64 end = 0;
    for (u32 i = 0; i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];
        if (s->offset + s->file_bytes > FILE_BYTES || s->file_bytes > s->memory_bytes ||
            align_down(s->address, ELF_PAGE) < end)
            return false;
        end = align_up(s->address + s->memory_bytes, ELF_PAGE);
        if (end > ELF_ADDRESS_MAX + ELF_PAGE || end > image->extent.end)
            return false;
    }
    return image->interpreter_offset + image->interpreter_bytes <= FILE_BYTES;
}

static void test_damage(void)
{
    u64 seed = test_seed(), state = seed * 2 + 1;
    u32 accepted = 0;
    for (u32 round = 0; round < 200000; round++) {
        struct elf_image image = {0};
        make_sound();
        for (u32 flips = 1 + round % 3; flips; flips--) {
            state = state * 6364136223846793005ull + 1442695040888963407ull;
            file[(state >> 33) % (SECOND + 2 * ELF_PROGRAM_HEADER_BYTES)] ^= (u8)(state >> 56);
        }
        if (is_ok(parse(FILE_BYTES, &image))) {
            must(believable(&image));
            accepted++;
        }
    }
    ok(accepted > 0, "of 200,000 damaged programs %u are accepted, all within bounds", accepted);
}

int main(void)
{
    test_sound();
    test_refused();
    test_cut();
    test_interpreter();
    test_damage();
    return done_testing();
}
