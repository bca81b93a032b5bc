/* The symbol table, and walking the stack.

   boot/symbols.awk writes the table from the first link: the distances of all functions from the
   image's start, ascending, and their names one after the other.  The first link itself has an
   empty one.  Everything here runs in a panic: it allocates nothing and believes no pointer. */
#include "kernel/x86/symbols.h"

#include "kernel/cpus.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/x86/cpu.h"

#define FRAMES_MOST 32

extern const u32 symbol_offsets[]; /* symbol_count of them */
extern const u32 symbol_count;
extern const char symbol_names[];
extern const char image_start[], text_end[];

const char *symbol_find(u64 address, u64 *offset)
{
    if (address < (u64)image_start || address >= (u64)text_end || !symbol_count)
        return NULL;
    u64 distance = address - (u64)image_start;
    if (distance < symbol_offsets[0])
        return NULL;
    u32 low = 0, high = symbol_count;
    while (high - low > 1) {
        u32 middle = (low + high) / 2;
        if (symbol_offsets[middle] <= distance)
            low = middle;
        else
            high = middle;
    }
    *offset = distance - symbol_offsets[low];
    const char *name = symbol_names;
    for (u32 i = 0; i < low; i++)
        while (*name++)
            ;
    return name;
}

static void frame_log(u32 number, u64 rip)
{
    u64 offset;
    const char *name = symbol_find(rip, &offset);
    if (name)
        log_error("  #%u %s+0x%llx", number, name, (unsigned long long)offset);
    else
        log_error("  #%u 0x%llx", number, (unsigned long long)rip);
}

/* The boot CPU's stacks are in the image. */
static bool frame_on_stack(u64 frame)
{
    if (frame >= kernel_image.start && frame + 16 <= kernel_image.end)
        return true;
    for (u32 i = 0; i < CPUS_MOST; i++) {
        const struct cpu *cpu = cpu_of(i);
        if (cpu && frame - (u64)cpu->stacks <= sizeof(struct cpu_stacks) - 16)
            return true;
    }
    return false;
}

/* Guard pages are left out by walking upwards only, from a frame that is in use. */
static bool frame_plausible(u64 frame, u64 below)
{
    return frame > below && !(frame & 7) && frame_on_stack(frame);
}

u32 backtrace_collect(u64 rip, u64 frame_pointer, u64 *rips, u32 most)
{
    u64 below = 0;
    u32 count = 0;
    rips[count++] = rip;
    while (count < most && frame_plausible(frame_pointer, below)) {
        const u64 *frame = (const u64 *)frame_pointer;
        if (!frame[1])
            break;
        rips[count++] = frame[1] - 1; /* the call, not what follows it */
        below = frame_pointer;
        frame_pointer = frame[0];
    }
    return count;
}

void backtrace_log(u64 rip, u64 frame_pointer)
{
    u64 rips[FRAMES_MOST];
    u32 count = backtrace_collect(rip, frame_pointer, rips, FRAMES_MOST);
    for (u32 i = 0; i < count; i++)
        frame_log(i, rips[i]);
}
