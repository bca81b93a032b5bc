/* What the two halves of the builder share: builder.c describes the tree, builder_log.c and
   builder_write.c put it on the disk.  Tests use it too, to write logs that no builder writes.

   The tree is kept in the same structs that a mounted filesystem has, so names, look-up and counts
   are the code that mount uses. */
#pragma once

#include "fs/builder.h"
#include "fs/internal.h"

/* A run of blocks of a file that holds data. */
struct build_run {
    struct build_run *next;
    u64 file_block, blocks, disk_block;
    u64 sums_index; /* in the shared checksum run, when it is too long for its record */
    u32 *sums;      /* from writing the data until writing the log; NULL: none */
};

struct build_file {
    struct build_file *next;
    struct inode *inode;
    builder_source source;
    struct build_run *runs, *runs_last;
};

struct log_writer;
/* Appends records behind the checkpoint: for tests. */
closure_type(builder_tail, void, struct log_writer *w);

struct builder {
    heap heap;
    struct filesystem fs; /* names and attributes only */
    u64 next_inode;
    bool root_given; /* the root has attributes of its own */
    u8 said;         /* what inode.said is in those that the log has; another one each time */
    struct build_file *files, *files_last;
    builder_tail tail; /* NULL: none */

    bool planned; /* the runs are known */
    u64 runs, data_blocks, run_sums;
};

/* Where the parts of the image lie. */
struct layout {
    u64 data_block;
    u64 sums_block, sums_blocks;
    u64 log_block, log_blocks;
    u32 segment_blocks; /* of all segments but the last */
    u64 end;
};

struct log_writer {
    struct builder *builder;
    const struct builder_options *options;
    const struct layout *layout;
    struct block_device *device; /* NULL: only counts */
    thunk poll;
    u8 *group; /* GROUP_BYTES_MOST and a block for padding; NULL when counting */
    u32 bytes; /* in the group that is being made, header included */
    u32 records;
    u64 sequence;                              /* of that group */
    u64 segment, segment_block, segment_start; /* from 1, block, offset in the log */
    u64 at;                                    /* in the log area, bytes */
    u64 reach_bytes;
    status failure;
};

/* builder_log.c */
/* The first segment; w->sequence is its first group's. */
void log_start(struct log_writer *w);
void log_put(struct log_writer *w, struct record *fixed, u64 fixed_bytes, u16 type,
             const char *text, u64 text_bytes, const char *more, u64 more_bytes);
/* Ends the group that is being made, when there is one. */
void log_group_end(struct log_writer *w);
/* The whole checkpoint; then w->at is the log's length and w->sequence the next sequence. */
void log_write(struct log_writer *w);

/* One request, waited for. */
status builder_io(struct block_device *device, thunk poll, enum block_operation operation,
                  u64 sector, void *memory, u64 bytes);
