/* Random work on a mounted filesystem, told to the model: every call of fs.h that changes
   something, with syncs in flight meanwhile. */
#pragma once

#include "test/host/crash_machine.h"

#define WORK_SYNCS 6u
#define WORK_HOLDS 4u

struct work_sync {
    struct sync_wait wait;
    struct host_result result;
    u32 promise;
    bool running;
};

struct crash_worker {
    struct crash_machine *machine;
    struct crash_model *model;
    struct random random;
    u32 names_made;
    u64 file_bytes_most;
    u32 names_most;
    bool faults; /* EIO, EROFS and the like may come, and promise nothing */
    bool hangs;  /* the disk may say nothing: waits are given up */
    struct work_sync syncs[WORK_SYNCS];
    struct inode *held[WORK_HOLDS]; /* as an open file holds it; some have no name any more */
    u64 changes, refused, synced, sync_failures;
    char failure[300]; /* what must not happen and did; empty: nothing */
};

void crash_worker_init(struct crash_worker *w, struct crash_machine *c, struct crash_model *m,
                       u64 seed);
/* One random thing; the executor runs a little or a lot. */
void crash_work_step(struct crash_worker *w);
/* Waits for all syncs in flight and lets go of what is held. */
void crash_work_drain(struct crash_worker *w);
/* Syncs everything and waits; false when that failed. */
bool crash_work_sync_all(struct crash_worker *w);
/* The inode behind a model's; it is there. */
struct inode *crash_work_inode(struct crash_worker *w, const struct model_inode *i);
