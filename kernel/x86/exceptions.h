/* Exceptions: between traps.asm, traps.c and exceptions.c. */
#pragma once

#include "kernel/x86/interrupts.h"

/* Called by traps.asm for every vector. */
void trap_dispatch(struct trap_frame *frame);

/* Vectors 0-31.  Returns to resume what the frame says. */
void exception_dispatch(struct trap_frame *frame);
