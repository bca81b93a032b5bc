/* The filesystem in memory: what the files of fs/ share.  Nobody else includes this.

   Mount builds everything here from the log; after that names, attributes and extents do not
   change (writing is not there yet) and only the page cache moves.  All of it belongs to the run
   loop of one CPU: nothing here is called from an interrupt handler, and no lock is needed yet.

   Memory.  Metadata (inodes, entries, extents) comes from the arena and goes away with the mount;
   tables that grow come from the heap.  Nothing is sized by a number that the disk says, only by
   what the disk really holds. */
#pragma once

#include "fs/format.h"
#include "fs/fs.h"
#include "runtime/range_map.h"
#include "runtime/scope.h"

/* What replay does for every file.  The kernel's linker puts it into one page: an emulator links
   translated blocks only within a page and looks the next one up everywhere else, which costs more
   than the work.  For the same reason what is short here is inline. */
#define REPLAY_CODE __attribute__((section(".text.hot.replay")))

/* --- arena.c: small pieces of memory, given back all at once ---------------------------------- */

#define ARENA_PIECE_MOST 512u /* what is larger comes from the heap by itself */

struct arena {
    heap heap;
    struct arena_chunk *chunks;
    struct arena_large *large;
    u8 *at, *end; /* what is left of the newest chunk */
    u64 chunk_bytes;
    void *free[ARENA_PIECE_MOST / 8 + 1]; /* pieces of 8 * n bytes, each points to the next */
};

void arena_init(struct arena *a, heap h);
/* arena_allocate, when the newest chunk is not where it comes from. */
void *arena_allocate_else(struct arena *a, u64 bytes);
/* Aligned to 8, not cleared; NULL when out of memory. */
static inline void *arena_allocate(struct arena *a, u64 bytes)
{
    u64 aligned = align_up(bytes, 8);
    void *p = a->at;
    if (unlikely(aligned > ARENA_PIECE_MOST || a->free[aligned / 8] ||
                 (u64)(a->end - a->at) < aligned))
        return arena_allocate_else(a, aligned);
    a->at += aligned;
    return p;
}
/* `bytes` is what was asked for; p may be NULL. */
void arena_free(struct arena *a, void *p, u64 bytes);
void arena_release(struct arena *a);

/* --- space.c: which blocks are in use --------------------------------------------------------- */

enum space_use { USE_FIXED, USE_LOG, USE_DATA, USE_CHECKSUMS, USE_OTHER };

struct space_node {
    struct range_node node; /* blocks */
    enum space_use use;
};

struct space {
    struct range_map map;
    heap heap;
    u64 blocks; /* of the device */
    u64 used;
    struct space_node *last;  /* where the last blocks were taken: the next ones are mostly there */
    struct range_map sums;    /* sums.c: how many extents name each checksum block */
    struct sums_loose *loose; /* checksum blocks that none names, in no order */
    bool loose_due;           /* some of them since the last commit that could release them */
};

void space_init(struct space *s, heap h, u64 blocks);
void space_destroy(struct space *s);
/* EBADMSG when a block is beyond the device or in use; ENOMEM. */
status space_take(struct space *s, u64 block, u64 blocks, enum space_use use);
/* EBADMSG when not all of it is in that use; ENOMEM. */
status space_give(struct space *s, u64 block, u64 blocks, enum space_use use);
/* The same; *spare, unless it is NULL, is used and then NULL when a node more is needed. */
status space_give_with(struct space *s, u64 block, u64 blocks, enum space_use use,
                       struct space_node **spare);
/* Gives blocks that lie in one use another one.  Takes what it needs of `spares`, two nodes, and
   leaves NULL there; returns how many ranges are left of the one in which they lay. */
u32 space_turn(struct space *s, range blocks, enum space_use to, struct space_node *spares[2]);
bool space_is(struct space *s, u64 block, u64 blocks, enum space_use use);

/* --- inodes and entries ----------------------------------------------------------------------- */

/* A name in a directory: directory.c. */
struct entry {
    struct inode *directory;
    struct inode *inode;
    u32 place; /* in directory->entries */
    u8 name_bytes;
    u8 said;     /* checkpoint.h: the checkpoint_epoch that has this name */
    char name[]; /* at least 8 bytes, zeros after a shorter one */
};

struct xattr {
    struct xattr *next;
    u32 value_bytes;
    u16 name_bytes;
    char text[]; /* name, value */
};

struct page_node;

/* What an inode has only after somebody read, opened or changed it: so a million files that nobody
   touches cost no memory for it. */
struct inode_live {
    struct list link; /* fs->live */
    struct inode *inode;
    struct page_node *pages; /* cache.c's tree */
    u64 pages_cached;
    u64 ahead_next;   /* read.c: the page at which reading in order goes on */
    u32 ahead_window; /* pages */
    u8 tree_height;   /* of `pages`; 0: no page is cached */

    /* Of changed inodes; see fs/log.h and fs/writeback.h. */
    struct list dirty;    /* fs->dirty_inodes: attributes or the length are newer than the log */
    struct list writes;   /* struct data_write, of this inode, from issue to FLUSH */
    struct list data;     /* data.files: it has dirty pages */
    u64 data_stamp;       /* when it came there */
    u64 dirty_pages;      /* PAGE_DIRTY */
    struct list promises; /* struct data_promise: syncs of this file */
    u64 issued_bytes;     /* and the last sync of everything: all before that was in writes */
    u64 issued_until;     /* with numbers below this one */
    u64 goal_index;       /* the page behind the last one that blocks were taken for, */
    u64 goal_block;       /* and the block behind them */
    u64 logged_bytes;     /* the length that the log gives the file */
    u64 position;         /* log_position behind the last record about it or its name */
    struct inode_live *orphan_next; /* fs->orphans */
    u8 orders;                      /* data_order said EAGAIN so many times */
    u64 failures;                   /* of writing back, counted */
    status failure;                 /* the last one */
};

struct inode {
    struct filesystem *fs;
    u64 number;
    u64 bytes;
    u8 type;
    u8 said; /* checkpoint.h: the checkpoint_epoch that has this inode; 0: none */
    u16 mode : 12;
    u16 unnamed : 1; /* made without a name: inode_link may give it one */
    u32 uid, gid;
    u32 links; /* names that lead here */
    u32 holds;
    u32 places_capacity; /* directories: see directory.c */
    s64 accessed_ns, modified_ns, changed_ns, created_ns;
    struct entry *entry; /* the newest name; NULL: the root, or no name */
    struct xattr *xattrs;
    struct inode_live *live; /* NULL: nothing but its metadata was ever touched */
    union {
        struct { /* directories */
            struct entry **entries;
            u32 places, entries_live, subdirectories, place_next;
        };
        struct {                       /* files */
            struct range_map *extents; /* of struct extent; NULL: none */
            u64 blocks;                /* mapped */
        };
        struct { /* symlinks */
            char *target;
        };
    };
};

struct extent {
    struct range_node node; /* file blocks */
    u64 disk_block;
    u64 run_block; /* of the checksum run; with SUMS_RUN */
    u32 run_index;
    u16 flags;       /* MAP_* */
    u8 said;         /* checkpoint.h: the checkpoint_epoch that has this extent */
    const u32 *sums; /* with SUMS_INLINE */
};

static inline struct extent *extent_of(struct range_node *n)
{
    return container_of(n, struct extent, node);
}

struct setting {
    struct setting *next;
    u32 name_bytes;
    char text[]; /* name, 0, value, 0 */
};

/* --- the page cache --------------------------------------------------------------------------- */

enum page_flag {
    PAGE_VALID = 1,
    PAGE_REFERENCED = 2, /* found since the clock's hand passed */
    PAGE_DIRTY = 4,      /* newer than what is on the disk and on its way there */
    PAGE_WRITING = 8,    /* the device has it */
    PAGE_RESERVED = 16,  /* a block is set aside for it */
    PAGE_DETACHED = 32,  /* dropped from the file while somebody held it: the last hold frees it */
};

struct page {
    void *memory;
    struct inode *inode;
    u64 index;
    u32 holds;
    u32 flags;
    struct list link; /* the cache's clock while it is valid and nothing keeps it from eviction */
    union {
        struct page_read *read; /* the operation that brings it in, while not valid */
        struct filesystem *fs;  /* while detached: the inode may be gone */
    };
    u16 writes; /* struct data_write that have it, until their FLUSH */
    u16 moves;  /* of these, those that will map it to another block */
};
_Static_assert(sizeof(struct page) <= 64, "there are as many as pages of the cache");

struct filesystem {
    struct filesystem_environment environment;
    struct scope scope; /* every request to the device is an operation in it */
    struct status_handler closed;
    status_handler unmounted;
    struct superblock super;
    u64 volume;
    struct arena arena;
    struct space space;

    struct inode_node *inode_top, *inode_leaf; /* inode_index.c */
    u64 inode_leaf_of;
    u32 inode_height;
    u64 inodes, entries;
    u64 extents;
    u64 linked; /* inodes with a name, and the root */
    struct inode *root;
    struct setting *settings, *settings_last;

    /* Writing.  All NULL and zero while nothing was changed since mount. */
    struct log *log;               /* log.c, commit.c */
    struct data *data;             /* writeback.c, allocate.c */
    struct checkpoint *checkpoint; /* checkpoint.c: the one under way */
    struct segments *segments;     /* segment.c */
    struct trim *trim;             /* trim.c; NULL: nothing was ever discarded */
    u8 checkpoint_epoch;           /* not 0 while one is under way; another one each time */
    bool super_in_b;               /* which of the two superblocks is `super` */
    bool writable;                 /* changes are possible */
    status broken;                 /* why they no longer are */
    struct list dirty_inodes;      /* inode_live.dirty */
    struct inode_live *orphans;    /* nobody names or holds them, and their FORGET is not logged */
    u64 next_inode;                /* no number from here on was ever used */
    u64 text_bytes; /* of all names and checksums as in their records, and all SYMLINK and XATTR_SET
                       records whole */

    struct list live;  /* struct inode_live, in no order */
    struct list clock; /* valid pages, next to be looked at first */
    u64 pages;         /* all of them, being read too */
    u64 pages_seen;    /* [statistics] pages brought in */
    u64 reads_in_flight;
    struct inode *checksums; /* not in the tree: its page n is the device's block n */
};

/* inode.c */
/* Forgets all of them, for the end; the arena has their memory. */
void inodes_release(struct filesystem *fs);
/* NULL: out of memory. */
struct inode *inode_make(struct filesystem *fs, u64 number, u8 type);
/* Nobody names or holds it; its blocks were given back before. */
void inode_forget(struct filesystem *fs, struct inode *i);
/* The INODE record of what memory says. */
void inode_record(const struct inode *i, struct record_inode *r);
/* Makes it when it is not there; NULL: out of memory.  Whose is made counts as changed just now. */
struct inode_live *inode_live(struct inode *i);
/* With its pages, which nobody holds. */
void inode_live_drop(struct inode *i);
/* Where a message says which file it speaks of: "/a/b", cut at the front when it is too long. */
const char *inode_path(const struct inode *i, char *to, u64 size);

/* inode_index.c */
#define INODE_LEAF_ORDER 5
struct inode_node {
    u32 used;
    void *slots[1u << INODE_LEAF_ORDER]; /* struct inode_node, at the lowest level struct inode */
};
static inline bool inode_leaf_is(const struct filesystem *fs, u64 number)
{
    return fs->inode_leaf && number >> INODE_LEAF_ORDER == fs->inode_leaf_of;
}
static inline void **inode_leaf_slot(const struct filesystem *fs, u64 number)
{
    return &fs->inode_leaf->slots[number & ((1u << INODE_LEAF_ORDER) - 1)];
}
/* The same as inode_find and inode_index_add, in any leaf. */
struct inode *inode_find_else(struct filesystem *fs, u64 number);
bool inode_index_add_else(struct inode *i);
static inline struct inode *inode_find(struct filesystem *fs, u64 number)
{
    return likely(inode_leaf_is(fs, number)) ? *inode_leaf_slot(fs, number)
                                             : inode_find_else(fs, number);
}
/* The first one from `number` on; NULL: none. */
struct inode *inode_next(struct filesystem *fs, u64 number);
/* false: out of memory */
static inline bool inode_index_add(struct inode *i)
{
    struct filesystem *fs = i->fs;
    if (unlikely(!inode_leaf_is(fs, i->number)))
        return inode_index_add_else(i);
    *inode_leaf_slot(fs, i->number) = i;
    fs->inode_leaf->used++;
    return true;
}
void inode_index_remove(struct inode *i);

/* directory.c */
void directory_release(struct inode *directory);
bool name_valid(const char *name, u64 bytes);
struct entry *entry_find(struct inode *directory, const char *name, u64 bytes);
/* EEXIST, EINVAL (name_valid says no), ENOSPC, ENOMEM. */
status entry_link(struct inode *directory, struct inode *i, const char *name, u64 bytes);
void entry_unlink(struct entry *e);
/* The halves of entry_link: everything that can fail, and the rest.  `name` was not there. */
status entry_prepare(struct inode *directory, const char *name, u64 bytes, struct entry **made);
void entry_attach(struct entry *e, struct inode *i);
void entry_discard(struct entry *e); /* prepared, not attached */
/* The root, or a directory with a name: only these take entries, so no ring can form. */
static inline bool directory_attached(const struct inode *i)
{
    return i && i->type == INODE_DIRECTORY && (i->number == INODE_ROOT || i->entry);
}
/* Whether i is `directory` or above it. */
bool inode_above(const struct inode *i, struct inode *directory);

/* change.c: what the calls that change share. */
status name_check(const struct inode *directory, const char *name, u64 name_bytes);
u64 link_record_bytes(u64 name_bytes);
/* Something about it was logged or will be: its time of that, and its position. */
void inode_touch(struct inode *i, s64 now);
void directory_touch(struct inode *directory, s64 now);
/* A name of i goes: memory for what may be the inode's end, what that takes in the log, its record,
   and, with links already lower, the end itself. */
status name_gone_secure(struct inode *i);
u64 name_gone_bytes(const struct inode *i);
void name_gone_log(struct inode *i);
void name_gone(struct inode *i, s64 now);
status change_allowed(const struct filesystem *fs);
s64 change_time(const struct filesystem *fs, s64 otherwise);
/* What FORGET of an inode needs, so that change_forget cannot fail. */
status change_forget_secure(struct inode *i);
void change_forget_log(struct inode *i);
/* After the record: it is gone, with its blocks and its memory. */
void change_forget(struct inode *i);
/* What has no name any more and is held: its FORGET comes with the last inode_release. */
status orphan_secure(struct inode *i);
/* The last hold of an inode without a name is gone. */
void orphan_forget(struct inode *i);
/* Commits apply this when the log's buffer has room again: what orphan_forget could not log. */
void orphans_forget(struct filesystem *fs);

/* xattr.c */
struct xattr *xattr_find(const struct inode *i, const char *name, u64 name_bytes);
/* NULL: out of memory.  The text is the name, and behind it the value. */
struct xattr *xattr_make(struct filesystem *fs, const char *name, u64 name_bytes, const void *value,
                         u64 value_bytes);
/* With the accounts. */
void xattr_attach(struct inode *i, struct xattr *x);
void xattr_discard(struct inode *i, struct xattr *x);
u32 xattr_count(const struct inode *i);
u64 xattr_record_bytes(u64 name_bytes, u64 value_bytes);
u64 symlink_record_bytes(u64 target_bytes);

/* extent.c */
status extent_map(struct inode *i, const struct record_map *m);
status extent_unmap(struct inode *i, range blocks);
/* The extent that begins at `block` becomes one with its neighbours where these go on on the disk.
 */
void extent_join(struct inode *i, u64 block);

/* sums.c */
/* The checksum blocks that a part of e needs; empty: it has no run. */
range extent_sums(const struct extent *e, range part);
/* One extent more names them.  ENOMEM, but not for blocks that another one names. */
status sums_hold(struct filesystem *fs, range blocks);
void sums_drop(struct filesystem *fs, range blocks);
/* Whether any of them is named. */
bool sums_named(struct filesystem *fs, range blocks);
/* At mount, when changes are possible: finds what nobody names. */
void sums_sweep(struct filesystem *fs);
/* Logs the RELEASE of what nobody names, as far as the log takes it.  Not between log_begin and
   log_end. */
void sums_release(struct filesystem *fs);

/* replay.c: applies the records of one valid group. */
struct replay {
    struct filesystem *fs;
    bool segment_expected; /* the next record is a segment's first */
    bool begun, ended;     /* the checkpoint */
    u64 generation;
    u64 sequence; /* of the group that is being applied */
    u64 segment_block;
    u32 segment_blocks;
    u64 next_block; /* NEXT was seen: the log goes on there; 0: it was not */
    u32 next_blocks;
    u64 next_sequence;
    struct inode
        *directory;     /* of the last LINK, and the last inode that was made: mostly they are */
    struct inode *made; /* the next record's too.  NULL: look */
};
status replay_group(struct replay *r, const struct group *g);
/* After the last group: what was unlinked while open is forgotten. */
status replay_finish(struct replay *r);

/* replay_tree.c: the records of inodes and names.  Their fixed part is there. */
status replay_inode(struct replay *r, const struct record *record);
status replay_link(struct replay *r, const struct record *record);
status replay_unlink(struct replay *r, const struct record *record);
status replay_rename(struct replay *r, const struct record *record);
status replay_symlink(struct replay *r, const struct record *record);
status replay_map(struct replay *r, const struct record *record);
status replay_unmap(struct replay *r, const struct record *record);
status replay_truncate(struct replay *r, const struct record *record);
status replay_xattr_set(struct replay *r, const struct record *record);
status replay_xattr_remove(struct replay *r, const struct record *record);
status replay_forget(struct replay *r, const struct record *record);

/* cache.c */
struct page *cache_lookup(struct inode *i, u64 index);
/* A page that is not valid yet, in i's tree, with a hold; NULL when out of memory.  memory: taken
   over when that succeeds; NULL: a page is allocated. */
struct page *cache_add(struct inode *i, u64 index, void *memory);
void cache_page_valid(struct page *p);
/* Takes a page that nobody holds out of the cache. */
void cache_drop(struct page *p);
void cache_drop_inode(struct inode *i);
u64 file_pages(const struct inode *i);

/* --- reading from the device ------------------------------------------------------------------ */

/* device.c: one read, in its caller's struct. */
struct device_read {
    struct operation operation;
    struct block_request request;
    struct cancel_handler cancel;
    struct filesystem *fs;
};

/* All of sg, from `sector` on.  done: taken over unless the result is false, when the filesystem is
   being unmounted (then device_closing() is why); applied once, from the run loop. */
bool device_read_start(struct filesystem *fs, struct device_read *r, u64 sector, struct sg_list *sg,
                       status_handler done);
/* The same for writing, and for FLUSH (sg NULL, sector 0). */
bool device_start(struct filesystem *fs, struct device_read *r, enum block_operation operation,
                  u64 sector, struct sg_list *sg, status_handler done);
bool device_discard(struct filesystem *fs, struct device_read *r, u64 sector, u64 sectors,
                    status_handler done);
status device_closing(const struct filesystem *fs);

#define READ_BLOCKS_MOST 64u /* of one request: 256 KiB */

/* A part of one extent on its way in, to memory that `sg` names block by block.  Its blocks are
   held against their checksums before `done` is applied; the checksums that are not in memory are
   read first, and one read never needs more than one block of them. */
struct extent_read {
    struct inode *inode;
    u64 file_block, disk_block;
    u32 blocks;
    const u32 *sums; /* of the first block; NULL: from sums_page, or none */
    u64 sums_block;  /* the checksum block; 0: none */
    u32 sums_at;     /* of the first block, in that block */
    u32 attempts;
    struct page *sums_page;
    struct device_read device;
    struct sg_list sg;
    struct status_handler sums_ready, landed;
    status_handler done; /* the device's failure, or EIO of a checksum */
    u64 bad;             /* one bit for each block that did not arrive or is not right */
};

/* Fills everything in but sg and done.  `file_block` lies in e; returns how many blocks, at most
   `blocks`, one read can have. */
u32 extent_read_init(struct extent_read *r, struct inode *i, const struct extent *e, u64 file_block,
                     u64 blocks);
/* The same for blocks of the device that are checksum blocks themselves. */
u32 checksums_read_init(struct extent_read *r, struct inode *checksums, u64 block);
void extent_read_start(struct extent_read *r);
