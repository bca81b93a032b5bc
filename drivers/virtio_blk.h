/* virtio-blk's own: what drivers/virtio_blk.c (requests, their ends, resets) and
   drivers/virtio_blk_parts.c (their parts, in the ring) share.  drivers/virtio_blk.c has the rules.
 */
#pragma once

#include "drivers/block_census.h"
#include "drivers/virtio.h"
#include "kernel/clock.h"
#include "runtime/block.h"
#include "runtime/lock.h"

#define VIRTIO_BLK_F_FLUSH (1ull << 9) /* virtio 1.2, 5.2.3 */

/* virtio 1.2, 5.2.6 */
enum blk_type { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH_CACHE = 4, BLK_DISCARD_RANGE = 11 };
enum blk_answer { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2, BLK_UNANSWERED = 0xff };

struct blk_header {
    u32 type;
    u32 reserved;
    u64 sector;
};

struct blk_range {
    u64 sector;
    u32 sectors;
    u32 flags;
};

_Static_assert(sizeof(struct blk_header) == 16, "virtio 1.2, 5.2.6");
_Static_assert(sizeof(struct blk_range) == 16, "virtio 1.2, 5.2.6");

#define BLK_SLOTS       64  /* parts in flight; more wait */
#define BLK_QUEUE_SIZE  256 /* descriptors; chains without a table need many */
#define BLK_TABLE       56 /* descriptors of a part: what fits into 1 KiB with the rest of a slot */
#define BLK_EXTRA       2  /* of them, the header and the answer */
#define BLK_SEGMENT     (1u << 30) /* bytes of one descriptor, when the device names no limit */
#define BLK_DEADLINE_NS (30 * NS_PER_SECOND)
#define BLK_CANCEL_NS   NS_PER_SECOND
#define BLK_RESETS_MOST 8

struct blk_slot {
    struct virtio_descriptor table[BLK_TABLE];
    struct virtqueue_chain chain;
    struct block_request *request; /* NULL: free */
    struct blk_slot *next_free;
    u32 data_bytes;
    u8 answer;
    union {
        struct blk_header header;
        u8 header_bytes[sizeof(struct blk_header)];
    };
    struct blk_range range;
};

_Static_assert(sizeof(struct blk_slot) <= 1024, "the slots take 64 KiB");

struct blk_cursor {
    struct block_request *request; /* NULL: the first of `waiting` is not begun */
    u64 sectors;                   /* issued of it */
    u32 piece;                     /* where the next part begins in its list */
    u64 piece_offset;
};

struct virtio_blk {
    struct block_device device;   /* [I] */
    struct block_io io;           /* [I] */
    struct block_cancel cancel;   /* [I] */
    struct virtio_device *virtio; /* [I] */
    struct thunk service;
    struct thunk expired;
    struct timer deadline;

    u32 segment_most;  /* [I] data descriptors of a part */
    u32 segment_bytes; /* [I] of one descriptor, a multiple of SECTOR_BYTES */
    u32 discard_most;  /* [I] sectors of one discard */

    struct spinlock lock;       /* rank DEVICE */
    struct virtqueue queue;     /* [lock] */
    struct blk_slot *slots;     /* [I] BLK_SLOTS of them */
    struct blk_slot *free_slot; /* [lock] */
    struct list waiting;        /* [lock] */
    struct list flying;         /* [lock] in order of issue */
    struct list finished;       /* [lock] */
    struct blk_cursor cursor;   /* [lock] */
    u32 resets;                 /* [lock] */
    bool dead;                  /* [lock] */
    struct block_census census;
};

static inline struct block_request *request_of(struct list *link)
{
    return container_of(link, struct block_request, link);
}

static inline void request_fail_first(struct block_request *r, status s)
{
    if (is_ok(r->failure))
        r->failure = s;
}

/* virtio_blk.c: the request is on no list of the device, and no part of it is in flight. */
void blk_finish_locked(struct virtio_blk *b, struct block_request *r);

/* Frees all slots: nothing is in flight. */
void blk_slots_free_all(struct virtio_blk *b);
/* Issues what waits as far as there is room, and tells the device. */
void blk_issue_locked(struct virtio_blk *b);
/* The request fails: no further part of it is issued, and it ends when none is in flight either. */
void blk_stop_locked(struct virtio_blk *b, struct block_request *r, status why);
/* Takes the answers that are there. */
void blk_answers_take_locked(struct virtio_blk *b);
