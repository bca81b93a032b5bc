/* What the loader told us, in one form that no longer shows who loaded us (PVH, multiboot2). */
#pragma once

#include "runtime/types.h"

#define BOOT_MEMORY_RANGES 64 /* further ranges are left out, and that is logged */
#define BOOT_COMMAND_LINE  2048

/* Usable RAM, physical bytes, sorted, not overlapping, page aligned; without the kernel's image,
   the boot page tables and the first 64 KiB... those are taken out before the allocator sees it. */
struct boot_info {
    char command_line[BOOT_COMMAND_LINE]; /* cut and logged when longer */
    range memory[BOOT_MEMORY_RANGES];
    u32 memory_count;
    u32 memory_dropped; /* ranges that did not fit */
    u64 rsdp;           /* physical; 0: none given, look for it */
    const char *loader; /* "PVH", "multiboot2" */
    u64 entry_tsc;      /* the time-stamp counter at the first instruction */
};
