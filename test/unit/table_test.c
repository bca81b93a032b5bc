/* Hash tables: closures as keys' judges, numbers and names against plain arrays, no memory. */
#include "runtime/hash64.h"
#include "runtime/random.h"
#include "runtime/table.h"
#include "test/host/harness.h"

#include <stdio.h>

#define ENTRIES 3000

static void test_numbers(struct random *r)
{
    static struct table_number entries[ENTRIES];
    static bool in_table[ENTRIES];
    struct counting_heap h;
    struct table t;
    counting_heap_init(&h, "numbers");
    table_number_init(&t, &h.h);
    u64 count = 0;
    for (u32 step = 0; step < 30000; step++) {
        u64 key = random_below(r, ENTRIES);
        must(table_number_find(&t, key) == (in_table[key] ? &entries[key] : NULL));
        if (in_table[key]) {
            must(table_remove(&t, &entries[key].entry));
            must(!table_remove(&t, &entries[key].entry));
        } else {
            entries[key].key = key;
            table_number_add(&t, &entries[key]);
        }
        count += in_table[key] ? -1ull : 1ull;
        in_table[key] = !in_table[key];
        must(t.count == count);
    }
    u64 seen = 0;
    for (struct table_entry *e = table_next(&t, NULL); e; e = table_next(&t, e), seen++)
        must(in_table[container_of(e, struct table_number, entry)->key]);
    is(seen, count, "30000 random steps, and a walk meets each entry once");
    ok(t.order >= 10 && h.live == 1, "the table has grown");
    table_clear(&t);
    ok(t.count == 0 && h.live == 0 && !table_number_find(&t, 1), "and can be cleared");
    counting_heap_close(&h);
}

static void test_names(void)
{
    static struct table_name entries[ENTRIES];
    static char names[ENTRIES][16];
    struct table t;
    table_name_init(&t, host_heap);
    for (u32 i = 0; i < ENTRIES; i++) {
        entries[i].name = names[i];
        entries[i].name_bytes = (u64)snprintf(names[i], sizeof(names[i]), "name-%u", i);
        table_name_add(&t, &entries[i]);
    }
    bool all = true;
    for (u32 i = 0; i < ENTRIES; i++)
        all &= table_name_find(&t, names[i], entries[i].name_bytes) == &entries[i];
    ok(all, "each name is found");
    ok(!table_name_find(&t, "name-1x", 7) && !table_name_find(&t, "name-", 5) &&
           !table_name_find(&t, "", 0),
       "others are not, prefixes neither");
    table_clear(&t);
}

static void test_equal_keys(void)
{
    static struct table_number entries[100];
    struct table t;
    table_number_init(&t, host_heap);
    bool newest = true;
    for (u32 i = 0; i < countof(entries); i++) {
        entries[i].key = i % 10;
        table_number_add(&t, &entries[i]);
        newest &= table_number_find(&t, i % 10) == &entries[i];
    }
    for (u32 i = countof(entries); i-- > 0;) {
        newest &= table_number_find(&t, i % 10) == &entries[i];
        table_remove(&t, &entries[i].entry);
    }
    ok(newest, "of equal keys the newest is found first, also after growing");
    table_clear(&t);
}

/* A key of one's own: a pair, and hashes that all collide. */
struct pair {
    struct table_entry entry;
    u32 a, b;
};

closure_function(table_key_equal, pair_equal, (u64 * asked), const struct table_entry *x,
                 const struct table_entry *y)
{
    const struct pair *p = (const struct pair *)x, *q = (const struct pair *)y;
    ++*bound(asked);
    return p->a == q->a && p->b == q->b;
}

static void test_own_keys(void)
{
    static struct pair pairs[64];
    struct table t;
    u64 asked = 0;
    table_init(&t, NULL, stack_closure(pair_equal, &asked));
    for (u32 i = 0; i < countof(pairs); i++) {
        pairs[i] = (struct pair){.a = i / 8, .b = i % 8};
        table_add(&t, &pairs[i].entry, 7);
    }
    bool all = true;
    for (u32 i = 0; i < countof(pairs); i++) {
        struct pair key = {.entry.hash = 7, .a = i / 8, .b = i % 8};
        all &= table_find(&t, &key.entry) == &pairs[i].entry;
    }
    ok(all, "a key-equal closure decides where hashes collide");
    asked = 0;
    struct pair other = {.entry.hash = 15, .a = 1, .b = 1};
    ok(!table_find(&t, &other.entry) && asked == 0, "and is asked only when hashes are equal");
    ok(t.buckets == t.embedded, "without a heap the table stays small, and right");
}

/* Adding never fails: growing is put off when there is no memory. */
closure_function(allocation_test, fill_table, (), heap h)
{
    static struct table_number entries[200];
    struct table t;
    table_number_init(&t, h);
    for (u32 i = 0; i < countof(entries); i++) {
        entries[i].key = i * 7;
        table_number_add(&t, &entries[i]);
    }
    for (u32 i = 0; i < countof(entries); i++)
        must(table_number_find(&t, i * 7) == &entries[i]);
    must(!table_number_find(&t, 1));
    table_clear(&t);
    return true;
}

int main(void)
{
    struct random r;
    random_init(&r, test_seed());
    test_numbers(&r);
    test_names();
    test_equal_keys();
    test_own_keys();
    fail_each_allocation("filling a table", stack_closure(fill_table));
    return done_testing();
}
