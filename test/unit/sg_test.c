/* Scatter-gather lists against flat memory. */
#include "runtime/closure.h"
#include "runtime/random.h"
#include "runtime/sg.h"
#include "test/host/harness.h"

#define BYTES 4096

static u8 memory[BYTES], flat[BYTES], other[BYTES];

/* Pieces in random places of `memory`, each byte of it in one piece at most. */
static bool add_pieces(struct random *r, struct sg_list *sg)
{
    for (u64 at = 0; at < BYTES - 200; at += random_below(r, 3) ? random_below(r, 30) : 0) {
        u64 bytes = random_below(r, 60);
        if (!sg_add(sg, memory + at, bytes))
            return false;
        at += bytes;
    }
    return true;
}

static void check_list(struct sg_list *sg)
{
    u64 bytes = 0;
    const u8 *end = NULL;
    sg_for_each (sg, piece) {
        must(piece->bytes != 0 && piece->address != end);
        bytes += piece->bytes;
        end = (u8 *)piece->address + piece->bytes;
    }
    must(bytes == sg->bytes);
}

static void check_copies(struct random *r, struct sg_list *sg)
{
    u64 offset = random_below(r, sg->bytes + 100), bytes = random_below(r, sg->bytes + 100);
    u64 there = offset < sg->bytes ? min(bytes, sg->bytes - offset) : 0;
    must(sg_copy_out(sg, 0, flat, BYTES) == sg->bytes);
    random_fill(r, other, sizeof(other));
    must(sg_copy_in(sg, offset, other, bytes) == there);
    memcpy(flat + min(offset, (u64)BYTES - there), other, there);
    must(sg_copy_out(sg, 0, other, BYTES) == sg->bytes);
    must(memcmp(flat, other, sg->bytes) == 0);
    must(sg_copy_out(sg, offset, other, bytes) == there);
    must(memcmp(flat + offset, other, there) == 0);
    sg_zero(sg, offset, bytes);
    memset(flat + min(offset, (u64)BYTES - there), 0, there);
    must(sg_copy_out(sg, 0, other, BYTES) == sg->bytes);
    must(memcmp(flat, other, sg->bytes) == 0);
}

static void check_range(struct random *r, struct sg_list *sg, heap h)
{
    struct sg_list part;
    sg_init(&part, h);
    u64 offset = random_below(r, sg->bytes + 1), bytes = random_below(r, sg->bytes - offset + 1);
    must(sg_add_range(&part, sg, offset, bytes));
    check_list(&part);
    must(part.bytes == bytes);
    must(sg_copy_out(sg, offset, flat, bytes) == bytes);
    must(sg_copy_out(&part, 0, other, bytes) == bytes);
    must(memcmp(flat, other, bytes) == 0);
    sg_clear(&part);
}

static void test_random(struct random *r)
{
    struct counting_heap h;
    counting_heap_init(&h, "sg");
    for (u32 i = 0; i < 500; i++) {
        struct sg_list sg;
        sg_init(&sg, &h.h);
        must(add_pieces(r, &sg));
        check_list(&sg);
        for (u32 k = 0; k < 10; k++) {
            check_copies(r, &sg);
            check_range(r, &sg, &h.h);
        }
        sg_clear(&sg);
        must(h.live == 0 && sg.bytes == 0 && sg.count == 0);
    }
    ok(true, "500 random lists copy, zero and cut as flat memory does");
    counting_heap_close(&h);
}

static void test_bounds(void)
{
    struct sg_list sg, part;
    sg_init(&sg, NULL);
    for (u64 i = 0; i < SG_EMBEDDED_PIECES; i++)
        must(sg_add(&sg, memory + i * 10, 5));
    ok(!sg_add(&sg, memory + 500, 5) && sg.bytes == SG_EMBEDDED_PIECES * 5,
       "without a heap a list has its embedded pieces and no more");
    ok(sg_add(&sg, memory + (SG_EMBEDDED_PIECES - 1) * 10 + 5, 5) && sg.count == SG_EMBEDDED_PIECES,
       "but a piece that touches the last one joins it");
    sg_init(&part, NULL);
    must(sg_add(&part, memory + 1000, 1));
    ok(!sg_add_range(&part, &sg, 0, sg.bytes) && part.count == 1 && part.bytes == 1,
       "a range that does not fit leaves the list as it was");
    must(sg_add(&part, memory, 2));
    ok(!sg_add_range(&part, &sg, 2, sg.bytes - 2) && part.count == 2 && part.pieces[1].bytes == 2,
       "also where its first piece had been joined to the last");
    sg_clear(&part);
    must(sg_add(&part, memory + 1000, 1));
    ok(sg_add_range(&part, &sg, 0, sg.bytes - 10) && part.bytes == sg.bytes - 9,
       "one that fits is added");
}

closure_function(allocation_test, add_many, (u64 seed), heap h)
{
    struct random r;
    struct sg_list sg, copy;
    random_init(&r, bound(seed));
    sg_init(&sg, h);
    sg_init(&copy, h);
    bool added = add_pieces(&r, &sg);
    bool copied = added && sg_add_range(&copy, &sg, 1, sg.bytes - 1);
    check_list(&sg);
    check_list(&copy);
    must(copied || copy.bytes == 0);
    sg_clear(&sg);
    sg_clear(&copy);
    return copied;
}

int main(void)
{
    struct random r;
    u64 seed = test_seed();
    random_init(&r, seed);
    test_random(&r);
    test_bounds();
    fail_each_allocation("long lists", stack_closure(add_many, seed));
    return done_testing();
}
