/* The boot timeline.  See kernel/timeline.h; callers: kernel/init.c. */
#include "kernel/timeline.h"

#include "kernel/clock.h"
#include "kernel/log.h"
#include "kernel/machine.h"
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

static void stage_log(const char *name, u64 begin, u64 end, u64 whole)
{
    u64 tenths = whole ? (end - begin) * 1000 / whole : 0;
    log_error("timeline: %s: %llu us, %llu.%llu %%", name,
              (unsigned long long)microseconds(end - begin), (unsigned long long)(tenths / 10),
              (unsigned long long)(tenths % 10));
}

void timeline_log(const struct boot_info *boot)
{
    u64 entry = boot->entry_tsc, before = boot->relocated_tsc;
    u64 end = count ? points[count - 1].tsc : before;
    log_debug("entry at tsc %llu", (unsigned long long)entry);
    if (!boot_option("timeline"))
        return;
    stage_log("relocated", entry, before, end - entry);
    for (u32 i = 0; i < count; i++) {
        stage_log(points[i].name, before, points[i].tsc, end - entry);
        before = points[i].tsc;
    }
    stage_log("boot", entry, rdtsc(), end - entry);
}
