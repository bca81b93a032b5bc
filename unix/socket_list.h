/* All sockets there are, for /proc/net. */
#pragma once

#include "unix/socket.h"

/* struct socket's link, in the order of making. */
struct list *socket_list(void);
