/* Dirty data on its way to the disk: what the write path, truncation and commits share.

   A page is clean, dirty (PAGE_DIRTY: newer than the disk), being written (PAGE_WRITING), or has
   arrived at the device and waits for a FLUSH; until that FLUSH it is not evicted, so that a
   failure can make it dirty again.  A page may be dirty and in the two later states at once, when
   it was changed again.  The device has one write of a page at a time.

   Where data goes.  A block that is mapped, written, has no checksum and is not shared is written
   in place.  Everything else (a hole, an unwritten extent, blocks with checksums) is written to
   blocks that the log does not name yet, and is mapped by the commit whose first FLUSH came after
   it arrived; an unwritten extent is written where it is and mapped anew without the flag.

   A struct data_write is one request of up to 64 pages, from issue until that FLUSH.  What is
   truncated or punched meanwhile is voided in it (data_void): it is not mapped, and its new
   blocks are free again when the request has ended.

   Lengths.  A file's length in the log (logged_bytes) never runs ahead of its data: a commit logs
   min(bytes, first page not yet durable at or behind logged_bytes).  Who makes a file longer from
   the middle of a block first dirties that block's page with its tail zeroed. */
#pragma once

#include "fs/internal.h"
#include "fs/log.h"

/* --- for commits ------------------------------------------------------------------------------ */

/* Whether data that has to be durable before the next commit (data_order) has arrived.  False:
   `done` is applied when it has, or could not be written. */
bool data_ordered(struct filesystem *fs, status_handler done);
/* True: data arrived that no FLUSH has covered.  Its set is now this commit's, and so are the frees
   made so far. */
bool data_commit_begin(struct filesystem *fs);
/* The FLUSH succeeded: extents are installed and logged (log_begin_commit), pages become clean. */
void data_commit_flushed(struct filesystem *fs);
/* A FLUSH failed, any: what has arrived may be lost, so its pages are dirty again. */
void data_commit_failed(struct filesystem *fs, status s);
/* INODE records of dirty inodes, with the lengths that may be logged. */
void inodes_commit(struct filesystem *fs);
/* The groups are durable: blocks freed before data_commit_begin are free (and trimmed). */
void space_commit_end(struct filesystem *fs);
/* The interval is over: all dirty data is written back, and committed. */
void data_interval(struct filesystem *fs);
/* Who writes has to wait until pages are clean again: filesystem_wait_room hands its wait to
   data_wait_room then, which applies it after the commit that made room, or with its failure. */
bool data_throttled(const struct filesystem *fs);
void data_wait_room(struct filesystem *fs, struct room_wait *w);
/* The last call of an unmount, when nothing is in flight. */
void data_stop(struct filesystem *fs);

/* --- for changes ------------------------------------------------------------------------------ */

/* The inode's attributes (or length) are newer than the log: the next commit writes them. Reserves
   for it once.  EAGAIN, ENOMEM; cannot fail when it is dirty already. */
status inode_dirty(struct inode *i);
/* Forgets that: the inode is gone. */
void inode_clean(struct inode *i);
/* Memory and room so that data_void of whole pages [first, end) cannot fail.  ENOMEM, EAGAIN. */
status data_void_secure(struct inode *i, u64 first, u64 end);
/* Drops cached pages [first, end), dirty ones too, and voids what is being written of them. */
void data_void(struct inode *i, u64 first, u64 end);
/* Writes back all dirty pages of i; the next commit waits for them (rename over a file).  ENOMEM.
 */
status data_order(struct inode *i);
/* Everything of an inode that is going away: pages, writes, blocks (its FORGET is logged). Cannot
   fail; after data_forget_secure no block is lost to memory either. */
status data_forget_secure(struct inode *i);
void data_forget(struct inode *i);
/* Gives back what only a touched inode has when nobody needs it any more: not held, no pages,
   nothing to commit.  By who has no pointer to it at hand. */
void inode_live_rest(struct inode *i);
/* The same for some of all inodes, others each time. */
void inodes_live_rest(struct filesystem *fs, u32 most);

/* --- blocks (allocate.c) ---------------------------------------------------------------------- */

/* Free blocks that nobody has set aside. */
u64 space_available(const struct filesystem *fs);
/* Sets `blocks` aside (delayed allocation).  EAGAIN when a commit will free enough, ENOSPC. */
status space_reserve(struct filesystem *fs, u64 blocks);
void space_unreserve(struct filesystem *fs, u64 blocks);
/* Takes up to `blocks` contiguous blocks out of what was set aside, near `goal` (0: anywhere);
 *block is the first; returns how many, at least 1; 0: no memory. */
u64 space_allocate(struct filesystem *fs, u64 goal, u64 blocks, u64 *block);
/* The first gap of `wanted` blocks from `from` on, or the largest of some; how many blocks. */
u64 space_search(struct filesystem *fs, u64 from, u64 wanted, u64 *block);
/* Blocks that the log, or the log's past, names: free after the commit that has not begun yet.
   Cannot fail: `space_spare` nodes were made before. */
void space_free_later(struct filesystem *fs, u64 block, u64 blocks);
/* Blocks that the log never named, when no write to them is under way. */
void space_free_now(struct filesystem *fs, u64 block, u64 blocks);
/* Memory for n splits of the map of used blocks, so that what follows cannot fail.  ENOMEM. */
status space_spare(struct filesystem *fs, u32 n);
void space_commit_begin(struct filesystem *fs);

/* trim.c */
/* Blocks in use as data that may be free: true, n is taken over, and they will be when they were
   discarded.  Nothing is discarded before trim_begin. */
bool trim_take(struct filesystem *fs, struct space_node *n);
void trim_begin(struct filesystem *fs);
void trim_stop(struct filesystem *fs);
/* Blocks that will be free soon. */
u64 trim_blocks(const struct filesystem *fs);

void space_stop(struct filesystem *fs);

/* --- what the files about data share ---------------------------------------------------------- */

struct space_bucket {
    struct space_node *first;
    u64 nodes, blocks;
};

#define WRITE_PAGES_MOST    64u /* of one request: 256 KiB */
#define FLIGHT_MOST         64u /* requests with the device */
#define FLIGHT_BACKGROUND   2u  /* of these, write-back: each step of a sync queues behind it */
#define FLIGHT_SYNC         32u /* those of one sync */
#define DIRTY_PAGES_USUAL   4096u
#define DIRTY_PAGES_LEAST   64u
#define DIRTY_PAGES_MOST    49152u /* page.writes counts further */
#define EXTENTS_FOR_ONE_MAP 2u     /* the new one, and what an old one leaves behind it */

enum write_kind {
    WRITE_IN_PLACE, /* the blocks are the page's already */
    WRITE_CONVERT,  /* they are, and hold nothing yet: mapped anew when they do */
    WRITE_NEW,      /* new blocks, mapped later */
};

/* A request, from issue until the FLUSH that covers it.  Followed by room for its pieces. */
struct data_write {
    struct list link;  /* inode_live.writes, in the order of issue */
    struct list state; /* data.flight, .arrived or .committing, in the order of issue */
    struct filesystem *fs;
    struct inode *inode;     /* NULL: it went away meanwhile */
    struct writeback *owner; /* NULL: given up */
    u64 number;              /* in the order of issue */
    u64 since;               /* log_flush_failures at issue */
    u64 first;               /* page of the file */
    u64 disk_block;
    u32 blocks, capacity;
    u32 maps; /* records set aside for it; each may need EXTENTS_FOR_ONE_MAP */
    u8 kind;
    bool in_flight;
    u64 voided; /* one bit for each block that is the file's no more */
    struct device_read device;
    struct status_handler landed;
    struct sg_list sg;
    struct page **pages; /* NULL: voided */
};

/* A sync that a file's length in the log has to reach: everything before `bytes` was in writes with
   numbers below `until` (0: not yet). */
struct data_promise {
    struct list link; /* inode_live.promises */
    u64 bytes, until;
};

/* A run of equal bits from `at` on. */
static inline u32 bits_run(u64 mask, u32 at, u32 end)
{
    u32 n = at;
    while (n < end && (mask >> n & 1) == (mask >> at & 1))
        n++;
    return n - at;
}

static inline u32 bits_count(u64 bits)
{
    u32 n = 0;
    for (; bits; bits &= bits - 1)
        n++;
    return n;
}

/* Pages on their way to the disk for somebody: of one file, or of all.  It issues what is dirty in
   order, each page once, and ends when what it issued and what was in flight before has landed. */
struct writeback {
    struct list link; /* data.writebacks */
    struct filesystem *fs;
    struct inode *inode; /* NULL: all files that were dirty when it began */
    u64 at, first, end;  /* pages of `inode`, or of `current` */
    struct inode *current;
    u64 stamp; /* files that came to data.files before that; 0: it is not its turn yet */
    u64 until; /* waits for writes below that number */
    u32 in_flight, most;
    bool issued;   /* all of it */
    bool blocked;  /* until the next commit has ended */
    bool ordered;  /* commits wait for it */
    bool promises; /* of everything: the lengths that files have now will be logged */
    u64 length;    /* of `current`, when it began with it */
    status failure;
    status_handler done;
};

struct data {
    struct filesystem *fs;
    struct list files; /* inode_live.data: files with dirty pages */
    u64 stamp;
    u64 dirty;      /* pages that are PAGE_DIRTY */
    u64 written;    /* pages in all struct data_write */
    u64 dirty_most; /* who writes waits beyond that */
    u64 number;     /* of the next data_write */
    struct list flight, arrived, committing;
    u32 in_flight;
    u32 ordered;     /* writebacks that commits wait for */
    bool installing; /* data_commit_flushed: frees are this commit's */
    bool failing;    /* the last write failed: the background leaves it to the next sync */
    bool interval;   /* a commit follows when the background has ended */
    struct list writebacks;
    struct list rooms; /* struct room_wait */
    status_handler ordered_done;
    struct writeback background;
    struct status_handler background_done;
    bool background_runs;
    struct commit_wait commit; /* asked for by us */
    struct status_handler commit_done;
    bool commit_asked;
    struct list syncs; /* of everything: the first one runs */
    struct data_flush {
        bool runs;
        struct list waiting, answering; /* struct sync, for the next FLUSH, and for this one */
        struct list writes;             /* that it covers */
        struct log_flush flush;
        struct status_handler landed;
    } flush;           /* sync.c */
    u64 reserved;      /* blocks set aside */
    u64 voided_blocks; /* of writes in flight: free when these end */
    u64 cursor;        /* behind the blocks taken last */
    struct space_bucket frees, frees_committing, spares;
    struct extent_pool {
        rbnode first;
        u64 count, promised;
    } extents;
};

status data_start(struct filesystem *fs);
static inline status data_need(struct filesystem *fs)
{
    return likely(fs->data) ? STATUS_OK : data_start(fs);
}

/* cache.c */
/* The first page in the cache, or the first dirty one, from `index` on; NULL. */
struct page *cache_first_page(struct inode *i, u64 index);
struct page *cache_first_dirty(struct inode *i, u64 index);
/* A valid page that is not dirty, and the other way round. */
void cache_page_dirty(struct page *p);
void cache_page_clean(struct page *p);
/* Back to the clock when nothing keeps it from there. */
void cache_page_settled(struct page *p);
/* Out of the file; gone when nobody holds it, or later. */
void cache_detach(struct page *p);

/* extent.c, for changes while mounted */
struct extent *extent_at(const struct inode *i, u64 block);
/* Written, without checksums: what is written to it goes there. */
bool extent_in_place(const struct extent *e);
/* Memory for n more extents, so that what follows cannot fail.  ENOMEM. */
status extents_promise(struct filesystem *fs, u32 n);
void extents_unpromise(struct filesystem *fs, u32 n);
/* The map of i exists.  ENOMEM. */
status extents_need(struct inode *i);
/* Maps [file_block, +blocks) to disk blocks that are taken; what was mapped there and lies
   elsewhere is free later.  Joins neighbours.  Needs EXTENTS_FOR_ONE_MAP. */
void extent_install(struct inode *i, u64 file_block, u64 disk_block, u64 blocks, u16 flags);
/* A hole; the blocks are free later.  Needs one extent, and as many spares as extents_count. */
void extent_remove(struct inode *i, range blocks);
/* How many extents meet the range, at most `most`. */
u32 extents_count(const struct inode *i, range blocks, u32 most);

/* writeback.c */
/* `w` is the caller's, with done, inode, first, end, most set; done: once, maybe before returning.
   data_need was called. */
void writeback_start(struct filesystem *fs, struct writeback *w);
/* `done` will not be applied. */
void writeback_cancel(struct writeback *w);
/* Makes the background write when enough is dirty. */
void data_balance(struct filesystem *fs);
/* The device has a write to some of these blocks, which may be nobody's any more. */
bool flight_meets(const struct data *d, u64 disk_block, u64 blocks);
/* Asks for a commit, for room. */
void data_commit_ask(struct filesystem *fs);
/* There is room again. */
void data_room(struct filesystem *fs);
void writebacks_step(struct filesystem *fs);
/* data_write's end. */
void data_write_free(struct data_write *w);
/* Its pages are dirty again and its new blocks free. */
void data_write_failed(struct data_write *w, status s);

/* What is settled by a FLUSH alone: its pages are clean. */
void data_write_settled(struct data_write *w);

/* write.c */
status file_change_allowed(const struct inode *i);
/* What is read from that page of the disk is not zero everywhere. */
bool page_has_content(const struct inode *i, u64 index);
/* A valid page becomes dirty; a block is set aside when it needs one.  EAGAIN, ENOSPC. */
status page_make_dirty(struct page *p);
/* Before i grows to more than it is, with pages from `index` on: its last page, if it ends within
   it, is dirty and zero behind the end, and nothing is between the two (file_skip).  EAGAIN with
   *fetch. */
status tail_secure(struct inode *i, u64 index, u64 *fetch);

/* truncate.c */
/* Blocks with data from the end of i to block `end` become a hole: a power cut left them there when
   it came after their mapping and before the length that holds them (FORMAT.md, section 8). EAGAIN,
   ENOMEM; what was done then is not seen, and need not be done again. */
status file_skip(struct inode *i, u64 end);
