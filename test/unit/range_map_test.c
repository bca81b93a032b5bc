/* Range maps against a model of one owner per point. */
#include "runtime/random.h"
#include "runtime/range_map.h"
#include "test/host/harness.h"

#define POINTS 200
#define NODES  60

/* owner[p] is the number of the node that holds the point, counted from 1. */
struct model {
    struct range_map map;
    struct range_node nodes[NODES];
    u8 owner[POINTS];
};

static bool model_free(const struct model *m, range r, u8 except)
{
    for (u64 p = r.start; p < r.end; p++) {
        if (m->owner[p] && m->owner[p] != except)
            return false;
    }
    return true;
}

static void model_fill(struct model *m, range r, u8 owner_number)
{
    for (u64 p = r.start; p < r.end; p++)
        m->owner[p] = owner_number;
}

static range random_range(struct random *r)
{
    u64 start = random_below(r, POINTS);
    return range_of(start, min(start + random_below(r, 12), (u64)POINTS));
}

/* --- walking ---------------------------------------------------------------------------------- */

struct walk {
    struct model *model;
    range whole;
    u64 position;
    u32 nodes, gaps;
};

closure_function(range_handler, walk_node, (struct walk * w), struct range_node *n)
{
    struct walk *w = bound(w);
    range part = range_intersection(n->r, w->whole);
    must(part.start == w->position && !range_empty(part));
    for (u64 p = part.start; p < part.end; p++)
        must(&w->model->nodes[w->model->owner[p] - 1] == n);
    w->position = part.end;
    w->nodes++;
}

closure_function(gap_handler, walk_gap, (struct walk * w), range gap)
{
    struct walk *w = bound(w);
    must(gap.start == w->position && !range_empty(gap) && gap.end <= w->whole.end);
    must(model_free(w->model, gap, 0));
    w->position = gap.end;
    w->gaps++;
}

closure_function(range_handler, count_node, (struct walk * w),
                 __attribute__((unused)) struct range_node *n)
{
    bound(w)->nodes++;
}

static void check_walk(struct model *m, range r)
{
    struct walk w = {.model = m, .whole = r, .position = r.start};
    range_map_walk(&m->map, r, stack_closure(walk_node, &w), stack_closure(walk_gap, &w));
    must(w.position == max(r.start, r.end));
    /* Without a handler for gaps the nodes are the same. */
    u32 nodes = w.nodes;
    w = (struct walk){.model = m, .whole = r};
    range_map_walk(&m->map, r, stack_closure(count_node, &w), NULL);
    must(w.nodes == nodes);
}

/* --- lookups ---------------------------------------------------------------------------------- */

static void check_lookups(struct model *m, u64 point)
{
    struct range_node *here = m->owner[point] ? &m->nodes[m->owner[point] - 1] : NULL;
    must(range_map_lookup(&m->map, point) == here);
    u64 p = point;
    while (p < POINTS && !m->owner[p])
        p++;
    struct range_node *next = p < POINTS ? &m->nodes[m->owner[p] - 1] : NULL;
    must(range_map_lookup_at_or_next(&m->map, point) == next);
}

static void check_find_gap(struct model *m, struct random *r)
{
    range within = random_range(r), found = {0, 0};
    within.end = min(within.end + random_below(r, 60), (u64)POINTS);
    u64 length = 1 + random_below(r, 8), alignment = 1ull << random_below(r, 4);
    bool have = range_map_find_gap(&m->map, within, length, alignment, &found);
    u64 start = align_up(within.start, alignment);
    while (start + length <= within.end && !model_free(m, range_of(start, start + length), 0))
        start += alignment;
    must(have == (start + length <= within.end));
    must(!have || (found.start == start && found.end == start + length));
}

/* --- steps ------------------------------------------------------------------------------------ */

static void step_insert_or_remove(struct model *m, u8 number, range r)
{
    struct range_node *n = &m->nodes[number - 1];
    bool in_map = n->r.end != 0;
    if (in_map) {
        range_map_remove(&m->map, n);
        model_fill(m, n->r, 0);
        n->r = range_of(0, 0);
        return;
    }
    n->r = r;
    bool possible = !range_empty(r) && model_free(m, r, 0);
    must(range_map_insert(&m->map, n) == possible);
    if (possible)
        model_fill(m, r, number);
    else
        n->r = range_of(0, 0);
}

static void step_resize(struct model *m, u8 number, range r)
{
    struct range_node *n = &m->nodes[number - 1];
    range before = n->r;
    if (before.end == 0)
        return;
    /* Only where the node stays between its neighbours may it be resized. */
    range span = range_of(min(before.start, r.start), max(before.end, r.end));
    bool possible = !range_empty(r) && model_free(m, span, number);
    must(range_map_resize(&m->map, n, r) == possible);
    must(possible || (n->r.start == before.start && n->r.end == before.end));
    if (possible) {
        model_fill(m, before, 0);
        model_fill(m, r, number);
    }
}

static void test_random(struct random *r)
{
    static struct model m;
    range_map_init(&m.map);
    for (u32 step = 0; step < 20000; step++) {
        u8 number = (u8)(1 + random_below(r, NODES));
        if (random_below(r, 4))
            step_insert_or_remove(&m, number, random_range(r));
        else
            step_resize(&m, number, random_range(r));
        check_lookups(&m, random_below(r, POINTS));
        check_walk(&m, random_range(r));
        check_find_gap(&m, r);
    }
    check_walk(&m, range_of(0, POINTS));
    u64 count = 0, end = 0;
    for (struct range_node *n = range_map_first(&m.map); n; n = range_map_next(n), count++) {
        must(n->r.start >= end);
        end = n->r.end;
    }
    must(count == m.map.tree.count);
    ok(true, "20000 random steps agree with the model");
}

/* --- corners ---------------------------------------------------------------------------------- */

closure_function(range_handler, remove_node, (struct range_map * map), struct range_node *n)
{
    range_map_remove(bound(map), n);
}

static void test_corners(void)
{
    struct range_map m;
    struct range_node a = {.r = {0, 10}}, b = {.r = {10, 20}}, last = {.r = {~0ull - 5, ~0ull}};
    range found;
    range_map_init(&m);
    ok(range_map_insert(&m, &a) && range_map_insert(&m, &b) && range_map_insert(&m, &last),
       "neighbours may touch");
    struct range_node empty = {.r = {30, 30}}, over = {.r = {19, 21}};
    ok(!range_map_insert(&m, &empty) && !range_map_insert(&m, &over),
       "an empty range and an overlapping one are refused");
    ok(range_map_lookup(&m, 9) == &a && range_map_lookup(&m, 10) == &b && !range_map_lookup(&m, 20),
       "ranges are half open");
    ok(range_map_lookup(&m, ~0ull - 1) == &last && !range_map_lookup(&m, ~0ull),
       "up to the end of the numbers");
    ok(!range_map_find_gap(&m, range_of(~0ull - 4, ~0ull), 1, 4096, &found),
       "aligning does not wrap around");
    range_map_walk(&m, range_of(0, 15), stack_closure(remove_node, &m), NULL);
    ok(m.tree.count == 1 && range_map_first(&m) == &last, "a walk may remove what it is given");
}

int main(void)
{
    struct random r;
    random_init(&r, test_seed());
    test_corners();
    test_random(&r);
    return done_testing();
}
