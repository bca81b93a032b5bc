/* The list of usable memory: sorted, disjoint, page aligned, at most BOOT_MEMORY_RANGES long.

   What does not fit is left out and counted.  Called by boot/ only. */
#include "boot/boot.h"

#define PAGE 4096ull

static void range_delete(struct boot_info *info, u32 at)
{
    info->memory_count--;
    for (u32 i = at; i < info->memory_count; i++)
        info->memory[i] = info->memory[i + 1];
}

static void range_insert(struct boot_info *info, u32 at, range r)
{
    if (info->memory_count == BOOT_MEMORY_RANGES) {
        info->memory_dropped++;
        return;
    }
    for (u32 i = info->memory_count; i > at; i--)
        info->memory[i] = info->memory[i - 1];
    info->memory[at] = r;
    info->memory_count++;
}

void memory_map_add(struct boot_info *info, range bytes)
{
    range r =
        range_of(align_up(bytes.start, PAGE), align_down(min(bytes.end, BOOT_MEMORY_TOP), PAGE));
    if (range_empty(r))
        return;
    u32 at = 0;
    while (at < info->memory_count && info->memory[at].end < r.start)
        at++;
    /* Everything that touches it becomes a part of it. */
    while (at < info->memory_count && info->memory[at].start <= r.end) {
        r = range_of(min(r.start, info->memory[at].start), max(r.end, info->memory[at].end));
        range_delete(info, at);
    }
    range_insert(info, at, r);
}

void memory_map_remove(struct boot_info *info, range bytes)
{
    range gone =
        range_of(align_down(bytes.start, PAGE), align_up(min(bytes.end, BOOT_MEMORY_TOP), PAGE));
    if (range_empty(gone))
        return;
    for (u32 i = 0; i < info->memory_count;) {
        range r = info->memory[i];
        if (range_empty(range_intersection(r, gone))) {
            i++;
            continue;
        }
        range_delete(info, i);
        if (gone.end < r.end)
            range_insert(info, i, range_of(gone.end, r.end));
        if (r.start < gone.start)
            range_insert(info, i++, range_of(r.start, gone.start));
        if (gone.end < r.end)
            i++;
    }
}
