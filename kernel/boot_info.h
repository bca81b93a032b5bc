/* What the loader told us, in one form that no longer shows who loaded us (PVH, multiboot2). */
#pragma once

#include "runtime/types.h"

#define BOOT_MEMORY_RANGES 64 /* further ranges are left out, and that is logged */
#define BOOT_COMMAND_LINE  2048

/* Usable RAM, physical bytes, sorted, not overlapping, page aligned; without the kernel's image,
   the page tables and the first 64 KiB: those are taken out before the allocator sees it. */
struct boot_info {
    char command_line[BOOT_COMMAND_LINE]; /* cut and logged when longer */
    range memory[BOOT_MEMORY_RANGES];
    u32 memory_count;
    u32 memory_dropped; /* ranges that did not fit */
    u64 rsdp;           /* physical; 0: none given, look for it */
    const char *loader; /* "PVH", "multiboot2" */
    u64 entry_tsc;      /* the time-stamp counter at the first instruction */
    u64 relocated_tsc;  /* the same when the kernel was relocated and its page tables were built */
    u64 entropy;        /* what the random bases were taken from, mixed on */
    u64 start_page; /* physical: a page of RAM below 1 MiB, kept to start further CPUs; 0: none */

    bool command_line_cut; /* it was longer than BOOT_COMMAND_LINE - 1 */
    range image;           /* virtual: the kernel's image with its static data and stacks */
    u64 image_at;          /* physical address of its first byte */
    u64 text_end;          /* virtual: [image.start, text_end) is executable */
    u64 rodata_end;        /* virtual: [text_end, rodata_end) is read only */
    u64 direct_map_base;   /* all of `memory` is mapped there, writable */
    u64 device_map_base;   /* an empty region of 512 GiB for device_map and page tables of ours */
    u64 page_root;         /* physical: the page table that is in CR3 */
};
