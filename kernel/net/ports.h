/* Inside kernel/net/ only: which ports are taken, by whom, and who may share them.  One table for
   TCP, one for UDP; lwIP's own search for ports, which is a walk over all connections, is not
   used.

   A binding is embedded in an endpoint.  A port that was chosen here stays taken until
   net_port_release, which may be later than the binding's end: a connection in TIME-WAIT has it
   still. */
#pragma once

#include "kernel/net/address.h"
#include "runtime/list.h"

#define NET_PORT_FIRST   32768u /* of those that are chosen; as in Linux */
#define NET_PORT_LAST    60999u
#define NET_PORT_BUCKETS 1024u

struct net_binding {
    struct list link; /* of its bucket, while port is not 0 */
    struct net_address address;
    u16 port;     /* 0: not bound */
    bool chosen;  /* by net_binding_choose, so it is net_port_release's */
    bool v6_only; /* these four: the endpoint's options and state, kept up to date by it */
    bool reuse_address;
    bool reuse_port;
    bool listening;
};

struct net_ports {
    struct list buckets[NET_PORT_BUCKETS];                 /* by the port's lowest bits */
    u64 chosen[(NET_PORT_LAST - NET_PORT_FIRST) / 64 + 1]; /* a bit for each chosen port */
    bool begun;
};

/* Whether both could be bound at once: different ports or addresses, or both agreed to share. */
bool net_binding_conflicts(struct net_ports *p, const struct net_binding *b, u16 port);
/* Whether another one listens at the port and address of b, and may not be shared. */
bool net_binding_listened(struct net_ports *p, const struct net_binding *b);
/* Enters b under that port; b->address is there.  Whoever wanted to know of conflicts has asked. */
void net_binding_enter(struct net_ports *p, struct net_binding *b, u16 port);
/* Takes a free port, as many steps from a random one as there are taken ones in a row at most;
   false: none is left. */
bool net_binding_choose(struct net_ports *p, struct net_binding *b, u32 random);
/* Leaves the table.  A chosen port stays taken. */
void net_binding_leave(struct net_binding *b);
/* Gives a chosen port back. */
void net_port_release(struct net_ports *p, u16 port);
