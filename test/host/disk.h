/* A disk in memory, as a block_device: for hosted tests.  Completes from the harness's run queue,
   in order or shuffled by a seed, and fails when told to. */
#pragma once

#include "runtime/block.h"
#include "runtime/random.h"

struct host_disk {
    struct block_device device; /* pass &d->device on */
    struct block_io io;
    struct block_cancel cancel;
    u8 *bytes;
    u64 length;  /* of the memory: what lies beyond it reads as an error */
    u64 calls;   /* requests taken so far */
    u64 fail_at; /* the request that fails with EIO, counted from 1; 0: none */
    u64 failed;
    u64 short_at;  /* the request of which only the first half arrives, with EIO; 0: none */
    u64 flip_at;   /* the read of which one bit arrives wrong, silently; 0: none */
    u64 in_flight; /* taken and not completed */
    u64 in_flight_most;
    bool silent;   /* answers nothing; host_disk_answer does, one request at a time */
    u64 cancelled; /* requests that it was asked to give up, which it then fails */
    u64 bytes_read, bytes_written, flushes, bytes_discarded; /* a discard leaves noise */
    u64 largest;                                             /* bytes of the largest request */
    bool reorder; /* complete in an order and after delays that the seed gives */
    struct random random;
    struct list waiting; /* requests taken and not answered */
    struct thunk serve;  /* queued while `waiting` is not empty */
    bool serving;
};

/* A disk of that many bytes, all zero, a multiple of the sector. */
void host_disk_init(struct host_disk *d, u64 bytes);
/* Of a silent disk: answers the request that it has had longest, or any when it reorders; false
 * when there is none. */
bool host_disk_answer(struct host_disk *d);
/* No request may be in flight. */
void host_disk_destroy(struct host_disk *d);
/* Completes in an order that the seed gives from now on. */
void host_disk_reorder(struct host_disk *d, u64 seed);
