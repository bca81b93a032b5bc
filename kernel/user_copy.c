/* Reaching user memory.  See kernel/user_copy.h; the instructions are in kernel/x86/user_copy.asm.
 */
#include "kernel/user_copy.h"

#include "kernel/page_table.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/user.h"

/* How many of the bytes at `address` are below the end of user space. */
static u64 bytes_within(u64 address, u64 bytes)
{
    return address >= USER_END ? 0 : min(bytes, USER_END - address);
}

static void user_memory_open(void)
{
    if (cpu_features.smap)
        cpu_stac();
}

static void user_memory_close(void)
{
    if (cpu_features.smap)
        cpu_clac();
}

/* Nearly always: all of it is below the end. */
static bool range_within(u64 address, u64 bytes)
{
    return likely(address < USER_END && bytes <= USER_END - address);
}

static inline bool unrolled_suits(u64 bytes)
{
    return bytes >= UNROLLED_BYTES_LEAST && cpu_features.emulated;
}

static inline u64 copy_within(void *to, const void *from, u64 bytes)
{
    user_memory_open();
    u64 missing = !unrolled_suits(bytes)        ? user_copy_bytes(to, from, bytes)
                  : bytes >= PAIRED_BYTES_LEAST ? user_copy_bytes_paired(to, from, bytes)
                                                : user_copy_bytes_unrolled(to, from, bytes);
    user_memory_close();
    return missing;
}

static inline u64 zero_within(void *to, u64 bytes)
{
    user_memory_open();
    u64 missing =
        unrolled_suits(bytes) ? user_zero_bytes_unrolled(to, bytes) : user_zero_bytes(to, bytes);
    user_memory_close();
    return missing;
}

/* Up to the end. */
static __attribute__((noinline)) u64 copy_in_cut(void *to, u64 user_from, u64 bytes)
{
    u64 within = bytes_within(user_from, bytes);
    return copy_within(to, (const void *)user_from, within) + (bytes - within);
}

static __attribute__((noinline)) u64 copy_out_cut(u64 user_to, const void *from, u64 bytes)
{
    u64 within = bytes_within(user_to, bytes);
    return copy_within((void *)user_to, from, within) + (bytes - within);
}

static __attribute__((noinline)) u64 zero_out_cut(u64 user_to, u64 bytes)
{
    u64 within = bytes_within(user_to, bytes);
    return zero_within((void *)user_to, within) + (bytes - within);
}

u64 copy_in(void *to, u64 user_from, u64 bytes)
{
    return range_within(user_from, bytes) ? copy_within(to, (const void *)user_from, bytes)
                                          : copy_in_cut(to, user_from, bytes);
}

u64 copy_out(u64 user_to, const void *from, u64 bytes)
{
    return range_within(user_to, bytes) ? copy_within((void *)user_to, from, bytes)
                                        : copy_out_cut(user_to, from, bytes);
}

u64 zero_out(u64 user_to, u64 bytes)
{
    return range_within(user_to, bytes) ? zero_within((void *)user_to, bytes)
                                        : zero_out_cut(user_to, bytes);
}

s64 copy_in_string(char *to, u64 user_from, u64 most)
{
    u64 within = bytes_within(user_from, most);
    user_memory_open();
    s64 length = user_copy_text(to, (const char *)user_from, within);
    user_memory_close();
    return length == -2 && within < most ? -1 : length;
}

s64 word_load(u64 address, u32 *value)
{
    if (address >= USER_END)
        return -1;
    user_memory_open();
    s64 result = user_load_word((const u32 *)address, value);
    user_memory_close();
    return result;
}

s64 word_swap(u64 address, u32 *expected, u32 value)
{
    if (address >= USER_END)
        return -1;
    user_memory_open();
    s64 result = user_swap_word((u32 *)address, expected, value);
    user_memory_close();
    return result;
}

s64 word_change(u64 address, struct word_change change, u32 *old)
{
    const u32 steps[3] = {change.keep, change.flip, change.add};
    if (address >= USER_END)
        return -1;
    user_memory_open();
    s64 result = user_change_word((u32 *)address, steps, old);
    user_memory_close();
    return result;
}
