/* The block device over a file: see disk.h. */
#include "tools/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* One call; the host does not split it. */
#define DISCARD_SECTORS_MOST (1ull << 24)

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
        if (n == 0 && operation != BLOCK_READ)
            return false;
        if (n == 0) {
            memset(p + done, 0, piece.bytes - done);
            break;
        }
        done += (u64)n;
    }
    return true;
}

/* errno is why. */
static status transfer_failure(const struct block_request *r)
{
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        return status_error(EIO, "disk: this machine has no room for the image file", r->sector);
    if (r->operation == BLOCK_READ)
        return status_error(EIO, "disk: the image file cannot be read", r->sector);
    return status_error(EIO, "disk: the image file cannot be written", r->sector);
}

/* What was written is on the disk of this machine, or the caller learns that it is not. */
static status disk_flush(struct disk *d)
{
    if (d->temporary || d->device.read_only || fdatasync(d->fd) == 0)
        return STATUS_OK;
    return status_error(EIO, "disk: the image file cannot be synced", (u64)errno);
}

/* Advice: a file that cannot have holes keeps its blocks. */
static status disk_discard(struct disk *d, const struct block_request *r)
{
    (void)fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    (off_t)(r->sector * SECTOR_BYTES), (off_t)(r->sectors * SECTOR_BYTES));
    return STATUS_OK;
}

static status request_serve(struct disk *d, struct block_request *r)
{
    if (r->operation == BLOCK_FLUSH)
        return disk_flush(d);
    if (r->sector > d->device.sectors || r->sectors > d->device.sectors - r->sector)
        return status_error(ENXIO, "disk: beyond the end of the image", r->sector);
    if (r->operation != BLOCK_READ && d->device.read_only)
        return status_error(EROFS, "disk: the image is not open for writing", r->sector);
    if (r->operation == BLOCK_DISCARD)
        return disk_discard(d, r);
    u64 at = r->sector * SECTOR_BYTES;
    sg_for_each (r->sg, piece) {
        if (!piece_transfer(d->fd, r->operation, *piece, at))
            return transfer_failure(r);
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
    int access = fcntl(fd, F_GETFL);
    init_method(&d->io, disk_io);
    init_method(&d->poll, disk_poll_all);
    list_init(&d->waiting);
    d->fd = fd;
    d->device = (struct block_device){.io = &d->io,
                                      .sectors = bytes / SECTOR_BYTES,
                                      .discard_sectors_most = DISCARD_SECTORS_MOST,
                                      .read_only = access < 0 || (access & O_ACCMODE) == O_RDONLY,
                                      .name = name};
}
