/* A device of the tests' machine with the wire behind it: what the stack sends is kept as flat
   frames, in order, and what the test sends is handed up in buffers of its choosing, each in memory
   of exactly its length, so that a sanitizer sees one byte too many. */
#pragma once

#include "kernel/net/device.h"

#define NET_WIRE_FRAMES 4096

struct net_wire_frame {
    u8 *data; /* with the checksum finished, when the device was asked to */
    u32 bytes;
    u8 segmenting;
    u16 segment_bytes, header_bytes;
    bool checksum; /* was asked for */
};

struct net_wire {
    struct net_device device;
    struct net_transmit transmit;
    struct net_flush flush;
    struct net_buffer_release release;
    struct net_wire_frame frames[NET_WIRE_FRAMES];
    u32 sent, seen; /* frames sent by the stack; of these, taken by the test */
    u32 room;       /* frames that may be with the device; the rest finds no room */
    bool hold;      /* do not tell `sent` */
    struct net_frame_out *held[NET_WIRE_FRAMES];
    u32 held_count;
    u32 flushes;
    u64 buffers_out; /* received buffers that the stack still has */
};

/* Attaches a device to the stack; MAC 02:00:00:00:00:number. */
void net_wire_attach(struct net_wire *w, u8 number, u32 offloads);
/* Applies `sent` for what was held, and `room`. */
void net_wire_release(struct net_wire *w);
void net_wire_link(struct net_wire *w, bool up);

/* The next frame that the stack sent; NULL: there is none.  Valid until net_wire_clear. */
const struct net_wire_frame *net_wire_take(struct net_wire *w);
/* Forgets all frames. */
void net_wire_clear(struct net_wire *w);

/* Hands a frame up, cut into buffers of `piece` bytes (0: one buffer), and runs the machine. */
struct net_wire_send {
    const void *frame;
    u32 bytes;
    u32 piece;
    bool checksum_good;
};
void net_wire_input(struct net_wire *w, struct net_wire_send send);
