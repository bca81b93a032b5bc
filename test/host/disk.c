/* The simulated disk: see test/host/disk.h.  Data moves when a request is answered, not when it is
   taken, so whoever reuses memory too early is found out. */
#include "test/host/disk.h"

#include "test/host/harness.h"

#include <stdlib.h>

static void request_answer(struct host_disk *d, struct block_request *r)
{
    u64 call = ++d->calls;
    u64 start = r->sector * SECTOR_BYTES, bytes = r->sectors * SECTOR_BYTES;
    status s = STATUS_OK;
    if (r->cancelled) {
        s = status_error(ECANCELED, "disk: cancelled", r->sector);
    } else if (call == d->fail_at || call == d->short_at) {
        d->failed++;
        s = status_error(EIO, "disk: told to fail", r->sector);
    } else if (r->sectors > d->device.sectors || r->sector > d->device.sectors - r->sectors) {
        s = status_error(ENXIO, "disk: beyond the end", r->sector);
    }
    if (call == d->short_at)
        bytes /= 2;
    bool moves = is_ok(s) || call == d->short_at;
    if (moves && r->operation == BLOCK_READ) {
        sg_copy_in(r->sg, 0, d->bytes + start, bytes);
        if (call == d->flip_at) {
            u8 byte;
            u64 at = random_below(&d->random, bytes);
            sg_copy_out(r->sg, at, &byte, 1);
            byte ^= (u8)(1u << random_below(&d->random, 8));
            sg_copy_in(r->sg, at, &byte, 1);
        }
        d->bytes_read += bytes;
    } else if (moves && r->operation == BLOCK_WRITE) {
        sg_copy_out(r->sg, 0, d->bytes + start, bytes);
        d->bytes_written += bytes;
    } else if (moves && r->operation == BLOCK_FLUSH) {
        d->flushes++;
    } else if (moves) {
        memset(d->bytes + start, 0xd5, bytes);
        d->bytes_discarded += bytes;
    }
    d->largest = max(d->largest, bytes);
    d->in_flight--;
    host_run_later_status(r->done, s);
}

/* The one that has waited longest, or any. */
static struct block_request *request_choose(struct host_disk *d)
{
    struct list *chosen = d->waiting.next;
    for (u64 skip = d->reorder ? random_below(&d->random, d->in_flight) : 0; skip; skip--)
        chosen = chosen->next;
    list_remove(chosen);
    return container_of(chosen, struct block_request, link);
}

/* Answers one request a pass, so that what is queued meanwhile is reordered with the rest. */
closure_method(thunk, disk_serve, struct host_disk, serve)
{
    struct host_disk *d = owner();
    d->serving = false;
    struct block_request *chosen = request_choose(d);
    if (!list_empty(&d->waiting)) {
        d->serving = true;
        host_run_later(&d->serve);
    }
    request_answer(d, chosen);
}

closure_method(block_io, disk_take, struct host_disk, io, struct block_request *r)
{
    struct host_disk *d = owner();
    must(r->operation == BLOCK_FLUSH || r->operation == BLOCK_DISCARD ||
         r->sg->bytes == r->sectors * SECTOR_BYTES);
    if (r->operation == BLOCK_READ || r->operation == BLOCK_WRITE)
        sg_for_each (r->sg, piece)
            must(piece->bytes % SECTOR_BYTES == 0);
    r->cancelled = false;
    list_push_back(&d->waiting, &r->link);
    d->in_flight++;
    d->in_flight_most = max(d->in_flight_most, d->in_flight);
    if (!d->serving && !d->silent) {
        d->serving = true;
        host_run_later(&d->serve);
    }
}

/* It lets go when it answers, as a device does. */
closure_method(block_cancel, disk_cancel, struct host_disk, cancel, struct block_request *r)
{
    owner()->cancelled++;
    r->cancelled = true;
}

bool host_disk_answer(struct host_disk *d)
{
    if (list_empty(&d->waiting))
        return false;
    request_answer(d, request_choose(d));
    return true;
}

void host_disk_init(struct host_disk *d, u64 bytes)
{
    *d = (struct host_disk){.length = bytes};
    d->bytes = calloc(1, bytes ? bytes : 1);
    if (!d->bytes)
        panic("out of memory");
    list_init(&d->waiting);
    random_init(&d->random, 1);
    init_method(&d->serve, disk_serve);
    init_method(&d->io, disk_take);
    init_method(&d->cancel, disk_cancel);
    d->device = (struct block_device){.io = &d->io,
                                      .cancel = &d->cancel,
                                      .sectors = bytes / SECTOR_BYTES,
                                      .discard_sectors_most = 1000,
                                      .name = "simulated disk"};
}

void host_disk_destroy(struct host_disk *d)
{
    must(d->in_flight == 0);
    free(d->bytes);
    d->bytes = NULL;
}

void host_disk_reorder(struct host_disk *d, u64 seed)
{
    d->reorder = true;
    random_init(&d->random, seed);
}
