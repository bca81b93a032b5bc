/* What a filesystem has promised, and whether a disk found after a power cut keeps it.

   The test tells the model of every change when it is made and of every sync when it is begun and
   when it has ended; the model keeps all of the past.  Time is counted in changes (model->time);
   the disk's log keeps that time with each of its events, so a cut at event k knows which changes
   had been made ("now") and which syncs had ended.

   What is checked, of a mount after a cut:

   1. Names (directories, entries, hard links, symlinks and their targets, types, extended
      attributes) are exactly the state after some prefix of the changes to them, in the order in
      which they were made.  Each change, a rename with its replacement too, is there whole or not
   at all.  (More than POSIX says; fs.h promises it: changes become durable in order.)
   2. That prefix holds every change that a sync which had ended must have made durable: all of them
      for filesystem_sync; for the sync of an inode with SYNC_ALL the last change to it, to its
   names, and, of a directory, to its entries.  (POSIX for fsync of directories; for the name of a
      file Linux's filesystems do it.)
   3. A file's bytes, sector by sector: the value at the begin of the last sync of it that had
   ended, or any later value up to now.  (POSIX; a sector is what a disk writes whole.)
   4. Its length: one that it had between the same two moments, or one between those; and none that
      a truncation before the prefix of 1 ended, or one behind it brought.
   5. A file that grew shows, where it grew, the value at the moment when it reached there or a
   later one: never zeros or old blocks for data that was appended.  (More than POSIX: FORMAT.md and
      writeback.h promise that the length never runs ahead of the data.)
   6. The data of a file that replaced another with a rename is at least what it was at the rename,
      when the rename is there.  (fs.h; Linux's ext4 and btrfs do it.)
   7. mode, uid, gid: as 3.  Counts of links: right for the names that are there.
   8. Everything can be read.

   Times of inodes are not checked.  A sync that failed promises nothing. */
#pragma once

#include "fs/fs.h"
#include "test/host/faulty_disk.h"

struct model_value {
    u64 time;
    const u8 *bytes; /* of a sector */
};

struct model_sector {
    struct model_value *values;
    u32 count, capacity;
};

struct model_length {
    u64 time, length;
    bool shrinks;
};

struct model_attributes {
    u64 time;
    u32 mode, uid, gid;
};

struct model_inode {
    u64 number; /* the filesystem's */
    enum inode_type type;
    u32 links;       /* names; the root has one */
    u64 target_hash; /* of a symlink */
    u64 xattr_sum;
    u64 last_touch; /* the last change that a SYNC_ALL of it makes durable */
    u8 *bytes;      /* what the file holds now, zeros behind its length */
    u64 length, capacity;
    struct model_sector *sectors;
    u64 sector_count;
    struct model_length *lengths;
    u32 length_count, length_capacity;
    struct model_attributes *attributes;
    u32 attribute_count, attribute_capacity;
    u64 *replaces; /* times at which it replaced another file */
    u32 replace_count, replace_capacity;
};

struct model_entry {
    struct model_inode *directory, *inode;
    char name[64];
};

struct model_state {
    u64 time, hash;
};

struct model_promise {
    struct model_inode *inode; /* NULL: all of them */
    bool names;                /* and attributes */
    u64 begun;
    u64 names_time; /* changes of names up to then */
    u64 from;       /* the event from which on it holds; FAULTY_NEVER: it never did */
};

struct model_chunk;

struct crash_model {
    u64 time; /* of the last change; the disk's clock points here */
    const struct faulty_disk *disk;
    struct model_chunk *chunks; /* memory, given back all at once */
    struct model_inode **inodes;
    u32 inode_count, inode_capacity;
    struct model_entry *entries; /* the names that are there now */
    u32 entry_count, entry_capacity;
    struct model_state *states;
    u32 state_count, state_capacity;
    struct model_promise *promises;
    u32 promise_count, promise_capacity;
    u64 hash;
};

/* Reads and waits. */
closure_type(model_reader, status, struct inode *i, u64 offset, void *to, u64 bytes, u64 *got);

/* Begins with what the filesystem holds, which is taken for durable; the disk's log begins now. */
void crash_model_init(struct crash_model *m, struct faulty_disk *disk, struct filesystem *fs,
                      model_reader reader);
void crash_model_destroy(struct crash_model *m);

/* --- changes: told when they have been made --------------------------------------------------- */

/* target: of a symlink. */
struct model_inode *model_create(struct crash_model *m, struct model_inode *directory,
                                 const char *name, struct inode *made, const char *target);
void model_link(struct crash_model *m, struct model_inode *directory, const char *name,
                struct model_inode *i);
void model_unlink(struct crash_model *m, struct model_entry *e);
/* to: what is replaced, or exchanged; NULL: nothing of that name. */
void model_rename(struct crash_model *m, struct model_entry *from, struct model_inode *directory,
                  const char *name, struct model_entry *to, bool exchange);
void model_xattr(struct crash_model *m, struct model_inode *i, const char *name, const void *old,
                 u64 old_bytes, const void *value, u64 bytes);
/* Bytes NULL: zeros. */
void model_write(struct crash_model *m, struct model_inode *i, u64 offset, const u8 *bytes,
                 u64 count);
void model_length_set(struct crash_model *m, struct model_inode *i, u64 length);
void model_attributes_set(struct crash_model *m, struct model_inode *i, u32 mode, u32 uid, u32 gid);

/* --- syncs ------------------------------------------------------------------------------------ */

/* Which promise it is, for model_sync_ended. */
u32 model_sync_begun(struct crash_model *m, struct model_inode *i, enum sync_kind kind);
/* It succeeded. */
void model_sync_ended(struct crash_model *m, u32 promise);

/* --- after a cut ------------------------------------------------------------------------------ */

/* True when `fs`, mounted from the disk found after a cut before event `position`, keeps what was
   promised.  Otherwise `why` says what it does not keep. */
bool crash_model_holds(const struct crash_model *m, u64 position, struct filesystem *fs,
                       model_reader reader, char *why, u64 why_bytes);
