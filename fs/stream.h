/* A stream of groups: records gather in memory, and the groups of them are placed in segments and
   written, each to one place only.  The log is one; a checkpoint that is being written is another.

   A group is open (records are added), closed, sealed (its place, sequence and CRC are given),
   being written, and durable; only then its memory goes.  So whoever fails to write it, or to
   flush, writes the same bytes to the same place again.

   Memory: one heap allocation of GROUP_BYTES_MOST for each group; the user bounds their number
   (log.c: LOG_GROUPS_MOST and what dirty data needs; a checkpoint: its own). */
#pragma once

#include "fs/internal.h"

#include "runtime/merge.h"

/* Room for records in one group; a SEGMENT record is added when the group is a segment's first. */
#define STREAM_RECORDS_MOST                                                                        \
    (GROUP_BYTES_MOST - sizeof(struct group) - sizeof(struct record_segment))

/* Segments that are tried before one has room for a group; each is large enough by itself. */
#define STREAM_TURNS_OF_A_GROUP 2u

struct log_group {
    struct list link; /* stream.groups */
    struct log_stream *stream;
    u8 *memory; /* of capacity bytes; the header's struct group first */
    u32 capacity;
    u32 bytes, records; /* header included */
    u64 position;       /* log_position behind it; only in the log */
    bool sealed;
    bool turns; /* its only record is NEXT */
    u64 sequence, sector;
    struct device_read device;
    struct sg_list sg;
    struct status_handler landed; /* a device may queue it, which a merge's branch may not be */
    status_handler branch;
};

/* Where the next segment comes from: segment_take, or segment_take_checkpoint. */
typedef bool segment_source(struct filesystem *fs, u64 *block, u32 *blocks);

struct log_stream {
    struct filesystem *fs;
    segment_source *take;
    struct list groups;     /* all that are not durable, in order; the open one is the last */
    struct list turns;      /* groups in stock for a NEXT, so that sealing needs no memory */
    struct log_group *open; /* NULL: none */
    u32 count;              /* of `groups`, without those that only have NEXT */
    u32 turns_count;
    bool barriers; /* a group with NEXT is durable before what follows it is written */
    bool fresh;    /* the next group is its segment's first */
    u64 sequence;  /* of the next group that is sealed */
    u64 durable;   /* the last group's that is */
    u64 block;     /* the segment that is being written */
    u32 blocks;
    u64 at; /* in it: where the next group goes */
};

/* The next group goes to byte `at` of that segment, with `sequence`. */
void stream_init(struct log_stream *s, struct filesystem *fs, segment_source *take);
void stream_place(struct log_stream *s, u64 block, u32 blocks, u64 at, u64 sequence);
/* Forgets what was not written.  Nothing may be on its way to the device. */
void stream_release(struct log_stream *s);

/* Whether the open group has room for that many bytes of records. */
bool stream_has_room(const struct log_stream *s, u64 bytes);
/* Closes the open group and opens one.  ENOMEM. */
status stream_open(struct log_stream *s);
/* The same with a group that was made before, and the stock for it. */
struct log_group *group_make(struct filesystem *fs, u32 capacity);
void group_free(struct filesystem *fs, struct log_group *g);
void stream_open_with(struct log_stream *s, struct log_group *g);
status stream_stock(struct log_stream *s, u32 turns);
/* A record: its fixed part, whose header is filled in here, and two texts (NULL, 0: none), padded
   with zeros.  There is room.  Returns its length. */
struct record_parts {
    struct record *fixed;
    u64 fixed_bytes;
    const void *text;
    u64 text_bytes;
    const void *more;
    u64 more_bytes;
};
u64 stream_record(struct log_stream *s, u16 type, const struct record_parts *parts);
static inline u64 record_length(u64 bytes)
{
    return align_up(bytes, 8);
}

/* Closes the open group, and gives all groups their places; false: no segment was left, and what
   was not sealed stays. */
bool stream_seal(struct log_stream *s);
/* Everything is sealed: NEXT, and the stream goes on in that segment with `sequence`.  A NEXT must
   be in stock. */
void stream_turn(struct log_stream *s, u64 block, u32 blocks, u64 sequence);

/* Writes the sealed groups, with barriers as far as the first NEXT. */
struct stream_write {
    struct log_stream *stream;
    struct log_group *last; /* that was written */
    struct merge merge;
};
/* False: there is no sealed group.  done: taken over unless the result is false; applied once, with
   the first failure, from the run loop, or before returning when the filesystem is unmounted. */
bool stream_write_start(struct stream_write *w, struct log_stream *s, status_handler done);
/* A FLUSH after that has succeeded: the groups up to w->last are durable and go.  Returns the
   position behind them. */
u64 stream_write_durable(struct stream_write *w);
/* Bytes that all groups will take in segments, at most. */
u64 stream_bytes(const struct log_stream *s);
