/* The census.  See kernel/census.h.

   Each section runs with a way out: reading what somebody was changing at that very moment may
   fault, and then the section ends and the next begins.  A lock that it held by then stays taken;
   that is the price, and only paid where the machine was found in the middle of a change. */
#include "kernel/census.h"

#include "kernel/clock.h"
#include "kernel/cpus.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/run_loop.h"
#include "kernel/timer.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/nmi.h"
#include "kernel/x86/symbols.h"
#include "runtime/format.h"
#include "runtime/scope.h"

#define BEGIN_SPINS_MOST 20000000u /* a pause each: about a second */
#define TEXT_BYTES       200

static struct {
    u32 holder; /* [a] CPU number + 1; 0: nobody */
    u32 lines;
    bool in_section;
    void *way_out[5];
    struct {
        const char *name;
        census_writer write;
    } writers[CENSUS_WRITERS_MOST];
} census;

/* --- one at a time ---------------------------------------------------------------------------- */

static bool census_is_mine(void)
{
    return __atomic_load_n(&census.holder, __ATOMIC_ACQUIRE) == cpu_number() + 1;
}

bool census_begin(void)
{
    for (u32 i = 0; i < BEGIN_SPINS_MOST; i++) {
        u32 nobody = 0;
        if (__atomic_compare_exchange_n(&census.holder, &nobody, cpu_number() + 1, false,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
        if (census_is_mine())
            return false;
        cpu_pause();
    }
    return false;
}

void census_end(void)
{
    __atomic_store_n(&census.holder, 0, __ATOMIC_RELEASE);
}

/* --- lines ------------------------------------------------------------------------------------ */

void census_line(const char *format, ...)
{
    va_list arguments;
    if (census.lines >= CENSUS_LINES_MOST)
        return;
    va_start(arguments, format);
    log_line_list(LOG_ERROR, format, arguments);
    va_end(arguments);
    if (++census.lines == CENSUS_LINES_MOST)
        log_error("  (cut off after %u lines)", CENSUS_LINES_MOST);
}

const char *census_age(char text[CENSUS_AGE_BYTES], u64 ns)
{
    u32 us = (u32)(ns / NS_PER_US % 1000), ms = (u32)(ns / NS_PER_MS % 1000);
    if (ns >= NS_PER_SECOND)
        format_text(text, CENSUS_AGE_BYTES, "%llu.%03u s", (unsigned long long)(ns / NS_PER_SECOND),
                    ms);
    else if (ns >= NS_PER_MS)
        format_text(text, CENSUS_AGE_BYTES, "%u.%03u ms", ms, us);
    else
        format_text(text, CENSUS_AGE_BYTES, "%u us", us);
    return text;
}

static void rip_line(u32 number, u64 rip)
{
    u64 offset;
    const char *name = symbol_find(rip, &offset);
    if (name)
        census_line("    #%u %s+0x%llx", number, name, (unsigned long long)offset);
    else
        census_line("    #%u 0x%llx", number, (unsigned long long)rip);
}

/* --- the sections ----------------------------------------------------------------------------- */

static void cpu_describe(u32 number, const struct cpu_seen *seen)
{
    const struct cpu *cpu = cpu_of(number);
    const struct closure_info *c = cpu->closure;
    if (!seen->answered)
        census_line("  CPU %u does not answer; it applied %s last", number,
                    c ? c->name : "nothing");
    else if (seen->user)
        census_line("  CPU %u is in user mode at 0x%llx", number, (unsigned long long)seen->rip[0]);
    else if (seen->halted)
        census_line("  CPU %u is idle", number);
    else if (run_loop_serves_user(number))
        census_line("  CPU %u serves a system call or a fault", number);
    else if (c)
        census_line("  CPU %u applies %s (%s:%u)", number, c->name, c->file, c->line);
    else
        census_line("  CPU %u is in the kernel, before its run loop", number);
}

static void cpus_write(void)
{
    struct cpu_seen seen;
    for (u32 i = 0; i < cpus_online(); i++) {
        cpu_look(i, &seen);
        cpu_describe(i, &seen);
        if (!seen.user && !seen.halted)
            for (u32 k = 0; k < seen.frames; k++)
                rip_line(k, seen.rip[k]);
    }
}

closure_function(operation_visitor, operation_write, (), const struct operation_seen *seen)
{
    char age[CENSUS_AGE_BYTES];
    census_line("  %*sscope %s: %s (%s:%u) waits for %s%s", (int)(2 * seen->depth), "", seen->scope,
                seen->waits->name, seen->waits->file, seen->waits->line,
                census_age(age, seen->age_ns), seen->cancelled ? ", cancelled" : "");
}

static void scopes_write(void)
{
    u32 left_out = scope_census(stack_closure(operation_write));
    if (left_out)
        census_line("  and %u scopes that are just being changed", left_out);
}

#ifdef CLOSURE_CHECKS

/* An embedded one that is just ready, and was handed to nobody, cannot be told from one that is
   owed. */
closure_function(closure_site_handler, site_write, (), const struct closure_site *s)
{
    char age[CENSUS_AGE_BYTES];
    if (s->pending) /* a merge's branch: merge_write */
        return;
    census_line("  completion %s (made at %s:%u): %u%s, the oldest for %s", s->info->name, s->file,
                s->line, s->count, s->on_heap ? "" : " embedded", census_age(age, s->age_ns));
}

closure_function(closure_site_handler, merge_write, (), const struct closure_site *s)
{
    char age[CENSUS_AGE_BYTES];
    census_line("  merge for %s (made at %s:%u): %u branches pending for %s", s->info->name,
                s->file, s->line, s->pending, census_age(age, s->age_ns));
}

static void left_out_write(const char *what, u64 left_out)
{
    if (left_out == CLOSURE_CENSUS_BUSY)
        census_line("  %s: their table is just being changed", what);
    else if (left_out)
        census_line("  and %llu %s at other places", (unsigned long long)left_out, what);
}

static void completions_write(void)
{
    left_out_write("completions", closure_census(stack_closure(site_write)));
    left_out_write("merges", closure_census_merges(stack_closure(merge_write)));
}

void census_init(void)
{
    closure_set_clock(clock_monotonic_ns);
}

#else

static void completions_write(void)
{
    census_line("  completions are followed in checked kernels only (make kernel-debug)");
}

void census_init(void)
{
}

#endif

static void memory_write(void)
{
    struct memory_statistics m = memory_statistics();
    census_line("  memory: %llu KiB of %llu KiB free", (unsigned long long)(m.free_bytes / KiB),
                (unsigned long long)(m.total_bytes / KiB));
}

static void registered_write(void)
{
    for (u32 i = 0; i < CENSUS_WRITERS_MOST; i++) {
        census_writer write = __atomic_load_n(&census.writers[i].write, __ATOMIC_ACQUIRE);
        if (write)
            apply(write);
    }
}

/* --- all of it -------------------------------------------------------------------------------- */

void census_section_failed(void)
{
    if (!census_is_mine() || !census.in_section)
        return;
    census.in_section = false;
    __builtin_longjmp(census.way_out, 1);
}

/* Apart, so that nothing of the caller's is in a register that the way out brings back old. */
__attribute__((noinline)) static void section_write(const char *name, void (*write)(void))
{
    if (__builtin_setjmp(census.way_out)) {
        log_error("  (the rest of %s cannot be read now)", name);
        return;
    }
    census.in_section = true;
    write();
    census.in_section = false;
}

static void sections_write(void)
{
    static const struct {
        const char *name;
        void (*write)(void);
    } sections[] = {{"the CPUs", cpus_write},      {"the queues", run_queues_census},
                    {"the timers", timers_census}, {"the processes and devices", registered_write},
                    {"the scopes", scopes_write},  {"the completions", completions_write},
                    {"memory", memory_write}};
    for (u32 i = 0; i < countof(sections); i++)
        section_write(sections[i].name, sections[i].write);
}

void census_log(const char *format, ...)
{
    char text[TEXT_BYTES], age[CENSUS_AGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    format_text_list(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_urgent_begin();
    log_error("%s", text);
    if (census_begin()) {
        census.lines = 0;
        census_line("census of %u CPUs, %s after the start:", cpus_online(),
                    census_age(age, clock_monotonic_ns()));
        sections_write();
        log_error("census ends");
        census_end();
    }
    log_urgent_end();
}

/* Registering and the opposite happen under the surface lock; a census may come in between. */
void census_register(const char *name, census_writer writer)
{
    for (u32 i = 0; i < CENSUS_WRITERS_MOST; i++) {
        if (census.writers[i].write)
            continue;
        census.writers[i].name = name;
        __atomic_store_n(&census.writers[i].write, writer, __ATOMIC_RELEASE);
        return;
    }
}

void census_unregister(census_writer writer)
{
    for (u32 i = 0; i < CENSUS_WRITERS_MOST; i++)
        if (census.writers[i].write == writer)
            __atomic_store_n(&census.writers[i].write, NULL, __ATOMIC_RELEASE);
}
