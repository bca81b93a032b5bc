/* Scatter-gather lists: see runtime/sg.h. */
#include "runtime/sg.h"

#include "runtime/assert.h"

void sg_init(struct sg_list *sg, heap h)
{
    sg->heap = h;
    sg->pieces = sg->embedded;
    sg->count = 0;
    sg->capacity = SG_EMBEDDED_PIECES;
    sg->bytes = 0;
}

void sg_clear(struct sg_list *sg)
{
    if (sg->pieces != sg->embedded)
        deallocate(sg->heap, sg->pieces, sg->capacity * sizeof(*sg->pieces));
    sg_init(sg, sg->heap);
}

static bool sg_grow(struct sg_list *sg)
{
    u32 capacity = sg->capacity * 2;
    struct sg_piece *pieces = sg->heap ? allocate(sg->heap, capacity * sizeof(*pieces)) : NULL;
    if (!pieces)
        return false;
    memcpy(pieces, sg->pieces, sg->count * sizeof(*pieces));
    if (sg->pieces != sg->embedded)
        deallocate(sg->heap, sg->pieces, sg->capacity * sizeof(*pieces));
    sg->pieces = pieces;
    sg->capacity = capacity;
    return true;
}

bool sg_add(struct sg_list *sg, void *address, u64 bytes)
{
    if (bytes == 0)
        return true;
    struct sg_piece *last = sg->count ? &sg->pieces[sg->count - 1] : NULL;
    if (last && (u8 *)last->address + last->bytes == address) {
        last->bytes += bytes;
    } else {
        if (sg->count == sg->capacity && !sg_grow(sg))
            return false;
        sg->pieces[sg->count++] = (struct sg_piece){address, bytes};
    }
    sg->bytes += bytes;
    return true;
}

/* A position in a list, moving forward. */
struct sg_cursor {
    const struct sg_piece *piece, *end;
    u64 offset; /* into the piece */
};

static struct sg_cursor sg_cursor_at(const struct sg_list *sg, u64 offset)
{
    struct sg_cursor c = {sg->pieces, sg->pieces + sg->count, offset};
    while (c.piece < c.end && c.offset >= c.piece->bytes)
        c.offset -= c.piece++->bytes;
    return c;
}

/* The next stretch of at most `most` bytes; NULL at the end of the list. */
static u8 *sg_cursor_next(struct sg_cursor *c, u64 most, u64 *bytes)
{
    if (c->piece == c->end || most == 0)
        return NULL;
    u8 *at = (u8 *)c->piece->address + c->offset;
    *bytes = min(most, c->piece->bytes - c->offset);
    c->offset += *bytes;
    if (c->offset == c->piece->bytes) {
        c->piece++;
        c->offset = 0;
    }
    return at;
}

bool sg_add_range(struct sg_list *sg, const struct sg_list *from, u64 offset, u64 bytes)
{
    assert(offset <= from->bytes && bytes <= from->bytes - offset);
    u32 count_before = sg->count;
    u64 bytes_before = sg->bytes;
    u64 last_before = count_before ? sg->pieces[count_before - 1].bytes : 0;
    struct sg_cursor c = sg_cursor_at(from, offset);
    u64 part;
    for (u8 *at; (at = sg_cursor_next(&c, bytes, &part)); bytes -= part) {
        if (sg_add(sg, at, part))
            continue;
        sg->count = count_before;
        sg->bytes = bytes_before;
        if (count_before)
            sg->pieces[count_before - 1].bytes = last_before;
        return false;
    }
    return true;
}

u64 sg_copy_in(struct sg_list *sg, u64 offset, const void *from, u64 bytes)
{
    struct sg_cursor c = sg_cursor_at(sg, offset);
    u64 done = 0, part;
    for (u8 *at; (at = sg_cursor_next(&c, bytes - done, &part)); done += part)
        memcpy(at, (const u8 *)from + done, part);
    return done;
}

u64 sg_copy_out(const struct sg_list *sg, u64 offset, void *to, u64 bytes)
{
    struct sg_cursor c = sg_cursor_at(sg, offset);
    u64 done = 0, part;
    for (u8 *at; (at = sg_cursor_next(&c, bytes - done, &part)); done += part)
        memcpy((u8 *)to + done, at, part);
    return done;
}

void sg_zero(struct sg_list *sg, u64 offset, u64 bytes)
{
    struct sg_cursor c = sg_cursor_at(sg, offset);
    u64 part;
    for (u8 *at; (at = sg_cursor_next(&c, bytes, &part)); bytes -= part)
        memset(at, 0, part);
}
