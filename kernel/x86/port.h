/* I/O ports: the instructions.  Other layers use port_read8 and its kin of kernel/machine.h. */
#pragma once

#include "runtime/types.h"

#define PORT_ACCESS(name, type, suffix)                                                            \
    static inline type in##name(u16 port)                                                          \
    {                                                                                              \
        type value;                                                                                \
        asm volatile("in" suffix " %1, %0" : "=a"(value) : "Nd"(port) : "memory");                 \
        return value;                                                                              \
    }                                                                                              \
    static inline void out##name(u16 port, type value)                                             \
    {                                                                                              \
        asm volatile("out" suffix " %0, %1" : : "a"(value), "Nd"(port) : "memory");                \
    }
PORT_ACCESS(8, u8, "b")
PORT_ACCESS(16, u16, "w")
PORT_ACCESS(32, u32, "l")
