/* A machine (test/host/crash_machine.h) for tests of compaction. */
#pragma once

#include "fs/checkpoint_state.h"
#include "test/host/crash_machine.h"

#define WAIT_STEPS 200000u

/* A fresh filesystem, mounted. */
void compacted_init(struct crash_machine *c, struct faulty_disk *disk,
                    const struct machine_image *image);
void compacted_destroy(struct crash_machine *c, struct faulty_disk *disk);
/* Lets things run until no compaction is under way; false when that does not come. */
bool compaction_wait(struct crash_machine *c);
/* Compacts; false when that failed. */
bool compact(struct crash_machine *c);
/* An empty file in the root, waiting for room; NULL: *why. */
struct inode *compacted_make(struct crash_machine *c, const char *name, status *why);
void seeded_fill(u8 *to, u64 bytes, u64 seed);
