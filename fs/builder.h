/* Making an image: used by `thunk build` and by tests, hosted; writes through a block_device.

   The tree is described first (calls below, any order but parents before children), then written
   in one go by builder_write.  Strings are copied.  All errors are statuses; ENOMEM, ENOSPC,
   EEXIST, ENOTDIR, ENAMETOOLONG, EINVAL.  Single-threaded. */
#pragma once

#include "fs/fs.h"

struct builder;

/* Gives the bytes of a file: fills [offset, offset + bytes) of `to`; false on a read error.  May
   say that a range is a hole: *hole = true means all of it is zero. */
closure_type(builder_source, bool, u64 offset, void *to, u64 bytes, bool *hole);

struct builder_node {
    const char *path; /* absolute, '/'-separated; the root is there from the start */
    enum inode_type type;
    u32 mode, uid, gid;
    s64 modified_ns;
    u64 bytes;             /* files */
    builder_source source; /* files; lives until builder_write returned */
    const char *target;    /* symlinks */
    const char *link_to;   /* a hard link to that path when not NULL; the rest is ignored */
};

struct builder *builder_create(heap h);
void builder_destroy(struct builder *b);
status builder_add(struct builder *b, const struct builder_node *node);
/* Changes attributes of a directory that exists (the root, or one made before its entry). */
bool builder_has(struct builder *b, const char *path);
/* name=value of the image's configuration record; see filesystem_setting. */
status builder_setting(struct builder *b, const char *name, const char *value);

struct builder_options {
    u8 uuid[16];
    s64 created_ns;
    bool data_checksums;
    u32 segment_blocks; /* of the log, at most; 0: 1024 */
};
/* Bytes the image needs at least, after everything was added. */
u64 builder_size(struct builder *b, const struct builder_options *options);
/* Formats the device and writes everything; synchronous: `device` completes its requests while
   `poll` (may be NULL) is applied. */
status builder_write(struct builder *b, const struct builder_options *options,
                     struct block_device *device, thunk poll);
