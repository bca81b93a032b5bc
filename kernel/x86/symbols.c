/* The symbol table, and walking the stack.

   boot/symbols.awk writes the table from the first link: the distances of all functions from the
   image's start, ascending, and their names one after the other.  The first link itself has an
   empty one.  Everything here runs in a panic: it allocates nothing and believes no pointer. */
#include "kernel/x86/symbols.h"

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

/* Frames lie on the kernel's stacks, which are in the image; guard pages are left out by walking
   upwards only, from a frame that is in use. */
static bool frame_plausible(u64 frame, u64 below)
{
    return frame > below && !(frame & 7) && frame >= kernel_image.start &&
           frame + 16 <= kernel_image.end;
}

void backtrace_log(u64 rip, u64 frame_pointer)
{
    frame_log(0, rip);
    u64 below = 0;
    for (u32 i = 1; i < FRAMES_MOST && frame_plausible(frame_pointer, below); i++) {
        const u64 *frame = (const u64 *)frame_pointer;
        if (!frame[1])
            return;
        frame_log(i, frame[1] - 1); /* the call, not what follows it */
        below = frame_pointer;
        frame_pointer = frame[0];
    }
}
