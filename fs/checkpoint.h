/* Compaction: a checkpoint of everything is written into fresh segments, in the background, and
   then the superblock names it and the old segments are free.  FORMAT.md, section 9.

   The cut: at one moment all pending records are closed with a NEXT to a fresh segment T, in which
   the log goes on, its sequence numbers 2^32 further.  The state of memory at that moment is what
   the checkpoint holds; it is written to segments of its own, numbered from behind the cut, and its
   last group has a NEXT to T.  So the log goes on undisturbed meanwhile, and once the superblock
   names the checkpoint, mount reads checkpoint, T, and on.

   The state is written bit by bit while it changes.  Who changes what the checkpoint still has to
   say calls one of the two below first, and the old state goes into the checkpoint's buffer then.
   What is made after the cut is marked as said. */
#pragma once

#include "fs/internal.h"

/* Before a change of i's attributes, extents, extended attributes or target that will be logged. */
static inline void checkpoint_before_inode(struct inode *i);
/* Before a name goes away or moves. */
static inline void checkpoint_before_entry(struct entry *e);

/* Starts one when the log has grown enough or `force`; one at a time. */
void checkpoint_consider(struct filesystem *fs, bool force);
/* Ends one that is under way without a result. */
void checkpoint_abandon(struct filesystem *fs);

/* The slow halves: a checkpoint is under way and this was not said yet. */
void checkpoint_say_inode(struct inode *i);
void checkpoint_say_entry(struct entry *e);

static inline void checkpoint_before_inode(struct inode *i)
{
    if (unlikely(i->fs->checkpoint_epoch && i->said != i->fs->checkpoint_epoch))
        checkpoint_say_inode(i);
}

static inline void checkpoint_before_entry(struct entry *e)
{
    struct filesystem *fs = e->directory->fs;
    if (unlikely(fs->checkpoint_epoch && e->said != fs->checkpoint_epoch))
        checkpoint_say_entry(e);
}
