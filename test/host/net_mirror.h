/* A wire that ends in a mirror: what the machine sends to the peer comes back as if the peer had
   sent it to the machine.  So both ends of a connection are in the one stack under test, and what
   is between them is under control: frames are lost, come twice or late, and large ones are cut
   into segments, as a device would, or left whole.

   IPv4 alone.  A connection to the peer at some port ends at that port of the machine. */
#pragma once

#include "runtime/random.h"
#include "test/host/net_wire.h"

#define NET_MIRROR_LATE 64

struct net_mirror_faults {
    u32 lost, twice, late; /* frames of a thousand; late: after others that come meanwhile */
    bool cut;              /* large frames, in any case of these */
};

struct net_mirror {
    struct net_wire wire;
    struct net_mirror_faults faults;
    struct random chance;
    u64 frames, large, segments; /* that passed; of these, to be cut; what was cut */
    u32 segment_most;            /* payload of one, largest of all */
    struct {
        u8 *data;
        u32 bytes;
    } late[NET_MIRROR_LATE];
    u32 late_count;
    u32 silent_port; /* what comes from this port is lost; 0: none */
};

/* Begins the machine (net_machine.h) with the address 10.0.2.15, and the mirror. */
void net_mirror_start(struct net_mirror *m, u32 offloads, u64 seed);
/* Lets frames go to and fro until there are none.  How many there were. */
u32 net_mirror_run(struct net_mirror *m);
/* And lets time pass, a millisecond at a time. */
void net_mirror_pass(struct net_mirror *m, u64 ms);
