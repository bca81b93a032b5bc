/* The census: one dump of what the machine is doing and waiting for.  Each CPU with its backtrace,
   the queues, the timers, every operation in every scope, in checked kernels every live completion
   by the place that made it, what other parts registered, and memory.

   May be asked for in any context, an NMI in the middle of anything included: it waits for no lock
   for ever, its length is bounded, and a section that meets what it cannot read is left. */
#pragma once

#include "runtime/closure.h"

/* Gives the completions of checked kernels a clock.  Once, when the clock stands. */
void census_init(void);

/* Prints it, with why: the reason is the first line.  A census inside a census prints its reason
   alone. */
void census_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- what others add --------------------------------------------------------------------------
   A writer prints what is in flight with census_line.  It takes locks with spin_try, bounds its
   loops, changes nothing, and its lines may be cut off after CENSUS_LINES_MOST. */
#define CENSUS_LINES_MOST   400
#define CENSUS_WRITERS_MOST 32

closure_type(census_writer, void);

/* Until it is unregistered; `name` and the closure live as long.  Further ones than
   CENSUS_WRITERS_MOST are left out. */
void census_register(const char *name, census_writer writer);

/* It is not called after this; from the run loop. */
void census_unregister(census_writer writer);

void census_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Durations as a person reads them: "12.345 s", "1.250 ms", "17 us". */
#define CENSUS_AGE_BYTES 24
const char *census_age(char text[CENSUS_AGE_BYTES], u64 ns);

/* --- for panics and the watchdog -------------------------------------------------------------- */

/* One CPU at a time looks at others; false: another one does, and has not ended within a second. */
bool census_begin(void);
void census_end(void);

/* A fault or a failed assertion: when this CPU was in a section of a census, the section is left
   and this does not return. */
void census_section_failed(void);
