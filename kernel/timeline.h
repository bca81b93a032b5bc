/* When the steps of the start were done: noted with one read of the time-stamp counter each, and
   printed at the end with log=debug. */
#pragma once

#include "kernel/boot_info.h"

/* `name` lives for ever.  At most TIMELINE_POINTS_MOST; further ones are left out. */
#define TIMELINE_POINTS_MOST 16
void timeline_note(const char *name);

/* One line for each point.  After clock_init. */
void timeline_log(const struct boot_info *boot);
