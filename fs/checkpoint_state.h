/* What checkpoint.c (the steps of a compaction) and checkpoint_records.c (what it says) share. */
#pragma once

#include "fs/checkpoint.h"
#include "fs/log_state.h"

#define STEP_BYTES           (64 * KiB)
#define STEP_LOOKS           2048u
#define BATCH_GROUPS         8u
#define RETRY_BYTES          (1 * MiB)
#define SWITCH_FAILURES_MOST 8u

/* What there is to say, in this order. */
enum checkpoint_part {
    PART_NAMES,   /* directories' entries with their inodes, and inodes without a name */
    PART_EXTENTS, /* those that did not come with their inode */
    PART_END,
};

/* Where the walk through the inodes is. */
struct checkpoint_walk {
    enum checkpoint_part part;
    u64 number; /* the first inode that was not done */
    u64 at;     /* in that: the next place, or block of the file */
};

struct checkpoint {
    struct filesystem *fs;
    struct operation operation;
    struct cancel_handler cancelled;
    struct status_handler over;
    status_handler landed;

    u8 epoch;
    u32 group_bytes; /* see checkpoint_group_bytes */
    struct log_cut cut;
    struct log_stream stream;
    u64 first_block;
    u32 first_blocks;
    struct record_checkpoint_end counts; /* at the cut */
    u64 inodes;                          /* at the cut, without a name too */
    u64 said_inodes, said_entries, said_extents;
    struct checkpoint_walk walk;
    u64 said_bytes; /* in this step */
    u32 looks;
    bool ended;     /* everything was said */
    bool switching; /* the superblock is being written, or was once: there is no way back */
    u32 switch_failures;
    status failure; /* it ends without a result */

    struct thunk step;
    struct commit_wait commit;
    struct status_handler cut_durable, written, flushed, caught_up, switched;
    struct stream_write write;
    struct log_flush flush;
    u64 since; /* log_flush_failures when the groups were written */
    struct super_update super;
};

/* The records that say how it begins: at the cut. */
void checkpoint_say_begin(struct checkpoint *c);
/* Goes on until the step is over; true: everything was said. */
bool checkpoint_say_more(struct checkpoint *c);
/* A number that nothing's `said` has. */
u8 checkpoint_epoch_next(struct filesystem *fs);
/* Ends it without a result, soon. */
void checkpoint_fail(struct checkpoint *c, status s);
