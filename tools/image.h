/* From options to an image in a file. */
#pragma once

#include "tools/options.h"
#include "tools/tree.h"

/* Gathers the tree that the options ask for; *program is the path inside it that is run.  Ends the
   command with one line when something is missing. */
void image_gather(const struct options *o, struct tree *t, char **program);

/* Writes the image into the open, empty file; `size_bytes` 0 is as small as it can be.  `name` is
   for messages. */
void image_write(const struct options *o, struct tree *t, const char *program, int fd,
                 const char *name);

/* A file without a name, gone with its last descriptor. */
int image_temporary(void);
