/* Red-black trees: see runtime/rbtree.h.

   The rules that every public function keeps: the root is black; a red node has no red child;
   every way from a node down to NULL passes the same number of black nodes.  NULL counts as
   black.  Each rebalancing step below names its sides by `left`: the mirrored case is the same code
   with the other side. */
#include "runtime/rbtree.h"

#include "runtime/assert.h"

static bool is_red(const struct rbnode *n)
{
    return n && n->red;
}

static bool is_left(const struct rbnode *n)
{
    return n->parent && n->parent->left == n;
}

static rbnode *child_of(rbnode n, bool left)
{
    return left ? &n->left : &n->right;
}

/* Where the pointer to n stands: in its parent, or in the tree. */
static rbnode *link_of(struct rbtree *t, rbnode n)
{
    return n->parent ? child_of(n->parent, is_left(n)) : &t->root;
}

/* Moves n down to its left (right) side, and the child of its other side into its place. */
static void rotate(struct rbtree *t, rbnode n, bool left)
{
    rbnode up = *child_of(n, !left);
    rbnode moved = *child_of(up, left);
    *link_of(t, n) = up;
    up->parent = n->parent;
    *child_of(up, left) = n;
    n->parent = up;
    *child_of(n, !left) = moved;
    if (moved)
        moved->parent = n;
}

void rbtree_init(struct rbtree *t, rb_key_compare compare)
{
    *t = (struct rbtree){.compare = compare};
}

/* --- insertion -------------------------------------------------------------------------------- */

/* n is red, and so may be its parent: the only rule that may be broken.  Each pass mends it or
   moves it two levels up. */
static void insert_rebalance(struct rbtree *t, rbnode n)
{
    while (is_red(n->parent)) {
        rbnode parent = n->parent;
        rbnode grandparent = parent->parent; /* there is one: a red parent is not the root */
        bool left = is_left(parent);
        rbnode uncle = *child_of(grandparent, !left);
        if (is_red(uncle)) {
            parent->red = uncle->red = false;
            grandparent->red = true;
            n = grandparent;
            continue;
        }
        if (is_left(n) != left) {
            rotate(t, parent, left);
            parent = n;
        }
        parent->red = false;
        grandparent->red = true;
        rotate(t, grandparent, !left);
        break;
    }
    t->root->red = false;
}

void rbtree_insert_at(struct rbtree *t, rbnode parent, rbnode *link, rbnode n)
{
    *n = (struct rbnode){.parent = parent, .red = true};
    *link = n;
    t->count++;
    insert_rebalance(t, n);
}

void rbtree_insert(struct rbtree *t, rbnode n)
{
    rbnode parent = NULL;
    rbnode *link = &t->root;
    while (*link) {
        parent = *link;
        /* To the right of its equals, so that they stay in order of insertion. */
        link = child_of(parent, apply(t->compare, n, parent) < 0);
    }
    rbtree_insert_at(t, parent, link, n);
}

/* --- removal ---------------------------------------------------------------------------------- */

/* The sibling across from a side that lacks a black node is black and there: its own side has one
   more, so a red one has black children, of which one is put in its place. */
static rbnode black_sibling(struct rbtree *t, rbnode parent, bool left)
{
    rbnode sibling = *child_of(parent, !left);
    if (is_red(sibling)) {
        sibling->red = false;
        parent->red = true;
        rotate(t, parent, left);
        sibling = *child_of(parent, !left);
    }
    assert(sibling);
    return sibling;
}

/* One of the sibling's children is red: with it the lack is made up for good. */
static void remove_repair(struct rbtree *t, rbnode parent, rbnode sibling, bool left)
{
    rbnode outer = *child_of(sibling, !left);
    if (!is_red(outer)) {
        rbnode inner = *child_of(sibling, left);
        assert(inner);
        inner->red = false;
        sibling->red = true;
        rotate(t, sibling, !left);
        outer = sibling;
        sibling = inner;
    }
    sibling->red = parent->red;
    parent->red = false;
    outer->red = false;
    rotate(t, parent, left);
}

/* The ways through the `left` side of parent lack one black node.  Each pass mends that or moves
   the lack one level up. */
static void remove_rebalance(struct rbtree *t, rbnode parent, bool left)
{
    for (;;) {
        rbnode sibling = black_sibling(t, parent, left);
        if (is_red(sibling->left) || is_red(sibling->right)) {
            remove_repair(t, parent, sibling, left);
            return;
        }
        sibling->red = true;
        if (parent->red || !parent->parent) {
            parent->red = false;
            return;
        }
        left = is_left(parent);
        parent = parent->parent;
    }
}

/* Puts `heir` (which has no left child) in the place and colour of n, which has two children. */
static void take_place(struct rbtree *t, rbnode n, rbnode heir)
{
    *link_of(t, n) = heir;
    heir->parent = n->parent;
    heir->red = n->red;
    heir->left = n->left;
    heir->left->parent = heir;
    heir->right = n->right;
    if (heir->right)
        heir->right->parent = heir;
}

void rbtree_remove(struct rbtree *t, rbnode n)
{
    /* What leaves its place in the tree: n itself, or the next node, which has no left child. */
    rbnode leaving = n->left && n->right ? rbtree_next(n) : n;
    rbnode child = leaving->left ? leaving->left : leaving->right;
    rbnode parent = leaving->parent;
    bool left = is_left(leaving);
    bool lacks_black = !leaving->red;
    *link_of(t, leaving) = child;
    if (child)
        child->parent = parent;
    if (leaving != n) {
        if (parent == n)
            parent = leaving;
        take_place(t, n, leaving);
    }
    t->count--;
    if (!lacks_black)
        return;
    if (is_red(child))
        child->red = false;
    else if (parent)
        remove_rebalance(t, parent, left);
}

/* --- looking up ------------------------------------------------------------------------------- */

rbnode rbtree_lookup(const struct rbtree *t, rbnode key)
{
    rbnode n = rbtree_ceiling(t, key);
    return n && apply(t->compare, n, key) == 0 ? n : NULL;
}

rbnode rbtree_floor(const struct rbtree *t, rbnode key)
{
    rbnode found = NULL;
    for (rbnode n = t->root; n;) {
        bool after = apply(t->compare, n, key) > 0;
        if (!after)
            found = n;
        n = *child_of(n, after);
    }
    return found;
}

rbnode rbtree_ceiling(const struct rbtree *t, rbnode key)
{
    rbnode found = NULL;
    for (rbnode n = t->root; n;) {
        bool before = apply(t->compare, n, key) < 0;
        if (!before)
            found = n;
        n = *child_of(n, !before);
    }
    return found;
}

/* The outermost node of a subtree on one side. */
static rbnode outermost(rbnode n, bool left)
{
    while (n && *child_of(n, left))
        n = *child_of(n, left);
    return n;
}

rbnode rbtree_first(const struct rbtree *t)
{
    return outermost(t->root, true);
}

rbnode rbtree_last(const struct rbtree *t)
{
    return outermost(t->root, false);
}

/* The neighbour in order, towards the left or towards the right. */
static rbnode neighbour(rbnode n, bool left)
{
    if (*child_of(n, left))
        return outermost(*child_of(n, left), !left);
    while (n->parent && is_left(n) == left)
        n = n->parent;
    return n->parent;
}

rbnode rbtree_next(rbnode n)
{
    return neighbour(n, false);
}

rbnode rbtree_previous(rbnode n)
{
    return neighbour(n, true);
}
