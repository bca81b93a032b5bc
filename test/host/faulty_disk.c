/* The disk with a volatile cache: see test/host/faulty_disk.h.  What happens after a power cut is
   in test/host/faulty_image.c. */
#include "test/host/faulty_disk.h"

#include "test/host/faulty_log.h"
#include "test/host/harness.h"

#include <stdlib.h>

/* --- the log ---------------------------------------------------------------------------------- */

static void *grown(void *p, u64 bytes)
{
    void *q = realloc(p, bytes);
    if (!q)
        panic("out of memory");
    return q;
}

static u64 event_add(struct faulty_disk *d, const struct faulty_event *e)
{
    if (!d->logging)
        return FAULTY_NEVER;
    if (d->event_count == d->event_capacity) {
        d->event_capacity = max(2 * d->event_capacity, 1024ull);
        d->events = grown(d->events, d->event_capacity * sizeof(*d->events));
    }
    d->events[d->event_count] = *e;
    d->events[d->event_count].time = d->clock ? *d->clock : 0;
    d->events[d->event_count].lost_at = FAULTY_NEVER;
    return d->event_count++;
}

static u64 log_keep(struct faulty_disk *d, const struct sg_list *sg)
{
    if (!d->logging)
        return 0;
    if (d->log_bytes + sg->bytes > d->log_capacity) {
        d->log_capacity = max(2 * d->log_capacity, d->log_bytes + sg->bytes + 1 * MiB);
        d->log_data = grown(d->log_data, d->log_capacity);
    }
    u64 at = d->log_bytes;
    sg_copy_out(sg, 0, d->log_data + at, sg->bytes);
    d->log_bytes += sg->bytes;
    return at;
}

void faulty_disk_log(struct faulty_disk *d)
{
    must(d->in_flight == 0);
    if (!d->base)
        d->base = grown(NULL, d->length);
    memcpy(d->base, d->bytes, d->length);
    d->event_count = d->covered = 0;
    d->log_bytes = 0;
    d->logging = true;
}

/* --- answers ---------------------------------------------------------------------------------- */

/* The device's fields of a request carry what is known of it here: issued_ns is its event. */
static u64 *issue_event(struct block_request *r)
{
    return &r->issued_ns;
}

static void blocks_touch(struct faulty_disk *d, u64 sector, u64 sectors)
{
    if (!d->touched || !sectors)
        return;
    u64 first = sector / SECTORS_A_BLOCK, last = (sector + sectors - 1) / SECTORS_A_BLOCK;
    memset(d->touched + first, 1, last - first + 1);
}

void faulty_apply(struct faulty_disk *d, const struct faulty_event *e, const u8 *data, u64 first,
                  u64 sectors)
{
    u8 *to = d->bytes + (e->sector + first) * SECTOR_BYTES;
    blocks_touch(d, e->sector + first, sectors);
    faulty_copy(to, e, data, first, sectors);
}

void faulty_copy(u8 *to, const struct faulty_event *e, const u8 *data, u64 first, u64 sectors)
{
    if (!e->noise) {
        memcpy(to, data + e->data + first * SECTOR_BYTES, sectors * SECTOR_BYTES);
        return;
    }
    /* What is left after a DISCARD: the old bytes, zeros or noise, sector by sector. */
    for (u64 s = first; s < first + sectors; s++, to += SECTOR_BYTES) {
        struct random r;
        random_init(&r, e->data + s);
        u64 kind = random_below(&r, 4);
        if (kind == 0)
            memset(to, 0, SECTOR_BYTES);
        else if (kind == 1)
            random_fill(&r, to, SECTOR_BYTES);
    }
}

static bool chance(struct faulty_disk *d, u32 of)
{
    return of && random_below(&d->random, FAULTY_CHANCE) < of;
}

static u32 error_chance(const struct faulty_disk *d, enum block_operation operation)
{
    switch (operation) {
    case BLOCK_READ:
        return d->faults.read_error;
    case BLOCK_WRITE:
        return d->faults.write_error;
    case BLOCK_FLUSH:
        return d->faults.flush_error;
    case BLOCK_DISCARD:
        return d->faults.discard_error;
    }
    return 0;
}

/* *sectors: how many of them move. */
static status fault_of(struct faulty_disk *d, struct block_request *r, u64 *sectors)
{
    const struct faulty_faults *f = &d->faults;
    u64 call = d->calls;
    if (r->cancelled) {
        *sectors = random_below(&d->random, r->sectors + 1);
        return status_error(ECANCELED, "disk: cancelled", r->sector);
    }
    if (r->sectors > d->device.sectors || r->sector > d->device.sectors - r->sectors) {
        *sectors = 0;
        return status_error(ENXIO, "disk: beyond the end", r->sector);
    }
    if (f->gone_at && call >= f->gone_at) {
        *sectors = 0;
        return status_error(ENXIO, "disk: is gone", r->sector);
    }
    if (r->operation != BLOCK_READ && f->read_only_at && call >= f->read_only_at) {
        *sectors = 0;
        return status_error(EROFS, "disk: turned read-only", r->sector);
    }
    if (call == f->short_at || (r->sectors && chance(d, f->short_transfer))) {
        *sectors = r->sectors ? random_below(&d->random, r->sectors) : 0;
        return status_error(EIO, "disk: told to stop in the middle", r->sector);
    }
    if (call == f->fail_at || chance(d, error_chance(d, r->operation))) {
        *sectors = random_below(&d->random, 2) ? random_below(&d->random, r->sectors + 1) : 0;
        return status_error(EIO, "disk: told to fail", r->sector);
    }
    return STATUS_OK;
}

static void read_answer(struct faulty_disk *d, struct block_request *r, u64 sectors)
{
    sg_copy_in(r->sg, 0, d->bytes + r->sector * SECTOR_BYTES, sectors * SECTOR_BYTES);
    d->reads++;
    if (!sectors || (d->calls != d->faults.flip_at && !chance(d, d->faults.flip)))
        return;
    u8 byte;
    u64 at = random_below(&d->random, sectors * SECTOR_BYTES);
    sg_copy_out(r->sg, at, &byte, 1);
    byte ^= (u8)(1u << random_below(&d->random, 8));
    sg_copy_in(r->sg, at, &byte, 1);
}

/* The bytes move now: who changed them since the request was issued wrote either.  A failure leaves
   its event too, since nothing of the request can arrive after a later FLUSH. */
static void write_answer(struct faulty_disk *d, struct block_request *r, u64 sectors)
{
    struct faulty_event e = {.kind = FAULTY_ANSWERED, .sector = r->sector, .sectors = (u32)sectors};
    u64 issue = *issue_event(r);
    e.noise = r->operation == BLOCK_DISCARD;
    e.other = issue;
    if (e.noise)
        e.data = random_next(&d->random);
    else if (d->logging)
        e.data = log_keep(d, r->sg);
    if (e.noise || d->logging) {
        faulty_apply(d, &e, d->log_data, 0, sectors);
    } else {
        blocks_touch(d, r->sector, sectors);
        sg_copy_out(r->sg, 0, d->bytes + r->sector * SECTOR_BYTES, sectors * SECTOR_BYTES);
    }
    u64 answer = event_add(d, &e);
    if (issue != FAULTY_NEVER)
        d->events[issue].other = answer;
}

/* A FLUSH that failed: what it should have kept may be lost, and no later FLUSH brings it back. */
static void flush_lose(struct faulty_disk *d, u64 issue)
{
    u64 now = event_add(d, &(struct faulty_event){.kind = FAULTY_FLUSHED, .other = FAULTY_NEVER});
    for (u64 n = d->covered; issue != FAULTY_NEVER && n < issue; n++)
        if (d->events[n].kind == FAULTY_ANSWERED && d->events[n].lost_at == FAULTY_NEVER &&
            random_below(&d->random, 2))
            d->events[n].lost_at = now;
}

static void flush_answer(struct faulty_disk *d, struct block_request *r, status s)
{
    u64 issue = *issue_event(r);
    if (!is_ok(s)) {
        flush_lose(d, issue);
        return;
    }
    d->flushes++;
    if (issue != FAULTY_NEVER)
        d->covered = max(d->covered, issue);
    if (!d->faults.ignores_flush)
        event_add(d, &(struct faulty_event){.kind = FAULTY_FLUSHED, .other = issue});
}

static void request_answer(struct faulty_disk *d, struct block_request *r)
{
    u64 sectors = r->sectors;
    d->calls++;
    status s = fault_of(d, r, &sectors);
    d->faulted += !is_ok(s) && !r->cancelled;
    switch (r->operation) {
    case BLOCK_READ:
        read_answer(d, r, sectors);
        break;
    case BLOCK_WRITE:
        d->writes++;
        write_answer(d, r, sectors);
        break;
    case BLOCK_DISCARD:
        d->discards++;
        write_answer(d, r, sectors);
        break;
    case BLOCK_FLUSH:
        flush_answer(d, r, s);
        break;
    }
    d->in_flight--;
    executor_later_status(d->executor, r->done, s);
}

/* --- requests --------------------------------------------------------------------------------- */

static bool silent(const struct faulty_disk *d)
{
    return d->faults.silent_at && d->calls + 1 >= d->faults.silent_at;
}

static void serve_later(struct faulty_disk *d)
{
    if (d->serving || list_empty(&d->waiting))
        return;
    d->serving = true;
    u64 slow = d->faults.slow_ns_most;
    if (slow)
        d->executor->timer_set(d->executor, &d->timer,
                               d->executor->now_ns(d->executor) + random_below(&d->random, slow),
                               &d->serve);
    else
        executor_later(d->executor, &d->serve);
}

/* The request to answer next; NULL: none, until one is cancelled. */
static struct block_request *request_choose(struct faulty_disk *d)
{
    struct block_request *chosen = NULL;
    u64 seen = 0;
    list_for_each (&d->waiting, element) {
        struct block_request *r = container_of(element, struct block_request, link);
        if (silent(d) && !r->cancelled)
            continue;
        if (random_below(&d->random, ++seen) == 0)
            chosen = r;
        if (!d->faults.reorder)
            break;
    }
    return chosen;
}

closure_method(thunk, disk_serve, struct faulty_disk, serve)
{
    struct faulty_disk *d = owner();
    struct block_request *r = request_choose(d);
    d->serving = false;
    if (!r)
        return;
    list_remove(&r->link);
    serve_later(d);
    request_answer(d, r);
}

static void request_log(struct faulty_disk *d, struct block_request *r)
{
    struct faulty_event e = {.kind = FAULTY_ISSUED, .sector = r->sector, .other = FAULTY_NEVER};
    e.sectors = (u32)r->sectors;
    if (r->operation == BLOCK_READ)
        return;
    if (r->operation == BLOCK_FLUSH)
        e.kind = FAULTY_FLUSH_ISSUED;
    else if (r->sectors > d->device.sectors || r->sector > d->device.sectors - r->sectors)
        return;
    else if (r->operation == BLOCK_DISCARD)
        e.noise = true, e.data = random_next(&d->random);
    else
        e.data = log_keep(d, r->sg);
    *issue_event(r) = event_add(d, &e);
}

closure_method(block_io, disk_take, struct faulty_disk, io, struct block_request *r)
{
    struct faulty_disk *d = owner();
    if (r->operation == BLOCK_READ || r->operation == BLOCK_WRITE) {
        must(r->sectors && r->sg->bytes == r->sectors * SECTOR_BYTES);
        sg_for_each (r->sg, piece)
            must(piece->bytes % SECTOR_BYTES == 0);
    }
    r->cancelled = false;
    *issue_event(r) = FAULTY_NEVER;
    request_log(d, r);
    list_push_back(&d->waiting, &r->link);
    d->in_flight++;
    serve_later(d);
}

/* It lets go when it answers, as a device does. */
closure_method(block_cancel, disk_cancel, struct faulty_disk, cancel, struct block_request *r)
{
    struct faulty_disk *d = owner();
    d->cancelled++;
    r->cancelled = true;
    serve_later(d);
}

void faulty_disk_init(struct faulty_disk *d, u64 bytes, const struct executor *e, u64 seed)
{
    *d = (struct faulty_disk){.length = bytes, .executor = e};
    d->bytes = calloc(1, bytes);
    if (!d->bytes)
        panic("out of memory");
    list_init(&d->waiting);
    random_init(&d->random, seed);
    init_method(&d->serve, disk_serve);
    init_method(&d->io, disk_take);
    init_method(&d->cancel, disk_cancel);
    d->device = (struct block_device){.io = &d->io,
                                      .cancel = &d->cancel,
                                      .sectors = bytes / SECTOR_BYTES,
                                      .discard_sectors_most = 256,
                                      .name = "faulty disk"};
}

void faulty_disk_destroy(struct faulty_disk *d)
{
    must(d->in_flight == 0);
    free(d->bytes);
    free(d->base);
    free(d->events);
    free(d->log_data);
    free(d->touched);
    *d = (struct faulty_disk){.length = 0};
}
