/* Dirty data on its way to the disk: what the write path, truncation and commits share.

   A page is clean, dirty (PAGE_DIRTY: newer than the disk), being written (PAGE_WRITING), or has
   arrived at the device and waits for a FLUSH; until that FLUSH it is not evicted, so that a
   failure can make it dirty again.  A page may be dirty and in the two later states at once, when
   it was changed again.

   Where data goes.  A block that is mapped, written, has no checksum and is not shared is written
   in place.  Everything else (a hole, an unwritten extent, blocks with checksums) is written to
   blocks that the log does not name yet, and is mapped by the commit whose first FLUSH came after
   it arrived; an unwritten extent is written where it is and mapped anew without the flag.

   A struct data_write is one request of up to 64 pages, from issue until that FLUSH.  What is
   truncated or punched meanwhile is voided in it (data_void): it is not mapped, and its new
   blocks are free again when the request has ended.

   Lengths.  A file's length in the log (logged_bytes) never runs ahead of its data: a commit logs
   min(bytes, first page not yet durable at or behind logged_bytes).  Who makes a file longer from
   the middle of a block first dirties that block's page with its tail zeroed. */
#pragma once

#include "fs/internal.h"

/* --- for commits ------------------------------------------------------------------------------ */

/* True: data arrived that no FLUSH has covered.  Its set is now this commit's, and so are the frees
   made so far. */
bool data_commit_begin(struct filesystem *fs);
/* The FLUSH succeeded: extents are installed and logged (log_begin_commit), pages become clean. */
void data_commit_flushed(struct filesystem *fs);
/* It failed: the pages are dirty again. */
void data_commit_failed(struct filesystem *fs, status s);
/* INODE records of dirty inodes, with the lengths that may be logged. */
void inodes_commit(struct filesystem *fs);
/* The groups are durable: blocks freed before data_commit_begin are free (and trimmed). */
void space_commit_end(struct filesystem *fs);

/* --- for changes ------------------------------------------------------------------------------ */

/* The inode's attributes (or length) are newer than the log: the next commit writes them. Reserves
   for it once.  EAGAIN, ENOMEM; cannot fail when it is dirty already. */
status inode_dirty(struct inode *i);
/* Forgets that: the inode is gone. */
void inode_clean(struct inode *i);
/* Drops cached pages [first, end), dirty ones too, and voids what is being written of them. */
void data_void(struct inode *i, u64 first, u64 end);
/* Writes back all dirty pages of i; the next commit waits for them (rename over a file). */
void data_order(struct inode *i);
/* Everything of an inode that is going away: pages, writes, blocks (its FORGET is logged). */
void data_forget(struct inode *i);

/* --- blocks (allocate.c) ---------------------------------------------------------------------- */

/* Free blocks that nobody has set aside. */
u64 space_available(const struct filesystem *fs);
/* Sets `blocks` aside (delayed allocation).  EAGAIN when a commit will free enough, ENOSPC. */
status space_reserve(struct filesystem *fs, u64 blocks);
void space_unreserve(struct filesystem *fs, u64 blocks);
/* Takes up to `blocks` contiguous blocks out of what was set aside, near `goal` (0: anywhere);
 *block is the first; returns how many, at least 1; 0: no memory. */
u64 space_allocate(struct filesystem *fs, u64 goal, u64 blocks, u64 *block);
/* Blocks that the log, or the log's past, names: free after the commit that has not begun yet.
   Cannot fail: `space_spare` nodes were made before. */
void space_free_later(struct filesystem *fs, u64 block, u64 blocks);
/* Memory for n splits of the map of used blocks, so that what follows cannot fail.  ENOMEM. */
status space_spare(struct filesystem *fs, u32 n);
