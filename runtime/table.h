/* Hash tables, intrusive, with chains.  A table begins with a few buckets of its own and grows on
   its heap; when there is no memory to grow it only becomes slower, so adding never fails.

   Keys are closures' business (struct table), or numbers (table_number_*), or bytes
   (table_name_*).  Equal keys may be added more than once; the newest is found first.  Not
   locked. */
#pragma once

#include "runtime/closure.h"

struct table_entry {
    struct table_entry *next;
    u64 hash;
};

/* Whether two entries have the same key; only asked when their hashes are equal. */
closure_type(table_key_equal, bool, const struct table_entry *a, const struct table_entry *b);

#define TABLE_EMBEDDED_BUCKETS 8

struct table {
    heap heap;
    table_key_equal equal;
    u64 count;
    u32 order;                    /* 1 << order buckets */
    struct table_entry **buckets; /* embedded, or on the heap */
    struct table_entry *embedded[TABLE_EMBEDDED_BUCKETS];
};

/* `heap` may be NULL: then the table never grows. */
void table_init(struct table *t, heap h, table_key_equal equal);
/* Gives the buckets back; the entries are the caller's. */
void table_clear(struct table *t);
void table_add(struct table *t, struct table_entry *e, u64 hash);
/* An entry whose key is that of `key`, whose hash field is set; NULL when there is none. */
struct table_entry *table_find(const struct table *t, const struct table_entry *key);
/* False when it is not there. */
bool table_remove(struct table *t, struct table_entry *e);
/* Walks through all entries, in no order: pass NULL to begin; NULL at the end.  The table must not
   grow meanwhile; the entry returned last may be removed only after asking for the next one. */
struct table_entry *table_next(const struct table *t, const struct table_entry *after);

/* --- keyed by a number ------------------------------------------------------------------------ */

struct table_number {
    struct table_entry entry;
    u64 key;
};

void table_number_init(struct table *t, heap h);
/* e->key is set. */
void table_number_add(struct table *t, struct table_number *e);
struct table_number *table_number_find(const struct table *t, u64 key);

/* --- keyed by bytes --------------------------------------------------------------------------- */

/* The name is borrowed: it lives while the entry is in the table. */
struct table_name {
    struct table_entry entry;
    const char *name;
    u64 name_bytes;
};

void table_name_init(struct table *t, heap h);
/* e->name and e->name_bytes are set. */
void table_name_add(struct table *t, struct table_name *e);
struct table_name *table_name_find(const struct table *t, const char *name, u64 name_bytes);
