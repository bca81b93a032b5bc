/* What a change of page tables takes away from the TLBs: between paging.c and shootdown.c.  See
   shootdown.c for why it is right. */
#pragma once

#include "kernel/page_table.h"

#define FLUSH_PAGES_MOST 32 /* beyond, the whole TLB of the space goes */

/* What one operation wants flushed.  Lives until flush_finish has returned. */
struct flush {
    const struct page_space *space; /* whose entries they are; &kernel_space: on every CPU */
    u64 pages[FLUSH_PAGES_MOST];
    u32 count; /* more than FLUSH_PAGES_MOST: all */
};

static inline void flush_begin(struct flush *f, const struct page_space *space)
{
    f->space = space;
    f->count = 0;
}

static inline void flush_add(struct flush *f, u64 address)
{
    if (f->count < FLUSH_PAGES_MOST)
        f->pages[f->count++] = address;
    else
        f->count = FLUSH_PAGES_MOST + 1;
}

/* No CPU uses what was added any more when this returns.  The lock of the page tables is held. */
void flush_finish(const struct flush *f);

/* No CPU has that space loaded any more when this returns; no thread enters it from now on.  The
   lock of the page tables is held. */
void shootdown_leave(const struct page_space *space);
