/* Exceptions: those of user mode are passed on, those of the kernel are mended (a copy to or from
   user memory) or end the machine with everything that is known about them. */
#include "kernel/x86/exceptions.h"

#include "kernel/census.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/nmi.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/symbols.h"

extern const struct fixup fixups_start[], fixups_end[];

static const char *const names[32] = {
    [0] = "divide error",
    [1] = "debug exception",
    [2] = "non-maskable interrupt",
    [3] = "breakpoint",
    [4] = "overflow",
    [5] = "bound range exceeded",
    [6] = "invalid opcode",
    [7] = "device not available",
    [8] = "double fault",
    [9] = "coprocessor segment overrun",
    [10] = "invalid TSS",
    [11] = "segment not present",
    [12] = "stack fault",
    [13] = "general protection fault",
    [14] = "page fault",
    [16] = "x87 floating-point error",
    [17] = "alignment check",
    [18] = "machine check",
    [19] = "SIMD floating-point error",
    [20] = "virtualization exception",
    [21] = "control protection exception",
    [28] = "hypervisor injection exception",
    [29] = "VMM communication exception",
    [30] = "security exception",
};

static u64 fixup_address(const s32 *distance)
{
    return (u64)distance + (u64)(s64)*distance;
}

u64 exception_fixup(u64 rip)
{
    for (const struct fixup *f = fixups_start; f < fixups_end; f++)
        if (rip >= fixup_address(&f->first) && rip <= fixup_address(&f->last))
            return fixup_address(&f->landing);
    return 0;
}

/* Only instructions of user_copy.asm have a fix-up, and what they access is user memory. */
static bool kernel_fault_mended(struct trap_frame *frame, u64 address)
{
    u64 landing = exception_fixup(frame->rip);
    if (!landing)
        return false;
    bool write = frame->error_code & PAGE_FAULT_WRITE;
    if (frame->vector == VECTOR_PAGE_FAULT && address < USER_END && user_copy_fault(address, write))
        return true;
    frame->rip = landing;
    return true;
}

static void page_fault_explain(const struct trap_frame *frame, u64 address)
{
    const char *access = frame->error_code & PAGE_FAULT_FETCH   ? "executing"
                         : frame->error_code & PAGE_FAULT_WRITE ? "writing"
                                                                : "reading";
    const char *why = stack_guard_hit(address)                 ? "a stack overflow"
                      : frame->error_code & PAGE_FAULT_PRESENT ? "protected"
                                                               : "nothing is mapped there";
    log_error("  %s 0x%016llx: %s", access, (unsigned long long)address, why);
}

#define HEX(value) (unsigned long long)(value)

static void registers_log(const struct trap_frame *f)
{
    log_error("  rip %016llx  rsp %016llx  rflags %08llx  error %llx", HEX(f->rip), HEX(f->rsp),
              HEX(f->rflags), HEX(f->error_code));
    log_error("  rax %016llx  rbx %016llx  rcx %016llx  rdx %016llx", HEX(f->rax), HEX(f->rbx),
              HEX(f->rcx), HEX(f->rdx));
    log_error("  rsi %016llx  rdi %016llx  rbp %016llx  r8  %016llx", HEX(f->rsi), HEX(f->rdi),
              HEX(f->rbp), HEX(f->r8));
    log_error("  r9  %016llx  r10 %016llx  r11 %016llx  r12 %016llx", HEX(f->r9), HEX(f->r10),
              HEX(f->r11), HEX(f->r12));
    log_error("  r13 %016llx  r14 %016llx  r15 %016llx  cr2 %016llx", HEX(f->r13), HEX(f->r14),
              HEX(f->r15), HEX(read_cr2()));
    log_error("  cr0 %08llx  cr3 %016llx  cr4 %08llx  image at %016llx", HEX(read_cr0()),
              HEX(read_cr3()), HEX(read_cr4()), HEX(kernel_image.start));
}

void exception_panic(const struct trap_frame *frame, u64 address)
{
    census_section_failed();
    panic_begin();
    const char *name = names[frame->vector & 31];
    log_error("panic: %s (vector %llu) in %s", name ? name : "exception", HEX(frame->vector),
              trap_from_user(frame) ? "user mode" : "the kernel");
    if (frame->vector == VECTOR_PAGE_FAULT || frame->vector == VECTOR_DOUBLE_FAULT)
        page_fault_explain(frame, address);
    registers_log(frame);
    backtrace_log(frame->rip, frame->rbp);
    census_log("what was going on:");
    panic_end();
}

void exception_dispatch(struct trap_frame *frame)
{
    if (frame->vector == VECTOR_NMI) {
        nmi_handle(frame);
        return;
    }
    u64 address =
        frame->vector == VECTOR_PAGE_FAULT || frame->vector == VECTOR_DOUBLE_FAULT ? read_cr2() : 0;
    bool fatal = frame->vector == VECTOR_DOUBLE_FAULT || frame->vector == VECTOR_MACHINE_CHECK;
    if (trap_from_user(frame) && !fatal) {
        struct user_fault fault = {
            .vector = (u8)frame->vector,
            .error_code = (u32)frame->error_code,
            .address = address,
        };
        user_trap(frame, &fault);
    } else if (fatal || !kernel_fault_mended(frame, address)) {
        exception_panic(frame, address);
    }
}
