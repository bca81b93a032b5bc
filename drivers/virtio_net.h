/* virtio-net's own: what its files share.

   drivers/virtio_net.c            service, link, watchdog, reset; it has the rules
   drivers/virtio_net_start.c      features, configuration, making and starting queues
   drivers/virtio_net_transmit.c   frames out
   drivers/virtio_net_receive.c    frames in, and the buffers that they come in
   drivers/virtio_net_control.c    the control queue
   drivers/virtio_net_census.c     what a census says of a device */
#pragma once

#include "drivers/virtio.h"
#include "kernel/census.h"
#include "kernel/clock.h"
#include "kernel/net/device.h"

/* virtio 1.2, 5.1.3 */
#define VNET_F_CSUM       (1ull << 0)
#define VNET_F_GUEST_CSUM (1ull << 1)
#define VNET_F_MTU        (1ull << 3)
#define VNET_F_MAC        (1ull << 5)
#define VNET_F_GUEST_TSO4 (1ull << 7)
#define VNET_F_GUEST_TSO6 (1ull << 8)
#define VNET_F_HOST_TSO4  (1ull << 11)
#define VNET_F_HOST_TSO6  (1ull << 12)
#define VNET_F_MRG_RXBUF  (1ull << 15)
#define VNET_F_STATUS     (1ull << 16)
#define VNET_F_CTRL_VQ    (1ull << 17)
#define VNET_F_MQ         (1ull << 22)

/* virtio 1.2, 5.1.6 */
struct vnet_header {
    u8 flags;
    u8 segmenting;
    u16 header_bytes;
    u16 segment_bytes;
    u16 checksum_start;
    u16 checksum_offset;
    u16 buffer_count; /* not there without VERSION_1 or MRG_RXBUF */
};
_Static_assert(sizeof(struct vnet_header) == 12, "virtio 1.2, 5.1.6");
#define VNET_HEADER_SHORT 10

enum vnet_header_flag { VNET_NEEDS_CHECKSUM = 1, VNET_CHECKSUM_VALID = 2 };
enum vnet_segmenting { VNET_SEGMENT_TCP4 = 1, VNET_SEGMENT_TCP6 = 4, VNET_SEGMENT_ECN = 0x80 };

#define VNET_PAIRS_MOST 4
#define VNET_RING_MOST  256 /* descriptors of a ring; legacy PCI devices have their own number */
#define VNET_SLOTS_MOST 128 /* frames of a pair that the device may have */

struct vnet_slot {
    struct virtio_descriptor table[NET_FRAME_PIECES + 1];
    struct vnet_header header;
    struct virtqueue_chain chain;
    struct net_frame_out *frame;
    struct vnet_slot *next; /* free, or taken back from the device */
};

/* The beginning of a receive buffer; what the device may write follows.  The frame's first byte is
   at VNET_FRAME_OFFSET, behind virtio's header, so that IP's begins at a multiple of 16. */
struct vnet_buffer {
    struct net_buffer net;
    struct virtqueue_chain chain;
    u64 physical; /* [I] of this struct */
};
#define VNET_FRAME_OFFSET 210u
_Static_assert(sizeof(struct vnet_buffer) <= VNET_FRAME_OFFSET - sizeof(struct vnet_header),
               "the device must not write into the struct");
_Static_assert((VNET_FRAME_OFFSET + NET_ETHERNET_BYTES) % 16 == 0, "IP's header is aligned");

struct vnet_pool {
    u32 buffer_bytes;      /* of one, the struct included; [I] once there is one */
    u64 bytes, bytes_most; /* of all buffers and copies that there are */
    struct net_buffer *free;
    u32 free_count;
    struct net_buffer *free_copies;
    u32 free_copy_count;
    u32 lent;     /* buffers and copies that the network has */
    bool starved; /* a ring was not filled: the next buffer that comes back is awaited */
};

struct vnet_pair {
    struct vnet *net; /* [I] */
    struct virtqueue receive, transmit;
    u16 posted;       /* buffers that the device has */
    u16 posted_most;  /* [I] is to have */
    u16 posted_least; /* [I] has always: the longest frame fits */
    u16 slot_count;   /* [I] */
    u16 slots_free;
    struct vnet_slot *slots; /* [I] */
    struct vnet_slot *free_slot;
    u64 sent;       /* frames that came back */
    u64 sent_seen;  /* when the watchdog last looked */
    u64 stalled_ns; /* since when it saw none, as far as it was awake */
};

struct vnet_control {
    struct virtqueue queue;
    struct virtqueue_chain chain;
    struct {
        u8 class, command;
        u16 pairs;
        u8 answer;
    } message;
    bool flying;
};

struct vnet {
    struct net_device device;
    struct virtio_device *virtio; /* [I] */
    struct thunk service;
    struct net_transmit transmit;
    struct net_flush flush;
    struct net_buffer_release release, release_copy;
    struct timer timer; /* while frames are with the device */
    struct thunk tick;
    u64 tick_ns, tick_interval_ns;

    u32 header_bytes;  /* [I] of the device's header */
    bool mergeable;    /* [I] */
    bool header_apart; /* [I] received headers have a descriptor of their own */
    bool any_layout;   /* [I] a frame that is sent may share its header's descriptor */
    u32 pairs_offered; /* [I] by the device */
    u32 pair_count;    /* [I] that we made */
    u32 pairs_active;  /* that the device agreed to use */
    struct vnet_pair pairs[VNET_PAIRS_MOST];
    struct vnet_pool pool;
    struct vnet_control control;
    bool room_wanted; /* a frame was refused */
    bool dead;
    u32 resets_in_a_row;
    u64 last_reset_ns;
    struct census_writer census;
};

/* --- virtio_net.c ----------------------------------------------------------------------------- */

void virtio_net_service_init(struct vnet *n);

/* --- virtio_net_start.c ----------------------------------------------------------------------- */

/* From reset to ready, again: the same features, the same rings. */
status virtio_net_restart(struct vnet *n);
/* Reads whether the link is up. */
bool virtio_net_link_read(const struct vnet *n);

/* --- virtio_net_transmit.c -------------------------------------------------------------------- */

void virtio_net_transmit_init(struct vnet *n);
status virtio_net_slots_make(struct vnet_pair *p);
void virtio_net_slots_free(struct vnet_pair *p);
/* Applies `sent` of what the device is done with. */
void virtio_net_reap(struct vnet_pair *p);
/* Applies `room` if that was wanted and there is some.  From the run loop. */
void virtio_net_room_offer(struct vnet *n);
/* After a reset: the slots of the frames that were with the device, listed. */
struct vnet_slot *virtio_net_slots_reclaim(struct vnet_pair *p);
/* Those frames are lost: applies their `sent`. */
void virtio_net_slots_lose(struct vnet_pair *p, struct vnet_slot *lost);
/* Looks after what is in flight, soon. */
void virtio_net_timer_start(struct vnet *n);

/* --- virtio_net_receive.c --------------------------------------------------------------------- */

void virtio_net_receive_init(struct vnet *n);
/* Decides how many buffers the ring is to hold.  The ring is there. */
void virtio_net_receive_size(struct vnet_pair *p);
/* Gives buffers to the device until it has `posted_most`, or there are no more.  False: it has too
   few to go on. */
bool virtio_net_fill(struct vnet_pair *p);
/* Hands frames up, a bounded number.  True: there are more, and no interrupt will say so. */
bool virtio_net_receive(struct vnet_pair *p);
/* After a reset: takes the device's buffers back. */
void virtio_net_buffers_reclaim(struct vnet_pair *p);
/* Gives unused buffers back to the heap. */
void virtio_net_pool_empty(struct vnet *n);

/* --- virtio_net_control.c --------------------------------------------------------------------- */

/* Asks the device to use all pairs that we made. */
void virtio_net_control_ask(struct vnet *n);
/* Takes its answer, if it is there. */
void virtio_net_control_take(struct vnet *n);

/* --- virtio_net_census.c ---------------------------------------------------------------------- */

void virtio_net_census_start(struct vnet *n);
