/* What kernel/init.c calls of the Linux surface. */
#pragma once

#include "fs/fs.h"
#include "runtime/closure.h"

/* Starts the program that the image's settings name ("program", "arg", "env", "cwd", "hostname").
   A program that cannot be started (missing, a directory, a script, not ELF64 x86-64, truncated,
   its interpreter missing) is one line of error, and exit status 127 (not found) or 126, as a
   shell's.  When the process ends, `ended` is applied once with its exit status, 128 + N for
   signal N, after its output has drained. */
closure_type(process_ended, void, u8 exit_status);
void process_start(struct filesystem *root, process_ended ended);

/* What the filesystem asks of mappings (struct filesystem_environment): pages of a file are not to
   be written any more without asking, or go away. */
mapping_handler memory_protect_handler(void);
mapping_handler memory_unmap_handler(void);
