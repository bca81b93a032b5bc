/* Between kernel/run_loop.c and entry.asm, which starts it from the top of the CPU's stack. */
#pragma once

#include "kernel/run_loop.h"

/* Makes this CPU's queues; before anything is queued. */
void run_loop_init(void);

__attribute__((noreturn)) void run_loop_serve(void);
