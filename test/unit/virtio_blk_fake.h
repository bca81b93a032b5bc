/* A virtio-blk device that a test plays, and the kernel as far as the driver needs it.  The
   driver's own sources are in the same translation unit, so a test sees its state.

   Included once, by test/unit/virtio_blk_test.c, behind the driver's sources. */
#pragma once

#include "test/host/virtio_kernel.h"
#include "test/host/virtio_side.h"

/* --- the kernel ------------------------------------------------------------------------------- */

void block_census_start(__attribute__((unused)) struct block_census *c,
                        __attribute__((unused)) const char *name,
                        __attribute__((unused)) struct spinlock *lock,
                        __attribute__((unused)) const struct list *waiting,
                        __attribute__((unused)) const struct list *flying)
{
}

status virtio_net_start(__attribute__((unused)) struct virtio_device *d,
                        __attribute__((unused)) net_attach attach)
{
    return STATUS_OK;
}

status virtio_console_start(__attribute__((unused)) struct virtio_device *d)
{
    return STATUS_OK;
}

/* --- the device ------------------------------------------------------------------------------- */

#define DISK_SECTORS 1024u

struct fake {
    struct side_device d;
    u8 config[60];
    u32 size_max, seg_max, discard_most;
    bool silent;   /* answers nothing */
    u8 answer;     /* to every request */
    u32 hostility; /* mutates its ring at one answer in that many; 0: never */
    struct random chance;
    u8 disk[DISK_SECTORS * SECTOR_BYTES];
    u32 flushes;
    struct block_device *block;
};

/* Moves the data of a request; returns the bytes written to the driver's memory. */
static u32 fake_transfer(struct fake *f, const struct side_chain *c, const struct blk_header *h)
{
    u64 at = h->sector * SECTOR_BYTES;
    u32 written = 0;
    for (u32 i = 1; i + 1 < c->count; i++) {
        const struct virtio_descriptor *d = &c->descriptors[i];
        must(at + d->bytes <= sizeof(f->disk));
        must(!f->size_max || d->bytes <= f->size_max);
        if (h->type == BLK_IN) {
            must(d->flags & DESCRIPTOR_WRITE);
            memcpy((void *)d->address, f->disk + at, d->bytes);
            written += d->bytes;
        } else {
            must(!(d->flags & DESCRIPTOR_WRITE));
            memcpy(f->disk + at, (const void *)d->address, d->bytes);
        }
        at += d->bytes;
    }
    return written;
}

static void fake_discard(struct fake *f, const struct side_chain *c)
{
    const struct blk_range *r = (const struct blk_range *)c->descriptors[1].address;
    must(c->count == 3 && c->descriptors[1].bytes == sizeof(*r));
    must(r->sectors <= f->discard_most && r->sector + r->sectors <= DISK_SECTORS);
    memset(f->disk + r->sector * SECTOR_BYTES, 0, r->sectors * SECTOR_BYTES);
}

static u32 fake_execute(struct fake *f, const struct side_chain *c)
{
    const struct virtio_descriptor *last = &c->descriptors[c->count - 1];
    const struct blk_header *h = (const struct blk_header *)c->descriptors[0].address;
    u32 written = 0;
    must(c->count >= 2 && c->descriptors[0].bytes == sizeof(*h));
    must(last->bytes == 1 && (last->flags & DESCRIPTOR_WRITE));
    must(!(f->d.offered & VIRTIO_BLK_F_SEG_MAX) || c->count - 2 <= max(f->seg_max, 1u));
    if (f->answer == BLK_OK && (h->type == BLK_IN || h->type == BLK_OUT))
        written = fake_transfer(f, c, h);
    else if (h->type == BLK_DISCARD_RANGE)
        fake_discard(f, c);
    else if (h->type == BLK_FLUSH_CACHE)
        f->flushes++;
    *(u8 *)last->address = f->answer;
    return written + 1;
}

/* Answers one pending request, any of them. */
static void fake_answer(struct fake *f)
{
    struct side *side = &f->d.sides[0];
    const struct side_chain *c =
        side_take(side, (u32)random_below(&f->chance, side->pending_count));
    u32 written = fake_execute(f, c);
    side_answer_ahead(side, 0, c->head, written);
    side_publish(side, 1);
    if (f->hostility && random_below(&f->chance, f->hostility) == 0)
        ring_mutate(&f->chance, side);
}

/* Lets driver and device work until neither has anything to do. */
static void fake_work(struct fake *f)
{
    for (;;) {
        host_run();
        if (f->silent || f->d.sides[0].pending_count == 0)
            return;
        u64 batch = 1 + random_below(&f->chance, f->d.sides[0].pending_count);
        while (batch-- > 0 && f->d.sides[0].pending_count > 0)
            fake_answer(f);
        virtio_interrupt(&f->d.device);
    }
}
