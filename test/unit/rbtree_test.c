/* Red-black trees against a sorted array, with the tree's rules checked after each step. */
#include "runtime/random.h"
#include "runtime/rbtree.h"
#include "test/host/harness.h"

struct item {
    struct rbnode node;
    u64 key;
    u64 order; /* of insertion */
    bool in_tree;
};

static u64 comparisons;

closure_function(rb_key_compare, item_compare, (), rbnode a, rbnode b)
{
    u64 key_a = container_of(a, struct item, node)->key,
        key_b = container_of(b, struct item, node)->key;
    comparisons++;
    return (key_a > key_b) - (key_a < key_b);
}

static struct item *item_of(rbnode n)
{
    return n ? container_of(n, struct item, node) : NULL;
}

/* Black nodes on each way down; checks colours and parents. */
static u32 check_node(rbnode n, rbnode parent)
{
    if (!n)
        return 0;
    must(n->parent == parent);
    must(!(n->red && parent && parent->red));
    u32 left = check_node(n->left, n), right = check_node(n->right, n);
    must(left == right);
    return left + !n->red;
}

static void check_tree(const struct rbtree *t)
{
    must(!t->root || !t->root->red);
    check_node(t->root, NULL);
    u64 count = 0;
    struct item *previous = NULL;
    for (rbnode n = rbtree_first(t); n; n = rbtree_next(n), count++) {
        struct item *i = item_of(n);
        must(!previous || previous->key < i->key ||
             (previous->key == i->key && previous->order < i->order));
        must(rbtree_previous(n) == (previous ? &previous->node : NULL));
        previous = i;
    }
    must(count == t->count);
    must(item_of(rbtree_last(t)) == previous);
}

#define ITEMS 300

/* The model: looks at every item. */
static void check_lookups(const struct rbtree *t, struct item *items, u64 key)
{
    struct item wanted = {.key = key};
    struct item *floor_item = NULL, *ceiling_item = NULL;
    for (u32 i = 0; i < ITEMS; i++) {
        struct item *it = &items[i];
        if (!it->in_tree)
            continue;
        if (it->key <= key && (!floor_item || it->key > floor_item->key ||
                               (it->key == floor_item->key && it->order > floor_item->order)))
            floor_item = it;
        if (it->key >= key && (!ceiling_item || it->key < ceiling_item->key ||
                               (it->key == ceiling_item->key && it->order < ceiling_item->order)))
            ceiling_item = it;
    }
    must(item_of(rbtree_floor(t, &wanted.node)) == floor_item);
    must(item_of(rbtree_ceiling(t, &wanted.node)) == ceiling_item);
    struct item *found = item_of(rbtree_lookup(t, &wanted.node));
    must(found == (ceiling_item && ceiling_item->key == key ? ceiling_item : NULL));
}

static void test_random(struct random *r, u64 keys)
{
    static struct item items[ITEMS];
    struct rbtree t;
    u64 order = 0;
    memset(items, 0, sizeof(items));
    rbtree_init(&t, stack_closure(item_compare));
    for (u32 step = 0; step < 4000; step++) {
        /* Long stretches of mostly adding and mostly removing reach every shape. */
        struct item *i = &items[random_below(r, ITEMS)];
        bool adding = step / 500 % 2 == 0 ? random_below(r, 4) != 0 : random_below(r, 4) == 0;
        if (adding && !i->in_tree) {
            i->key = random_below(r, keys);
            i->order = order++;
            i->in_tree = true;
            rbtree_insert(&t, &i->node);
        } else if (!adding && i->in_tree) {
            rbtree_remove(&t, &i->node);
            i->in_tree = false;
        }
        check_tree(&t);
        check_lookups(&t, items, random_below(r, keys));
    }
    ok(true, "4000 random steps with keys below %llu", (unsigned long long)keys);
}

static void test_depth(void)
{
    static struct item items[10000];
    struct rbtree t;
    rbtree_init(&t, stack_closure(item_compare));
    for (u32 i = 0; i < countof(items); i++) {
        items[i] = (struct item){.key = i, .order = i};
        rbtree_insert(&t, &items[i].node);
    }
    comparisons = 0;
    for (u32 i = 0; i < countof(items); i++) {
        struct item wanted = {.key = i};
        must(rbtree_lookup(&t, &wanted.node) == &items[i].node);
    }
    ok(comparisons / countof(items) <= 28, "rising keys leave the tree balanced");
    for (u32 i = 0; i < countof(items); i++)
        rbtree_remove(&t, &items[i].node);
    ok(t.count == 0 && !t.root, "and all can be taken out again");
}

int main(void)
{
    struct random r;
    random_init(&r, test_seed());
    struct rbtree empty;
    rbtree_init(&empty, stack_closure(item_compare));
    struct item key = {.key = 1};
    ok(!rbtree_first(&empty) && !rbtree_last(&empty) && !rbtree_lookup(&empty, &key.node) &&
           !rbtree_floor(&empty, &key.node) && !rbtree_ceiling(&empty, &key.node),
       "an empty tree finds nothing");
    test_random(&r, 10);
    test_random(&r, 1000);
    test_random(&r, ~0ull);
    test_depth();
    return done_testing();
}
