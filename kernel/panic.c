/* panic_at: says where and why, prints a backtrace, ends the machine.  Never returns, never hangs.

   With several CPUs the first panic wins: its CPU stops the others, then reports alone.

   Callers: assert and panic everywhere; the kernel's exceptions (kernel/x86/exceptions.c). */
#include "kernel/panic.h"

#include "kernel/census.h"
#include "kernel/cpus.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/x86/early.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/symbols.h"
#include "runtime/assert.h"
#include "runtime/format.h"
#include "runtime/memory.h"

#define PANIC_TEXT_BYTES 256

static u32 depth; /* panics that have begun, on the CPU that had the first one */
static u32 owner; /* [a] that CPU's number + 1; 0: there is none */

bool panic_in_progress(void)
{
    return __atomic_load_n(&owner, __ATOMIC_RELAXED) != 0;
}

/* True when this CPU's is the first panic, or inside the first. */
static bool panic_claim(void)
{
    u32 nobody = 0, self = cpus_online() > 1 ? cpu_number() + 1 : 1;
    return __atomic_compare_exchange_n(&owner, &nobody, self, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST) ||
           nobody == self;
}

void panic_begin(void)
{
    static const char again[] = "thunk: panic inside a panic\n";
    if (!panic_claim())
        cpu_stop(); /* the first one wins; its CPU stops this one anyway */
    switch (depth++) {
    case 0:
        cpus_stop();
        log_break_in();
        return;
    case 1:
        early_write(again, sizeof(again) - 1);
        panic_end();
    default:
        cpu_reset(); /* the ways to end failed too */
    }
}

void panic_end(void)
{
    machine_exit(PANIC_EXIT_STATUS);
}

void panic_at(const char *file, int line, const char *format, ...)
{
    char text[PANIC_TEXT_BYTES];
    va_list arguments;
    census_section_failed();
    panic_begin();
    va_start(arguments, format);
    format_text_list(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_error("panic: %s:%d: %s", file, line, text);
    backtrace_log((u64)__builtin_return_address(0) - 1, *(const u64 *)__builtin_frame_address(0));
    census_log("what was going on:");
    panic_end();
}
