/* Messages: formatted into a line, kept in a ring, written out.  See kernel/log.h.

   Every line gets the prefix `thunk: `, so that a reader of a shared serial line can tell it from
   the program's output.  A line that is too long is cut.  In a panic and in a census (log_urgent)
   the lock may be held by what was interrupted: it is tried for a while, then done without. */
#include "kernel/log.h"

#include "kernel/cpus.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/x86/early.h"
#include "runtime/format.h"
#include "runtime/lock.h"
#include "runtime/memory.h"

#define LINE_BYTES 512
#define RING_BYTES 8192

#define URGENT_SPINS_MOST 1000000u /* a pause each: some 50 ms */

static struct spinlock log_lock = {0, RANK_LOG, "log"};
static u32 log_owner; /* [a] the CPU in the middle of a line, its number + 1; 0: none */
static enum log_level level_printed = LOG_WARNING;
static log_writer writer; /* [log_lock] NULL: the early serial port */
static u32 urgent;        /* [a] log_urgent_begin without its end */
static bool lock_lost;    /* [a] urgent lines have waited for it in vain */

/* [log_lock] The last lines of all levels, oldest overwritten; for a panic and for a debugger. */
static char ring[RING_BYTES] __attribute__((section(".bss..noinit")));
static u64 ring_written; /* bytes ever written */

static const char prefix[] = "thunk: ";

static void ring_add(const char *text, u64 bytes)
{
    u64 at = ring_written % RING_BYTES;
    u64 first = min(bytes, (u64)RING_BYTES - at);
    memcpy(ring + at, text, first);
    memcpy(ring, text + first, bytes - first);
    ring_written += bytes;
}

static u64 line_format(char line[LINE_BYTES], const char *format, va_list arguments)
{
    u64 start = sizeof(prefix) - 1;
    memcpy(line, prefix, start);
    u64 room = LINE_BYTES - start - 1; /* the end of the line replaces the terminator */
    u64 wanted = format_text_list(line + start, room, format, arguments);
    u64 end = start + min(wanted, room - 1);
    line[end++] = '\n';
    return end;
}

static bool log_is_urgent(void)
{
    return __atomic_load_n(&urgent, __ATOMIC_ACQUIRE) != 0;
}

/* A line that somebody else is writing ends soon, unless the NMI came in the middle of it. */
static bool log_try(void)
{
    for (u32 i = 0; i < URGENT_SPINS_MOST && !lock_lost; i++) {
        if (spin_try(&log_lock))
            return true;
        __builtin_ia32_pause();
    }
    lock_lost = true;
    return false;
}

/* False when the lock is not to be had: this CPU is in the middle of a line, or one that a panic
   has stopped may be. */
static bool log_enter(void)
{
    u32 self = cpus_online() > 1 ? cpu_number() + 1 : 1; /* the first lines come before GS */
    if (panic_in_progress() || __atomic_load_n(&log_owner, __ATOMIC_RELAXED) == self)
        return false;
    if (!log_is_urgent())
        spin_lock(&log_lock);
    else if (!log_try())
        return false;
    __atomic_store_n(&log_owner, self, __ATOMIC_RELAXED);
    return true;
}

static void log_leave(void)
{
    __atomic_store_n(&log_owner, 0, __ATOMIC_RELAXED);
    spin_unlock(&log_lock);
}

void log_line(enum log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_line_list(level, format, arguments);
    va_end(arguments);
}

void log_line_list(enum log_level level, const char *format, va_list arguments)
{
    if (level > level_printed && level > LOG_INFO)
        return;
    char line[LINE_BYTES];
    u64 bytes = line_format(line, format, arguments);

    if (!log_enter()) {
        early_write(line, bytes);
        return;
    }
    ring_add(line, bytes);
    if (level <= level_printed) {
        if (writer && !log_is_urgent())
            apply(writer, line, bytes);
        else
            early_write(line, bytes);
    }
    log_leave();
}

void log_break_in(void)
{
    if (spin_held(&log_lock))
        early_write("\n", 1);
}

void log_urgent_begin(void)
{
    if (__atomic_fetch_add(&urgent, 1, __ATOMIC_ACQ_REL) == 0) {
        lock_lost = false;
        log_break_in();
    }
}

void log_urgent_end(void)
{
    __atomic_fetch_sub(&urgent, 1, __ATOMIC_ACQ_REL);
}

void log_set_level(enum log_level level)
{
    level_printed = level;
}

void log_take_options(void)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    const char *wanted = boot_option("log");
    if (boot_option("-v"))
        level_printed = LOG_INFO;
    if (!wanted)
        return;
    for (u32 i = 0; i < countof(names); i++) {
        if (!strcmp(wanted, names[i])) {
            level_printed = (enum log_level)i;
            return;
        }
    }
    log_error("the option log=%s is none of error, warning, info, debug", wanted);
}

void log_set_writer(log_writer new_writer)
{
    writer = new_writer;
}
