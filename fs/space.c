/* Which blocks of the device are in use, and for what: a range map in which neighbours of the same
   use are one node.  It is built during mount, where every overlap that a disk could claim is
   found here; free space is what it leaves (FORMAT.md, section 10). */
#include "fs/internal.h"

void space_init(struct space *s, heap h, u64 blocks)
{
    *s = (struct space){.heap = h, .blocks = blocks};
    range_map_init(&s->map);
    range_map_init(&s->sums);
}

static struct space_node *space_node_of(struct range_node *n)
{
    return n ? container_of(n, struct space_node, node) : NULL;
}

void space_destroy(struct space *s)
{
    struct range_node *n;
    while ((n = range_map_first(&s->map))) {
        range_map_remove(&s->map, n);
        deallocate(s->heap, space_node_of(n), sizeof(struct space_node));
    }
    s->last = NULL;
}

static status space_insert(struct space *s, range r, enum space_use use)
{
    struct space_node *n = allocate(s->heap, sizeof(*n));
    if (!n)
        return status_error(ENOMEM, "fs: no memory for the map of used blocks", r.start);
    n->node.r = r;
    n->use = use;
    if (!range_map_insert(&s->map, &n->node)) {
        deallocate(s->heap, n, sizeof(*n));
        return status_error(EBADMSG, "fs: damaged: blocks with two uses", r.start);
    }
    s->last = n;
    return STATUS_OK;
}

static void space_remove(struct space *s, struct space_node *n)
{
    range_map_remove(&s->map, &n->node);
    deallocate(s->heap, n, sizeof(*n));
    s->last = NULL;
}

/* The neighbour that begins where n ends becomes a part of it. */
static void space_join(struct space *s, struct space_node *n)
{
    struct space_node *next = space_node_of(range_map_next(&n->node));
    if (!next || next->node.r.start != n->node.r.end || next->use != n->use)
        return;
    range whole = range_of(n->node.r.start, next->node.r.end);
    space_remove(s, next);
    range_map_resize(&s->map, &n->node, whole);
    s->last = n;
}

status space_take(struct space *s, u64 block, u64 blocks, enum space_use use)
{
    if (blocks == 0 || blocks > s->blocks || block > s->blocks - blocks)
        return status_error(EBADMSG, "fs: damaged: blocks beyond the end of the device", block);
    range r = range_of(block, block + blocks);
    struct space_node *before = s->last;
    if (!before || before->node.r.end != block || before->use != use)
        before = block ? space_node_of(range_map_lookup(&s->map, block - 1)) : NULL;
    status result = STATUS_OK;
    if (before && before->node.r.end == block && before->use == use) {
        range whole = range_of(before->node.r.start, r.end);
        if (!range_map_resize(&s->map, &before->node, whole))
            return status_error(EBADMSG, "fs: damaged: blocks with two uses", block);
        s->last = before;
    } else {
        result = space_insert(s, r, use);
    }
    if (!is_ok(result))
        return result;
    space_join(s, s->last);
    s->used += blocks;
    return STATUS_OK;
}

bool space_is(struct space *s, u64 block, u64 blocks, enum space_use use)
{
    if (blocks == 0 || blocks > s->blocks || block > s->blocks - blocks)
        return false;
    struct space_node *n = space_node_of(range_map_lookup(&s->map, block));
    return n && n->use == use && n->node.r.end >= block + blocks;
}

/* What lies behind a part that is given back, as a node of its own.  `spare` is used up. */
static void space_tail(struct space *s, range r, enum space_use use, struct space_node *spare)
{
    spare->node.r = r;
    spare->use = use;
    range_map_insert(&s->map, &spare->node);
}

status space_give_with(struct space *s, u64 block, u64 blocks, enum space_use use,
                       struct space_node **spare)
{
    if (!space_is(s, block, blocks, use))
        return status_error(EBADMSG, "fs: damaged: blocks given back that were not in use", block);
    struct space_node *n = space_node_of(range_map_lookup(&s->map, block));
    range whole = n->node.r;
    range left = range_of(whole.start, block), right = range_of(block + blocks, whole.end);
    if (range_empty(left) && range_empty(right)) {
        space_remove(s, n);
    } else if (range_empty(left)) {
        range_map_resize(&s->map, &n->node, right);
    } else {
        if (!range_empty(right) && !*spare)
            *spare = allocate(s->heap, sizeof(**spare));
        if (!range_empty(right) && !*spare)
            return status_error(ENOMEM, "fs: no memory for the map of used blocks", block);
        range_map_resize(&s->map, &n->node, left);
        if (!range_empty(right)) {
            space_tail(s, right, use, *spare);
            *spare = NULL;
        }
    }
    s->used -= blocks;
    return STATUS_OK;
}

u32 space_turn(struct space *s, range blocks, enum space_use to, struct space_node *spares[2])
{
    struct space_node *n = space_node_of(range_map_lookup(&s->map, blocks.start)), *turned = n;
    assert(n && n->node.r.end >= blocks.end);
    enum space_use from = n->use;
    range left = range_of(n->node.r.start, blocks.start);
    range right = range_of(blocks.end, n->node.r.end);
    range_map_resize(&s->map, &n->node, range_empty(left) ? blocks : left);
    if (!range_empty(left)) {
        turned = spares[0];
        spares[0] = NULL;
        space_tail(s, blocks, to, turned);
    }
    turned->use = to;
    if (!range_empty(right)) {
        space_tail(s, right, from, spares[1]);
        spares[1] = NULL;
    }
    space_join(s, turned);
    struct space_node *before = space_node_of(range_map_previous(&turned->node));
    if (before && before->use == to)
        space_join(s, before);
    return !range_empty(left) + !range_empty(right);
}

status space_give(struct space *s, u64 block, u64 blocks, enum space_use use)
{
    struct space_node *spare = NULL;
    return space_give_with(s, block, blocks, use, &spare);
}
