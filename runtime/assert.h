/* Assertions: what the code promises itself.  They stay on in release builds; what the world
   sends (a disk, a packet, a program) is never asserted, it is checked and reported. */
#pragma once

#include "runtime/types.h"

/* Ends the machine (kernel) or the process (hosted) after saying where.  The kernel and the hosted
   harness each define it: it is the one function runtime/ asks of its surroundings. */
__attribute__((noreturn, cold)) void panic_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define panic(...) panic_at(__FILE__, __LINE__, __VA_ARGS__)

#define assert(condition)                                                                          \
    do {                                                                                           \
        if (unlikely(!(condition)))                                                                \
            panic_at(__FILE__, __LINE__, "assertion failed: %s", #condition);                      \
    } while (0)
