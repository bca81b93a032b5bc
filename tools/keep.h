/* `thunk run --keep IMAGE` with an image that exists: what it runs is what the command line says.
 */
#pragma once

#include "tools/options.h"

/* Gives the image behind `fd` (o->keep) the program, arguments, variables, working directory and
   name of the command line, as far as they are there and differ.  Ends the command with one line
   when PROGRAM is not in the image, or the image cannot be mounted. */
void keep_settings(const struct options *o, int fd);
