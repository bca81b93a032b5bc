/* Compaction: a checkpoint of everything is written into fresh segments, in the background, and
   then the superblock names it and the old segments are free.  FORMAT.md, section 9.

   The cut: at one moment all pending records are closed with a NEXT to a fresh segment T, in which
   the log goes on, its sequence numbers 2^32 further.  The state of memory at that moment is what
   the checkpoint holds; it is written to segments of its own, numbered from behind the cut, and its
   last group has a NEXT to T.  So the log goes on undisturbed meanwhile, and once the superblock
   names the checkpoint, mount reads checkpoint, T, and on.

   The state is written bit by bit while it changes.  Who changes what the checkpoint still has to
   say calls one of the two below first, and the old state goes into the checkpoint's buffer then.
   What is made after the cut is marked as said. `said` of inodes, names and extents is the epoch of
   the checkpoint that has them; a number of 8 bits comes again, so all of them are cleared before
   one does that something may still have.

   Bounds: a step puts STEP_BYTES of records into groups, or looks at STEP_LOOKS things; then others
   have their turn.  BATCH_GROUPS groups, written and flushed together, are in memory, and what
   changes meanwhile.  A failure before the superblock is written (of memory, of the device, no
   segment) ends the compaction, and the log goes on as it was; the next one is begun when the log
   has grown by RETRY_BYTES, or when there is no other room.  After a failure to write the
   superblock nobody knows which one is on the disk; so both ways are kept while it is written
   again, SWITCH_FAILURES_MOST times, and then nothing is written any more. */
#pragma once

#include "fs/internal.h"

/* Before a change of i's attributes, extended attributes or logged length. */
static inline void checkpoint_before_inode(struct inode *i);
/* Before a name goes away or moves. */
static inline void checkpoint_before_entry(struct entry *e);
/* Before an extent of i changes or goes (extent.c). */
static inline void checkpoint_before_extent(struct inode *i, struct extent *e);

/* Starts one when the log has grown enough or `force`; one at a time. */
void checkpoint_consider(struct filesystem *fs, bool force);
/* Ends one that is under way without a result. */
void checkpoint_abandon(struct filesystem *fs);

/* The slow halves: a checkpoint is under way and this was not said yet. */
void checkpoint_say_inode(struct inode *i);
void checkpoint_say_entry(struct entry *e);
void checkpoint_say_extent(struct inode *i, struct extent *e);

static inline void checkpoint_before_inode(struct inode *i)
{
    if (unlikely(i->fs->checkpoint_epoch && i->said != i->fs->checkpoint_epoch))
        checkpoint_say_inode(i);
}

static inline void checkpoint_before_extent(struct inode *i, struct extent *e)
{
    if (unlikely(i->fs->checkpoint_epoch && e->said != i->fs->checkpoint_epoch))
        checkpoint_say_extent(i, e);
}

static inline void checkpoint_before_entry(struct entry *e)
{
    struct filesystem *fs = e->directory->fs;
    if (unlikely(fs->checkpoint_epoch && e->said != fs->checkpoint_epoch))
        checkpoint_say_entry(e);
}
