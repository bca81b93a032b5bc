/* What the files of fs/check*.c share: see check.h.

   check_scan.c reads superblocks and groups and says what is wrong with them; check_walk.c follows
   the log with it and applies each record to a filesystem in memory, by replay.c's rules, going on
   after what fails; check_state.c looks at the result; check_repair.c writes it down again. Hosted
   only, as the builder is, whose requests are used. */
#pragma once

#include "fs/builder_internal.h"
#include "fs/check.h"

/* --- check_scan.c: the parts of the disk ------------------------------------------------------ */

enum super_fault {
    SUPER_VALID,
    SUPER_UNREADABLE,
    SUPER_NONE, /* no magic */
    SUPER_CHECKSUM,
    SUPER_VERSION,
    SUPER_FIELDS, /* something in it is impossible */
    SUPER_FAULTS,
};

enum group_fault {
    GROUP_VALID,
    GROUP_UNREADABLE,
    GROUP_BEYOND, /* the segment or the device ends there */
    GROUP_NONE,   /* no magic */
    GROUP_VOLUME,
    GROUP_PLACE,
    GROUP_SEQUENCE,
    GROUP_LENGTH,
    GROUP_CHECKSUM,
    GROUP_FAULTS,
};

const char *super_fault_text(enum super_fault f);
const char *group_fault_text(enum group_fault f);

struct scan {
    struct block_device *device;
    thunk poll;
    heap heap;
    u8 *window; /* SCAN_WINDOW_BYTES; the device's bytes [window_start, + window_filled) */
    u64 window_start, window_filled;

    struct superblock supers[2]; /* A and B */
    enum super_fault faults[2];
    u32 super; /* which of the two counts */
    u64 volume;

    u64 block; /* the segment */
    u64 bytes; /* of the segment */
    u64 at;    /* in the segment: where the next group is expected */
    u64 sequence;
};

/* Reads both superblocks and points `scan` at the beginning of the log of the one that counts.
   EINVAL: neither is one of ours, or of a version that is known; EBADMSG: none is valid; ENOMEM.
   scan_close in any case. */
status scan_open(struct scan *s, struct block_device *device, thunk poll, heap h);
void scan_close(struct scan *s);
/* Which of the two counts: 0 or 1. */
void scan_choose(struct scan *s, u32 super);
void scan_segment(struct scan *s, u64 block, u32 blocks, u64 sequence);
/* What stands at `at`; the group lives until the next call.  GROUP_SEQUENCE: it is whole, and has
   another sequence than the expected one. */
enum group_fault scan_look(struct scan *s, const struct group **group);
u64 scan_step(const struct scan *s);
/* Behind a group. */
void scan_advance(struct scan *s, const struct group *g);
/* Reads whole blocks elsewhere: to the window, NULL when they cannot be read.  64 at most. */
const u8 *scan_blocks(struct scan *s, u64 block, u64 blocks);

/* Each record of a group in order, for whoever wants no rules; NULL past the last, or when what
   follows is no record. */
const struct record *group_record(const struct group *g, const struct record *after);

/* One line: type and fields.  For records that replay has refused too. */
void record_describe(const struct record *r, char *to, u64 size);
const char *record_name(u16 type);

/* --- check_walk.c: the log ---------------------------------------------------------------------
 */

struct check_range {
    u64 start, end;        /* blocks */
    const struct inode *i; /* whose they are; NULL: not a file's */
    const char *what;
    u64 file_block; /* then */
};

/* A list that grows. */
struct check_ranges {
    struct check_range *items;
    u64 count, room;
};

struct check {
    struct check_options options;
    struct check_result *result;
    struct scan scan;
    struct filesystem fs; /* what the log says, as far as it can be applied */
    struct replay replay;
    u8 *single;   /* a record as a group of its own */
    u64 group_at; /* the device's byte at which the group lies that is being applied */
    u64 inode_most;
    bool damaged;            /* of the log: something in it is missing or was refused */
    bool checkpoint_damaged; /* before the checkpoint's end */
    u64 first_damage;        /* the first group behind the checkpoint that is not right; 0: none */
    u64 stop;                /* the walk ends before that group; 0: at the end of the log */
    u64 sequence_most;       /* that was seen, or is named, in a valid group */
    bool gap;                /* a group is missing: what does not fit behind it is no wonder */
    u64 after_gap;           /* records behind a gap that do not apply */
    u64 lost_groups;         /* at least */
    struct check_ranges log; /* segments, in order; and what refused records name */
    struct check_ranges avoid;
    status failure; /* ENOMEM */
};

void check_problem(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_note(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_out_of_memory(struct check *c);
bool check_range_add(struct check *c, struct check_ranges *to, struct check_range r);
void check_ranges_sort(struct check_ranges *r);

/* Opens the scan, says what is wrong with the superblocks, and follows the log of the one that
   counts.  check_end in any case. */
status check_begin(struct check *c, const struct check_options *options, struct check_result *to);
#define SUPER_NEWEST 2u
/* The same with superblock A (0) or B (1), which is valid. */
status check_begin_with(struct check *c, const struct check_options *options,
                        struct check_result *to, u32 super);
void check_walk(struct check *c);
void check_end(struct check *c);

/* --- check_state.c -----------------------------------------------------------------------------
 */

/* Names, links, extents, free space, checksum blocks and, when asked, data. */
void check_state(struct check *c);

/* Of one file, one behind the other: data that does not match its checksums or cannot be read;
   `unknown`: it has checksums that cannot be read. */
closure_type(check_bad_data, void, struct inode *i, range file_blocks, bool unknown);
void check_data(struct check *c, check_bad_data bad);

closure_type(check_inode_visitor, void, struct inode *i);
/* All of them, with a name and without. */
void check_visit_inodes(struct check *c, check_inode_visitor visitor);

/* Applied to each inode that has a name, once for each name, and to the root. */
closure_type(check_visitor, void, struct inode *directory, const struct directory_entry *entry);
void check_visit_tree(struct check *c, check_visitor visitor);
