/* SipHash-2-4: see runtime/siphash.h. */
#include "runtime/siphash.h"

#include "runtime/memory.h"

struct siphash_state {
    u64 v0, v1, v2, v3;
};

static u64 rotated(u64 word, u32 bits)
{
    return word << bits | word >> (64 - bits);
}

static void sip_rounds(struct siphash_state *s, u32 rounds)
{
    for (u32 i = 0; i < rounds; i++) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotated(s->v1, 13) ^ s->v0;
        s->v3 = rotated(s->v3, 16) ^ s->v2;
        s->v0 = rotated(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotated(s->v1, 17) ^ s->v2;
        s->v3 = rotated(s->v3, 21) ^ s->v0;
        s->v2 = rotated(s->v2, 32);
    }
}

static void sip_word(struct siphash_state *s, u64 word)
{
    s->v3 ^= word;
    sip_rounds(s, 2);
    s->v0 ^= word;
}

u64 siphash(const struct siphash_key *key, const void *data, u64 bytes)
{
    struct siphash_state s = {
        .v0 = key->words[0] ^ 0x736f6d6570736575,
        .v1 = key->words[1] ^ 0x646f72616e646f6d,
        .v2 = key->words[0] ^ 0x6c7967656e657261,
        .v3 = key->words[1] ^ 0x7465646279746573,
    };
    const u8 *at = data;
    u64 word;
    for (u64 left = bytes; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        sip_word(&s, word);
    }
    word = 0;
    memcpy(&word, at, bytes & 7);
    sip_word(&s, word | bytes << 56);
    s.v2 ^= 0xff;
    sip_rounds(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
