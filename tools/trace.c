/* The trace's records, in order of time, with names: see trace.h. */
#include "tools/trace.h"
#include "tools/say.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define CPUS_SEEN 64

/* Records lie in the file as they came, so they are not aligned. */
struct chunk_list {
    const u8 **chunks;
    u64 *counts; /* records in each */
    u32 count, room;
    u64 lost;
};

struct name {
    u64 address;
    const char *text, *file; /* file: NULL where there is none */
    u32 line;
};

struct trace_file {
    const u8 *bytes;
    u64 size;
    struct chunk_list cpus[CPUS_SEEN];
    struct name *names; /* sorted by address once all are there */
    u32 name_count, name_room;
    struct trace_clock clock;
    u64 records, end_ns;
    bool whole;
};

/* --- chunks ----------------------------------------------------------------------------------- */

static void records_add(struct trace_file *f, const struct trace_chunk *c, const u8 *body)
{
    struct chunk_list *l = &f->cpus[c->cpu % CPUS_SEEN];
    if (l->count == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        l->chunks = must_grow(l->chunks, l->room * sizeof(*l->chunks));
        l->counts = must_grow(l->counts, l->room * sizeof(*l->counts));
    }
    l->chunks[l->count] = body;
    l->counts[l->count] = c->bytes / sizeof(struct trace_record);
    f->records += l->counts[l->count++];
    l->lost = max(l->lost, c->lost);
}

/* A text inside [from, end), or NULL when its zero is missing. */
static const char *text_in(const char *from, const char *end)
{
    return from < end && memchr(from, 0, (size_t)(end - from)) ? from : NULL;
}

static void name_add(struct trace_file *f, const struct trace_chunk *c, const void *body)
{
    struct trace_name n;
    const char *text = (const char *)body + sizeof(n), *end = (const char *)body + c->bytes;
    if (c->bytes < sizeof(n) || !text_in(text, end))
        return;
    memcpy(&n, body, sizeof(n));
    if (f->name_count == f->name_room) {
        f->name_room = f->name_room ? 2 * f->name_room : 64;
        f->names = must_grow(f->names, f->name_room * sizeof(*f->names));
    }
    const char *file =
        c->kind == TRACE_CHUNK_CLOSURE ? text_in(text + strlen(text) + 1, end) : NULL;
    f->names[f->name_count++] = (struct name){n.address, text, file, n.line};
}

static void chunk_take(struct trace_file *f, const struct trace_chunk *c, const u8 *body)
{
    switch (c->kind) {
    case TRACE_CHUNK_CLOCK:
        if (c->bytes >= sizeof(f->clock))
            memcpy(&f->clock, body, sizeof(f->clock));
        break;
    case TRACE_CHUNK_CLOSURE:
    case TRACE_CHUNK_TEXT:
        name_add(f, c, body);
        break;
    case TRACE_CHUNK_RECORDS:
        records_add(f, c, body);
        break;
    case TRACE_CHUNK_END:
        f->whole = true;
        break;
    default: /* of a newer kernel */
        break;
    }
}

static void chunks_read(struct trace_file *f)
{
    u64 at = 0;
    struct trace_chunk c;
    while (f->size - at >= sizeof(c)) {
        memcpy(&c, f->bytes + at, sizeof(c));
        at += sizeof(c);
        if (c.magic != TRACE_CHUNK_MAGIC || c.bytes > TRACE_CHUNK_MOST || c.bytes > f->size - at)
            return; /* cut, or not ours from here on */
        chunk_take(f, &c, f->bytes + at);
        at += c.bytes;
    }
}

static void record_at(const struct chunk_list *l, u32 chunk, u64 index, struct trace_record *r)
{
    memcpy(r, l->chunks[chunk] + index * sizeof(*r), sizeof(*r));
}

static int name_order(const void *a, const void *b)
{
    const struct name *first = a, *second = b;
    return (first->address > second->address) - (first->address < second->address);
}

static u64 ns_of(const struct trace_file *f, u64 stamp)
{
    u64 ticks = (stamp >> TRACE_STAMP_SHIFT) - f->clock.tsc_begin;
    return (u64)((u128)ticks * f->clock.ns_a_tick >> 32);
}

static void end_find(struct trace_file *f)
{
    for (u32 cpu = 0; cpu < CPUS_SEEN; cpu++) {
        const struct chunk_list *l = &f->cpus[cpu];
        for (u32 i = l->count; i-- > 0;) {
            if (!l->counts[i])
                continue;
            struct trace_record last;
            record_at(l, i, l->counts[i] - 1, &last);
            f->end_ns = max(f->end_ns, ns_of(f, last.stamp));
            break;
        }
    }
}

struct trace_file *trace_open(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return NULL;
    struct trace_file *f = must_allocate(sizeof(*f));
    f->size = (u64)st.st_size;
    if (f->size) {
        void *bytes = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            free(f);
            return NULL;
        }
        f->bytes = bytes;
    }
    chunks_read(f);
    if (f->name_count)
        qsort(f->names, f->name_count, sizeof(*f->names), name_order);
    end_find(f);
    return f;
}

void trace_close(struct trace_file *f)
{
    for (u32 cpu = 0; cpu < CPUS_SEEN; cpu++) {
        free(f->cpus[cpu].chunks);
        free(f->cpus[cpu].counts);
    }
    if (f->size)
        munmap((void *)(u64)f->bytes, f->size);
    free(f->names);
    free(f);
}

const char *trace_name(const struct trace_file *f, u64 address, const char **file, u32 *line)
{
    struct name wanted = {.address = address};
    const struct name *found =
        f->name_count ? bsearch(&wanted, f->names, f->name_count, sizeof(wanted), name_order)
                      : NULL;
    if (file)
        *file = found ? found->file : NULL;
    if (line)
        *line = found ? found->line : 0;
    return found ? found->text : "?";
}

u64 trace_lost(const struct trace_file *f)
{
    u64 lost = 0;
    for (u32 cpu = 0; cpu < CPUS_SEEN; cpu++)
        lost += f->cpus[cpu].lost;
    return lost;
}

u64 trace_records(const struct trace_file *f)
{
    return f->records;
}

bool trace_whole(const struct trace_file *f)
{
    return f->whole;
}

u64 trace_end_ns(const struct trace_file *f)
{
    return f->end_ns;
}

/* --- the walk --------------------------------------------------------------------------------- */

struct cursor {
    const struct chunk_list *list;
    u32 chunk;
    u64 index;
};

static bool cursor_peek(struct cursor *c, struct trace_record *r)
{
    while (c->chunk < c->list->count && c->index == c->list->counts[c->chunk]) {
        c->chunk++;
        c->index = 0;
    }
    if (c->chunk == c->list->count)
        return false;
    record_at(c->list, c->chunk, c->index, r);
    return true;
}

/* The CPU whose next record is the oldest; CPUS_SEEN: there is none left. */
static u32 oldest_cpu(const struct trace_record *heads, u64 waiting)
{
    u32 oldest = CPUS_SEEN;
    for (u32 cpu = 0; cpu < CPUS_SEEN; cpu++)
        if ((waiting >> cpu & 1) &&
            (oldest == CPUS_SEEN ||
             heads[cpu].stamp >> TRACE_STAMP_SHIFT < heads[oldest].stamp >> TRACE_STAMP_SHIFT))
            oldest = cpu;
    return oldest;
}

void trace_walk(const struct trace_file *f, trace_visitor visit)
{
    struct cursor cursors[CPUS_SEEN];
    struct trace_record heads[CPUS_SEEN];
    u64 waiting = 0;
    for (u32 cpu = 0; cpu < CPUS_SEEN; cpu++) {
        cursors[cpu] = (struct cursor){.list = &f->cpus[cpu]};
        waiting |= (u64)cursor_peek(&cursors[cpu], &heads[cpu]) << cpu;
    }
    u32 cpu;
    while ((cpu = oldest_cpu(heads, waiting)) < CPUS_SEEN) {
        struct trace_event_seen e = {
            .event = (enum trace_event)(heads[cpu].stamp & ((1u << TRACE_STAMP_SHIFT) - 1)),
            .cpu = cpu,
            .ns = ns_of(f, heads[cpu].stamp),
            .values = heads[cpu].values,
        };
        if (e.event < TRACE_EVENTS)
            apply(visit, &e);
        cursors[cpu].index++;
        if (!cursor_peek(&cursors[cpu], &heads[cpu]))
            waiting &= ~(1ull << cpu);
    }
}
