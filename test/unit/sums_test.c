/* Checksums, hashes and seeded numbers against published values and against themselves. */
#include "runtime/crc32c.h"
#include "runtime/hash64.h"
#include "runtime/random.h"
#include "test/host/harness.h"

static u8 bytes[5000];

/* One bit at a time: the definition. */
static u32 crc32c_slow(u32 before, const u8 *p, u64 count)
{
    u32 crc = ~before;
    for (; count; p++, count--) {
        crc ^= *p;
        for (u32 bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void test_crc_values(const char *how)
{
    u8 run[32];
    is(crc32c("123456789", 9), 0xe3069283, "%s: crc32c of the usual nine digits", how);
    /* RFC 3720, B.4 */
    memset(run, 0, sizeof(run));
    is(crc32c(run, sizeof(run)), 0x8a9136aa, "%s: of 32 zeroes", how);
    memset(run, 0xff, sizeof(run));
    is(crc32c(run, sizeof(run)), 0x62a8ab43, "%s: of 32 times 0xff", how);
    for (u32 i = 0; i < sizeof(run); i++)
        run[i] = (u8)i;
    is(crc32c(run, sizeof(run)), 0x46dd794e, "%s: of 0 to 31", how);
    is(crc32c("", 0), 0, "%s: of nothing", how);
}

static void test_crc_random(struct random *r, const char *how)
{
    random_fill(r, bytes, sizeof(bytes));
    for (u32 i = 0; i < 3000; i++) {
        u64 start = random_below(r, 100), count = random_below(r, i % 100 ? 100 : 4000);
        u64 half = random_below(r, count + 1);
        u32 whole = crc32c(bytes + start, count);
        must(whole == crc32c_slow(0, bytes + start, count));
        must(whole ==
             crc32c_extend(crc32c(bytes + start, half), bytes + start + half, count - half));
    }
    ok(true, "%s: any length, any alignment, in one part and in two", how);
}

static void test_crc(struct random *r)
{
    ok(!crc32c_select(false), "software can always be had");
    test_crc_values("software");
    test_crc_random(r, "software");
    if (crc32c_select(true)) {
        test_crc_values("hardware");
        test_crc_random(r, "hardware");
    } else {
        note("this machine has no crc32 instruction");
    }
    crc32c_select(false);
}

static void test_hash(struct random *r)
{
    is(hash64(0, "", 0), 0xef46db3751d8e999, "XXH64 of nothing");
    is(hash64(0, "a", 1), 0xd24ec4f1a98c6e5b, "of one letter");
    is(hash64(0, "abc", 3), 0x44bc2cf5ad770999, "of three");
    /* The generator that the reference implementation's own checks use. */
    u64 generator = 2654435761u;
    for (u32 i = 0; i < 256; i++) {
        bytes[i] = (u8)(generator >> 56);
        generator *= 11400714785074694797ull;
    }
    is(hash64(0, bytes, 1), 0xe934a84adb052768, "of the reference buffer: 1 byte");
    is(hash64(0, bytes, 14), 0x8282dcc4994e35c8, "14 bytes");
    is(hash64(0, bytes, 222), 0xb641ae8cb691c174, "222 bytes");
    is(hash64(2654435761u, bytes, 222), 0x20cb8ab7ae10c14a, "222 bytes with a seed");
    random_fill(r, bytes, sizeof(bytes));
    for (u32 i = 0; i < 1000; i++) {
        u64 count = 1 + random_below(r, 200), at = random_below(r, count);
        u64 before = hash64(0, bytes, count);
        bytes[at] ^= (u8)(1u << random_below(r, 8));
        must(hash64(0, bytes, count) != before);
    }
    ok(true, "a flipped bit shows");
}

static void test_random(struct random *r)
{
    struct random a, b;
    u32 seen[10] = {0};
    random_init(&a, 42);
    random_init(&b, 42);
    bool same = true;
    for (u32 i = 0; i < 100; i++)
        same &= random_next(&a) == random_next(&b);
    ok(same, "the same seed, the same numbers");
    for (u32 i = 0; i < 100000; i++)
        seen[random_below(r, countof(seen))]++;
    bool even = true;
    for (u32 i = 0; i < countof(seen); i++)
        even &= seen[i] > 9000 && seen[i] < 11000;
    ok(even, "each number below a limit is equally likely");
    ok(random_below(r, 1) == 0, "below 1 there is only 0");
}

int main(void)
{
    struct random r;
    random_init(&r, test_seed());
    test_crc(&r);
    test_hash(&r);
    test_random(&r);
    return done_testing();
}
