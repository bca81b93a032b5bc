/* Groups: gathered, sealed, placed, written.  See fs/stream.h; FORMAT.md, sections 3 and 4.

   Called by log.c and commit.c for the log, and by checkpoint.c for a checkpoint. */
#include "fs/log_state.h"

#define TURN_BYTES 512u
_Static_assert(sizeof(struct group) + sizeof(struct record_segment) + sizeof(struct record_next) <=
                   TURN_BYTES,
               "a segment may hold no more than its first record and NEXT");

static struct log_group *group_of(struct list *l)
{
    return container_of(l, struct log_group, link);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* So much memory in one piece is hard to have again once the page cache has had it; so a few
   groups are kept. */
static struct log_group *spare_pop(struct log *log)
{
    struct list *l = log ? list_pop_front(&log->spares) : NULL;
    if (!l)
        return NULL;
    struct log_group *g = group_of(l);
    u8 *memory = g->memory;
    log->spares_count--;
    *g = (struct log_group){.memory = memory, .capacity = GROUP_BYTES_MOST};
    return g;
}

static bool spare_push(struct log *log, struct log_group *g)
{
    if (!log || g->capacity != GROUP_BYTES_MOST || log->spares_count == GROUPS_SPARE_MOST)
        return false;
    list_push_back(&log->spares, &g->link);
    log->spares_count++;
    return true;
}

void groups_spare_release(struct log *log)
{
    heap h = log->fs->environment.heap;
    for (struct log_group *g; (g = spare_pop(log));) {
        deallocate(h, g->memory, g->capacity);
        deallocate(h, g, sizeof(*g));
    }
}

struct log_group *group_make(struct filesystem *fs, u32 capacity)
{
    heap h = fs->environment.heap;
    struct log_group *spare = capacity == GROUP_BYTES_MOST ? spare_pop(fs->log) : NULL;
    if (spare)
        return spare;
    struct log_group *g = allocate_zero(h, sizeof(*g));
    u8 *memory = allocate(h, capacity);
    if (!g || !memory) {
        deallocate(h, g, sizeof(*g));
        deallocate(h, memory, capacity);
        return NULL;
    }
    g->memory = memory;
    g->capacity = capacity;
    return g;
}

void group_free(struct filesystem *fs, struct log_group *g)
{
    if (!g || spare_push(fs->log, g))
        return;
    deallocate(fs->environment.heap, g->memory, g->capacity);
    deallocate(fs->environment.heap, g, sizeof(*g));
}

void stream_init(struct log_stream *s, struct filesystem *fs, segment_source *take)
{
    *s = (struct log_stream){.fs = fs, .take = take};
    list_init(&s->groups);
    list_init(&s->turns);
}

void stream_place(struct log_stream *s, u64 block, u32 blocks, u64 at, u64 sequence)
{
    s->block = block;
    s->blocks = blocks;
    s->at = at;
    s->fresh = at == 0;
    s->sequence = sequence;
}

static void groups_free(struct filesystem *fs, struct list *groups)
{
    for (struct list *l; (l = list_pop_front(groups));)
        group_free(fs, group_of(l));
}

void stream_release(struct log_stream *s)
{
    groups_free(s->fs, &s->groups);
    groups_free(s->fs, &s->turns);
    s->open = NULL;
    s->count = s->turns_count = 0;
}

status stream_stock(struct log_stream *s, u32 turns)
{
    while (s->turns_count < turns) {
        struct log_group *g = group_make(s->fs, TURN_BYTES);
        if (!g)
            return status_error(ENOMEM, "fs: no memory for the log", TURN_BYTES);
        list_push_back(&s->turns, &g->link);
        s->turns_count++;
    }
    return STATUS_OK;
}

/* --- gathering -------------------------------------------------------------------------------- */

bool stream_has_room(const struct log_stream *s, u64 bytes)
{
    return s->open && bytes <= sizeof(struct group) + STREAM_RECORDS_MOST - s->open->bytes;
}

void stream_open_with(struct log_stream *s, struct log_group *g)
{
    g->stream = s;
    g->bytes = sizeof(struct group);
    g->records = 0;
    g->sealed = g->turns = false;
    list_push_back(&s->groups, &g->link);
    s->count++;
    s->open = g;
}

status stream_open(struct log_stream *s)
{
    /* One group never passes more than that many segments by, and some may be waiting. */
    status stocked = stream_stock(s, (s->count + 1) * STREAM_TURNS_OF_A_GROUP);
    if (!is_ok(stocked))
        return stocked;
    struct log_group *g = group_make(s->fs, GROUP_BYTES_MOST);
    if (!g)
        return status_error(ENOMEM, "fs: no memory for the log", GROUP_BYTES_MOST);
    stream_open_with(s, g);
    return STATUS_OK;
}

static u8 *put(u8 *at, const void *from, u64 bytes)
{
    if (bytes)
        memcpy(at, from, bytes);
    return at + bytes;
}

u64 stream_record(struct log_stream *s, u16 type, const struct record_parts *p)
{
    struct log_group *g = s->open;
    u64 bytes = p->fixed_bytes + p->text_bytes + p->more_bytes, length = record_length(bytes);
    assert(stream_has_room(s, length));
    p->fixed->type = type;
    p->fixed->length = (u32)length;
    u8 *at = put(g->memory + g->bytes, p->fixed, p->fixed_bytes);
    at = put(at, p->text, p->text_bytes);
    at = put(at, p->more, p->more_bytes);
    memset(at, 0, length - bytes);
    g->bytes += (u32)length;
    g->records++;
    return length;
}

u64 stream_bytes(const struct log_stream *s)
{
    u64 step = 1ull << s->fs->super.group_order, bytes = 0;
    list_for_each (&s->groups, l)
        bytes += align_up(group_of(l)->bytes, step);
    return bytes;
}

/* --- sealing ---------------------------------------------------------------------------------- */

static void group_seal(struct log_stream *s, struct log_group *g)
{
    struct group *header = (struct group *)(void *)g->memory;
    g->sealed = true;
    g->sequence = s->sequence++;
    g->sector = s->block * BLOCK_SECTORS + s->at / SECTOR_BYTES;
    *header = (struct group){.magic = GROUP_MAGIC,
                             .sequence = g->sequence,
                             .durable = s->durable,
                             .sector = g->sector,
                             .volume = s->fs->volume,
                             .length = g->bytes,
                             .records = g->records};
    header->sum = group_sum(header);
    memset(g->memory + g->bytes, 0, align_up(g->bytes, SECTOR_BYTES) - g->bytes);
    s->at = align_up(s->at + g->bytes, 1ull << s->fs->super.group_order);
    s->fresh = false;
}

/* The first record of a segment's first group. */
static void segment_record_put(struct log_stream *s, struct log_group *g)
{
    struct record_segment r = {.r = {.type = RECORD_SEGMENT, .length = sizeof(r)},
                               .number = s->sequence,
                               .block = s->block,
                               .blocks = s->blocks};
    u8 *records = g->memory + sizeof(struct group);
    memmove(records + sizeof(r), records, g->bytes - sizeof(struct group));
    memcpy(records, &r, sizeof(r));
    g->bytes += sizeof(r);
    g->records++;
}

/* Before `position`: a group with NEXT, and a SEGMENT when it is alone in its segment. */
static void turn_insert(struct log_stream *s, struct list *position, const struct record_next *next)
{
    struct list *l = list_pop_front(&s->turns);
    assert(l);
    struct log_group *g = group_of(l);
    s->turns_count--;
    memcpy(g->memory + sizeof(struct group), next, sizeof(*next));
    *g = (struct log_group){.stream = s,
                            .memory = g->memory,
                            .capacity = g->capacity,
                            .bytes = sizeof(struct group) + sizeof(*next),
                            .records = 1,
                            .turns = true};
    list_insert_after(position->previous, &g->link);
    /* What is behind it is not durable either, so a position is never asked of it. */
    if (g->link.previous != &s->groups)
        g->position = group_of(g->link.previous)->position;
    if (s->fresh)
        segment_record_put(s, g);
    group_seal(s, g);
    stream_place(s, next->block, next->blocks, 0, next->sequence);
}

static struct record_next next_record(u64 block, u32 blocks, u64 sequence)
{
    return (struct record_next){.r = {.type = RECORD_NEXT, .length = sizeof(struct record_next)},
                                .block = block,
                                .blocks = blocks,
                                .sequence = sequence};
}

void stream_turn(struct log_stream *s, u64 block, u32 blocks, u64 sequence)
{
    struct record_next next = next_record(block, blocks, sequence);
    turn_insert(s, &s->groups, &next);
}

/* Each segment keeps a block for its NEXT. */
static bool group_fits(const struct log_stream *s, const struct log_group *g)
{
    u64 bytes = g->bytes + (s->fresh ? sizeof(struct record_segment) : 0);
    u64 end = align_up(s->at + bytes, 1ull << s->fs->super.group_order);
    return end + BLOCK_BYTES <= (u64)s->blocks << BLOCK_ORDER;
}

static bool group_place(struct log_stream *s, struct log_group *g)
{
    for (u32 n = 0; !group_fits(s, g); n++) {
        u64 block;
        u32 blocks;
        if (n == STREAM_TURNS_OF_A_GROUP || !s->take(s->fs, &block, &blocks))
            return false;
        struct record_next next = next_record(block, blocks, s->sequence + 1);
        turn_insert(s, &g->link, &next);
    }
    if (s->fresh)
        segment_record_put(s, g);
    group_seal(s, g);
    return true;
}

bool stream_seal(struct log_stream *s)
{
    s->open = NULL;
    list_for_each (&s->groups, l) {
        struct log_group *g = group_of(l);
        if (!g->sealed && !group_place(s, g))
            return false;
    }
    return true;
}

/* --- writing ---------------------------------------------------------------------------------- */

closure_method(status_handler, group_landed, struct log_group, landed, status s)
{
    apply(owner()->branch, s);
}

static void group_write(struct log_group *g, merge m)
{
    struct filesystem *fs = g->stream->fs;
    sg_init(&g->sg, NULL);
    sg_add(&g->sg, g->memory, align_up(g->bytes, SECTOR_BYTES));
    g->branch = apply_merge(m);
    init_method(&g->landed, group_landed);
    if (device_start(fs, &g->device, BLOCK_WRITE, g->sector, &g->sg, &g->landed))
        return;
    closure_freed(&g->landed.header);
    apply(g->branch, device_closing(fs));
}

bool stream_write_start(struct stream_write *w, struct log_stream *s, status_handler done)
{
    if (list_empty(&s->groups) || !group_of(s->groups.next)->sealed)
        return false;
    w->stream = s;
    init_merge(&w->merge, done);
    list_for_each (&s->groups, l) {
        struct log_group *g = group_of(l);
        if (!g->sealed)
            break;
        w->last = g;
        group_write(g, &w->merge);
        if (s->barriers && g->turns)
            break;
    }
    merge_finish(&w->merge);
    return true;
}

u64 stream_write_durable(struct stream_write *w)
{
    struct log_stream *s = w->stream;
    u64 position = w->last->position;
    s->durable = w->last->sequence;
    for (bool more = true; more;) {
        struct log_group *g = group_of(list_pop_front(&s->groups));
        more = g != w->last;
        if (!g->turns)
            s->count--;
        group_free(s->fs, g);
    }
    w->last = NULL;
    return position;
}
