/* The end of the machine when the kernel itself is wrong: kernel/panic.c.  See runtime/assert.h for
   panic() and assert(). */
#pragma once

#include "runtime/types.h"

#define PANIC_EXIT_STATUS 255

/* Opens a panic: what follows is printed with log_error.  In a panic inside a panic it ends the
   machine at once, by ever simpler means. */
void panic_begin(void);

/* Ends the machine with PANIC_EXIT_STATUS. */
__attribute__((noreturn)) void panic_end(void);

/* A panic is being reported: nothing may be waited for, and no lock is to be believed. */
bool panic_in_progress(void);
