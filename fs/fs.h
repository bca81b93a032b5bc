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

/* Told of file pages that are mapped into a program; `pages` counts pages of the file.  Applied
   inside of calls of fs/, asks nothing of it; NULL: nothing is ever mapped. */
closure_type(mapping_handler, void, struct inode *i, range pages);

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
    /* --- for writing --- */
    bool read_only;          /* changes are refused with EROFS; so they are when the device is */
    u64 dirty_pages_most;    /* who writes waits beyond that; write-back begins at half; 0: 4096 */
    u64 commit_interval_ns;  /* what changed is durable after that by itself; 0: 5 s, ~0: never */
    s64 (*time_ns)(void);    /* since 1970, for the times of inodes; NULL: they stay as they are */
    mapping_handler protect; /* the next write of these pages through a mapping must ask again
                                (page_write_begin): applied before write-back reads them */
    mapping_handler unmap;   /* these pages go: truncated or punched, or changed by O_DIRECT */
    void (*warn)(const char *format, ...) __attribute__((format(printf, 1, 2))); /* one line */
};

/* Replays the log.  `done` is applied from the run loop, or before returning when not even the
   first read could be started.  It gets the filesystem, or NULL and why: EINVAL (not ours, or a
   version we do not know), EIO (device), EBADMSG (no valid superblock, or damage), ENOMEM.  Applied
   once. */
void filesystem_mount(const struct filesystem_environment *environment, mount_handler done);
/* Nothing new may be asked of it.  What is in flight is cancelled (ECANCELED), and when the device
   has let go of all of it the memory is given back and `done` applied, from the run loop.  What was
   not synced is lost, as in a power cut: filesystem_end comes before. */
void filesystem_unmount(struct filesystem *fs, status_handler done);
/* Makes everything durable and marks the filesystem as cleanly ended; changes are refused (EROFS)
   from then on.  `done`: once, from the run loop, with the first failure.  A read-only mount has
   nothing to do.  Cancelled by filesystem_unmount. */
void filesystem_end(struct filesystem *fs, status_handler done);

/* What to run, from the image's configuration record: NUL-terminated strings, in order. NULL past
   the last.  Names: "program", "arg" (repeated, arg[0] first), "env" (repeated), "cwd",
   "hostname". */
const char *filesystem_setting(struct filesystem *fs, const char *name, u32 index);
/* Gives `name` these values instead of those it has: a change, as below.  Values that were asked
   for before live on until unmount.  EINVAL (an impossible name or value), E2BIG (120 KiB in all).
 */
status filesystem_setting_change(struct filesystem *fs, const char *name, const char *const *values,
                                 u32 count);

struct filesystem_statistics {
    u64 block_bytes, blocks, blocks_free;
    u64 inodes, inodes_free;
    u64 id; /* from the UUID, for statfs */
};
struct filesystem_statistics filesystem_statistics(struct filesystem *fs);
/* Changes are refused with EROFS: as it was mounted, or since the log can no longer be written. */
bool filesystem_read_only(const struct filesystem *fs);

enum inode_type {
    INODE_FILE = 1,
    INODE_DIRECTORY = 2,
    INODE_SYMLINK = 3,
    INODE_SOCKET = 5, /* a name for a socket of unix/; fs/ keeps its attributes, and nothing else */
};
static inline bool inode_type_known(u32 type)
{
    return type == INODE_SOCKET || (type >= INODE_FILE && type <= INODE_SYMLINK);
}

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

/* Goes down along a path, [*text, end), that does not begin with a slash: through components that
   have another one behind them, do not begin with a dot, and name a directory.  What is left of the
   text begins with the first that is not so; the result is where that one is to be looked up. */
struct inode *directory_descend(struct inode *directory, const char **text, const char *end);

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

/* Pages that follow each other in the file and in memory. */
#define PAGE_RUN_MOST 16u
struct page_run {
    u8 *memory; /* of the first one */
    u32 count;
    struct page *pages[PAGE_RUN_MOST]; /* held */
};

/* page_find for `first` and what follows it in the same way, `most` (at least 1) pages at most; how
   many, none when page_find finds none. */
u32 pages_find(struct inode *i, u64 first, u64 most, struct page_run *run);
void page_run_release(struct page_run *run); /* of a page at least */

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

/* Reading ahead for those who have no open file to remember in (page faults, exec, sendfile): how
   many pages to fetch from `first` on, when `count` are needed.  More than that when the misses of
   this file come in order.  What read() remembers of its descriptor is in unix/file_regular.c. */
u64 pages_read_ahead(struct inode *i, u64 first, u64 count);

/* Drops clean, unheld pages until at least `pages` were freed or none is left. */
u64 page_cache_reclaim(struct filesystem *fs, u64 pages);
/* The same for the file's pages [first, end). */
void pages_drop(struct inode *i, u64 first, u64 end);

/* Reads [offset, offset + sg->bytes) into sg, past the cache's pages to memory of the caller's:
   the article's read.  Holes are zeroed; beyond the end of the file nothing is written and *bytes
   (may be NULL) is less.  done: taken over; applied once.  EIO, ENOMEM, EISDIR. */
void file_read(struct inode *i, u64 offset, struct sg_list *sg, u64 *bytes, status_handler done);

/* --- changing -----------------------------------------------------------------------------------

   Every change below is made in memory at once, whole or not at all (but see file_allocate), and
   seen by everybody; it is durable after the next sync that covers it, or by itself after the
   commit interval.  Changes become durable in the order in which they were made; data of files
   follows its own fsync.

   Each may return EAGAIN: not now (the log's buffer is full, blocks are free only after the next
   commit, too much is dirty).  Then wait with filesystem_wait_room and do it again from the start.
   All of them: EROFS (read-only mount or device, or the log can no longer be written), ENOSPC,
   ENOMEM.  Times are set as Linux does. */

struct room_wait {
    struct list link; /* fs/'s; all zero before it is first used */
    struct filesystem *fs;
    status_handler done;
};
/* `done`: once, from the run loop, when trying again is worth it; or at the latest when the commit
   that this starts has ended, with its failure. */
void filesystem_wait_room(struct filesystem *fs, struct room_wait *w, status_handler done);
/* True: `done` will not be applied, and is the caller's again.  False: it has been, or there was no
   wait. */
bool room_wait_cancel(struct room_wait *w);

struct inode_initial {
    u32 mode, uid, gid; /* the permission bits, umask applied */
};

/* A file, directory or socket.  EEXIST, ENAMETOOLONG, EINVAL (an impossible name), ENOTDIR, ENOENT
   (the directory has been removed), EPERM (a socket, in an image of before there were any). */
status inode_create(struct inode *directory, const char *name, u64 name_bytes, enum inode_type type,
                    const struct inode_initial *initial, struct inode **made);
status symlink_create(struct inode *directory, const char *name, u64 name_bytes, const char *target,
                      u64 target_bytes, const struct inode_initial *initial, struct inode **made);
/* A file without a name (O_TMPFILE), with a hold; inode_link may give it one. */
status inode_create_unnamed(struct filesystem *fs, const struct inode_initial *initial,
                            struct inode **made);
/* It never gets one (O_EXCL): ENOENT from inode_link. */
void inode_refuse_names(struct inode *unnamed);
/* EPERM (a directory), EEXIST, EMLINK, ENOENT (it has been removed). */
status inode_link(struct inode *directory, const char *name, u64 name_bytes, struct inode *i);
/* Files and symlinks: EISDIR, ENOENT.  An inode that is held lives on without a name. */
status inode_unlink(struct inode *directory, const char *name, u64 name_bytes);
/* ENOTDIR, ENOTEMPTY, ENOENT. */
status directory_remove(struct inode *directory, const char *name, u64 name_bytes);

enum rename_flag { RENAME_NO_REPLACE = 1, RENAME_EXCHANGE_NAMES = 2 };
/* Linux's renameat2: ENOENT, EEXIST, EISDIR, ENOTDIR, ENOTEMPTY, EINVAL (below itself).  Replacing
   is atomic; the data of a file that replaces another is durable before the rename is. */
status inode_rename(struct inode *from, const char *from_name, u64 from_bytes, struct inode *to,
                    const char *to_name, u64 to_bytes, u32 flags);

enum inode_change_what {
    CHANGE_MODE = 1,
    CHANGE_UID = 2,
    CHANGE_GID = 4,
    CHANGE_ACCESSED = 8,
    CHANGE_MODIFIED = 16,
};
struct inode_change {
    u32 what; /* CHANGE_* */
    u32 mode, uid, gid;
    s64 accessed_ns, modified_ns;
};
status inode_change(struct inode *i, const struct inode_change *c);
/* The file was read: sets its time of access by Linux's relatime rule.  Never fails. */
void inode_accessed(struct inode *i);

enum xattr_flag { XATTR_CREATE_ONLY = 1, XATTR_REPLACE_ONLY = 2 };
/* ENODATA, ERANGE (room too small; room 0 asks for *bytes only).  The value is copied. */
status xattr_get(const struct inode *i, const char *name, u64 name_bytes, void *to, u64 room,
                 u64 *bytes);
/* EEXIST, ENODATA, E2BIG (value), ERANGE (name), ENOSPC (too many). */
status xattr_set(struct inode *i, const char *name, u64 name_bytes, const void *value, u64 bytes,
                 u32 flags);
status xattr_remove(struct inode *i, const char *name, u64 name_bytes);
/* The n-th attribute's name, from 0; NULL at the end. */
const char *xattr_name(const struct inode *i, u32 n, u64 *name_bytes);

/* --- writing data -------------------------------------------------------------------------------

   begin, copy into the page, end; no waiting in between.  `fetch` says which page of the file has
   to come in first when EAGAIN is returned: pages_fetch it and begin again.  NO_PAGE: wait for room
   instead. */
#define NO_PAGE (~0ull)

struct page_write {
    struct page *page; /* held from begin to end */
    u64 fetch;
    u32 fresh;     /* fs/'s: the page was new, and so many bytes will come */
    bool replaces; /* fs/'s: in place of what the disk has */
};
/* To write [offset, offset + bytes), which lies in one page.  Blocks are set aside for it, so what
   begin has allowed is never lost for want of space.  EFBIG. */
status page_write_begin(struct inode *i, u64 offset, u64 bytes, struct page_write *w);
/* `bytes` were copied, 0 too; the file grows to offset + bytes if it was shorter.  Returns how many
   count: `bytes`, or 0 when less was copied than announced into a page that had to be replaced as a
   whole. */
u64 page_write_end(struct inode *i, u64 offset, u64 bytes, struct page_write *w);

/* Shorter, or longer with a hole.  EAGAIN with *fetch as above.  EFBIG. */
status file_truncate(struct inode *i, u64 bytes, u64 *fetch);

enum allocate_flag { ALLOCATE_KEEP_SIZE = 1, ALLOCATE_PUNCH = 2, ALLOCATE_ZERO = 4 };
/* A ZERO of what is written or missing in more parts than that is more than one change. */
#define ALLOCATE_PARTS 32u
/* fallocate(2).  ENOSPC before any block is taken; EFBIG, EOPNOTSUPP.  What fails has changed no
   byte; but of a ZERO of more than ALLOCATE_PARTS parts the first of them may be zero then, as on
   Linux. */
status file_allocate(struct inode *i, u32 flags, u64 offset, u64 bytes, u64 *fetch);

/* From `offset` on: where the next data (or hole) begins, for SEEK_DATA and SEEK_HOLE, dirty pages
   counted as data; the end of the file is a hole.  ENXIO. */
status file_seek_data(struct inode *i, u64 offset, u64 *found);
status file_seek_hole(struct inode *i, u64 offset, u64 *found);

/* --- making durable -----------------------------------------------------------------------------
 */

struct sync_wait {
    void *sync; /* fs/'s; NULL: nobody waits.  All zero before it is first used */
};

enum sync_kind {
    SYNC_DATA,  /* fdatasync: what reading it again needs */
    SYNC_ALL,   /* fsync: its attributes and its name too */
    SYNC_WRITE, /* write-back only, not durable: O_DIRECT, sync_file_range */
};
/* Writes back the file's pages [first, end) and commits.  `done`: once, from the run loop, or
   before returning when nothing had to be done.  EIO, ENOSPC: the data stays dirty, and the next
   sync tries again. */
void file_sync(struct inode *i, u64 first, u64 end, enum sync_kind kind, struct sync_wait *w,
               status_handler done);
/* Everything. */
void filesystem_sync(struct filesystem *fs, struct sync_wait *w, status_handler done);
/* As pages_wait_cancel: the commit goes on, nobody waits. */
bool sync_wait_cancel(struct sync_wait *w);

/* A failure of writing back i's pages in the background that happened after *seen, once; *seen
   becomes the latest.  An open file keeps `seen`, from inode_failures_seen(i) at open. */
u64 inode_failures_seen(const struct inode *i);
status inode_failure(const struct inode *i, u64 *seen);
