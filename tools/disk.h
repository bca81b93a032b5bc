/* A block device over a file, for building images and for looking into them.

   Requests are queued and answered by disk_poll, as a real device answers them: never from inside
   the call.
   A FLUSH is answered when the file's data is on this machine's disk.  Single-threaded; used by
   image.c, mounted.c and check.c. */
#pragma once

#include "runtime/block.h"

struct disk {
    struct block_device device;
    struct block_io io;
    struct list waiting;
    int fd;
    bool temporary;    /* the file is gone with us: a FLUSH need not wait */
    struct thunk poll; /* answers everything that waits: what builder_write takes */
};

/* Of `bytes` bytes, as far as they are whole sectors; read-only when the descriptor is. */
void disk_init(struct disk *d, int fd, const char *name, u64 bytes);

/* Answers what waits, in order; false when there was nothing. */
bool disk_poll(struct disk *d);
