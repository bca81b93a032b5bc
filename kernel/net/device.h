/* Between the network and the drivers of its devices: frames out, frames in, and what a device can
   do for us.

   A driver fills a struct net_device in and hands it to the net_attach that drivers_start was
   given; from then on both sides call each other under the surface lock, from a run loop or a
   system call, never from an interrupt handler.

   Out: the network lists the pieces of a frame and calls `transmit`.  The memory of the pieces and
   the struct itself are the driver's until it applies `sent`, once, also when the device was reset
   or is gone.  In: the driver's buffers travel up as struct net_buffer and come back by
   net_buffer_release, in any order and at any time; a driver keeps enough of its own that its ring
   is never left empty (it copies small frames, or drops and counts, when they do not come back). */
#pragma once

#include "runtime/closure.h"
#include "runtime/types.h"

#define NET_HARDWARE_BYTES 6
#define NET_ETHERNET_BYTES 14
#define NET_FRAME_BYTES    (NET_ETHERNET_BYTES + 65535u) /* the longest, with segmentation offload */
#define NET_FRAME_PIECES   20
#define NET_BUFFER_ROOM    64 /* bytes that the stack may use in each received buffer */

/* What a device does for us. */
enum net_offload {
    NET_CHECKSUM_OUT = 1, /* fills in the checksum of a frame that asks for it */
    NET_CHECKSUM_IN = 2,  /* may say that a frame's checksum is good */
    NET_SEGMENT_V4 = 4,   /* cuts large TCP frames into segments */
    NET_SEGMENT_V6 = 8,
    NET_LARGE_IN = 16, /* may hand up frames of several segments joined */
};

/* --- in ----------------------------------------------------------------------------------------
 */

struct net_buffer {
    struct net_buffer *next; /* of the same frame */
    u8 *data;
    u32 bytes;
    struct net_buffer_release *release; /* the driver's */
    alignas(16) u8 room[NET_BUFFER_ROOM];
};
/* Takes the buffer back; any later time, under the surface lock. */
closure_type(net_buffer_release, void, struct net_buffer *b);

struct net_frame_in {
    struct net_buffer *buffers; /* the Ethernet header lies in the first one, unsplit */
    u32 bytes;                  /* of all buffers, 14 to NET_FRAME_BYTES; checked by the driver */
    bool checksum_good; /* of TCP or UDP: the device looked, or the frame never was on a wire */
    u16 segment_bytes;  /* not 0: segments of this many bytes of payload were joined */
};

/* --- out ---------------------------------------------------------------------------------------
 */

struct net_piece {
    const void *data; /* of general_heap, page_heap or the kernel's image */
    u32 bytes;
};

enum net_segmenting { NET_SEGMENT_NONE, NET_SEGMENT_TCP4, NET_SEGMENT_TCP6 };

struct net_frame_out {
    u32 count; /* of pieces; the headers up to and including TCP's or UDP's lie in the first one */
    u32 bytes;
    u32 headroom; /* bytes before the first piece that are the frame's too: for a driver's header */
    struct net_piece pieces[NET_FRAME_PIECES];
    bool checksum;       /* the field holds the pseudo-header's sum; the device is to finish it */
    u16 checksum_start;  /* from the frame's first byte */
    u16 checksum_offset; /* of the field from there */
    u8 segmenting;       /* enum net_segmenting */
    u16 segment_bytes;   /* payload of each segment */
    u16 header_bytes;    /* Ethernet to TCP, repeated for each segment */
    struct thunk sent;   /* made ready by the network; applied, not deferred */
};

/* --- the device --------------------------------------------------------------------------------
 */

struct net_device_statistics {
    u64 frames_in, bytes_in, frames_out, bytes_out;
    u64 dropped_in; /* no memory, or nobody took them */
    u64 malformed;  /* what the device wrote cannot be right */
    u64 resets;     /* of a device that stopped, or broke its promises */
    u64 interrupts;
};

struct net_device;
/* False: no room now; `room` is applied when there is, and the frame stays the caller's. */
closure_type(net_transmit, bool, struct net_frame_out *f);
/* Tells the device of what was transmitted since the last call: one doorbell for many frames.  The
   network calls it at the end of each pass of its own; a driver need not wait for it. */
closure_type(net_flush, void);
/* The network's. */
closure_type(net_receive, void, const struct net_frame_in *f);
closure_type(net_link_change, void, bool up);

struct net_device {
    char name[32];                           /* [I] as the driver's messages have it */
    u8 hardware_address[NET_HARDWARE_BYTES]; /* [I] */
    u32 mtu;                                 /* [I] of IP; 68 to 65535 */
    u32 offloads;                            /* [I] enum net_offload */
    bool link_up;
    net_transmit transmit;        /* [I] the driver's */
    net_flush flush;              /* [I] */
    net_receive receive;          /* the network's, set before net_attach returns */
    net_link_change link_changed; /* the network's */
    thunk room;                   /* the network's; applied from the run loop */
    struct net_device_statistics statistics;
};

/* Applied for every network device found, in bus order.  The device lives for ever. */
closure_type(net_attach, void, struct net_device *device);
