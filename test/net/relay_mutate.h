/* Frames that are wrong in a way that checksums do not show: for test/net/relay.c. */
#pragma once

void relay_seed(unsigned long seed);
unsigned long long relay_random(void);
/* Changes headers of a frame, at random, and makes the checksums of IPv4, TCP and UDP right again;
   the new length, which is no longer than the old one. */
unsigned relay_mutate(unsigned char *frame, unsigned length);
