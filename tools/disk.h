/* A block device over a file, for building images and for looking into them.

   Requests are queued and answered by disk_poll, as a real device answers them: never from inside
   the call.  Single-threaded; used by image.c and look.c. */
#pragma once

#include "runtime/block.h"

struct disk {
    struct block_device device;
    struct block_io io;
    struct list waiting;
    int fd;
    struct thunk poll; /* answers everything that waits: what builder_write takes */
};

void disk_init(struct disk *d, int fd, const char *name, u64 bytes);

/* Answers what waits, in order; false when there was nothing. */
bool disk_poll(struct disk *d);
