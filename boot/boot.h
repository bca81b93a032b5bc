/* From the loader to kernel_start: what the pieces of boot/ share.

   All of boot/ runs once, at the physical address where the image was loaded, with the first 4 GiB
   mapped one to one.  There a pointer to static data is a physical address; pointers stored in
   static data do not work before the relocation, so there are none.  Callers: none outside. */
#pragma once

#include "kernel/boot_info.h"

#define KERNEL_LINK_BASE    0xffffffff80000000ull /* BASE of boot/kernel.ld */
#define KERNEL_LOAD_ADDRESS 0x100000ull           /* LOAD of boot/kernel.ld */
#define BOOT_MAPPED_BYTES   (4ull << 30)          /* what boot/start.asm maps one to one */
#define BOOT_MEMORY_TOP     (16ull << 40)         /* RAM above that is left out */

/* Symbols of boot/kernel.ld. */
extern const char image_start[], text_end[], rodata_end[], image_end[], boot_scratch_end[];

/* What boot/start.asm needs to go on; it knows the order. */
struct boot_handoff {
    u64 page_root; /* physical */
    u64 slide;     /* from a physical address of the image to its virtual one */
    u64 stack_top; /* virtual */
    u64 entry;     /* virtual: kernel_start */
    u64 info;      /* virtual: its argument */
};

/* Called by boot/start.asm. */
void boot_main(u32 magic, u64 loader_info, u64 entry_tsc, struct boot_handoff *handoff);

/* boot/loader.c: fills command line, memory and RSDP from what the loader left.  After it nothing
   of the loader's is needed any more.  On failure returns what is wrong, in words. */
const char *loader_read(struct boot_info *info, u32 magic, u64 loader_info);

/* boot/memory_map.c: adds or removes bytes; the list stays sorted, disjoint and page aligned. */
void memory_map_add(struct boot_info *info, range bytes);
void memory_map_remove(struct boot_info *info, range bytes);

/* boot/relocate.c: makes the image work at KERNEL_LINK_BASE + slide. */
void image_relocate(u64 slide);

/* boot/tables.c: the kernel's page tables, from info's addresses.  False: no memory for them. */
bool tables_build(struct boot_info *info, bool no_execute, bool gigabyte_pages);

/* kernel/init.c */
__attribute__((noreturn)) void kernel_start(struct boot_info *info);
