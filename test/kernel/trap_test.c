/* Exceptions that the kernel mends: its fix-ups. */
#include "kernel/page_table.h"
#include "kernel/user.h"
#include "kernel/user_copy.h"
#include "kernel/x86/msr.h"
#include "runtime/memory.h"
#include "test/kernel/kernel_test.h"
#include "test/kernel/kernel_test_code.h"

static u64 fault_address;
static u32 faults;

static bool copy_fault_refuse(u64 address, bool write)
{
    (void)write;
    fault_address = address;
    faults++;
    return false;
}

static void exception_caught(void)
{
    expect(invalid_opcode_caught());
    test_pass();
}

/* A user page followed by nothing: copies end exactly where memory does. */
static void copies_stop(void)
{
    static struct page_space space;
    char text[32] = "abcdefghijklmnopqrstuvwxyz";
    struct user_hooks hooks = {.copy_fault = copy_fault_refuse};
    const u64 at = 0x40000000, end = at + PAGE_BYTES;
    user_set_hooks(&hooks);
    void *p = allocate_zero(page_heap, PAGE_BYTES);
    expect(p && is_ok(page_space_create(&space)));
    expect(is_ok(page_map(&space, at, physical_of(p), PAGE_BYTES, PAGE_USER | PAGE_WRITE)));
    page_space_switch(&space);
    expect(copy_out(at + 3, text, 26) == 0);
    expect(memcmp((char *)p + 3, text, 26) == 0);
    expect(copy_out(end - 13, text, 26) == 13 && faults && fault_address >= end);
    expect(memcmp((char *)p + PAGE_BYTES - 13, text, 13) == 0);
    memset(text, 0, sizeof(text));
    expect(copy_in(text, end - 5, 26) == 21 && memcmp(text, "ijklm", 5) == 0);
    expect(copy_in(text, USER_END - 8, 16) == 16);
    expect(copy_in(text, 0xffff800000000000ull, 8) == 8);
    expect(zero_out(end - 8, 16) == 8 && *((char *)p + PAGE_BYTES - 1) == 0);
    expect(copy_in_string(text, at + 3, 32) == 26 &&
           strcmp(text, "abcdefghijklmnopqrstuvwxyz") == 0);
    expect(copy_in_string(text, at + 3, 5) == -2);
    memset((char *)p + PAGE_BYTES - 4, 'x', 4);
    expect(copy_in_string(text, end - 4, 32) == -1);
    page_space_switch(&kernel_space);
    page_space_destroy(&space);
    deallocate(page_heap, p, PAGE_BYTES);
    test_pass();
}

#define LONG_BYTES (4 * PAGE_BYTES)

/* Long copies that end with memory, or go `over` its end, from and to any byte of a word. */
static void long_copy_check(u8 *page, u64 at, u8 *other, u64 bytes, u64 over)
{
    u64 start = LONG_BYTES - bytes + over, there = bytes - over;
    for (u64 n = 0; n < bytes; n++)
        other[n] = (u8)(n * 7 + over);
    memset(page, 1, LONG_BYTES);
    expect(copy_out(at + start, other, bytes) == over);
    expect(memcmp(page + start, other, there) == 0 && page[start - 1] == 1);
    memset(other, 2, bytes);
    expect(copy_in(other, at + start, bytes) == over);
    expect(memcmp(page + start, other, there) == 0 && (!over || other[there] == 2));
    expect(zero_out(at + start, bytes) == over);
    for (u64 n = 0; n < there; n++)
        expect(page[start + n] == 0);
    expect(page[start - 1] == 1);
}

static void copies_long(void)
{
    static struct page_space space;
    struct user_hooks hooks = {.copy_fault = copy_fault_refuse};
    const u64 at = 0x40000000;
    const bool emulated = cpu_features.emulated;
    user_set_hooks(&hooks);
    u8 *p = allocate_zero(page_heap, 2 * LONG_BYTES);
    expect(p && is_ok(page_space_create(&space)));
    expect(is_ok(page_map(&space, at, physical_of(p), LONG_BYTES, PAGE_USER | PAGE_WRITE)));
    page_space_switch(&space);
    for (u32 form = 0; form < 2; form++) {
        cpu_features.emulated = form;
        for (u64 bytes = 1023; bytes < 1034; bytes++)
            for (u64 over = 0; over < 12; over++)
                long_copy_check(p, at, p + LONG_BYTES, bytes, over);
        for (u64 over = 0; over < 4000; over += 371)
            long_copy_check(p, at, p + LONG_BYTES + over % 8, 4080, over);
        for (u64 over = 0; over < 9000; over += 731)
            long_copy_check(p, at, p + LONG_BYTES + over % 8, 9001 + over % 5, over);
    }
    cpu_features.emulated = emulated;
    page_space_switch(&kernel_space);
    page_space_destroy(&space);
    deallocate(page_heap, p, 2 * LONG_BYTES);
    test_pass();
}

const struct kernel_test trap_tests[] = {
    {"an exception is caught", exception_caught},
    {"copies to and from user memory stop where it ends", copies_stop},
    {"long copies stop where it ends", copies_long},
    {NULL, NULL},
};
