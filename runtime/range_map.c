/* Range maps: see runtime/range_map.h.  Ranges are disjoint, so ordering by their starts is enough;
   looking up goes down the tree directly, without the compare closure, since it knows its nodes. */
#include "runtime/range_map.h"

static struct range_node *range_node_of(rbnode n)
{
    return n ? container_of(n, struct range_node, node) : NULL;
}

closure_method(rb_key_compare, range_start_compare, struct range_map, compare, rbnode a, rbnode b)
{
    u64 start_a = range_node_of(a)->r.start, start_b = range_node_of(b)->r.start;
    return (start_a > start_b) - (start_a < start_b);
}

void range_map_init(struct range_map *m)
{
    init_method(&m->compare, range_start_compare);
    rbtree_init(&m->tree, &m->compare);
}

bool range_map_insert(struct range_map *m, struct range_node *n)
{
    if (range_empty(n->r))
        return false;
    struct range_node *next = range_map_lookup_at_or_next(m, n->r.start);
    if (next && next->r.start < n->r.end)
        return false;
    rbtree_insert(&m->tree, &n->node);
    return true;
}

void range_map_remove(struct range_map *m, struct range_node *n)
{
    rbtree_remove(&m->tree, &n->node);
}

bool range_map_resize(__attribute__((unused)) struct range_map *m, struct range_node *n, range r)
{
    const struct range_node *previous = range_map_previous(n), *next = range_map_next(n);
    if (range_empty(r) || (previous && previous->r.end > r.start) ||
        (next && next->r.start < r.end))
        return false;
    n->r = r; /* between the same neighbours, so the tree's order holds */
    return true;
}

struct range_node *range_map_lookup_at_or_next(const struct range_map *m, u64 point)
{
    struct range_node *found = NULL;
    for (rbnode node = m->tree.root; node;) {
        struct range_node *n = range_node_of(node);
        if (n->r.end > point) {
            found = n;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return found;
}

struct range_node *range_map_lookup(const struct range_map *m, u64 point)
{
    struct range_node *n = range_map_lookup_at_or_next(m, point);
    return n && n->r.start <= point ? n : NULL;
}

struct range_node *range_map_first(const struct range_map *m)
{
    return range_node_of(rbtree_first(&m->tree));
}

struct range_node *range_map_next(struct range_node *n)
{
    return range_node_of(rbtree_next(&n->node));
}

struct range_node *range_map_previous(struct range_node *n)
{
    return range_node_of(rbtree_previous(&n->node));
}

void range_map_walk(struct range_map *m, range r, range_handler node, gap_handler gap)
{
    u64 position = r.start;
    if (range_empty(r)) /* it meets nothing, not even the node around its point */
        return;
    struct range_node *n = range_map_lookup_at_or_next(m, r.start);
    while (n && n->r.start < r.end) {
        struct range_node *next = range_map_next(n); /* the handler may remove n */
        range here = n->r;
        if (gap && position < here.start)
            apply(gap, range_of(position, here.start));
        if (node)
            apply(node, n);
        position = here.end;
        n = next;
    }
    if (gap && position < r.end)
        apply(gap, range_of(position, r.end));
}

/* The lowest place in the gap; false when it is too small. */
static bool gap_fits(range gap, u64 length, u64 alignment, range *found)
{
    u64 start = align_up(gap.start, alignment);
    if (start < gap.start || start >= gap.end || gap.end - start < length)
        return false;
    *found = range_of(start, start + length);
    return true;
}

bool range_map_find_gap(const struct range_map *m, range within, u64 length, u64 alignment,
                        range *found)
{
    if (length == 0)
        return false;
    u64 position = within.start;
    struct range_node *n = range_map_lookup_at_or_next(m, within.start);
    for (; n && n->r.start < within.end; n = range_map_next(n)) {
        if (gap_fits(range_of(position, n->r.start), length, alignment, found))
            return true;
        position = n->r.end;
    }
    return gap_fits(range_of(position, within.end), length, alignment, found);
}
