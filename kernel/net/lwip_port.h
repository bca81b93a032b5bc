/* Inside kernel/net/ only: what surrounds lwIP (kernel/net/lwip_port.c). */
#pragma once

#include "runtime/types.h"

/* Draws the secret.  Once, before anything else. */
void net_secret_init(void);
/* A hash that nobody outside can foretell, not even from others that were seen: for numbers that go
   out. */
u64 net_secret_hash(const void *data, u64 bytes);
/* A tenth of its cost, for tables, whose places nobody outside sees: strongly universal, so whoever
   chooses words without knowing the secret fills no place faster than chance does (D. Lemire and
   O. Kaser, "Strongly universal string hashing is fast", 2013: multilinear).  At most
   NET_HASH_WORDS. */
u32 net_table_hash(const u32 *words, u32 count);
#define NET_HASH_WORDS 9u

/* How often lwIP took something for impossible. */
extern u64 net_complaints;
