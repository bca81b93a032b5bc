/* Between boot, the CPU's code and the page tables: what kernel/page_table.h does not show. */
#pragma once

#include "kernel/boot_info.h"
#include "kernel/page_table.h"

/* Takes over the page tables that boot built: sets direct_map_base, kernel_image, kernel_image_at
   and kernel_space, and takes the pages below the stacks away.  Needs no memory. */
void paging_init(const struct boot_info *boot);

/* Addresses of the kernel's half for page_map, with an unmapped page before and behind; for ever.
   0: there are none left. */
u64 kernel_room_take(u64 bytes);

/* Answers what other CPUs ask of this CPU's TLB: kernel/x86/shootdown.c.  Called where a CPU waits
   with interrupts off (lock_waiting), by a pass of the run loop and by the interrupt that asks.
   Not from an NMI. */
void shootdown_poll(void);

/* Around the halt of an idle CPU: in between it keeps its space loaded and is not interrupted for
   it; idle_end comes before anything that touches user memory. */
void space_idle_begin(void);
void space_idle_end(void);

/* cpu.c: the boot CPU's stacks. */
u64 boot_stack_end(void);
void stack_guards_remove(void);
bool stack_guard_hit(u64 address);
