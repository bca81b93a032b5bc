/* The filesystem as its users see it: mount, look up, read.  fs/FORMAT.md is what is on the disk.

   After mount all metadata (names, attributes, extent maps) is in memory, so looking up never
   waits; file data comes through the page cache and completions. */
#pragma once

#include "runtime/block.h"
#include "runtime/closure.h"
#include "runtime/executor.h"

struct filesystem;
struct inode;

completion_type(mount_handler, void, struct filesystem *fs, status s);

/* What the filesystem takes from its surroundings; all of it outlives the mount. */
struct filesystem_environment {
    heap heap;  /* metadata */
    heap pages; /* 4 KiB pages of the cache, aligned */
    /* Blocks of up to that many pages (a power of two) may be asked of `pages` at once and given
       back page by page, as the kernel's page heap allows; 0 or 1: one page at a time.  A block is
       one piece of a request, and its pages are touched by the device first. */
    u32 block_pages_most;
    struct block_device *device;
    const struct executor *executor;
    u64 cache_pages_most; /* the cache evicts clean pages beyond that */
    void (*warn)(const char *format, ...) __attribute__((format(printf, 1, 2))); /* one line */
};

/* Replays the log.  `done` is applied from the run loop, or before returning when not even the
   first read could be started.  It gets the filesystem, or NULL and why: EINVAL (not ours, or a
   version we do not know), EIO (device), EBADMSG (no valid superblock, or damage), ENOMEM.  Applied
   once. */
void filesystem_mount(const struct filesystem_environment *environment, mount_handler done);
/* Nothing new may be asked of it.  What is in flight is cancelled (ECANCELED), and when the device
   has let go of all of it the memory is given back and `done` applied, from the run loop. */
void filesystem_unmount(struct filesystem *fs, status_handler done);

/* What to run, from the image's configuration record: NUL-terminated strings, in order. NULL past
   the last.  Names: "program", "arg" (repeated, arg[0] first), "env" (repeated), "cwd",
   "hostname". */
const char *filesystem_setting(struct filesystem *fs, const char *name, u32 index);

struct filesystem_statistics {
    u64 block_bytes, blocks, blocks_free;
    u64 inodes, inodes_free;
    u64 id; /* from the UUID, for statfs */
};
struct filesystem_statistics filesystem_statistics(struct filesystem *fs);

enum inode_type { INODE_FILE = 1, INODE_DIRECTORY = 2, INODE_SYMLINK = 3 };

/* Fields are read freely; only fs/ writes them.  Times are nanoseconds since 1970. */
struct inode_attributes {
    u64 number;
    enum inode_type type;
    u32 mode; /* permission bits, 07777 */
    u32 uid, gid;
    u32 links;
    u64 bytes;  /* length of a file or of a symlink's target; directories: 4096 */
    u64 blocks; /* allocated, units of 512 bytes, as st_blocks */
    s64 accessed_ns, modified_ns, changed_ns;
};
void inode_attributes(const struct inode *i, struct inode_attributes *to);
enum inode_type inode_type(const struct inode *i);
u64 inode_bytes(const struct inode *i);

struct inode *filesystem_root(struct filesystem *fs);
struct inode *inode_parent(struct inode *directory); /* root's parent is root */

/* ENOENT, ENOTDIR, ENAMETOOLONG (> 255).  "." and ".." are not names here. */
status inode_lookup(struct inode *directory, const char *name, u64 name_bytes,
                    struct inode **found);

/* The same for who has looked at the type and at the length already: NULL is ENOENT. */
struct inode *directory_find(struct inode *directory, const char *name, u64 name_bytes);
/* The same, and NULL when it is no directory. */
struct inode *directory_below(struct inode *directory, const char *name, u64 name_bytes);

struct directory_entry {
    const char *name; /* lives while the entry exists; not terminated */
    u64 name_bytes;
    struct inode *inode;
    u64 cookie; /* pass it to go on after this entry; stable while the directory is open */
};
/* The entry after `cookie` (0: the first), in the directory's own order; false at the end. */
bool directory_next(struct inode *directory, u64 cookie, struct directory_entry *entry);

/* A symlink's target; not terminated. */
const char *symlink_target(const struct inode *i, u64 *bytes);

/* References keep an inode alive while it is open (unlink comes with writing). */
void inode_hold(struct inode *i);
void inode_release(struct inode *i);

/* --- data: through the page cache ------------------------------------------------------------- */

/* A cached page of a file: 4 KiB at file offset index * 4096, zero beyond the end of the file. */
struct page;

/* The page when it is in the cache and valid, with a hold on it; NULL when it is not.  Inline,
   allocates nothing: the fast path of read and of page faults. */
struct page *page_find(struct inode *i, u64 index);
void *page_memory(struct page *p);
void page_hold(struct page *p);
void page_release(struct page *p); /* held pages are not evicted */

/* Brings pages [first, first + count) into the cache, through a merge of one branch an extent.
   done: applied once, from the run loop, or before returning when nothing had to be read.
   EIO (device, checksum), ENOMEM: when the first page could not be had.  What follows it may be
   read-ahead, so a failure there shows only when somebody fetches from there.  Pages may be evicted
   again before the caller holds them: look again, and ask again. */
void pages_fetch(struct inode *i, u64 first, u64 count, status_handler done);

/* The same for who may give up waiting.  The wait is the caller's memory until `done` is applied or
   the wait was cancelled; it is all zero before it is first used. */
struct pages_wait {
    struct fetch *fetch; /* NULL: nobody waits */
};
void pages_fetch_cancellable(struct inode *i, u64 first, u64 count, struct pages_wait *w,
                             status_handler done);

/* True: `done` will not be applied, and is the caller's again; the pages come in nevertheless, into
   the cache, whenever the device is done.  False: there was no wait, or `done` has been applied. */
bool pages_wait_cancel(struct pages_wait *w);

/* The read-ahead rule in one place: how many pages to fetch from `first` on, when `count` are
   needed.  More than that when the misses of this file come in order. */
u64 pages_read_ahead(struct inode *i, u64 first, u64 count);

/* Drops clean, unheld pages until at least `pages` were freed or none is left. */
u64 page_cache_reclaim(struct filesystem *fs, u64 pages);

/* Reads [offset, offset + sg->bytes) into sg, past the cache's pages to memory of the caller's:
   the article's read.  Holes are zeroed; beyond the end of the file nothing is written and *bytes
   (may be NULL) is less.  done: taken over; applied once.  EIO, ENOMEM, EISDIR. */
void file_read(struct inode *i, u64 offset, struct sg_list *sg, u64 *bytes, status_handler done);
