/* Running other programs of this machine: apt-get, dpkg-deb, QEMU's version. */
#pragma once

#include "runtime/types.h"

/* Runs argv[0] from PATH with no stdin; returns what it wrote to stdout, which is the caller's to
   free.  `*exit_status` is its own, 127 when it is not there, 128 + N for a signal.  What it wrote
   to stderr is dropped, but for the last line, which command_last_error() gives. */
char *command_output(const char *const *argv, int *exit_status);
const char *command_last_error(void);

/* True when PATH has such a program. */
bool command_exists(const char *name);
