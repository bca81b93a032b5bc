/* Between boot, the CPU's code and the page tables: what kernel/page_table.h does not show. */
#pragma once

#include "kernel/boot_info.h"
#include "kernel/page_table.h"

/* Takes over the page tables that boot built: sets direct_map_base, kernel_image, kernel_image_at
   and kernel_space, and takes the pages below the stacks away.  Needs no memory. */
void paging_init(const struct boot_info *boot);

/* cpu.c: the boot CPU's stacks. */
u64 boot_stack_end(void);
void stack_guards_remove(void);
bool stack_guard_hit(u64 address);
