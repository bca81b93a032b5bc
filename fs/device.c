/* Requests to the device, as operations of the filesystem's scope: so they can be seen, and the end
   of the filesystem cancels them and waits until the device has let go. */
#include "fs/internal.h"

closure_method(cancel_handler, device_read_cancel, struct device_read, cancel, status why)
{
    struct device_read *r = owner();
    block_cancel cancel = r->fs->environment.device->cancel;
    (void)why; /* the device says ECANCELED */
    if (cancel)
        apply(cancel, &r->request);
}

static bool request_start(struct filesystem *fs, struct device_read *r,
                          const struct block_request *request, status_handler done)
{
    init_method(&r->cancel, device_read_cancel);
    status_handler landed = operation_start(&fs->scope, &r->operation, &r->cancel, done);
    if (!landed)
        return false;
    r->fs = fs;
    r->request = *request;
    r->request.done = landed;
    apply(fs->environment.device->io, &r->request);
    operation_started(&r->operation);
    return true;
}

bool device_start(struct filesystem *fs, struct device_read *r, enum block_operation operation,
                  u64 sector, struct sg_list *sg, status_handler done)
{
    struct block_request request = {.operation = operation,
                                    .sector = sector,
                                    .sectors = sg ? sg->bytes / SECTOR_BYTES : 0,
                                    .sg = sg};
    return request_start(fs, r, &request, done);
}

bool device_discard(struct filesystem *fs, struct device_read *r, u64 sector, u64 sectors,
                    status_handler done)
{
    struct block_request request = {
        .operation = BLOCK_DISCARD, .sector = sector, .sectors = sectors};
    return request_start(fs, r, &request, done);
}

bool device_read_start(struct filesystem *fs, struct device_read *r, u64 sector, struct sg_list *sg,
                       status_handler done)
{
    return device_start(fs, r, BLOCK_READ, sector, sg, done);
}

status device_closing(const struct filesystem *fs)
{
    return status_error(ECANCELED, "fs: the filesystem is being unmounted", fs->volume);
}
