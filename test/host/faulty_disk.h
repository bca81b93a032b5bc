/* A disk that keeps the worst promises a real one may keep: a block_device in memory with a
   volatile write cache, for tests of what survives.  Everything that it does follows from its seed.

   Promises.  A write is durable when a FLUSH that was issued after the write had been answered was
   itself answered with success.  Anything else is volatile: after a power cut any of it may be
   there, whole, in part (sector by sector: sectors are never torn) or not at all, whatever the
   order in which it was written.  A write that is answered with a failure may have happened, in
   part too.  A FLUSH that fails may have lost what it was to make durable, for ever.  A DISCARD
   leaves nobody knows what, as a volatile write of noise would.

   The log.  From faulty_disk_log on each request leaves events: when it was issued and when it was
   answered.  A power cut is a position between two events; struct faulty_image makes the disk that
   is found after it.  Positions are taken in rising order, so that a cut costs only what it
   changes.

   Faults come by chance (`chances`), or at a certain request, counted from 1 as answered.
   Single-threaded; completes from the executor that it is given. */
#pragma once

#include "runtime/block.h"
#include "runtime/executor.h"
#include "runtime/random.h"

#define FAULTY_CHANCE 65536u /* always */
#define FAULTY_NEVER  (~0ull)

struct faulty_faults {
    u32 read_error, write_error, flush_error, discard_error; /* of FAULTY_CHANCE */
    u32 short_transfer; /* EIO, and only the first sectors moved */
    u32 flip;           /* a bit of what is read arrives wrong, silently */
    u64 fail_at, short_at;
    u64 flip_at;
    u64 read_only_at;   /* from that request on writes, flushes and discards fail with EROFS */
    u64 gone_at;        /* from that request on everything fails with ENXIO */
    u64 silent_at;      /* from that request on nothing is answered until it is cancelled */
    bool reorder;       /* answers come in any order */
    u64 slow_ns_most;   /* before each answer */
    bool ignores_flush; /* says that it flushed and did not: what no filesystem can survive */
};

enum faulty_event_kind { FAULTY_ISSUED, FAULTY_ANSWERED, FAULTY_FLUSH_ISSUED, FAULTY_FLUSHED };

struct faulty_event {
    enum faulty_event_kind kind;
    u32 sectors;
    bool noise; /* a DISCARD: `data` is the seed of what is found there */
    u64 sector;
    u64 data;    /* offset in log_data */
    u64 other;   /* issued: the answer's event; answered, flushed: the issue's; FAULTY_NEVER */
    u64 lost_at; /* answered: the failed FLUSH that lost it; FAULTY_NEVER */
    u64 time;    /* *clock at that moment */
};

struct faulty_request;

struct faulty_disk {
    struct block_device device; /* pass &d->device on */
    struct block_io io;
    struct block_cancel cancel;
    const struct executor *executor;
    u8 *bytes; /* what a read sees */
    u64 length;
    struct faulty_faults faults;
    struct random random;
    const u64 *clock; /* of the test, kept with each event; NULL: none */

    u64 calls;   /* requests answered */
    u64 faulted; /* and failed by what `faults` says */
    u64 reads, writes, flushes, discards, cancelled;
    u64 in_flight;
    struct list waiting;
    struct thunk serve;
    struct timer timer; /* before a slow answer */
    bool serving;

    bool logging;
    u8 *base; /* what the disk held when the log began */
    struct faulty_event *events;
    u64 event_count, event_capacity;
    u64 covered; /* answers before that event are durable */
    u8 *log_data;
    u64 log_bytes, log_capacity;

    u8 *touched; /* of a faulty_image: a byte for each block that differs from its durable part */
};

void faulty_disk_init(struct faulty_disk *d, u64 bytes, const struct executor *e, u64 seed);
/* No request may be in flight. */
void faulty_disk_destroy(struct faulty_disk *d);
/* What is on the disk is durable, and events are kept from now on.  Nothing may be in flight. */
void faulty_disk_log(struct faulty_disk *d);

/* The disk after a power cut of `from`, as another disk. */
struct faulty_image {
    const struct faulty_disk *from;
    u8 *durable;
    u64 rolled;        /* answers below are in `durable` */
    u64 covered;       /* answers below are durable */
    u64 scanned;       /* events below were looked at for FLUSHes */
    u64 oldest;        /* no issue below is volatile */
    u64 kept, dropped; /* volatile writes of the last cut */
    struct faulty_disk to;
};

void faulty_image_init(struct faulty_image *im, const struct faulty_disk *from,
                       const struct executor *e);
void faulty_image_destroy(struct faulty_image *im);
/* im->to becomes what is found after a cut before event `position`, which is at least the one of
   the call before.  Which volatile writes are there follows from the seed; 0: none of them, 1: all.
 */
void faulty_image_cut(struct faulty_image *im, u64 position, u64 seed);
