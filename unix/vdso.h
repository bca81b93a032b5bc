/* The vDSO: a shared object of one page that the kernel maps into the program, so that reading a
   clock needs no system call.  The C library finds it by AT_SYSINFO_EHDR in the auxiliary vector.

   Two regions follow each other: [vvar], a page with struct vdso_data, and [vdso], the page with
   the object's code (unix/vdso/).  Their pages come by faults, each a copy of the process's own, so
   whatever a program does to them it does to itself.  The clock's rate is therefore not asked for,
   and not measured, before the program reads a clock. */
#pragma once

#include "kernel/clock.h"
#include "unix/memory.h"

/* What [vvar] begins with; the rest of its page is zero. */
struct vdso_data {
    struct clock_scale scale;
};

/* Makes the two regions and sets m->vdso.  0 or -ENOMEM. */
s64 vdso_map(struct user_memory *m);

/* Fills `page`, PAGE_BYTES long and zero, with what a REGION_VDSO region has at `offset`.  False:
   there is nothing there, which only a mapping that was made longer can ask for. */
bool vdso_page(void *page, u64 offset);
