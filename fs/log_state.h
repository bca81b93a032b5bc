/* The log in memory: what log.c, commit.c, super.c and end.c share.  Others see fs/log.h. */
#pragma once

#include "fs/log.h"
#include "fs/stream.h"

/* Groups that changes fill; what a commit itself writes has room besides (log_dirty_reserve). */
#define LOG_GROUPS_MOST 16u
/* A commit comes by itself when that many are full. */
#define LOG_GROUPS_MANY 4u
/* Groups that are kept when they are not needed. */
#define GROUPS_SPARE_MOST 4u
/* The longest record of a commit's own, and the longest run of them in one begin and end. */
#define COMMIT_RECORD_BYTES 80u
#define COMMIT_BEGIN_MOST   4096u
#define DIRTY_RECORDS_MOST  (1u << 17)
/* Records of commits that fit into a group, wherever they are split. */
#define COMMIT_GROUP_BYTES (STREAM_RECORDS_MOST - COMMIT_BEGIN_MOST)
/* Failed commits in a row after which the log is given up. */
#define COMMIT_FAILURES_MOST 8u

/* A wait for a time, as an operation of the filesystem's scope. */
struct log_tick {
    struct filesystem *fs;
    struct operation operation;
    struct cancel_handler cancel;
    struct timer timer;
    struct thunk passed;
    status_handler landed;
    bool runs;
};

/* A new superblock; see super.c.  `done`: once, from the run loop. */
enum super_what {
    SUPER_CLEAN = 1,      /* the end; without it CLEAN is cleared */
    SUPER_CHECKPOINT = 2, /* another checkpoint, which is durable */
};
struct super_update {
    struct list link;
    u32 what;
    u64 checkpoint_block, checkpoint_sequence; /* of the first group */
    u64 reach_sequence, reach_bytes;           /* of its last group; 0: not known */
    u32 checkpoint_blocks;
    status_handler done;
};

struct commit {
    struct operation operation; /* from the first request to the answers */
    struct status_handler over; /* its end */
    status_handler landed;      /* NULL: no commit is asked for */
    struct thunk begin;
    struct status_handler ordered, super_written, data_flushed, groups_written, groups_flushed;
    struct log_flush flush;
    u64 since; /* log_flush_failures when it began to write */
    struct stream_write write;
    struct super_update super;
    struct list waiting, answering; /* struct commit_wait: for the next one, for this one */
    struct list rooms;              /* struct room_wait */
    bool has_data;                  /* data arrived, which is this commit's */
    bool did;                       /* it wrote or flushed something */
    u32 failures;                   /* in a row */
    status outcome;
};

/* Overwrites the lost tail; see tail.c. */
struct log_tail {
    u64 at, end; /* bytes of the device; equal: nothing is to be overwritten */
    u64 written;
    u8 *zeros;
    struct device_read device;
    struct log_flush flush;
    u64 since;
    struct sg_list sg;
    struct status_handler landed;
    status_handler done;
};

struct filesystem_ending {
    struct operation operation;
    status_handler landed;
    struct sync_wait sync;
    struct status_handler synced, marked;
    struct super_update super;
};

struct log {
    struct filesystem *fs;
    struct log_stream stream;
    u64 position, durable;
    bool begun;        /* between begin and end */
    bool ending;       /* filesystem_end: nothing that grows */
    struct list ready; /* groups for what commits write */
    u32 ready_count;
    struct list spares; /* and some that nobody needs now: stream.c */
    u32 spares_count;
    u32 dirty_records;   /* reserved for commits */
    u64 changes;         /* that were logged */
    u64 granted;         /* room on the disk was had for so much of the open group */
    u64 granted_growing; /* the same for what grows, which asks for more */
    u64 forced_changes;  /* with which a compaction was forced for what grows, and one more */
    u64 forced_position; /* where one was forced for what shrinks, and one more; 0: it has ended */
    bool super_due;      /* the superblock on the disk says CLEAN, or another size */
    struct commit commit;
    struct log_tail tail;
    struct log_tick interval;
    struct status_handler interval_over;
    struct list supers; /* struct super_update, the first is being written */
    struct superblock super_next;
    u8 *super_sector; /* SUPERBLOCK_BYTES */
    struct device_read super_device;
    struct log_flush super_flush;
    u64 super_since;
    u64 flush_failures;
    struct sg_list super_sg;
    struct status_handler super_step;
    struct filesystem_ending ending_state;
};

/* stream.c */
void groups_spare_release(struct log *log);

/* log.c */
/* Memory for what the commit that begins may write.  ENOMEM. */
status log_commit_secure(struct log *log);
/* Groups that are durable may be needed again. */
void log_groups_return(struct log *log);

/* commit.c */
void commit_init(struct log *log);
/* The log can no longer be written. */
void log_break(struct filesystem *fs, status s);

/* super.c */
void super_update(struct filesystem *fs, struct super_update *u, status_handler done);

/* tail.c */
static inline bool log_tail_due(const struct log *log)
{
    return log->tail.at < log->tail.end;
}
void log_tail_start(struct log *log, status_handler done);
