/* What a block device is to those who read and write it: a closure that takes requests.

   A request is embedded in the operation it belongs to, so issuing one allocates nothing.  From
   the call until `done` is applied the request, its sg list and the memory that it names belong to
   the device.  `done` is applied exactly once, from the run loop, never from inside the call.
   A device takes any number of requests and queues what its ring has no room for, in order; it
   splits a request that is larger than its own limits.

   A request can be cancelled: `cancel` asks for its end soon, and `done` is applied as ever, from
   the run loop, with ECANCELED or with what the request came to before that.  One that the device
   has not begun ends at once; one that it has begun keeps its memory until the device lets go, in
   bounded time. */
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
    bool cancelled;      /* the device's: since cancelled_ns */
    bool ended;          /* the device's: only `done` is left to be applied */
    u64 cancelled_ns;
    status failure; /* the device's: the first failure of a part */
};

/* Runs on any CPU; does not block. */
closure_type(block_io, void, struct block_request *request);

/* On any CPU.  Only between `io` and the end of `done`, so of a request that is the device's or was
   just now; may be called more than once. */
closure_type(block_cancel, void, struct block_request *request);

struct block_device {
    block_io io;
    block_cancel cancel;      /* NULL: its requests end by themselves */
    u64 sectors;              /* capacity */
    u64 discard_sectors_most; /* of one BLOCK_DISCARD that is worth asking for; 0: there is none */
    bool read_only;
    const char *name; /* for messages: "virtio-blk 00:03.0" */
};
