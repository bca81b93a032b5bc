/* The log as it lies on the disk, readable: see check.h.  No rule of the records is asked for but
   that of their lengths, so a log that mount refuses is shown as far as there are groups. */
#include "fs/check_internal.h"

#include "runtime/format.h"

#define LINE_BYTES 1400u
/* A chain of segments in a damaged log might close to a ring. */
#define SEGMENTS_MOST (1u << 20)

struct dump {
    struct scan scan;
    check_line line;
    char text[LINE_BYTES];
};

typedef unsigned long long number; /* as the format wants it */

static void dump_say(struct dump *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void dump_say(struct dump *d, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    format_text_list(d->text, sizeof(d->text), format, arguments);
    va_end(arguments);
    apply(d->line, d->text);
}

static void dump_super(struct dump *d, u32 n)
{
    const struct superblock *s = &d->scan.supers[n];
    enum super_fault f = d->scan.faults[n];
    const char *name = n ? "B (block 16)" : "A (block 0)";
    if (f != SUPER_VALID) {
        dump_say(d, "superblock %s %s", name, super_fault_text(f));
        if (f != SUPER_FIELDS)
            return;
    }
    dump_say(d,
             "superblock %s%s: generation %llu, %llu blocks, checkpoint in blocks %llu..%llu from "
             "group %llu on, log promised up to group %llu, head in block %llu, next inode %llu%s",
             name, n == d->scan.super && f == SUPER_VALID ? ", which counts" : "",
             (number)s->generation, (number)s->device_blocks, (number)s->checkpoint_block,
             (number)(s->checkpoint_block + s->checkpoint_blocks), (number)s->checkpoint_sequence,
             (number)s->reach_sequence, (number)s->head_block, (number)s->next_inode,
             s->flags & SUPERBLOCK_CLEAN ? ", clean" : "");
}

/* Its records; true when the last one leads to another segment, which the scan then stands at. */
static bool dump_group(struct dump *d, const struct group *g)
{
    struct record_next next = {};
    dump_say(d, "group %llu in block %llu: %u bytes, %u records, durable up to %llu",
             (number)g->sequence, (number)(g->sector / BLOCK_SECTORS), g->length, g->records,
             (number)g->durable);
    const struct record *r = NULL;
    u32 count = 0;
    char text[LINE_BYTES - 8];
    while ((r = group_record(g, r))) {
        record_describe(r, text, sizeof(text));
        dump_say(d, "  %s", text);
        count++;
        if (r->type == RECORD_NEXT && r->length >= sizeof(next))
            memcpy(&next, r, sizeof(next));
    }
    if (count != g->records)
        dump_say(d, "  (%u records, and the group says %u)", count, g->records);
    scan_advance(&d->scan, g);
    if (!next.block)
        return false;
    scan_segment(&d->scan, next.block, next.blocks, next.sequence);
    return true;
}

/* No group of the expected sequence: what is there, and the next one of this segment that is whole.
   False: there is none. */
static bool dump_gap(struct dump *d, enum group_fault f, const struct group *g)
{
    struct scan *s = &d->scan;
    u64 sequence = s->sequence, block = s->block + (s->at >> BLOCK_ORDER);
    if (f == GROUP_SEQUENCE)
        dump_say(d, "(group %llu, expected in block %llu: there is group %llu)", (number)sequence,
                 (number)block, (number)g->sequence);
    else
        dump_say(d, "(group %llu, expected in block %llu, %s)", (number)sequence, (number)block,
                 group_fault_text(f));
    for (s->at += scan_step(s); s->at < s->bytes; s->at += scan_step(s)) {
        f = scan_look(s, &g);
        if (f == GROUP_SEQUENCE && g->sequence > sequence) {
            s->sequence = g->sequence;
            return true;
        }
    }
    return false;
}

static void dump_log(struct dump *d)
{
    const struct superblock *super = &d->scan.supers[d->scan.super];
    bool clean = super->flags & SUPERBLOCK_CLEAN, more = true;
    for (u32 segments = 0; more && segments < SEGMENTS_MOST;) {
        const struct group *g = NULL;
        enum group_fault f = scan_look(&d->scan, &g);
        if (f == GROUP_VALID)
            segments += dump_group(d, g);
        else
            more = dump_gap(d, f, g);
        if (clean && d->scan.sequence > super->reach_sequence)
            more = false;
    }
    dump_say(d, "(the log ends here)");
}

status filesystem_dump(const struct check_options *options)
{
    struct dump *d = allocate_zero(options->heap, sizeof(*d));
    if (!d)
        return status_error(ENOMEM, "fs: no memory for showing the log", sizeof(*d));
    d->line = options->line;
    status s = scan_open(&d->scan, options->device, options->poll, options->heap);
    if (is_ok(s) || status_errno(s) == EBADMSG) {
        dump_super(d, 0);
        dump_super(d, 1);
    }
    if (is_ok(s))
        dump_log(d);
    scan_close(&d->scan);
    deallocate(options->heap, d, sizeof(*d));
    return s;
}
