/* Power cuts: which of a disk's volatile writes are found afterwards.  See test/host/faulty_disk.h.
 */
#include "test/host/faulty_log.h"
#include "test/host/harness.h"

#include <stdlib.h>

void faulty_image_init(struct faulty_image *im, const struct faulty_disk *from,
                       const struct executor *e)
{
    u64 blocks =
        align_up(from->length, SECTORS_A_BLOCK * SECTOR_BYTES) / (SECTORS_A_BLOCK * SECTOR_BYTES);
    must(from->base);
    *im = (struct faulty_image){.from = from};
    im->durable = malloc(from->length);
    faulty_disk_init(&im->to, from->length, e, 1);
    im->to.touched = calloc(1, blocks);
    if (!im->durable || !im->to.touched)
        panic("out of memory");
    memcpy(im->durable, from->base, from->length);
    memcpy(im->to.bytes, from->base, from->length);
}

void faulty_image_destroy(struct faulty_image *im)
{
    free(im->durable);
    faulty_disk_destroy(&im->to);
}

/* Undoes what was done to im->to since the last cut. */
static void image_restore(struct faulty_image *im)
{
    u64 block = SECTORS_A_BLOCK * SECTOR_BYTES;
    for (u64 at = 0; at < im->from->length; at += block) {
        if (!im->to.touched[at / block])
            continue;
        im->to.touched[at / block] = 0;
        memcpy(im->to.bytes + at, im->durable + at, min(block, im->from->length - at));
    }
}

static void image_roll(struct faulty_image *im, u64 position)
{
    const struct faulty_disk *d = im->from;
    for (; im->scanned < position; im->scanned++) {
        const struct faulty_event *e = &d->events[im->scanned];
        if (e->kind == FAULTY_FLUSHED && e->other != FAULTY_NEVER)
            im->covered = max(im->covered, e->other);
    }
    for (; im->rolled < im->covered; im->rolled++) {
        const struct faulty_event *e = &d->events[im->rolled];
        if (e->kind != FAULTY_ANSWERED || e->lost_at != FAULTY_NEVER)
            continue;
        u64 at = e->sector * SECTOR_BYTES;
        faulty_copy(im->durable + at, e, d->log_data, 0, e->sectors);
        memcpy(im->to.bytes + at, im->durable + at, e->sectors * SECTOR_BYTES);
    }
}

/* --- what of the volatile writes is there ------------------------------------------------------
 */

struct choice {
    struct random random;
    u32 keep;    /* of 8 */
    u32 tear;    /* of 8 */
    u64 special; /* the write that is treated otherwise, counted; FAULTY_NEVER: none */
};

static void choice_init(struct choice *c, u64 seed, u64 count)
{
    static const u32 keeps[] = {0, 8, 4, 7, 1, 4, 8, 0};
    static const u32 tears[] = {0, 0, 1, 1, 4, 8};
    random_init(&c->random, seed);
    u64 kind = seed < 2 ? seed : random_below(&c->random, countof(keeps));
    c->keep = keeps[kind];
    c->tear = seed < 2 ? 0 : tears[random_below(&c->random, countof(tears))];
    c->special = kind >= 6 && count ? random_below(&c->random, count) : FAULTY_NEVER;
}

static bool is_volatile(const struct faulty_image *im, const struct faulty_event *e, u64 position)
{
    if (e->kind != FAULTY_ISSUED)
        return false;
    if (e->other == FAULTY_NEVER || e->other >= position)
        return true;
    const struct faulty_event *answer = &im->from->events[e->other];
    return e->other >= im->covered && answer->lost_at >= position;
}

/* Of one write: all of it, the beginning, the end, or sectors here and there. */
static void write_keep(struct faulty_image *im, struct choice *c, const struct faulty_event *e)
{
    u64 sectors = e->sectors, from = 0, end = sectors;
    u64 kind =
        random_below(&c->random, 8) < c->tear && sectors > 1 ? 1 + random_below(&c->random, 3) : 0;
    if (kind == 1)
        end = random_below(&c->random, sectors + 1);
    else if (kind == 2)
        from = random_below(&c->random, sectors + 1);
    for (u64 s = from; kind == 3 && s < end; s++)
        if (random_below(&c->random, 2))
            faulty_apply(&im->to, e, im->from->log_data, s, 1);
    if (kind != 3)
        faulty_apply(&im->to, e, im->from->log_data, from, end - from);
}

static u64 volatile_count(struct faulty_image *im, u64 position)
{
    u64 count = 0;
    for (u64 n = im->oldest; n < position; n++)
        count += is_volatile(im, &im->from->events[n], position);
    return count;
}

void faulty_image_cut(struct faulty_image *im, u64 position, u64 seed)
{
    const struct faulty_event *events = im->from->events;
    struct choice c;
    must(position >= im->scanned && position <= im->from->event_count);
    image_restore(im);
    image_roll(im, position);
    while (im->oldest < position && !is_volatile(im, &events[im->oldest], position))
        im->oldest++;
    u64 nth = 0, count = volatile_count(im, position);
    choice_init(&c, seed, count);
    im->kept = im->dropped = 0;
    for (u64 n = im->oldest; n < position; n++) {
        const struct faulty_event *e = &events[n];
        if (!is_volatile(im, e, position))
            continue;
        bool keep = random_below(&c.random, 8) < c.keep;
        keep = nth++ == c.special ? !keep : keep;
        im->kept += keep;
        im->dropped += !keep;
        if (!keep)
            continue;
        bool answered = e->other != FAULTY_NEVER && e->other < position;
        write_keep(im, &c, answered ? &events[e->other] : e);
        if (answered && random_below(&c.random, 4) == 0)
            write_keep(im, &c, e); /* what it was when it was issued, here and there */
    }
    im->to.logging = false;
    im->to.faults = (struct faulty_faults){.reorder = false};
    im->to.calls = im->to.flushes = im->to.writes = 0;
}
