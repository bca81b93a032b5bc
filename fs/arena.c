/* Memory for metadata: bump allocation in chunks that grow, given back all at once at unmount.  A
   million inodes cost a million additions and no headers.

   What is freed before goes to a list of pieces of its size, and the next piece of that size is
   taken from there; so memory is never more than what was in use at once of each size.  Pieces of
   more than ARENA_PIECE_MOST bytes are few: the heap has them, behind a header. */
#include "fs/internal.h"

#define CHUNK_BYTES_FIRST (4 * KiB)
#define CHUNK_BYTES_MOST  (256 * KiB)

struct arena_chunk {
    struct arena_chunk *next;
    u64 bytes;
};

struct arena_large {
    struct arena_large *next, *previous;
    u64 bytes; /* header included */
};

void arena_init(struct arena *a, heap h)
{
    *a = (struct arena){.heap = h, .chunk_bytes = CHUNK_BYTES_FIRST};
}

static bool arena_grow(struct arena *a, u64 bytes)
{
    u64 needed = sizeof(struct arena_chunk) + bytes;
    u64 chunk_bytes = max(a->chunk_bytes, align_up(needed, CHUNK_BYTES_FIRST));
    struct arena_chunk *c = allocate(a->heap, chunk_bytes);
    if (!c)
        return false;
    c->next = a->chunks;
    c->bytes = chunk_bytes;
    a->chunks = c;
    a->at = (u8 *)(c + 1);
    a->end = (u8 *)c + chunk_bytes;
    a->chunk_bytes = min(a->chunk_bytes * 2, CHUNK_BYTES_MOST);
    return true;
}

static void *large_allocate(struct arena *a, u64 bytes)
{
    struct arena_large *l = allocate(a->heap, sizeof(*l) + bytes);
    if (!l)
        return NULL;
    *l = (struct arena_large){.next = a->large, .bytes = sizeof(*l) + bytes};
    if (a->large)
        a->large->previous = l;
    a->large = l;
    return l + 1;
}

static void large_free(struct arena *a, struct arena_large *l)
{
    if (l->next)
        l->next->previous = l->previous;
    *(l->previous ? &l->previous->next : &a->large) = l->next;
    deallocate(a->heap, l, l->bytes);
}

void *arena_allocate_else(struct arena *a, u64 bytes)
{
    if (unlikely(bytes > ARENA_PIECE_MOST))
        return large_allocate(a, bytes);
    void **freed = &a->free[bytes / 8], *p = *freed;
    if (p) {
        *freed = *(void **)p;
        return p;
    }
    if ((u64)(a->end - a->at) < bytes && !arena_grow(a, bytes))
        return NULL;
    p = a->at;
    a->at += bytes;
    return p;
}

void arena_free(struct arena *a, void *p, u64 bytes)
{
    bytes = align_up(bytes, 8);
    if (!p || !bytes)
        return;
    if (unlikely(bytes > ARENA_PIECE_MOST)) {
        large_free(a, (struct arena_large *)p - 1);
        return;
    }
    void **freed = &a->free[bytes / 8];
    *(void **)p = *freed;
    *freed = p;
}

void arena_release(struct arena *a)
{
    while (a->large)
        large_free(a, a->large);
    while (a->chunks) {
        struct arena_chunk *c = a->chunks;
        a->chunks = c->next;
        deallocate(a->heap, c, c->bytes);
    }
    arena_init(a, a->heap);
}
