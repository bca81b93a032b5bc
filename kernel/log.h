/* Messages of the kernel: one line each, to the serial console, and kept in a ring.

   The levels: ERROR and WARNING are always printed, INFO and DEBUG when the boot options `-v`
   (log=info, log=debug) ask for them.  Each line is prefixed `thunk: `.  Any
   context, interrupt handlers included; rank LOG. */
#pragma once

#include "runtime/closure.h"
#include "runtime/types.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_line_list(enum log_level level, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

#define log_error(...)   log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)

/* Between these two, lines are written whatever is locked and whatever was interrupted: by the
   early serial port, after a bounded wait for the others.  For an NMI. */
void log_urgent_begin(void);
void log_urgent_end(void);

/* The default is LOG_WARNING. */
void log_set_level(enum log_level level);

/* From the boot options: log=error|warning|info|debug, or `-v` for log=info. */
void log_take_options(void);

/* A panic has stopped the other CPUs: ends the line that one of them may be in the middle of. */
void log_break_in(void);

/* Where lines go: the boot serial port until a driver sets another.  The writer may run in any
   context and must not log. */
closure_type(log_writer, void, const char *text, u64 bytes);
void log_set_writer(log_writer writer);
