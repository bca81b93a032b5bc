/* Finds inodes by number: a radix tree.  Numbers are given in order and mostly stay dense, so a
   leaf is full of neighbours, and who goes through them in order (replay does) stays in one leaf
   for a while, which is remembered.  A leaf that becomes empty goes away; so an inode costs at most
   a leaf, and mostly the eight bytes of its slot.

   Replay, checkpoints and checks are the callers; nobody who follows names. */
#include "fs/internal.h"

#define NODE_ORDER  INODE_LEAF_ORDER
#define NODE_SLOTS  (1u << NODE_ORDER)
#define HEIGHT_MOST 13 /* numbers have 63 bits */

static u32 slot_of(u64 number, u32 level)
{
    return (u32)(number >> (NODE_ORDER * level)) & (NODE_SLOTS - 1);
}

/* Whether the tree is high enough for it. */
static bool within(const struct filesystem *fs, u64 number)
{
    return fs->inode_height >= HEIGHT_MOST || number >> (NODE_ORDER * fs->inode_height) == 0;
}

/* The lowest node on the way to `number`, at *level; its slot for the number is empty when that is
   not 0. */
static struct inode_node *node_below(struct filesystem *fs, u64 number, u32 *level)
{
    struct inode_node *n = fs->inode_top;
    u32 l = fs->inode_height - 1;
    while (l > 0) {
        struct inode_node *below = n->slots[slot_of(number, l)];
        if (!below)
            break;
        n = below;
        l--;
    }
    *level = l;
    return n;
}

static struct inode_node *leaf_find(struct filesystem *fs, u64 number)
{
    u32 level;
    if (fs->inode_leaf && number >> NODE_ORDER == fs->inode_leaf_of)
        return fs->inode_leaf;
    if (!fs->inode_top || !within(fs, number))
        return NULL;
    struct inode_node *n = node_below(fs, number, &level);
    if (level)
        return NULL;
    fs->inode_leaf = n;
    fs->inode_leaf_of = number >> NODE_ORDER;
    return n;
}

struct inode *inode_find_else(struct filesystem *fs, u64 number)
{
    struct inode_node *leaf = leaf_find(fs, number);
    return leaf ? leaf->slots[slot_of(number, 0)] : NULL;
}

struct inode *inode_next(struct filesystem *fs, u64 number)
{
    while (fs->inode_top && within(fs, number)) {
        u32 level;
        struct inode_node *n = node_below(fs, number, &level);
        if (level == 0) {
            for (u32 slot = slot_of(number, 0); slot < NODE_SLOTS; slot++)
                if (n->slots[slot])
                    return n->slots[slot];
        }
        /* On behind what the empty slot, or the leaf, stands for. */
        u64 covered = 1ull << (NODE_ORDER * max(level, 1u));
        u64 next = align_down(number, covered) + covered;
        if (next < number)
            return NULL; /* behind the largest number */
        number = next;
    }
    return NULL;
}

static struct inode_node *node_make(struct filesystem *fs)
{
    struct inode_node *n = arena_allocate(&fs->arena, sizeof(*n));
    if (n)
        memset(n, 0, sizeof(*n));
    return n;
}

static bool tree_raise(struct filesystem *fs, u64 number)
{
    while (!fs->inode_top || !within(fs, number)) {
        struct inode_node *n = node_make(fs);
        if (!n)
            return false;
        n->slots[0] = fs->inode_top;
        n->used = fs->inode_top != NULL;
        fs->inode_top = n;
        fs->inode_height++;
    }
    return true;
}

bool inode_index_add_else(struct inode *i)
{
    struct filesystem *fs = i->fs;
    struct inode_node *leaf = leaf_find(fs, i->number);
    u32 level;
    if (!leaf) {
        if (!tree_raise(fs, i->number))
            return false;
        struct inode_node *n = node_below(fs, i->number, &level);
        while (level) {
            struct inode_node *below = node_make(fs);
            if (!below)
                return false; /* empty nodes stay for the next try */
            n->slots[slot_of(i->number, level--)] = below;
            n->used++;
            n = below;
        }
        leaf = n;
    }
    leaf->slots[slot_of(i->number, 0)] = i;
    leaf->used++;
    fs->inode_leaf = leaf;
    fs->inode_leaf_of = i->number >> NODE_ORDER;
    return true;
}

/* The nodes on the way that become empty go with it. */
void inode_index_remove(struct inode *i)
{
    struct filesystem *fs = i->fs;
    struct inode_node *way[HEIGHT_MOST], *n = fs->inode_top;
    u32 level = fs->inode_height - 1;
    for (u32 l = level; l > 0; l--) {
        way[l] = n;
        n = n->slots[slot_of(i->number, l)];
    }
    way[0] = n;
    way[0]->slots[slot_of(i->number, 0)] = NULL;
    for (u32 l = 0; --way[l]->used == 0 && l < level; l++) {
        way[l + 1]->slots[slot_of(i->number, l + 1)] = NULL;
        if (way[l] == fs->inode_leaf)
            fs->inode_leaf = NULL;
        arena_free(&fs->arena, way[l], sizeof(*way[l]));
    }
}
