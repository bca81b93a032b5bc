/* A filesystem on a simulated disk that tests write to: mounted, synced, mounted again. */
#pragma once

#include "fs/fs.h"
#include "test/host/disk.h"

struct writable {
    struct host_disk disk;
    heap heap;
    struct filesystem *fs;
    s64 now_ns; /* the clock of inodes: moves by 1 ms with each look */
};

/* dirty_pages_most of the next mounts; 0: as usual. */
extern u64 writable_dirty_pages;

/* An empty filesystem on a disk of that many bytes. */
void writable_init(struct writable *v, u64 bytes, heap h);
struct image_options;
/* The same with what the builder is told. */
void writable_init_image(struct writable *v, const struct image_options *o, heap h);
void writable_destroy(struct writable *v);
/* Mounts again: after filesystem_end, or, `ended` false, after filesystem_sync and a power cut. */
status writable_remount(struct writable *v, bool ended);
/* Mounts again after a power cut that nothing was done about. */
status writable_cut(struct writable *v);
status writable_sync(struct writable *v);
status writable_wait_room(struct writable *v);
