/* What a census says of a block device: the requests that it has, and since when. */
#pragma once

#include "kernel/census.h"
#include "runtime/block.h"
#include "runtime/lock.h"

/* In the device's struct; filled by block_census_start. */
struct block_census {
    struct census_writer write;
    const char *name;
    struct spinlock *lock; /* guards the lists */
    const struct list *waiting, *flying;
};

/* The lists hold block requests by their link.  For ever. */
void block_census_start(struct block_census *c, const char *name, struct spinlock *lock,
                        const struct list *waiting, const struct list *flying);
