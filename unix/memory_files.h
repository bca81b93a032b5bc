/* Regions of files, found by inode: for unix/memory.c alone. */
#pragma once

#include "unix/memory.h"

void memory_files_init(struct user_memory *m);
/* From enter to leave the filesystem's wishes reach this memory. */
void memory_files_enter(struct user_memory *m);
void memory_files_leave(struct user_memory *m);
/* A region that has an inode holds it, and is found by it, from enter to leave; others are left
   alone. */
void region_file_enter(struct user_memory *m, struct region *r);
void region_file_leave(struct region *r);
