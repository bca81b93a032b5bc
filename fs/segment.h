/* Segments: where the log and checkpoints lie, and where they may go on.

   Blocks for them are kept apart from data before they are needed (standby), so that neither a full
   disk nor a fragmented one ever stops the log.  Standby lives in memory only: a crash leaves it
   free, and the next mount that writes takes it again before any data can.

   What standby has to hold at any time: a checkpoint of everything, and the segment T in which the
   log goes on while that is written.  What grows leaves one more, which a compaction that fails
   uses up.  What is beyond that is the log's.  So a compaction can always begin and end, and what
   it frees is standby again.  fs/log.h says what follows from it.

   log_begin's part:  a change that makes a checkpoint larger asks segment_standby_suffices.  Every
   change asks for room: what is buffered and the change fit into the segment that is being written,
   or segment_log_suffices.  Otherwise EAGAIN and a compaction, or ENOSPC when that does not help.
*/
#pragma once

#include "fs/internal.h"

#define SEGMENT_LEAST_BLOCKS 36u /* room for two groups of one large record each, and a NEXT */
#define SEGMENT_MOST_BLOCKS  1024u

struct segment {
    struct list link;
    u64 block;
    u32 blocks;
};

struct segments {
    struct list chain;      /* what mount would read, oldest first; the last one is being written */
    struct list old;        /* the part of it before the cut of the compaction under way */
    struct list checkpoint; /* that compaction's own */
    struct list standby;
    u64 chain_bytes, old_bytes, checkpoint_bytes, standby_bytes; /* see segment_bytes */
    u64 unusual_bytes;     /* of chain and old: segments that are free, not standby, afterwards */
    u64 needed;            /* by the compaction under way: what its checkpoint may still take */
    u64 counted;           /* checkpoint_bytes(fs) at its cut */
    u32 reserves;          /* ranges that are reserved: releasing (sums.c) changes how many */
    u64 setting_bytes;     /* SETTING records of a checkpoint */
    u64 taken;             /* [statistics] blocks of standby that logs and checkpoints have taken */
    u64 gap_from;          /* where free blocks are looked for next */
    u64 gap_none_used;     /* none was found when that many blocks were in use; ~0: not known */
    u32 usual;             /* blocks of a new segment */
    u64 retry_position;    /* of the log: no compaction is begun before, unless it has to be */
    u8 epoch, epoch_whole; /* checkpoint.h: the last one, and the last that everything has */
    bool cutting;          /* a compaction is under way, from its cut on */
};

/* What a segment holds for sure, its NEXT and what does not fit at its end left out. */
static inline u64 segment_bytes(u32 blocks)
{
    return blocks > 2 ? (u64)(blocks - 2) << BLOCK_ORDER : 0;
}

/* Mount and replay: a segment of the log, in their order; its blocks are taken.  ENOMEM. */
status segment_chain_add(struct filesystem *fs, u64 block, u32 blocks);
/* Mount, when changes will be possible, before the first of them: grows onto a larger device and
   takes the standby.  ENOMEM; too little standby is no failure, but ENOSPC for changes later. */
status segments_prepare(struct filesystem *fs);
void segments_release(struct filesystem *fs);

/* Where the log goes on.  False: there is none, which log_begin prevents. */
bool segment_take(struct filesystem *fs, u64 *block, u32 *blocks);
/* The same at a compaction's cut: all segments before are `old` from now on. */
bool segment_cut(struct filesystem *fs, u64 *block, u32 *blocks);
/* For the checkpoint.  False: it does not fit. */
bool segment_take_checkpoint(struct filesystem *fs, u64 *block, u32 *blocks);
/* The superblock that names the checkpoint is durable: the old segments are standby or free. */
void segments_switched(struct filesystem *fs);
/* The checkpoint is given up, and nothing is on its way to it any more. */
void segments_abandoned(struct filesystem *fs);

/* Standby for that many bytes of log, if the segment that is being written holds no more: takes
   further blocks when it can and the log is short. */
bool segment_log_suffices(struct filesystem *fs, u64 bytes);
/* Standby for a checkpoint of everything and that many bytes of records, with what waits for
   commits, and for the one after it: takes further blocks when it can. */
bool segment_standby_suffices(struct filesystem *fs, u64 bytes);
/* The same, and takes none. */
bool segment_standby_plenty(const struct filesystem *fs, u64 bytes);
/* The same for blocks of data that are to be mapped. */
bool segment_data_suffices(struct filesystem *fs, u64 blocks);
/* A compaction can begin now, and end; takes further blocks when it can. */
bool segment_compaction_fits(struct filesystem *fs);
/* A compaction is due: the log has grown long, or standby is low. */
bool segment_compaction_due(const struct filesystem *fs);
/* What a checkpoint of everything takes; at least what it will be. */
u64 checkpoint_bytes(const struct filesystem *fs);
/* Its groups are closed when they are that long, unless one record is longer. */
u32 checkpoint_group_bytes(const struct filesystem *fs);
