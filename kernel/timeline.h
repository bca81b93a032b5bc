/* When the steps of the start were done: noted with one read of the time-stamp counter each, and
   printed at the end, each with its share, when the boot option timeline asks for it. */
#pragma once

#include "kernel/boot_info.h"

/* `name` lives for ever.  At most TIMELINE_POINTS_MOST; further ones are left out. */
#define TIMELINE_POINTS_MOST 16
void timeline_note(const char *name);

/* One line for each stage, "timeline: NAME: N us, P %", and one for all of them, "boot", up to the
   moment when it is printed: `thunk` reckons from it when the kernel began.  After clock_init. */
void timeline_log(const struct boot_info *boot);
