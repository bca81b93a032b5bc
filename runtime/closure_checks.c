/* Following completions: see runtime/closure_checks.h.

   What is live stands in a table of its own, by address, and not in a list through the closures:
   the memory of a completion that is lost or freed may hold anything, and the checks must not
   depend on what they check.  The table never allocates, and one lock covers it. */
#include "runtime/closure.h"

#ifdef CLOSURE_CHECKS

#include "runtime/format.h"
#include "runtime/lock.h"

#define TABLE_SLOTS (1u << CLOSURE_TABLE_ORDER)

struct live {
    const struct closure_header *header; /* NULL: the slot is free */
    const struct closure_info *info;
    const char *file;
    const u32 *pending; /* of a merge; NULL otherwise */
    u64 made_at;
    u32 line;
    bool on_heap;
};

static u32 table_lock; /* [a] no rank: taken in any context, and nothing is called under it */
static struct live table[TABLE_SLOTS];
static u32 live_count; /* [table_lock] */
static u64 owed_count; /* [table_lock] */
static u64 made_count; /* [table_lock] */

static closure_reporter *reporter;

static void table_lock_take(void)
{
    while (__atomic_exchange_n(&table_lock, 1, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}

static void table_lock_release(void)
{
    __atomic_store_n(&table_lock, 0, __ATOMIC_RELEASE);
}

/* --- the table: linear probing ---------------------------------------------------------------- */

static u32 slot_home(const struct closure_header *header)
{
    return (u32)((u64)header * 0x9e3779b97f4a7c15ull >> (64 - CLOSURE_TABLE_ORDER));
}

/* The slot that has the header, or the free one where it would go.  A free one always exists:
   CLOSURE_LIVE_MOST is less than the slots. */
static struct live *slot_find(const struct closure_header *header)
{
    u32 i = slot_home(header);
    while (table[i].header && table[i].header != header)
        i = (i + 1) % TABLE_SLOTS;
    return &table[i];
}

/* Frees a slot, and moves into the gap what probing would no longer reach. */
static void slot_free(struct live *slot)
{
    owed_count -= slot->on_heap;
    live_count--;
    u32 gap = (u32)(slot - table);
    for (u32 i = (gap + 1) % TABLE_SLOTS; table[i].header; i = (i + 1) % TABLE_SLOTS) {
        u32 home = slot_home(table[i].header);
        if ((i - home) % TABLE_SLOTS < (i - gap) % TABLE_SLOTS)
            continue;
        table[gap] = table[i];
        gap = i;
    }
    table[gap].header = NULL;
}

static void slot_use(struct live *slot, const struct closure_header *header)
{
    *slot = (struct live){.header = header,
                          .info = header->info,
                          .file = header->tracking.file,
                          .line = header->tracking.line,
                          .made_at = made_count++,
                          .on_heap = header->heap != NULL};
    live_count++;
    owed_count += slot->on_heap;
}

/* --- reports ---------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static void report(const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    format_text_list(text, sizeof(text), format, list);
    va_end(list);
    if (reporter)
        reporter(text);
    else
        panic("%s", text);
}

void closure_set_reporter(closure_reporter *r)
{
    reporter = r;
}

static void report_application(const struct closure_header *header, u32 state, const char *file,
                               u32 line)
{
    const struct closure_tracking *t = &header->tracking;
    if (state == CLOSURE_APPLIED)
        report("completion %s (made at %s:%u) was applied at %s:%u and again at %s:%u%s",
               header->info->name, t->file, t->line, t->applied_file, t->applied_line, file, line,
               header->info->method ? "; an embedded one is made anew for each use" : "");
    else if (state == CLOSURE_FREED)
        report("closure %s (made at %s:%u) was applied at %s:%u after it was freed",
               header->info->name, t->file, t->line, file, line);
    else
        report("completion %s was applied at %s:%u but never made", header->info->name, file, line);
}

/* --- a completion's life ---------------------------------------------------------------------- */

void closure_made(struct closure_header *header, const char *file, u32 line)
{
    header->tracking = (struct closure_tracking){.file = file, .line = line, .state = CLOSURE_LIVE};
    if (!header->info->once)
        return;
    table_lock_take();
    struct live *slot = slot_find(header);
    struct live lost = *slot;
    if (slot->header)
        slot_free(slot);
    if (live_count < CLOSURE_LIVE_MOST)
        slot_use(slot_find(header), header);
    table_lock_release();
    if (lost.header && lost.on_heap)
        report("completion %s (made at %s:%u) was freed in flight: its memory is used at %s:%u",
               lost.info->name, lost.file, lost.line, file, line);
}

void closure_shared(struct closure_header *header, const struct closure_header *like,
                    const u32 *pending)
{
    header->tracking.file = like->tracking.file;
    header->tracking.line = like->tracking.line;
    header->tracking.state = CLOSURE_SHARED;
    table_lock_take();
    struct live *slot = slot_find(header);
    if (slot->header) {
        slot->file = header->tracking.file;
        slot->line = header->tracking.line;
        slot->pending = pending;
    }
    table_lock_release();
}

/* Two CPUs that apply the same completion at once are told apart by the table's lock. */
static u32 completion_apply_state(struct closure_header *header, const char *file, u32 line)
{
    table_lock_take();
    u32 state = header->tracking.state;
    if (state == CLOSURE_LIVE) {
        struct live *slot = slot_find(header);
        if (slot->header)
            slot_free(slot);
        header->tracking.state = CLOSURE_APPLIED;
        header->tracking.applied_file = file;
        header->tracking.applied_line = line;
    }
    table_lock_release();
    return state;
}

void closure_applying(struct closure_header *header, const char *file, u32 line)
{
    if (!header->info->once) {
        /* A stack closure was never made, in the sense of the checks. */
        if (header->tracking.state == CLOSURE_FREED)
            report_application(header, CLOSURE_FREED, file, line);
        return;
    }
    const struct spinlock *held = lock_held_here();
    if (held)
        report("completion %s is applied at %s:%u under the lock %s", header->info->name, file,
               line, held->name);
    u32 state = completion_apply_state(header, file, line);
    if (state != CLOSURE_LIVE && state != CLOSURE_SHARED)
        report_application(header, state, file, line);
}

void closure_freed(struct closure_header *header)
{
    u32 state = header->tracking.state;
    table_lock_take();
    struct live *slot = slot_find(header);
    if (slot->header)
        slot_free(slot);
    header->tracking.state = CLOSURE_FREED;
    table_lock_release();
    if (state == CLOSURE_LIVE && header->info->once && header->heap)
        report("completion %s (made at %s:%u) was freed in flight", header->info->name,
               header->tracking.file, header->tracking.line);
}

void closure_memory_freed(const void *p)
{
    const struct closure_header *header = &((const struct thunk *)p)->header;
    table_lock_take();
    struct live *slot = slot_find(header);
    struct live lost = *slot;
    if (slot->header)
        slot_free(slot);
    table_lock_release();
    if (lost.header && lost.on_heap)
        report("completion %s (made at %s:%u) was freed in flight", lost.info->name, lost.file,
               lost.line);
}

/* --- the census ------------------------------------------------------------------------------- */

static struct closure_site *site_of(struct closure_site *sites, u32 *count, const struct live *l)
{
    for (u32 i = 0; i < *count; i++) {
        struct closure_site *s = &sites[i];
        if (s->info == l->info && s->file == l->file && s->line == l->line &&
            s->on_heap == l->on_heap)
            return s;
    }
    if (*count == CLOSURE_SITES_MOST)
        return NULL;
    struct closure_site *s = &sites[(*count)++];
    *s = (struct closure_site){.info = l->info,
                               .file = l->file,
                               .line = l->line,
                               .oldest = l->made_at,
                               .on_heap = l->on_heap};
    return s;
}

u64 closure_census(closure_site_handler handler)
{
    struct closure_site sites[CLOSURE_SITES_MOST];
    u32 count = 0;
    u64 left_out = 0;
    table_lock_take();
    for (u32 i = 0; i < TABLE_SLOTS; i++) {
        const struct live *l = &table[i];
        struct closure_site *s = l->header ? site_of(sites, &count, l) : NULL;
        if (!s) {
            left_out += l->header != NULL;
            continue;
        }
        s->count++;
        s->oldest = min(s->oldest, l->made_at);
        s->pending += l->pending ? __atomic_load_n(l->pending, __ATOMIC_RELAXED) : 0;
    }
    table_lock_release();
    for (u32 i = 0; i < count; i++)
        apply(handler, &sites[i]);
    return left_out;
}

u64 closure_owed(void)
{
    table_lock_take();
    u64 owed = owed_count;
    table_lock_release();
    return owed;
}

#endif
