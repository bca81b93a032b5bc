/* What a block device is to those who read and write it: a closure that takes requests.

   A request is embedded in the operation it belongs to, so issuing one allocates nothing.  From
   the call until `done` is applied the request, its sg list and the memory that it names belong to
   the device.  `done` is applied exactly once, from the run loop, never from inside the call.
   A device takes any number of requests and queues what its ring has no room for, in order; it
   splits a request that is larger than its own limits. */
#pragma once

#include "runtime/closure.h"
#include "runtime/list.h"
#include "runtime/sg.h"

#define SECTOR_BYTES 512ull

enum block_operation { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD };

struct block_request {
    enum block_operation operation;
    u64 sector;          /* first sector, units of SECTOR_BYTES */
    u64 sectors;         /* 0 for a flush; equals sg->bytes / SECTOR_BYTES for read and write */
    struct sg_list *sg;  /* NULL for flush and discard; pieces are multiples of SECTOR_BYTES */
    status_handler done; /* EIO (device error), ENXIO (out of range), EROFS, ECANCELED (reset) */
    struct list link;    /* the device's while it has the request */
    u64 issued_ns;       /* the device's, for its deadline and the trace */
    u32 parts;           /* the device's: pieces it was split into and not answered yet */
    status failure;      /* the device's: the first failure of a part */
};

/* Runs on any CPU; does not block. */
closure_type(block_io, void, struct block_request *request);

struct block_device {
    block_io io;
    u64 sectors; /* capacity */
    bool read_only;
    const char *name; /* for messages: "virtio-blk 00:03.0" */
};
