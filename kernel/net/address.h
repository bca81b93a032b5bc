/* Network addresses as the kernel's interfaces carry them: of IPv4 or IPv6, with a port. */
#pragma once

#include "runtime/types.h"

enum net_family { NET_V4 = 4, NET_V6 = 6 };

struct net_address {
    u8 family;    /* enum net_family */
    u16 port;     /* in the machine's order; 0: any */
    u32 scope;    /* interface number of a link-local IPv6 address; 0: none */
    u8 bytes[16]; /* network order; IPv4 uses the first four.  All zero: any */
};
