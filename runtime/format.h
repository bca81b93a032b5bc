/* Formatting: the printf subset that messages need, into memory of the caller's.

   %d %i %u %x %X %o %c %s %p %% with flags 0 - + space #, width, precision, * and the lengths h hh
   l ll z t. No floating point.  The result is always terminated when size > 0. */
#pragma once

#include "runtime/types.h"

/* Returns the length that the whole text has, which may be size or more: then it was cut. */
u64 format_text(char *to, u64 size, const char *format, ...) __attribute__((format(printf, 3, 4)));
u64 format_text_list(char *to, u64 size, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
