/* What the two halves of a repair share: check_repair.c decides, check_rewrite.c writes. */
#pragma once

#include "fs/check_internal.h"

/* Of inode.said, which nobody else uses here. */
enum { INODE_WRITTEN = 1, INODE_MOVED = 2 };

struct repair {
    struct check_options options;
    struct repair_result *result;
    struct check_result checked;
    struct check check;        /* what is salvaged */
    struct check_ranges kept;  /* blocks that something speaks of */
    struct check_ranges bad;   /* data, by file */
    struct check_ranges moved; /* inodes that go to /lost+found */
    u64 sequence_most;         /* no group of any log has a later one */

    /* The checkpoint that is written. */
    u64 inodes, entries, extents, next_inode;
    u64 lost_found; /* the directory; 0: none is needed */
};

/* What is lost, one line. */
void repair_say(struct repair *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes what r->check.fs says as a new checkpoint, and then a superblock.  ENOSPC, EIO, ENOMEM. */
status repair_rewrite(struct repair *r);
/* Superblock A (0) or B (1), between FLUSHes; the checksum is made here. */
status repair_super_write(struct repair *r, struct superblock *super, u32 place);
