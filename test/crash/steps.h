/* The workload of the crash tests that run the real kernel, and how its files look after each of
   its steps: shared by the guest program that writes (steps.c) and the host program that looks at
   what is left (steps_check.c).

   Step n, counted from 1, does one of four things, by n % 4, and is acknowledged when its fsync has
   returned:

       0  appends a record to "log"; fdatasync
       1  writes "temporary", fsync, renames it over "current", fsync of the directory
       2  overwrites one of the blocks of "pages"; fdatasync
       3  makes "file-<n>", fsync; and removes "file-<n - FILES_KEPT>", which the next
          acknowledged step of this kind makes durable

   Every sector that is written carries the step, so one can tell which steps a torn block is made
   of. */
#pragma once

#include <stdint.h>
#include <string.h>

enum {
    SECTOR = 512,
    PAGE = 4096,
    PAGES = 32,
    RECORD = 3 * SECTOR,  /* of "log": crosses blocks */
    CURRENT = 5 * SECTOR, /* length of "current" and of each file */
    FILES_KEPT = 40,      /* steps, a multiple of 4 */
};

#define STEP_MAGIC 0x70657473646e6174ull

struct step_sector {
    uint64_t magic;
    uint64_t step;
    uint64_t index; /* of the sector in what the step wrote */
    uint64_t filler[61];
};
_Static_assert(sizeof(struct step_sector) == SECTOR, "one sector");

static inline void step_fill(void *to, uint64_t step, uint64_t bytes)
{
    struct step_sector *s = to;
    for (uint64_t n = 0; n < bytes / SECTOR; n++) {
        s[n] = (struct step_sector){.magic = STEP_MAGIC, .step = step, .index = n};
        for (int f = 0; f < 61; f++)
            s[n].filler[f] = (step * 61 + (uint64_t)f) * 0x9e3779b97f4a7c15ull ^ n;
    }
}

/* The step that wrote sector `index` of something; 0: it is not whole. */
static inline uint64_t step_of(const void *sector, uint64_t index)
{
    struct step_sector found;
    memcpy(&found, sector, SECTOR);
    if (found.magic != STEP_MAGIC || found.index != index)
        return 0;
    uint8_t expected[SECTOR * 16];
    step_fill(expected, found.step, (index + 1) * SECTOR);
    return memcmp(expected + index * SECTOR, sector, SECTOR) == 0 ? found.step : 0;
}

/* The last step up to n with n % 4 == kind; 0: none. */
static inline uint64_t step_last(uint64_t n, uint64_t kind)
{
    while (n && n % 4 != kind)
        n--;
    return n;
}
