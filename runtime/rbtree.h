/* Red-black trees, intrusive, ordered by a key-compare closure. */
#pragma once

#include "runtime/closure.h"

struct rbnode {
    struct rbnode *parent; /* NULL for the root */
    struct rbnode *left, *right;
    bool red;
};

typedef struct rbnode *rbnode;

/* Negative, 0 or positive as a sorts before, with or after b. */
closure_type(rb_key_compare, int, rbnode a, rbnode b);

struct rbtree {
    rbnode root;
    rb_key_compare compare;
    u64 count;
};

void rbtree_init(struct rbtree *t, rb_key_compare compare);
/* Equal keys are kept in order of insertion. */
void rbtree_insert(struct rbtree *t, rbnode n);
/* The same for a caller that knows where n belongs and keeps the order itself: below `parent`, at
   its free link &parent->left or &parent->right; &t->root and NULL in an empty tree.  A tree that
   is only used like this, and not looked up in, needs no compare. */
void rbtree_insert_at(struct rbtree *t, rbnode parent, rbnode *link, rbnode n);
void rbtree_remove(struct rbtree *t, rbnode n);
/* A node with the key of `key` (a node on the caller's stack); NULL when there is none. */
rbnode rbtree_lookup(const struct rbtree *t, rbnode key);
/* The last node not after `key`, and the first not before it; NULL when there is none. */
rbnode rbtree_floor(const struct rbtree *t, rbnode key);
rbnode rbtree_ceiling(const struct rbtree *t, rbnode key);
rbnode rbtree_first(const struct rbtree *t);
rbnode rbtree_last(const struct rbtree *t);
rbnode rbtree_next(rbnode n);
rbnode rbtree_previous(rbnode n);
