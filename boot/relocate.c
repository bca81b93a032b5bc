/* The kernel's own relocations: R_X86_64_RELATIVE only, in the compact form (DT_RELR: an address
   word, then bit maps of the 63 words after it) and in the classic one, which the linker still
   uses for what is not aligned.

   Runs before the page tables protect anything.  Called by boot_main. */
#include "boot/boot.h"

struct rela {
    u64 offset;
    u64 info;
    s64 addend;
};

#define R_X86_64_RELATIVE 8

extern const struct rela rela_start[], rela_end[];
extern const u64 relr_start[], relr_end[];

/* Where a word that was linked at `address` lies now. */
static u64 *word_at(u64 address)
{
    return (u64 *)(address - KERNEL_LINK_BASE + KERNEL_LOAD_ADDRESS);
}

static void relr_apply(u64 slide)
{
    u64 *where = word_at(KERNEL_LINK_BASE); /* the first entry is an address */
    for (const u64 *entry = relr_start; entry < relr_end; entry++) {
        if (!(*entry & 1)) {
            where = word_at(*entry);
            *where++ += slide;
            continue;
        }
        u64 *word = where;
        for (u64 bits = *entry >> 1; bits; bits >>= 1, word++)
            if (bits & 1)
                *word += slide;
        where += 63;
    }
}

void image_relocate(u64 slide)
{
    if (slide)
        relr_apply(slide); /* these words hold their value for slide 0 already */
    for (const struct rela *r = rela_start; r < rela_end; r++)
        if (r->info == R_X86_64_RELATIVE)
            *word_at(r->offset) = (u64)r->addend + slide;
}
