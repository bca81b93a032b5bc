/* The Internet checksum (RFC 1071), eight bytes at a time.  Called by lwIP for every frame whose
   checksum no device makes or has checked.  Freestanding and hosted. */
#include "kernel/net/lwip/arch/cc.h"
#include "runtime/memory.h"

static u64 sum_of_words(const u8 *at, u64 bytes)
{
    u64 sum = 0;
    for (; bytes >= 8; at += 8, bytes -= 8) {
        u64 word;
        memcpy(&word, at, 8);
        sum += word;
        sum += sum < word; /* the carry goes round */
    }
    u64 rest = 0;
    memcpy(&rest, at, bytes);
    sum += rest;
    return sum + (sum < rest);
}

/* Of a header of IPv4's without options: halves of words cannot overflow. */
static u64 sum_of_header(const u8 *at)
{
    u64 words[2];
    u32 last;
    memcpy(words, at, sizeof(words));
    memcpy(&last, at + sizeof(words), sizeof(last));
    return (words[0] & 0xffffffff) + (words[0] >> 32) + (words[1] & 0xffffffff) + (words[1] >> 32) +
           last;
}

u16 net_checksum(const void *data, int bytes)
{
    u64 sum = bytes == 20 ? sum_of_header(data) : sum_of_words(data, (u64)bytes);
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return (u16)((sum >> 16) + (sum & 0xffff));
}
