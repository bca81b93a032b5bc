/* Memory for metadata: bump allocation in chunks that grow, given back all at once at unmount.
   Mount is its caller; a million inodes cost a million additions and no headers. */
#include "fs/internal.h"

#define CHUNK_BYTES_FIRST (4 * KiB)
#define CHUNK_BYTES_MOST  (256 * KiB)

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

void *arena_allocate(struct arena *a, u64 bytes)
{
    bytes = align_up(bytes, 8);
    if ((u64)(a->end - a->at) < bytes && !arena_grow(a, bytes))
        return NULL;
    void *p = a->at;
    a->at += bytes;
    return p;
}

void arena_release(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *c = a->chunks;
        a->chunks = c->next;
        deallocate(a->heap, c, c->bytes);
    }
    arena_init(a, a->heap);
}
