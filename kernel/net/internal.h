/* Inside kernel/net/ only: an interface, and what the files of the stack's core share.

     interface.c   interfaces, their beginning and what may be known of them
     input.c       frames of a device become packets of lwIP's, without a copy
     output.c      packets of lwIP's become frames of a device, without a copy
     loopback.c    packets to ourselves
     addresses.c   the option `net`: DHCP, static addresses, name servers; who waits for an address
     timers.c      the one timer behind everything that lwIP does later
     counters.c    what /proc shows
     lwip_port.c   what lwIP asks of its surroundings

   All of it is serialised by the surface lock.  Memory that the outside can make us use is bounded
   where it is queued; the limits are named in the files. */
#pragma once

#include "kernel/clock.h"
#include "kernel/net/net.h"
#include "lwip/netif.h"
#include "runtime/list.h"

/* A frame on its way to the device, or waiting for room there. */
struct net_frame {
    struct net_frame_out out;
    struct net_frame *next; /* in the link's queue, or among the free ones */
    struct net_link *link;
    struct pbuf *packet; /* referred to until the device has sent it */
    u8 era;              /* of kernel/net/limbo.h */
    bool borrows;        /* points at memory that is not the packet's own */
};

struct net_link {
    struct netif netif;                  /* lwIP's view of it */
    u8 v6_bits[LWIP_IPV6_NUM_ADDRESSES]; /* of the networks of its addresses; 0: 64 */
    char name[16];
    bool loopback;
    bool answered;   /* has had an IPv4 address */
    bool complained; /* about DHCP that does not answer */
    bool dhcp;       /* is to have its address from there */
    u64 begun_ns;
    struct net_device *device; /* NULL: loopback */
    struct net_receive receive;
    struct net_link_change link_changed;
    struct thunk room;
    struct thunk flush;
    bool flush_queued;
    struct net_frame *waiting, **waiting_end; /* the device has no room for them */
    u32 waiting_count;
    u64 dropped_out; /* the queue was full, or there was no memory */
    u64 dropped_in;
    u64 malformed;
    u64 packets, bytes; /* loopback's, which has no device to count them */
};

/* By index; lo is 0.  An interface lives for ever. */
extern struct net_link *net_links[NET_INTERFACES_MOST];
extern u32 net_link_count;

/* Of its IPv4 address, and of that IPv6 address. */
u8 net_prefix_bits(const struct netif *n);
u8 net_prefix_bits6(const struct netif *n, s8 index);

/* --- lwip_port.c ---
   What happens to one frame, or in one sending of a program's, happens at one time, which is read
   once: between hold and release, by whoever asks here (and by lwIP).  They may be nested: release
   gets what hold returned. */
struct net_time {
    u64 ns; /* 0: none is held */
    u32 ms;
};
extern struct net_time net_time_held;
struct net_time net_time_hold(void);
static inline void net_time_release(struct net_time before)
{
    net_time_held = before;
}
static inline u64 net_time_ns(void)
{
    return net_time_held.ns ? net_time_held.ns : clock_monotonic_ns();
}

/* --- input.c, output.c --- */
void net_input_init(struct net_link *l);
/* Sets the netif's functions and what checksums lwIP is to make. */
void net_output_init(struct net_link *l);
/* Between these two, frames for a device are told to it by release alone, at once: for who sends in
   a system call, and would go by the run loop for nothing else. */
void net_output_hold(void);
void net_output_release(void);
/* Gives what waits for room to the device; drops it when it is down. */
void net_output_drain(struct net_link *l);

/* --- loopback.c --- */
/* Copies a packet and hands it to the input of `netif` later.  ERR_MEM: dropped. */
err_t net_loopback_output(struct netif *netif, struct pbuf *p);
void net_loopback_start(struct net_link *l);
u32 net_loopback_queued(void);

/* --- addresses.c --- */
/* Configures a device's interface as the option says.  One line when that cannot be. */
void net_addresses_start(struct net_link *l);
/* DHCP that is late, and those who wait: once a second while net_addresses_wait. */
void net_addresses_tick(void);
bool net_addresses_wait(void);
void net_addresses_init(void);

/* --- timers.c --- */
void net_timers_init(void);
/* From now on there is a device, and so the outside. */
void net_timers_start(void);
/* Before anything that tables which grow older each second may have a part in: packets and frames
   that go out or come in, links that change. */
extern bool net_timers_asleep;
void net_timers_wake_up(void);
static inline void net_timers_wake(void)
{
    if (unlikely(net_timers_asleep))
        net_timers_wake_up();
}
