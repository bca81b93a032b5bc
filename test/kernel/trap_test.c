/* Exceptions that the kernel mends: its fix-ups. */
#include "kernel/page_table.h"
#include "kernel/user.h"
#include "kernel/user_copy.h"
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

const struct kernel_test trap_tests[] = {
    {"an exception is caught", exception_caught},
    {"copies to and from user memory stop where it ends", copies_stop},
    {NULL, NULL},
};
