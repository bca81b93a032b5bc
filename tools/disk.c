/* The block device over a file: see disk.h. */
#include "tools/disk.h"

#include <errno.h>
#include <unistd.h>

/* Reads or writes one piece whole.  A file that ends early reads as zeroes: an image cut short is
   for the filesystem to notice, by its checksums, as on a machine. */
static bool piece_transfer(int fd, enum block_operation operation, struct sg_piece piece, u64 at)
{
    char *p = piece.address;
    for (u64 done = 0; done < piece.bytes;) {
        ssize_t n = operation == BLOCK_READ
                        ? pread(fd, p + done, piece.bytes - done, (off_t)(at + done))
                        : pwrite(fd, p + done, piece.bytes - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0) {
            memset(p + done, 0, piece.bytes - done);
            break;
        }
        done += (u64)n;
    }
    return true;
}

static status request_serve(struct disk *d, struct block_request *r)
{
    if (r->operation == BLOCK_FLUSH || r->operation == BLOCK_DISCARD)
        return STATUS_OK;
    if (r->sector > d->device.sectors || r->sectors > d->device.sectors - r->sector)
        return status_error(ENXIO, "disk: beyond the end of the image", r->sector);
    u64 at = r->sector * SECTOR_BYTES;
    sg_for_each (r->sg, piece) {
        if (!piece_transfer(d->fd, r->operation, *piece, at))
            return status_error(EIO, "disk: the image file cannot be read or written", r->sector);
        at += piece->bytes;
    }
    return STATUS_OK;
}

closure_method(block_io, disk_io, struct disk, io, struct block_request *request)
{
    list_push_back(&owner()->waiting, &request->link);
}

bool disk_poll(struct disk *d)
{
    struct list *first = list_pop_front(&d->waiting);
    if (!first)
        return false;
    do {
        struct block_request *r = container_of(first, struct block_request, link);
        status s = request_serve(d, r);
        status_handler done = r->done;
        apply(done, s);
    } while ((first = list_pop_front(&d->waiting)));
    return true;
}

closure_method(thunk, disk_poll_all, struct disk, poll)
{
    disk_poll(owner());
}

void disk_init(struct disk *d, int fd, const char *name, u64 bytes)
{
    init_method(&d->io, disk_io);
    init_method(&d->poll, disk_poll_all);
    list_init(&d->waiting);
    d->fd = fd;
    d->device = (struct block_device){
        .io = &d->io, .sectors = bytes / SECTOR_BYTES, .read_only = false, .name = name};
}
