/* Frames that are wrong in a way that checksums do not show: see relay_mutate.h.

   Most changes are in the first 74 bytes, where Ethernet, IP and TCP with its options have their
   headers; values are mostly those at the ends of ranges. */
#include "test/net/relay_mutate.h"

#include <string.h>

static unsigned long long state = 1;

void relay_seed(unsigned long seed)
{
    state = seed * 2654435761u + 1;
}

/* xorshift64*, Vigna 2016. */
unsigned long long relay_random(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 2685821657736338717ull;
}

static unsigned sum_add(unsigned sum, const unsigned char *at, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        sum += i & 1 ? at[i] : (unsigned)at[i] << 8;
    return sum;
}

static void sum_store(unsigned char *at, unsigned sum)
{
    while (sum >> 16)
        sum = (sum >> 16) + (sum & 0xffff);
    sum = ~sum & 0xffff;
    at[0] = (unsigned char)(sum >> 8);
    at[1] = (unsigned char)sum;
}

/* Of an IPv4 packet, as far as its lengths make sense. */
static void checksums_mend(unsigned char *ip, unsigned length)
{
    unsigned header = (ip[0] & 15u) * 4;
    if (header < 20 || header > length)
        return;
    ip[10] = ip[11] = 0;
    sum_store(ip + 10, sum_add(0, ip, header));
    unsigned total = (unsigned)ip[2] << 8 | ip[3];
    unsigned bytes = (total >= header && total <= length ? total : length) - header;
    unsigned char *transport = ip + header;
    unsigned at = ip[9] == 6 ? 16 : ip[9] == 17 ? 6 : 0;
    if (!at || bytes < at + 2)
        return;
    transport[at] = transport[at + 1] = 0;
    sum_store(transport + at, sum_add(sum_add(ip[9] + bytes, ip + 12, 8), transport, bytes));
}

static unsigned char value_choose(unsigned char was)
{
    static const unsigned char edges[] = {0, 1, 0x7f, 0x80, 0xff, 4, 5, 15, 40, 60};
    unsigned long long how = relay_random();
    switch (how & 3) {
    case 0:
        return edges[(how >> 8) % sizeof(edges)];
    case 1:
        return (unsigned char)(was ^ 1u << ((how >> 8) & 7));
    case 2:
        return (unsigned char)(was + (how >> 8 & 7) - 3);
    default:
        return (unsigned char)(how >> 8);
    }
}

unsigned relay_mutate(unsigned char *frame, unsigned length)
{
    unsigned changes = 1 + (unsigned)(relay_random() % 4);
    for (unsigned i = 0; i < changes; i++) {
        unsigned reach = relay_random() % 8 ? 74 : length;
        unsigned at = 12 + (unsigned)(relay_random() % reach);
        if (at < length)
            frame[at] = value_choose(frame[at]);
    }
    if (relay_random() % 8 == 0 && length > 60)
        length = 14 + (unsigned)(relay_random() % (length - 14));
    if (length >= 34 && frame[12] == 8 && frame[13] == 0)
        checksums_mend(frame + 14, length - 14);
    return length < 14 ? 14 : length;
}
