/* For tests of fs/: trees whose contents follow from a seed, images of them on simulated disks, and
   a comparison of what a mounted filesystem shows with what it should. */
#pragma once

#include "fs/builder.h"
#include "runtime/random.h"
#include "test/host/disk.h"

#define TREE_NODES_MOST 6000

struct tree_node {
    char path[300];
    enum inode_type type;
    u32 mode, uid, gid;
    s64 modified_ns;
    u64 bytes;
    u64 seed;    /* of the contents */
    bool sparse; /* about every second 64 KiB is a hole */
    char target[64];
    struct tree_node *link_to; /* a hard link to that file */
    u32 links;                 /* names that lead here, this one included */
    u32 children, subdirectories;
    struct tree_node *parent;
    struct builder_source source;
};

struct test_tree {
    struct tree_node *nodes;
    u32 count;
};

void test_tree_init(struct test_tree *t);
void test_tree_destroy(struct test_tree *t);
/* `parent` is NULL for the root. */
struct tree_node *test_tree_add(struct test_tree *t, struct tree_node *parent, const char *name,
                                enum inode_type type);
/* A random tree of about `count` nodes, files of `bytes_most` at most. */
void test_tree_random(struct test_tree *t, struct random *r, u32 count, u64 bytes_most);

/* The bytes that a file of the tree holds. */
void tree_content(const struct tree_node *n, u64 offset, u8 *to, u64 bytes);

struct image_options {
    u64 extra_bytes; /* more than the image needs */
    bool no_checksums;
    u32 segment_blocks;
};
/* Makes a disk that holds the tree.  ENOMEM and EIO as the heap and the disk say; NULL heap: the
   host's. */
status test_image_write(struct test_tree *t, heap h, const struct image_options *o,
                        struct host_disk *disk);
void test_image(struct test_tree *t, const struct image_options *o, struct host_disk *disk);

/* What came of a mount. */
struct mount_result {
    struct mount_handler done;
    struct filesystem *fs; /* NULL when it was refused */
    status s;
    u32 applied;
};

mount_handler mount_result_init(struct mount_result *m);

/* The harness's run queue, for a filesystem that sets no timers. */
extern const struct executor test_executor;
void test_later(const struct executor *e, struct closure_header *deferred);

/* Mounts in that environment, whose executor is the run queue, and waits. */
status test_mount_in(const struct filesystem_environment *environment, struct filesystem **fs);

/* Mounts and waits.  The filesystem is NULL when it was refused. */
struct filesystem *test_mount(struct host_disk *disk, heap h, heap pages, u64 cache_pages,
                              status *why);

/* Unmounts and waits. */
void test_unmount(struct filesystem *fs);

/* Pages that may be asked for in blocks and given back one by one, as the kernel's; every third
   block is refused.  test_mount lets the filesystem ask this heap for blocks. */
extern heap test_block_pages;
extern u64 test_block_pages_live, test_blocks_given;

extern u64 warn_lines; /* what environment.warn was given, counted */
extern char warn_last[512];

/* Walks the whole filesystem and reads every byte, through pages_fetch when `by_pages`, otherwise
   through file_read.  A read may fail with EIO or ENOMEM, which is counted. */
struct verify_result {
    u64 wrong;  /* names, attributes or bytes that are not what they should be */
    u64 failed; /* reads that failed */
    u64 files_read;
    status failure;  /* the last one */
    char first[400]; /* what was wrong first */
};
struct verify_result test_verify(struct filesystem *fs, struct test_tree *t, bool by_pages);

/* Reads a range and waits. */
status test_read(struct inode *i, u64 offset, void *to, u64 bytes, u64 *got);
/* Looks a path up from the root; NULL when it is not there. */
struct inode *test_lookup(struct filesystem *fs, const char *path);
