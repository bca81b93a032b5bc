/* Hash tables: see runtime/table.h. */
#include "runtime/table.h"

#include "runtime/hash64.h"

/* A table grows when it has more entries than buckets. */
#define TABLE_ORDER_MOST 28

static struct table_entry **bucket_of(const struct table *t, u64 hash)
{
    return &t->buckets[hash & ((1ull << t->order) - 1)];
}

void table_init(struct table *t, heap h, table_key_equal equal)
{
    *t = (struct table){.heap = h, .equal = equal, .order = ceil_log2(TABLE_EMBEDDED_BUCKETS)};
    t->buckets = t->embedded;
}

static void buckets_free(struct table *t, struct table_entry **buckets, u32 order)
{
    if (buckets != t->embedded)
        deallocate(t->heap, buckets, sizeof(*buckets) << order);
}

void table_clear(struct table *t)
{
    buckets_free(t, t->buckets, t->order);
    table_init(t, t->heap, t->equal);
}

/* Doubles the buckets.  Without memory the table stays as it is. */
static void table_grow(struct table *t)
{
    u32 old_order = t->order;
    struct table_entry **old = t->buckets;
    if (!t->heap || old_order == TABLE_ORDER_MOST)
        return;
    struct table_entry **grown = allocate_zero(t->heap, sizeof(*grown) << (old_order + 1));
    if (!grown)
        return;
    t->buckets = grown;
    t->order = old_order + 1;
    for (u64 i = 0; i < 1ull << old_order; i++) {
        /* Appending keeps equal keys in their order: the newest stays in front. */
        struct table_entry **ends[2] = {&grown[i], &grown[i + (1ull << old_order)]};
        for (struct table_entry *e = old[i], *next; e; e = next) {
            next = e->next;
            e->next = NULL;
            struct table_entry ***end = &ends[e->hash >> old_order & 1];
            **end = e;
            *end = &e->next;
        }
    }
    buckets_free(t, old, old_order);
}

void table_add(struct table *t, struct table_entry *e, u64 hash)
{
    if (t->count >= 1ull << t->order)
        table_grow(t);
    struct table_entry **bucket = bucket_of(t, hash);
    e->hash = hash;
    e->next = *bucket;
    *bucket = e;
    t->count++;
}

struct table_entry *table_find(const struct table *t, const struct table_entry *key)
{
    for (struct table_entry *e = *bucket_of(t, key->hash); e; e = e->next) {
        if (e->hash == key->hash && apply(t->equal, e, key))
            return e;
    }
    return NULL;
}

bool table_remove(struct table *t, struct table_entry *e)
{
    for (struct table_entry **link = bucket_of(t, e->hash); *link; link = &(*link)->next) {
        if (*link != e)
            continue;
        *link = e->next;
        t->count--;
        return true;
    }
    return false;
}

struct table_entry *table_next(const struct table *t, const struct table_entry *after)
{
    u64 bucket = 0;
    if (after) {
        if (after->next)
            return after->next;
        bucket = (u64)(bucket_of(t, after->hash) - t->buckets) + 1;
    }
    for (; bucket < 1ull << t->order; bucket++) {
        if (t->buckets[bucket])
            return t->buckets[bucket];
    }
    return NULL;
}

/* --- keyed by a number ------------------------------------------------------------------------ */

/* These two bodies capture nothing, so one closure of each serves every table. */
closure_function(table_key_equal, number_equal, (), const struct table_entry *a,
                 const struct table_entry *b)
{
    return ((const struct table_number *)a)->key == ((const struct table_number *)b)->key;
}

static struct number_equal_captured number_equal_closure = CLOSURE_INITIAL(number_equal, NULL);

void table_number_init(struct table *t, heap h)
{
    table_init(t, h, &number_equal_closure.closure);
}

void table_number_add(struct table *t, struct table_number *e)
{
    table_add(t, &e->entry, hash64_of(e->key));
}

struct table_number *table_number_find(const struct table *t, u64 key)
{
    struct table_number wanted = {.entry.hash = hash64_of(key), .key = key};
    struct table_entry *e = table_find(t, &wanted.entry);
    return e ? container_of(e, struct table_number, entry) : NULL;
}

/* --- keyed by bytes --------------------------------------------------------------------------- */

closure_function(table_key_equal, name_equal, (), const struct table_entry *a,
                 const struct table_entry *b)
{
    const struct table_name *name_a = (const struct table_name *)a;
    const struct table_name *name_b = (const struct table_name *)b;
    return name_a->name_bytes == name_b->name_bytes &&
           memcmp(name_a->name, name_b->name, name_a->name_bytes) == 0;
}

static struct name_equal_captured name_equal_closure = CLOSURE_INITIAL(name_equal, NULL);

void table_name_init(struct table *t, heap h)
{
    table_init(t, h, &name_equal_closure.closure);
}

void table_name_add(struct table *t, struct table_name *e)
{
    table_add(t, &e->entry, hash64(0, e->name, e->name_bytes));
}

struct table_name *table_name_find(const struct table *t, const char *name, u64 name_bytes)
{
    struct table_name wanted = {
        .entry.hash = hash64(0, name, name_bytes), .name = name, .name_bytes = name_bytes};
    struct table_entry *e = table_find(t, &wanted.entry);
    return e ? container_of(e, struct table_name, entry) : NULL;
}
