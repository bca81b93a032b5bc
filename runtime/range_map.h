/* Range maps: disjoint ranges in order, with the gaps between them.  Extents, page ranges and
   memory regions are all nodes of one of these.  Intrusive; not locked. */
#pragma once

#include "runtime/rbtree.h"

struct range_node {
    struct rbnode node;
    range r;
};

closure_type(range_handler, void, struct range_node *n);
closure_type(gap_handler, void, range gap);

struct range_map {
    struct rbtree tree;
    struct rb_key_compare compare;
};

void range_map_init(struct range_map *m);
/* False when the range is empty or overlaps one that is there; nothing is changed then. */
bool range_map_insert(struct range_map *m, struct range_node *n);
void range_map_remove(struct range_map *m, struct range_node *n);
/* Changes a node's range in place; false when that would touch a neighbour. */
bool range_map_resize(struct range_map *m, struct range_node *n, range r);
/* The node that holds `point`; NULL in a gap. */
struct range_node *range_map_lookup(const struct range_map *m, u64 point);
/* The node that holds `point`, or the first one after it; NULL when there is none. */
struct range_node *range_map_lookup_at_or_next(const struct range_map *m, u64 point);
struct range_node *range_map_first(const struct range_map *m);
struct range_node *range_map_next(struct range_node *n);
struct range_node *range_map_previous(struct range_node *n);
/* Applies `node` to each node that meets r and `gap` to each gap within r, in order; either may be
   NULL.  The handlers may remove the node they are given. */
void range_map_walk(struct range_map *m, range r, range_handler node, gap_handler gap);
/* The lowest range of `length` within `within`, aligned to a power of two, that meets no node. */
bool range_map_find_gap(const struct range_map *m, range within, u64 length, u64 alignment,
                        range *found);
