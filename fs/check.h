/* Checking a filesystem on its device, whole: used by `thunk check` and by tests, hosted.

   Mount stops at the first thing that is wrong, and looks only at what it needs.  A check goes on,
   and looks at everything that fs/FORMAT.md promises: both superblocks; every group's checksum,
   sequence and place; every record's rules and padding; the checkpoint's counts; that no block has
   two uses and none lies beyond the device; names, links and attributes; the map of used blocks,
   counted a second time; checksum blocks; and, when asked, every block of data that has a checksum.

   The device is only read.  Synchronous and single-threaded: `device` completes its requests while
   `poll` is applied.  Memory is bounded by what the disk really holds, as in mount. */
#pragma once

#include "runtime/block.h"

/* One line of what was found, without a newline; lives until it returns. */
closure_type(check_line, void, const char *line);

struct check_options {
    struct block_device *device;
    thunk poll; /* NULL: the device answers at once */
    heap heap;
    bool data;       /* every block of data that has a checksum is read and held against it */
    u32 lines_most;  /* of findings, applied to `line`; 0: 100.  The others are counted */
    check_line line; /* what is wrong, one line each; NULL: it is only counted */
};

struct check_result {
    u64 problems; /* what breaks the format; 0: a mount succeeds, and finds what was promised */
    u64 notes;    /* what is no problem, but worth a line (a torn tail, blocks nobody uses) */
    bool torn;    /* the log ends in a torn tail: what was not synced before a power cut is lost */
    bool clean;   /* unmounted or built, and nothing was written since */
    u64 generation;
    u64 groups, records, segments;
    u64 inodes, entries, extents;
    u64 orphans; /* unlinked while they were open; a writable mount forgets them */
    u64 blocks, blocks_free;
    u64 blocks_verified; /* of data, with `data` */
    u64 last_sequence;   /* of the last group that counts */
};

/* OK: it went through, and *to says what it found; problems are no failure of this call.  EINVAL:
   no filesystem of ours, or of a version (or with a feature) that is not known here; one problem is
   counted then too.  ENOMEM.  A device that fails is a problem that is found. */
status filesystem_check(const struct check_options *options, struct check_result *to);

/* The log, readable, through options->line (not NULL): a line for each superblock and group, and
   one for each record.  Goes on behind what is damaged.  Uses device, poll, heap and line.  EINVAL,
   EBADMSG (no superblock is valid), EIO, ENOMEM: as far as it went. */
status filesystem_dump(const struct check_options *options);

struct repair_result {
    bool changed;      /* something was written; false: nothing had to be, or could be */
    u64 inodes, moved; /* in the repaired tree; in its /lost+found */
    u64 lost;          /* lines that say what was lost */
};
/* Makes what is damaged consistent again, as far as it can be salvaged, and says through `line`
   what is lost.  A superblock is written anew from the other one.  Of a damaged log: what a
   checkpoint still says, and the groups up to the first one that is not right; files that may miss
   parts, and data that does not match its checksums, are moved to /lost+found, with holes where
   they were. The result is written as a new checkpoint into blocks that nothing damaged or whole
   speaks of; FLUSH; then a superblock; FLUSH.  Until that last write the disk is what it was.

   OK: the filesystem is consistent now, or was.  EINVAL, EBADMSG: nothing can be salvaged; ENOSPC:
   no room for a checkpoint; EROFS; EIO, ENOMEM.  Except for EIO nothing was changed then. */
status filesystem_repair(const struct check_options *options, struct repair_result *to);
