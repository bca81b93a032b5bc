/* The ELF64 parser: from the bytes of a program's headers to what is to be mapped where.

   Pure: it reads only the memory it is given, allocates nothing and believes nothing.  Compiled
   into the kernel, the unit tests and the fuzz target.  Callers: unix/exec_load.c. */
#pragma once

#include "runtime/status.h"
#include "runtime/types.h"

#define ELF_HEADER_BYTES         64
#define ELF_PROGRAM_HEADER_BYTES 56
#define ELF_PROGRAM_HEADERS_MOST 128 /* more are refused: programs have about a dozen */
#define ELF_SEGMENTS_MOST        32  /* loadable ones */
#define ELF_PATH_MOST            4096
#define ELF_PAGE                 4096ull

/* Where user addresses lie; segments outside are refused. */
#define ELF_ADDRESS_MIN 0x10000ull
#define ELF_ADDRESS_MAX 0x00007ffffffff000ull

enum elf_segment_flags { ELF_EXECUTE = 1, ELF_WRITE = 2, ELF_READ = 4 }; /* as PF_X, PF_W, PF_R */

struct elf_segment {
    u64 address; /* as in the file; add the load bias of a position-independent image */
    u64 memory_bytes;
    u64 offset; /* congruent to address modulo the page */
    u64 file_bytes;
    u32 flags;
};

struct elf_header {
    bool position_independent; /* ET_DYN */
    u64 entry;
    u64 program_headers; /* offset in the file */
    u32 program_header_count;
};

struct elf_image {
    struct elf_header header;
    u64 program_header_address; /* in memory, before the bias; 0: not in a segment */
    range extent;               /* pages that the segments cover, before the bias */
    u64 alignment;              /* the largest of a segment; at least a page */
    bool stack_executable;      /* PT_GNU_STACK asks for it */
    u64 interpreter_offset;     /* of its path */
    u64 interpreter_bytes;      /* with the terminator; 0: none */
    u32 segment_count;
    struct elf_segment segments[ELF_SEGMENTS_MOST];
};

/* Checks the first bytes of a file (head_bytes of them, all when the file is shorter than
   ELF_HEADER_BYTES).  ENOEXEC with a text that says what is wrong; a script ("#!") and a 32-bit
   program have texts of their own. */
status elf_parse_header(const u8 *head, u64 head_bytes, u64 file_bytes, struct elf_header *header);

/* Checks the program headers, header->program_header_count * ELF_PROGRAM_HEADER_BYTES bytes.
   ENOEXEC, EINVAL (as Linux for impossible segments). */
status elf_parse_segments(const struct elf_header *header, const u8 *program_headers,
                          u64 file_bytes, struct elf_image *image);
