/* Files of a filesystem on a simulated disk (fs_writable.h), beside what they should hold byte by
   byte.  The calls wait as a program's would, and answer a silent disk while they do. */
#pragma once

#include "test/host/fs_writable.h"
#include "test/host/harness.h"

#define SHADOW_BYTES (512 * KiB)
#define SHADOWS      4

extern struct writable shadow_disk;

extern struct shadow {
    char name[8];
    u8 bytes[SHADOW_BYTES];
    u64 length;
} shadows[SHADOWS];

/* Runs, and lets the disk answer, until r was applied. */
status shadow_wait(const struct host_result *r);

status shadow_write_bytes(struct inode *i, u64 offset, const u8 *from, u64 bytes);
status shadow_truncate_to(struct inode *i, u64 bytes);
status shadow_allocate_range(struct inode *i, u32 flags, u64 offset, u64 bytes);
status shadow_sync_file(struct inode *i, enum sync_kind kind);
struct inode *shadow_make(const char *name);
struct inode *shadow_look(const char *name);
status shadow_remove(const char *name);
u64 shadow_blocks_free(void);
void shadow_fill(u8 *to, u64 bytes, u64 seed);

/* Empty files "a", "b", ... */
void shadows_make(void);
/* The same change of the file and of its model; every failure ends the test. */
void shadow_write(struct shadow *m, u64 offset, u64 bytes, u64 seed);
void shadow_truncate(struct shadow *m, u64 bytes);
void shadow_allocate(struct shadow *m, u32 flags, u64 offset, u64 bytes);
/* Reads all of it; a difference ends the test. */
void shadow_check(const struct shadow *m);
void shadows_check(void);
/* What SEEK_HOLE calls a hole holds zeros, data and holes take turns, and the end is a hole. */
void shadow_seek(const struct shadow *m);
