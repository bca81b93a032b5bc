/* The log as its writers see it: changes become records, records gather in groups in memory, and a
   commit makes them durable.  FORMAT.md, sections 4, 5 and 8.

   A change, in any file of fs/:

       status s = log_begin(fs, bytes, LOG_GROWS);     everything that can fail comes before or here
       if (!is_ok(s))
           return s;
       log_record(fs, &record.r, sizeof(record), RECORD_X, text, text_bytes, NULL, 0);
       log_end(fs);
       ... change the memory ...                        cannot fail any more

   Between begin and end nothing waits and nothing else is logged; all its records lie in one group.

   The log is always what memory says, short of three things, which a commit writes at its end:
   attributes of inodes (inode_dirty), lengths of files (their data first), and extents (their data
   durable first).

   A commit, one at a time (commit.c); requests that come while one runs are the next one's:

       data_ordered, tail    data that a rename needs arrives; a lost tail is overwritten
       data_commit_begin     which data has arrived at the device; the frees made so far are this
                             commit's
       superblock            the first time: FLUSH, superblock without CLEAN, FLUSH; or
       FLUSH                 when data has arrived since the last one
       data_commit_flushed   its extents: into the maps, as MAP records; pages clean
       inodes_commit         INODE records of dirty inodes
       groups, FLUSH         when there are any; once more behind each NEXT
       space_commit_end      what this commit freed can be used again; waiters are answered

   Room.  What shrinks never gets ENOSPC, however full the disk, because at any time:

       standby >= a checkpoint of everything + one segment (T), so a compaction can begin and end;
       after it the log goes on in T, which is empty and longer than the largest change and what
       commits then write: so EAGAIN, a commit and a compaction are the worst that it meets;
       what comes back from a compaction makes this true for the next one.

   What grows (and data, when its blocks are set aside) keeps it so: it is refused when the
   checkpoint that it leads to, with what waits for commits, would break it, one segment more
   included, for a compaction that fails or that a power cut ends leaves its T in the log
   (segment_standby_suffices, segment_data_suffices).  The limits of that: several compactions in a
   row that fail; a disk that has never had so many free blocks.  What shrinks asks for a whole
   group's room, but makes do with its own.

   A failure leaves records and groups where they are for the next commit, which writes the same
   bytes to the same place; frees stay pending; data_commit_failed makes the pages dirty again.
   Everything runs in the run loop, serialised as all of fs/ is. */
#pragma once

#include "fs/internal.h"
#include "fs/segment.h"

/* What a change does to the space that a checkpoint of everything takes. */
enum log_growth {
    LOG_GROWS,   /* ENOSPC when a checkpoint would no longer fit into what is kept for the log */
    LOG_SHRINKS, /* removing: never ENOSPC, within the limits above */
};

/* Bytes of all records of the change, headers and padding included, at most LOG_CHANGE_MOST.
   EAGAIN: the buffer is full until the next commit.  EROFS, ENOSPC, ENOMEM. */
#define LOG_CHANGE_MOST (GROUP_BYTES_MOST - 4096u)
status log_begin(struct filesystem *fs, u64 bytes, enum log_growth growth);
void log_record(struct filesystem *fs, struct record *fixed, u64 fixed_bytes, u16 type,
                const void *text, u64 text_bytes, const void *more, u64 more_bytes);
void log_end(struct filesystem *fs);
/* Inside a commit's own steps: as log_begin, but cannot fail (room is kept for what is dirty:
   log_dirty_reserve has counted it). */
void log_begin_commit(struct filesystem *fs, u64 bytes);

/* The place in the stream of records behind the last one; what is below log_durable is on the disk.
 */
u64 log_position(const struct filesystem *fs);
u64 log_durable(const struct filesystem *fs);

/* What is set aside below. */
u32 log_dirty_records(const struct filesystem *fs);
/* Sets memory aside for `records` that a later commit will write (attributes of a dirty inode, the
   extents of data being written).  EAGAIN when the bound is reached, ENOMEM. */
status log_dirty_reserve(struct filesystem *fs, u32 records);
void log_dirty_unreserve(struct filesystem *fs, u32 records);

/* --- FLUSH (flush.c) ---------------------------------------------------------------------------
 */

struct log_flush {
    struct filesystem *fs;
    struct device_read device;
    struct status_handler landed;
    status_handler done;
    u64 since;
};
u64 log_flush_failures(const struct filesystem *fs);
/* done: taken over, once, from the run loop, or before returning when the filesystem is unmounted.
   `since`: log_flush_failures when the writes began that this is to make durable; another failure
   since then is a failure of this one. */
void log_flush_start(struct filesystem *fs, struct log_flush *f, u64 since, status_handler done);

/* --- mount and unmount ------------------------------------------------------------------------ */

/* Where replay found the end of the log. */
struct log_end {
    u64 block; /* the segment */
    u32 blocks;
    u64 at;         /* in it: where the next group goes */
    u64 sequence;   /* which that will have */
    bool torn;      /* what lies behind may be a lost tail */
    bool super_due; /* the superblock says CLEAN, or another size */
};
/* ENOMEM.  Nothing is written before something changes. */
status log_make(struct filesystem *fs, const struct log_end *end);
/* Nothing is in flight any more. */
void log_release(struct filesystem *fs);

/* --- compaction (checkpoint.c) -----------------------------------------------------------------
 */

#define CUT_SEQUENCES (1ull << 32)

/* The log goes on in a fresh segment, from segment_cut: everything before is sealed with NEXT. */
struct log_cut {
    u64 block;
    u32 blocks;
    u64 from_sequence; /* of the first group of the checkpoint, which lies in a segment of its own
                        */
    u64 to_sequence;   /* of the first group behind the cut: what the checkpoint's NEXT says */
};
/* Not between log_begin and log_end.  ENOMEM; ENOSPC: no segment could be had.  Nothing has changed
   then. */
status log_cut(struct filesystem *fs, struct log_cut *cut);
/* Only then may the superblock name the checkpoint (its segments before are written no more).  A
   commit_request after the cut sees to it. */
bool log_cut_durable(const struct filesystem *fs, const struct log_cut *cut);

/* A compaction has ended, with success or not: who waits for room looks again. */
void log_room_changed(struct filesystem *fs, status s);

/* --- commits ---------------------------------------------------------------------------------- */

struct commit_wait {
    struct list link; /* all zero before it is first used */
    status_handler done;
};
/* Asks for the commit after this moment: data that has arrived at the device by now is flushed, and
   what was logged by now is durable.  `done`: once, from the run loop; w and done NULL: nobody
   waits.  EIO, ENOMEM: nothing is lost, and the next request tries again. */
void commit_request(struct filesystem *fs, struct commit_wait *w, status_handler done);
/* True: `done` will not be applied, and is the caller's again. */
bool commit_wait_cancel(struct commit_wait *w);
/* Something changed: a commit comes by itself after the interval. */
void commit_soon(struct filesystem *fs);
