/* memcpy, memmove, memset and memcmp of kernel/x86/memory.asm, against loops that are plainly
   right: every small size, at every alignment, with every small overlap, and larger ones at random.
 */
#include "runtime/memory.h"

#include "runtime/random.h"
#include "test/kernel/kernel_test.h"

#define SMALL_MOST 70
#define LARGE_MOST 600
#define GUARD      16
#define LARGE_RUNS 12

static u8 from[LARGE_MOST + 2 * GUARD], to[LARGE_MOST + 2 * GUARD], right[LARGE_MOST + 2 * GUARD];
static u64 window; /* how much of them is looked at */

/* Compiled to what it says: volatile keeps the compiler from calling what is tested. */
static void plain_copy(u8 *at, const u8 *source, u64 bytes)
{
    for (u64 i = 0; i < bytes; i++)
        *(volatile u8 *)&at[i] = source[i];
}

static bool plain_equal(const u8 *a, const u8 *b, u64 bytes)
{
    for (u64 i = 0; i < bytes; i++)
        if (*(const volatile u8 *)&a[i] != b[i])
            return false;
    return true;
}

static void fill(u8 *at, u64 bytes, u8 seed)
{
    for (u64 i = 0; i < bytes; i++)
        *(volatile u8 *)&at[i] = (u8)(seed + i * 7);
}

static bool copy_right(u64 offset, u64 source, u64 bytes)
{
    fill(from, window, 1);
    fill(to, window, 100);
    plain_copy(right, to, window);
    plain_copy(right + offset, from + source, bytes);
    return memcpy(to + offset, from + source, bytes) == to + offset &&
           plain_equal(to, right, window);
}

static bool move_right(u64 offset, u64 source, u64 bytes)
{
    fill(to, window, 3);
    plain_copy(from, to, window);
    plain_copy(right, to, window);
    plain_copy(right + offset, from + source, bytes);
    return memmove(to + offset, to + source, bytes) == to + offset &&
           plain_equal(to, right, window);
}

static bool set_right(u64 offset, u8 value, u64 bytes)
{
    fill(to, window, 9);
    plain_copy(right, to, window);
    for (u64 i = 0; i < bytes; i++)
        *(volatile u8 *)&right[offset + i] = value;
    return memset(to + offset, 0x5500 | value, bytes) == to + offset &&
           plain_equal(to, right, window);
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static bool compare_right(u64 offset, u64 bytes, u64 differs_at)
{
    fill(from, window, 200);
    plain_copy(to + offset, from, bytes);
    if (memcmp(to + offset, from, bytes) != 0)
        return false;
    if (!bytes)
        return true;
    u64 at = differs_at % bytes;
    to[offset + at] ^= 0x80;
    int expected = to[offset + at] < from[at] ? -1 : 1;
    return sign(memcmp(to + offset, from, bytes)) == expected &&
           sign(memcmp(from, to + offset, bytes)) == -expected &&
           memcmp(to + offset, from, at) == 0;
}

static void small_sizes(void)
{
    static const u64 shifts[] = {0, 1, 7, 11};
    for (u64 bytes = 0; bytes <= SMALL_MOST; bytes++) {
        window = bytes + 2 * GUARD;
        u64 shift = shifts[bytes % countof(shifts)];
        expect(copy_right(shift, GUARD, bytes));
        expect(set_right(GUARD - shift, (u8)(0xf0 + shift), bytes));
        expect(compare_right(shift, bytes, shift * 5));
        for (u32 i = 0; i < countof(shifts); i++) {
            expect(move_right(shifts[i], GUARD / 2, bytes));
            expect(move_right(GUARD / 2, shifts[i], bytes));
        }
    }
    test_pass();
}

static void large_sizes(void)
{
    struct random r;
    random_init(&r, 1);
    window = sizeof(to);
    for (u32 i = 0; i < LARGE_RUNS; i++) {
        u64 bytes = random_below(&r, LARGE_MOST), a = random_below(&r, GUARD),
            b = random_below(&r, GUARD);
        expect(copy_right(a, b, bytes));
        expect(move_right(a, b, bytes));
        expect(set_right(a, (u8)b, bytes));
        expect(compare_right(a, bytes, i * 29));
    }
    test_pass();
}

const struct kernel_test bytes_tests[] = {
    {"bytes are copied, moved, set and compared: small sizes", small_sizes},
    {"bytes are copied, moved, set and compared: large sizes", large_sizes},
    {NULL, NULL},
};
