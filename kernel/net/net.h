/* The network: interfaces, their addresses, and what the rest of the kernel may know of them.
   Below are devices (kernel/net/device.h), above the connections of programs (kernel/net/tcp.h,
   kernel/net/udp.h).  In between is a TCP/IP stack that nobody outside kernel/net/ sees: no header
   here names it, so another one could take its place.

   Everything is serialised by the surface lock.  Nothing here blocks. */
#pragma once

#include "kernel/net/address.h"
#include "kernel/net/device.h"
#include "runtime/status.h"

/* Starts the stack with its loopback interface.  Called once, before drivers_start. */
status net_start(void);
/* What drivers_start is to be given.  The first device becomes eth0, and is configured as the boot
   option `net` says:

   - net=dhcp, which is also what it does without the option; IPv6 by router advertisements
   - net=ADDRESS/BITS[,gateway=ADDRESS][,dns=ADDRESS]...[,ADDRESS/BITS]...: of IPv4, IPv6 or both
   - net=none: the device stays down

   An option that cannot be right ends in one line and leaves the interface down.  Further devices
   ask DHCP. */
net_attach net_device_attach(void);

/* Applies `done` with success when the first interface other than loopback has an address (at once
   when it has one, or when there is no device), or with ETIMEDOUT at deadline_ns (monotonic).
   Cancelled with the rest of the machine. */
void net_wait_ready(u64 deadline_ns, status_handler done);

/* The name that DHCP servers are told from now on, when it is not too long for that (32); it lives
   for ever. */
void net_set_hostname(const char *name);

/* For a machine that is about to end.  Whether everything that closed connections had to send has
   arrived, and their end with it; and waits for that, for two milliseconds at least (what has no
   answer, a RST for instance, has left by then), until deadline_ns (monotonic; then ETIMEDOUT). */
bool net_is_quiet(void);
void net_wait_quiet(u64 deadline_ns, status_handler done);

#define NET_INTERFACES_MOST 8
#define NET_ADDRESSES_MOST  6 /* of one interface */
#define NET_DNS_MOST        4

struct net_interface_address {
    struct net_address address;
    u8 prefix_bits;
    bool tentative;
};

struct net_interface {
    u32 number; /* from 1: lo */
    char name[16];
    u8 hardware_address[NET_HARDWARE_BYTES];
    u32 mtu;
    bool up, link_up, loopback;
    u32 address_count;
    struct net_interface_address addresses[NET_ADDRESSES_MOST];
    struct net_address gateway; /* family 0: none */
    struct net_device_statistics statistics;
};

u32 net_interface_count(void);
/* Fills in the interface at `index` (from 0) as it is now; false: there is none. */
bool net_interface_get(u32 index, struct net_interface *to);
/* The name servers known (DHCP, router advertisements, options); how many. */
u32 net_name_servers(struct net_address servers[NET_DNS_MOST]);

/* Counters as /proc/net/snmp and /proc/net/netstat show them, by their Linux names. */
struct net_counter {
    const char *group, *name; /* "Tcp", "RetransSegs" */
    u64 value;
};
/* How many there are; fills in the one at `index`. */
u32 net_counter_count(void);
bool net_counter_get(u32 index, struct net_counter *to);

/* A census line for each interface and a count of connections by state.  In any context. */
void net_census(void);
