/* Where an address of a program lies, in words: "/usr/lib/x.so+0x1234", "[heap]+0x10". */
#pragma once

#include "unix/process.h"

#define WHERE_BYTES 300

void where_text(struct process *p, u64 address, char *to, u64 bytes);

/* A path of an inode in the tree, looked for; cut to what fits.  False: it was not found within
   the bound of the search.  For messages and /proc/self/maps; not fast. */
bool where_inode(struct filesystem *fs, struct inode *inode, char *to, u64 bytes);
