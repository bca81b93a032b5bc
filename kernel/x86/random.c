/* Randomness.  See kernel/machine.h.

   ChaCha20 (RFC 8439) as a generator whose key is replaced by its own output before anything is
   handed out, so that what was given cannot be computed from what is kept.  The key begins with
   RDRAND where the CPU has it, what boot gathered, and the time-stamp counter, which goes in again
   at every refill. */
#include "kernel/x86/random.h"

#include "kernel/machine.h"
#include "kernel/x86/msr.h"
#include "runtime/memory.h"

#define DOUBLE_ROUNDS 10

struct chacha_block {
    u32 words[16];
};

static struct {
    u64 key[4];
    u64 counter;
    u8 ready[32]; /* random bytes not handed out yet, the last `left` of them */
    u32 left;
    bool seeded;
} generator;

static void quarter_round(u32 w[16], u32 a, u32 b, u32 c, u32 d)
{
    w[a] += w[b];
    w[d] = (w[d] ^ w[a]) << 16 | (w[d] ^ w[a]) >> 16;
    w[c] += w[d];
    w[b] = (w[b] ^ w[c]) << 12 | (w[b] ^ w[c]) >> 20;
    w[a] += w[b];
    w[d] = (w[d] ^ w[a]) << 8 | (w[d] ^ w[a]) >> 24;
    w[c] += w[d];
    w[b] = (w[b] ^ w[c]) << 7 | (w[b] ^ w[c]) >> 25;
}

/* RFC 8439, 2.3. */
static struct chacha_block block_make(void)
{
    struct chacha_block begin = {{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}}, b;
    u64 nonce[2] = {generator.counter++, rdtsc()};
    memcpy(begin.words + 4, generator.key, sizeof(generator.key));
    memcpy(begin.words + 12, nonce, sizeof(nonce));
    b = begin;
    for (u32 i = 0; i < DOUBLE_ROUNDS; i++) {
        for (u32 n = 0; n < 4; n++)
            quarter_round(b.words, n, n + 4, n + 8, n + 12);
        for (u32 n = 0; n < 4; n++)
            quarter_round(b.words, n, (n + 1) % 4 + 4, (n + 2) % 4 + 8, (n + 3) % 4 + 12);
    }
    for (u32 i = 0; i < 16; i++)
        b.words[i] += begin.words[i];
    return b;
}

void random_seed(u64 entropy)
{
    generator.key[0] ^= entropy;
    for (u32 i = 0; i < 4; i++) {
        u64 word = 0;
        if (cpu_features.rdrand)
            rdrand(&word);
        generator.key[i] ^= word ^ rdtsc() << 7;
    }
    generator.seeded = true;
}

static void generator_refill(void)
{
    if (!generator.seeded)
        random_seed(0);
    struct chacha_block b = block_make();
    memcpy(generator.key, b.words, sizeof(generator.key));
    memcpy(generator.ready, b.words + 8, sizeof(generator.ready));
    generator.left = sizeof(generator.ready);
}

void random_bytes(void *to, u64 bytes)
{
    u8 *at = to;
    while (bytes) {
        if (!generator.left)
            generator_refill();
        u32 n = (u32)min(bytes, (u64)generator.left);
        u8 *from = generator.ready + sizeof(generator.ready) - generator.left;
        memcpy(at, from, n);
        memset(from, 0, n);
        generator.left -= n;
        at += n;
        bytes -= n;
    }
}
