/* The boot timeline.  See kernel/timeline.h; callers: kernel/init.c. */
#include "kernel/timeline.h"

#include "kernel/clock.h"
#include "kernel/log.h"
#include "kernel/x86/msr.h"

static struct {
    const char *name;
    u64 tsc;
} points[TIMELINE_POINTS_MOST];
static u32 count;

void timeline_note(const char *name)
{
    if (count == TIMELINE_POINTS_MOST)
        return;
    points[count].name = name;
    points[count++].tsc = rdtsc();
}

/* Microseconds for a distance of the counter. */
static u64 microseconds(u64 ticks)
{
    return (u64)((u128)ticks * clock_scale().ns_a_tick >> 32) / NS_PER_US;
}

static void point_log(const char *name, u64 tsc, u64 before, u64 entry)
{
    log_debug("timeline: %8llu us  +%7llu us  %s", (unsigned long long)microseconds(tsc - entry),
              (unsigned long long)microseconds(tsc - before), name);
}

void timeline_log(const struct boot_info *boot)
{
    u64 before = boot->relocated_tsc;
    log_debug("timeline: entry at tsc %llu", (unsigned long long)boot->entry_tsc);
    point_log("relocated", before, boot->entry_tsc, boot->entry_tsc);
    for (u32 i = 0; i < count; i++) {
        point_log(points[i].name, points[i].tsc, before, boot->entry_tsc);
        before = points[i].tsc;
    }
}
