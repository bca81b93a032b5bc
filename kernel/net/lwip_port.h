/* Inside kernel/net/ only: what surrounds lwIP (kernel/net/lwip_port.c). */
#pragma once

#include "runtime/types.h"

/* Draws the secret.  Once, before anything else. */
void net_secret_init(void);
/* A hash that nobody outside can foretell: for sequence numbers and tables. */
u64 net_secret_hash(const void *data, u64 bytes);

/* How often lwIP took something for impossible. */
extern u64 net_complaints;
