/* What works from the first instruction of C: the serial port, polled, and the way out. */
#pragma once

#include "runtime/types.h"

/* Writes to the first serial port; does nothing when no UART answers there.  Runs before and after
   the relocation. */
void early_write(const char *text, u64 bytes);

/* A triple fault: the machine resets, or ends where its owner asked for that.  The last resort. */
__attribute__((noreturn)) void cpu_reset(void);
