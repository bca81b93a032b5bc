/* Bitmaps against an array of bools. */
#include "runtime/bitmap.h"
#include "runtime/random.h"
#include "test/host/harness.h"

#define BITS_MOST 300

struct model {
    struct bitmap b;
    bool set[BITS_MOST];
    u64 bits;
};

static range random_range(struct model *m, struct random *r)
{
    u64 start = random_below(r, m->bits + 1);
    return range_of(start, start + random_below(r, m->bits - start + 1));
}

static u64 model_next(const struct model *m, u64 from, bool value)
{
    for (; from < m->bits; from++) {
        if (m->set[from] == value)
            return from;
    }
    return BITMAP_NONE;
}

static u64 model_allocate(const struct model *m, range within, u64 length, u64 alignment)
{
    for (u64 start = align_up(within.start, alignment); start + length <= min(within.end, m->bits);
         start += alignment) {
        u64 taken = model_next(m, start, true);
        if (taken >= start + length)
            return start;
    }
    return BITMAP_NONE;
}

static void step(struct model *m, struct random *r)
{
    range where = random_range(m, r);
    u64 from = random_below(r, m->bits + 2), count = 0;
    bool value = random_below(r, 3) == 0;
    if (value)
        bitmap_set(&m->b, where);
    else
        bitmap_clear(&m->b, where);
    for (u64 i = where.start; i < where.end; i++)
        m->set[i] = value;
    where = random_range(m, r);
    for (u64 i = where.start; i < where.end; i++)
        count += m->set[i];
    must(bitmap_count(&m->b, where) == count);
    must(bitmap_next_set(&m->b, from) == model_next(m, from, true));
    must(bitmap_next_clear(&m->b, from) == model_next(m, from, false));
    u64 length = 1 + random_below(r, 20), alignment = 1ull << random_below(r, 5);
    u64 expected = model_allocate(m, where, length, alignment);
    must(bitmap_allocate(&m->b, where, length, alignment) == expected);
    for (u64 i = 0; expected != BITMAP_NONE && i < length; i++)
        m->set[expected + i] = true;
    for (u64 i = 0; i < m->bits; i++)
        must(bitmap_get(&m->b, i) == m->set[i]);
}

static void test_size(struct random *r, u64 bits)
{
    struct model m = {.bits = bits};
    must(bitmap_create(&m.b, host_heap, bits));
    for (u32 i = 0; i < 3000; i++)
        step(&m, r);
    bitmap_destroy(&m.b);
    ok(true, "3000 random steps with %llu bits", (unsigned long long)bits);
}

int main(void)
{
    struct random r;
    const u64 sizes[] = {1, 63, 64, 65, 128, 200, BITS_MOST};
    random_init(&r, test_seed());
    for (u32 i = 0; i < countof(sizes); i++)
        test_size(&r, sizes[i]);
    struct counting_heap h;
    struct bitmap b;
    counting_heap_init(&h, "bitmap");
    h.fail_at = 1;
    ok(!bitmap_create(&b, &h.h, 100), "no memory, no bitmap");
    ok(bitmap_create(&b, &h.h, 0) && bitmap_next_clear(&b, 0) == BITMAP_NONE,
       "a bitmap of no bits has no bit");
    bitmap_destroy(&b);
    counting_heap_close(&h);
    return done_testing();
}
