/* panic_at: says where and why, prints a backtrace, ends the machine.  Never returns, never hangs.

   Callers: assert and panic everywhere; the kernel's exceptions (kernel/x86/exceptions.c). */
#include "kernel/panic.h"

#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/x86/early.h"
#include "kernel/x86/symbols.h"
#include "runtime/assert.h"
#include "runtime/format.h"
#include "runtime/memory.h"

#define PANIC_TEXT_BYTES 256

static u32 depth; /* panics that have begun */

bool panic_in_progress(void)
{
    return depth > 0;
}

void panic_begin(void)
{
    static const char again[] = "thunk: panic inside a panic\n";
    switch (depth++) {
    case 0:
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
    panic_begin();
    va_start(arguments, format);
    format_text_list(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_error("panic: %s:%d: %s", file, line, text);
    backtrace_log((u64)__builtin_return_address(0) - 1, *(const u64 *)__builtin_frame_address(0));
    panic_end();
}
