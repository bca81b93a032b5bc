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
    u64 made_ns;
    u32 line;
    bool on_heap;
};

static u32 table_lock; /* [a] no rank: taken in any context, and nothing is called under it */
static struct live table[TABLE_SLOTS];
static u32 live_count; /* [table_lock] */
static u64 owed_count; /* [table_lock] */
static u64 made_count; /* [table_lock] */

static closure_reporter *reporter;
static u64 (*clock_ns)(void); /* [a] NULL: none */

/* How often a census looks for the lock to become free: it is held for a microsecond, but for ever
   when this very CPU holds it. */
#define TABLE_LOCK_TRIES 100000

static void table_lock_take(void)
{
    while (__atomic_exchange_n(&table_lock, 1, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}

static bool table_lock_try(void)
{
    for (u32 i = 0; i < TABLE_LOCK_TRIES; i++) {
        if (!__atomic_exchange_n(&table_lock, 1, __ATOMIC_ACQUIRE))
            return true;
        __builtin_ia32_pause();
    }
    return false;
}

static void table_lock_release(void)
{
    __atomic_store_n(&table_lock, 0, __ATOMIC_RELEASE);
}

void closure_set_clock(u64 (*now_ns)(void))
{
    __atomic_store_n(&clock_ns, now_ns, __ATOMIC_RELEASE);
}

static u64 clock_read(void)
{
    u64 (*now_ns)(void) = __atomic_load_n(&clock_ns, __ATOMIC_ACQUIRE);
    return now_ns ? now_ns() : 0;
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

static void slot_use(struct live *slot, const struct closure_header *header, u64 now_ns)
{
    *slot = (struct live){.header = header,
                          .info = header->info,
                          .file = header->tracking.file,
                          .line = header->tracking.line,
                          .made_at = made_count++,
                          .made_ns = now_ns,
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
    u64 now_ns = clock_read();
    table_lock_take();
    struct live *slot = slot_find(header);
    struct live lost = *slot;
    if (slot->header)
        slot_free(slot);
    if (live_count < CLOSURE_LIVE_MOST)
        slot_use(slot_find(header), header, now_ns);
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

struct census {
    struct closure_site sites[CLOSURE_SITES_MOST];
    u32 count;
    u64 now_ns;
    u64 left_out; /* completions without a site */
};

static struct closure_site *site_add(struct census *c, const struct live *l)
{
    if (c->count == CLOSURE_SITES_MOST) {
        c->left_out++;
        return NULL;
    }
    struct closure_site *s = &c->sites[c->count++];
    *s = (struct closure_site){.info = l->info,
                               .file = l->file,
                               .line = l->line,
                               .oldest = l->made_at,
                               .on_heap = l->on_heap};
    return s;
}

static struct closure_site *site_of(struct census *c, const struct live *l)
{
    for (u32 i = 0; i < c->count; i++) {
        struct closure_site *s = &c->sites[i];
        if (s->info == l->info && s->file == l->file && s->line == l->line &&
            s->on_heap == l->on_heap)
            return s;
    }
    return site_add(c, l);
}

/* A site for each merge; none for anything else. */
static struct closure_site *site_of_merge(struct census *c, const struct live *l)
{
    return l->pending ? site_add(c, l) : NULL;
}

typedef struct closure_site *site_finder(struct census *c, const struct live *l);

static void site_count(struct census *c, struct closure_site *s, const struct live *l)
{
    if (!s)
        return;
    s->count++;
    s->oldest = min(s->oldest, l->made_at);
    /* One that was made since the clock was read is not from the future. */
    if (c->now_ns > l->made_ns)
        s->age_ns = max(s->age_ns, c->now_ns - l->made_ns);
    s->pending += l->pending ? __atomic_load_n(l->pending, __ATOMIC_RELAXED) : 0;
}

/* Oldest first: what has been waiting for long is what a reader looks for. */
static void sites_sort(struct census *c)
{
    for (u32 i = 1; i < c->count; i++) {
        struct closure_site moved = c->sites[i];
        u32 at = i;
        for (; at > 0 && c->sites[at - 1].oldest > moved.oldest; at--)
            c->sites[at] = c->sites[at - 1];
        c->sites[at] = moved;
    }
}

/* Not on the stack: an interrupt's is small.  One census at a time. */
static struct census census;
static u32 census_lock; /* [a] */

/* False when somebody is in the way. */
static bool census_take(struct census *c, site_finder *find)
{
    c->count = 0;
    c->left_out = 0;
    c->now_ns = clock_read();
    if (!table_lock_try())
        return false;
    for (u32 i = 0; i < TABLE_SLOTS; i++) {
        if (table[i].header)
            site_count(c, find(c, &table[i]), &table[i]);
    }
    table_lock_release();
    return true;
}

static u64 census_show(closure_site_handler handler, site_finder *find)
{
    if (__atomic_exchange_n(&census_lock, 1, __ATOMIC_ACQUIRE))
        return CLOSURE_CENSUS_BUSY;
    u64 left_out = CLOSURE_CENSUS_BUSY;
    if (census_take(&census, find)) {
        sites_sort(&census);
        for (u32 i = 0; i < census.count; i++)
            apply(handler, &census.sites[i]);
        left_out = census.left_out;
    }
    __atomic_store_n(&census_lock, 0, __ATOMIC_RELEASE);
    return left_out;
}

u64 closure_census(closure_site_handler handler)
{
    return census_show(handler, site_of);
}

u64 closure_census_merges(closure_site_handler handler)
{
    return census_show(handler, site_of_merge);
}

u64 closure_owed(void)
{
    table_lock_take();
    u64 owed = owed_count;
    table_lock_release();
    return owed;
}

#endif
