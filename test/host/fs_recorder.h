/* A filesystem on a device that keeps a record of what it is asked, with a clock that the test
   moves: for tests of order, failure and time.  One at a time. */
#pragma once

#include "fs/internal.h"
#include "test/host/fs_fixture.h"
#include "test/host/harness.h"

#define EVENTS_MOST 20000u

enum event { DATA = 'D', FLUSH = 'F', GROUP = 'G', SUPER = 'S', ZERO = 'Z', READ = 'r' };

struct recorder {
    struct block_device device;
    struct block_io io;
    struct block_cancel cancel;
    struct host_disk disk;
    char events[EVENTS_MOST + 1]; /* a letter for each request but reads, as issued */
    u64 sectors[EVENTS_MOST];
    u32 count;
    u32 early;                         /* FLUSHes issued while a write was under way */
    u32 requests;                      /* reads too */
    u32 writes;                        /* requests that write or flush, since record_clear */
    u32 fail_writes_from, fail_writes; /* the so-manieth of them, and how many, fail */
    u32 fail_with;                     /* EIO, EROFS */
};

extern struct recorder recorder;
extern struct filesystem *fs;
extern u64 recorder_warned; /* lines of the filesystem's */

void recorder_open(void);
void recorder_close(void);
void record_clear(struct recorder *of);
/* The n-th allocation from now on fails; 0: none.  Returns how many have failed since the last. */
u64 recorder_fail_allocation(u64 n);
/* Moves the clock and runs what expires. */
void time_pass(u64 ns);

/* An image with one file, /old, and that much free; mounts leave an empty record. */
void disk_new_of(u64 bytes);
void disk_gone(void);
u8 *disk_copy(void);
void disk_put(const u8 *copy);
status mount_with(bool read_only);
void mount(void);
void unmount(void);
status ended(void);

/* In the root. */
status make(const char *name, struct inode **made_inode);
struct inode *made(const char *name);
/* Whole pages, whose contents follow from the seed. */
status put(struct inode *i, u64 page, u64 pages, u64 seed);
bool holds(const char *name, u64 pages, u64 seed);
/* NULL: everything. */
status sync_of(struct inode *i, enum sync_kind kind);
void must_sync(struct inode *i);
