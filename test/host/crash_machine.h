/* A machine with a faulty disk: an executor, a mounted filesystem, and waiting for what it does.
   When it is dropped, the power is cut: nothing is written any more. */
#pragma once

#include "fs/fs.h"
#include "test/host/crash_model.h"
#include "test/host/executor.h"
#include "test/host/faulty_disk.h"
#include "test/host/harness.h"

#define MACHINE_WAIT_NS (200 * NS_PER_SECOND) /* what takes longer hangs */

struct crash_machine {
    struct host_executor x;
    struct faulty_disk *disk;
    struct counting_heap heap;
    struct filesystem *fs;
    struct model_reader reader; /* through file_read */
    u64 cache_pages, dirty_pages;
    u64 commit_interval_ns;
    u64 warnings;
    char warning[300];
};

/* The executor first; the disk is made with it. */
void crash_machine_init(struct crash_machine *c, u64 seed);
void crash_machine_destroy(struct crash_machine *c);
/* The filesystem is in c->fs when that succeeds. */
status crash_machine_mount(struct crash_machine *c, struct faulty_disk *disk);
/* Without a sync; every request ends and all memory comes back. */
void crash_machine_unmount(struct crash_machine *c);

/* Runs until `r` was applied, letting time pass; false when it was not after MACHINE_WAIT_NS. */
bool crash_machine_wait(struct crash_machine *c, const struct host_result *r);
/* Room for another try, after EAGAIN.  ETIMEDOUT: it did not come. */
status crash_machine_room(struct crash_machine *c);
status crash_machine_fetch(struct crash_machine *c, struct inode *i, u64 index);
/* Through the cache, within the file's length.  ETIMEDOUT on a disk that says nothing. */
status crash_machine_read(struct crash_machine *c, struct inode *i, u64 offset, void *to,
                          u64 bytes);
/* i NULL: everything. */
status crash_machine_sync(struct crash_machine *c, struct inode *i, enum sync_kind kind);
status crash_machine_end(struct crash_machine *c);

/* The changes that need more than one call, waiting where they must. */
status crash_machine_write(struct crash_machine *c, struct inode *i, u64 offset, const void *bytes,
                           u64 count);
status crash_machine_truncate(struct crash_machine *c, struct inode *i, u64 bytes);
status crash_machine_allocate(struct crash_machine *c, struct inode *i, u32 flags, u64 offset,
                              u64 bytes);

/* --- images ----------------------------------------------------------------------------------- */

struct machine_image {
    u64 bytes;       /* of the disk */
    u64 built_bytes; /* the filesystem's size; 0: the disk's.  The rest is for growth */
    u32 files;       /* "b0", "b1", ...: of up to 40 KiB, and */
    u64 files_least; /* that many bytes more */
    bool checksums;
    u64 seed;
};
/* A fresh filesystem on a disk of c's. */
void crash_machine_build(struct crash_machine *c, const struct machine_image *o,
                         struct faulty_disk *disk);
/* Holds a disk against the format with fs/check.h.  False: `why` says what is wrong. */
bool crash_machine_check(struct crash_machine *c, struct faulty_disk *disk, char *why,
                         u64 why_bytes);
