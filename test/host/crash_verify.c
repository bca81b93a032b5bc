/* A mount after a power cut, held against the model: see test/host/crash_model.h. */
#include "test/host/crash_model.h"
#include "test/host/crash_state.h"
#include "test/host/harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_MOST 4096u

struct seen_inode {
    struct inode *inode;
    const struct model_inode *model;
    u64 number;
    u32 names, subdirectories;
    u8 *bytes; /* files, read once */
    u64 length;
};

struct verify {
    const struct crash_model *m;
    u64 position, now;
    struct filesystem *fs;
    model_reader reader;
    struct seen_inode *seen;
    u32 seen_count;
    u64 hash;
    char *why;
    u64 why_bytes;
    bool wrong;
};

static void __attribute__((format(printf, 2, 3))) wrong(struct verify *v, const char *format, ...)
{
    va_list list;
    if (v->wrong)
        return;
    v->wrong = true;
    va_start(list, format);
    vsnprintf(v->why, v->why_bytes, format, list);
    va_end(list);
}

/* --- names ------------------------------------------------------------------------------------ */

u64 crash_xattr_sum(struct inode *i, u64 number)
{
    static u8 value[65536];
    u64 sum = 0, name_bytes, bytes;
    const char *name;
    for (u32 n = 0; (name = xattr_name(i, n, &name_bytes)); n++) {
        status s = xattr_get(i, name, name_bytes, value, sizeof(value), &bytes);
        must(is_ok(s));
        sum += crash_xattr_hash(number, name, name_bytes, value, bytes);
    }
    return sum;
}

static const struct model_inode *model_find(const struct crash_model *m, u64 number)
{
    for (u32 n = 0; n < m->inode_count; n++)
        if (m->inodes[n]->number == number)
            return m->inodes[n];
    return NULL;
}

static struct seen_inode *inode_see(struct verify *v, struct inode *i)
{
    struct inode_attributes a;
    u64 target_hash = 0, length;
    inode_attributes(i, &a);
    for (u32 n = 0; n < v->seen_count; n++)
        if (v->seen[n].inode == i) {
            v->seen[n].names++;
            return &v->seen[n];
        }
    must(v->seen_count < SEEN_MOST);
    struct seen_inode *s = &v->seen[v->seen_count++];
    *s = (struct seen_inode){.inode = i, .number = a.number, .length = a.bytes, .names = 1};
    s->model = model_find(v->m, a.number);
    if (!s->model)
        wrong(v, "inode %llu was never made", (unsigned long long)a.number);
    if (a.type == INODE_SYMLINK) {
        const char *target = symlink_target(i, &length);
        target_hash = crash_text_hash(target, length);
    }
    v->hash += crash_inode_hash(a.number, target_hash, crash_xattr_sum(i, a.number));
    return s;
}

/* By index: the array of what was seen stays where it is. */
static void directory_see(struct verify *v, struct seen_inode *directory)
{
    struct directory_entry e;
    for (u64 cookie = 0; directory_next(directory->inode, cookie, &e); cookie = e.cookie) {
        struct inode *found;
        status s = inode_lookup(directory->inode, e.name, e.name_bytes, &found);
        if (!is_ok(s) || found != e.inode)
            wrong(v, "\"%.*s\" is listed and not found", (int)e.name_bytes, e.name);
        struct seen_inode *i = inode_see(v, e.inode);
        v->hash += crash_entry_hash(directory->number, e.name, e.name_bytes, i->number,
                                    inode_type(e.inode));
        if (inode_type(e.inode) != INODE_DIRECTORY)
            continue;
        directory->subdirectories++;
        if (i->names != 1)
            wrong(v, "directory %llu has two names", (unsigned long long)i->number);
        else
            directory_see(v, i);
    }
}

static void links_check(struct verify *v, const struct seen_inode *s)
{
    struct inode_attributes a;
    inode_attributes(s->inode, &a);
    u32 expected = a.type == INODE_DIRECTORY ? 2 + s->subdirectories : s->names;
    if (a.links != expected)
        wrong(v, "inode %llu: %u links, and %u are there", (unsigned long long)s->number, a.links,
              expected);
    if (s->model && s->model->type != a.type)
        wrong(v, "inode %llu has become another type", (unsigned long long)s->number);
}

/* --- promises --------------------------------------------------------------------------------- */

static const struct model_promise *names_promise(const struct verify *v)
{
    static const struct model_promise none;
    const struct model_promise *most = &none;
    for (u32 n = 0; n < v->m->promise_count; n++)
        if (v->m->promises[n].from <= v->position &&
            v->m->promises[n].names_time > most->names_time)
            most = &v->m->promises[n];
    return most;
}

/* The begin of the last sync of i that had ended; of its attributes, when `names`. */
static u64 synced_at(const struct verify *v, const struct model_inode *i, bool names)
{
    u64 at = 0;
    for (u32 n = 0; n < v->m->promise_count; n++) {
        const struct model_promise *p = &v->m->promises[n];
        if (p->from <= v->position && (!p->inode || p->inode == i) && (p->names || !names))
            at = max(at, p->begun);
    }
    return at;
}

/* --- data ------------------------------------------------------------------------------------- */

/* The state of names that was found lasted from `from` to `end`. */
struct span {
    u64 from, end;
};

static u64 length_at(const struct model_inode *i, u64 time)
{
    u64 length = 0;
    for (u32 n = 0; n < i->length_count && i->lengths[n].time <= time; n++)
        length = i->lengths[n].length;
    return length;
}

/* A truncation that is there bounds it from above only: the log may still have the file shorter. */
static bool length_possible(const struct verify *v, const struct model_inode *i, u64 synced,
                            struct span span, u64 length)
{
    u64 shrunk = synced, end = v->now;
    for (u32 n = 0; n < i->length_count; n++) {
        const struct model_length *l = &i->lengths[n];
        if (l->shrinks && l->time <= span.from)
            shrunk = max(shrunk, l->time);
        if (l->shrinks && l->time >= span.end && l->time > synced)
            end = min(end, l->time - 1);
    }
    u64 least = length_at(i, synced), most = length_at(i, shrunk);
    for (u32 n = 0; n < i->length_count; n++) {
        const struct model_length *l = &i->lengths[n];
        if (l->time > end)
            break;
        if (l->time > synced)
            least = min(least, l->length);
        if (l->time > shrunk)
            most = max(most, l->length);
    }
    return length >= least && length <= most;
}

/* From which time on the values of that sector count, when the length was `synced_length` at
   `synced`: where the file grew, from the moment when it reached there. */
static u64 sector_since(const struct model_inode *i, u64 sector, u64 synced, u64 synced_length,
                        u64 found_length)
{
    u64 start = sector * SECTOR_BYTES, end = min(start + SECTOR_BYTES, found_length);
    if (end <= synced_length)
        return synced;
    for (u32 n = 0; n < i->length_count; n++)
        if (i->lengths[n].time > synced && i->lengths[n].length > max(start, synced_length))
            return i->lengths[n].time;
    return synced;
}

static bool value_is(const u8 *value, const u8 *found, u64 bytes)
{
    static const u8 zeros[SECTOR_BYTES];
    return memcmp(value ? value : zeros, found, bytes) == 0;
}

static bool sector_possible(const struct verify *v, const struct model_inode *i, u64 sector,
                            u64 since, const u8 *found, u64 bytes)
{
    const u8 *before = NULL;
    if (sector >= i->sector_count)
        return value_is(NULL, found, bytes);
    const struct model_sector *s = &i->sectors[sector];
    u32 n = 0;
    for (; n < s->count && s->values[n].time <= since; n++)
        before = s->values[n].bytes;
    if (value_is(before, found, bytes))
        return true;
    for (; n < s->count && s->values[n].time <= v->now; n++)
        if (value_is(s->values[n].bytes, found, bytes))
            return true;
    return false;
}

/* Which of all values it is, for the message: the time, or ~0. */
static u64 value_time(const struct model_inode *i, u64 sector, const u8 *found, u64 bytes)
{
    for (u32 n = sector < i->sector_count ? i->sectors[sector].count : 0; n; n--)
        if (value_is(i->sectors[sector].values[n - 1].bytes, found, bytes))
            return i->sectors[sector].values[n - 1].time;
    return ~0ull;
}

/* Its lengths, for the message: "time:length" from the sync on. */
static const char *lengths_text(const struct model_inode *i, u64 synced)
{
    static char text[160];
    u64 at = 0;
    text[0] = 0;
    for (u32 n = 0; n < i->length_count && at < sizeof(text) - 48; n++)
        if (i->lengths[n].time > synced)
            at += (u64)snprintf(text + at, sizeof(text) - at, " %llu:%llu",
                                (unsigned long long)i->lengths[n].time,
                                (unsigned long long)i->lengths[n].length);
    return text;
}

static void file_check(struct verify *v, const struct seen_inode *s, struct span span)
{
    const struct model_inode *i = s->model;
    u64 synced = synced_at(v, i, false);
    for (u32 n = 0; n < i->replace_count; n++)
        if (i->replaces[n] <= span.from)
            synced = max(synced, i->replaces[n]);
    if (!length_possible(v, i, synced, span, s->length)) {
        wrong(v,
              "inode %llu: length %llu; at the sync (time %llu) %llu, then%s; names of time "
              "%llu, now %llu",
              (unsigned long long)i->number, (unsigned long long)s->length,
              (unsigned long long)synced, (unsigned long long)length_at(i, synced),
              lengths_text(i, synced), (unsigned long long)span.from, (unsigned long long)v->now);
        return;
    }
    u64 synced_length = length_at(i, synced);
    for (u64 at = 0; at < s->length; at += SECTOR_BYTES) {
        u64 sector = at / SECTOR_BYTES, bytes = min(SECTOR_BYTES, s->length - at);
        u64 since = sector_since(i, sector, synced, synced_length, s->length);
        if (sector_possible(v, i, sector, since, s->bytes + at, bytes))
            continue;
        u64 is_from = value_time(i, sector, s->bytes + at, bytes);
        wrong(v,
              "inode %llu, byte %llu of %llu (%llu at the sync): %s (%02x %02x), value of time "
              "%lld, not of time %llu (sync at %llu) to %llu",
              (unsigned long long)i->number, (unsigned long long)at, (unsigned long long)s->length,
              (unsigned long long)synced_length,
              value_is(NULL, s->bytes + at, bytes) ? "zeros" : "other bytes", s->bytes[at],
              s->bytes[at + bytes - 1], (long long)is_from, (unsigned long long)since,
              (unsigned long long)synced, (unsigned long long)v->now);
        return;
    }
}

static void attributes_check(struct verify *v, const struct seen_inode *s)
{
    struct inode_attributes a;
    u64 synced = synced_at(v, s->model, true);
    const struct model_attributes *past = s->model->attributes;
    inode_attributes(s->inode, &a);
    for (u32 n = 0; n < s->model->attribute_count && past[n].time <= v->now; n++) {
        bool overtaken = n + 1 < s->model->attribute_count && past[n + 1].time <= synced;
        if (!overtaken && past[n].mode == a.mode && past[n].uid == a.uid && past[n].gid == a.gid)
            return;
    }
    wrong(v, "inode %llu: mode %o, uid %u, gid %u were not its own since time %llu",
          (unsigned long long)s->number, a.mode, a.uid, a.gid, (unsigned long long)synced);
}

static void file_read_whole(struct verify *v, struct seen_inode *s)
{
    u64 got = 0;
    if (s->length > 64 * MiB) {
        wrong(v, "inode %llu: length %llu", (unsigned long long)s->number,
              (unsigned long long)s->length);
        return;
    }
    s->bytes = malloc(s->length + 1);
    if (!s->bytes)
        panic("out of memory");
    if (!s->length)
        return;
    status why = apply(v->reader, s->inode, 0, s->bytes, s->length, &got);
    if (!is_ok(why) || got != s->length)
        wrong(v, "inode %llu: reading: %s, %llu of %llu bytes", (unsigned long long)s->number,
              status_text(why), (unsigned long long)got, (unsigned long long)s->length);
}

/* --- all of it -------------------------------------------------------------------------------- */

static void contents_check(struct verify *v, struct span span)
{
    for (u32 n = 0; n < v->seen_count && !v->wrong; n++)
        if (inode_type(v->seen[n].inode) == INODE_FILE)
            file_check(v, &v->seen[n], span);
}

/* The same names may have been there more than once: any of the times will do. */
static void states_check(struct verify *v)
{
    const struct crash_model *m = v->m;
    const struct model_promise *promise = names_promise(v);
    u64 needed = promise->names_time, matches = 0, old = 0;
    for (u32 n = m->state_count; n; n--) {
        u64 from = m->states[n - 1].time;
        struct span span = {from, n < m->state_count ? m->states[n].time : ~0ull};
        if (from > v->now || m->states[n - 1].hash != v->hash)
            continue;
        if (span.end <= needed) {
            old = span.end;
            continue;
        }
        matches++;
        v->wrong = false;
        contents_check(v, span);
        if (!v->wrong)
            return;
    }
    if (matches)
        return;
    if (old)
        wrong(v,
              "names are those before time %llu, and a sync of inode %llu (0: all) at %llu, ended "
              "at event %llu, had promised time %llu (now %llu)",
              (unsigned long long)old,
              (unsigned long long)(promise->inode ? promise->inode->number : 0),
              (unsigned long long)promise->begun, (unsigned long long)promise->from,
              (unsigned long long)needed, (unsigned long long)v->now);
    else
        wrong(v, "names (of %u inodes) were never like this; needed time %llu, now %llu",
              v->seen_count, (unsigned long long)needed, (unsigned long long)v->now);
}

static void everything_check(struct verify *v)
{
    struct seen_inode *root = inode_see(v, filesystem_root(v->fs));
    directory_see(v, root);
    for (u32 n = 0; n < v->seen_count && !v->wrong; n++) {
        links_check(v, &v->seen[n]);
        if (!v->wrong)
            attributes_check(v, &v->seen[n]);
        if (!v->wrong && inode_type(v->seen[n].inode) == INODE_FILE)
            file_read_whole(v, &v->seen[n]);
    }
    if (!v->wrong)
        states_check(v);
}

bool crash_model_holds(const struct crash_model *m, u64 position, struct filesystem *fs,
                       model_reader reader, char *why, u64 why_bytes)
{
    struct verify v = {.m = m, .position = position, .fs = fs, .reader = reader, .why = why};
    v.why_bytes = why_bytes;
    v.now = position ? m->disk->events[position - 1].time : 0;
    v.seen = calloc(SEEN_MOST, sizeof(*v.seen));
    if (!v.seen)
        panic("out of memory");
    everything_check(&v);
    for (u32 n = 0; n < v.seen_count; n++)
        free(v.seen[n].bytes);
    free(v.seen);
    return !v.wrong;
}
