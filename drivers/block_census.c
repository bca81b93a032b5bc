/* What a census says of a block device.  See drivers/block_census.h; callers: the block drivers. */
#include "drivers/block_census.h"

#include "kernel/clock.h"

#define REQUESTS_MOST 32 /* shown of each list */

static const char *operation_name(enum block_operation operation)
{
    static const char *const names[] = {"read", "write", "flush", "discard"};
    return (u32)operation < countof(names) ? names[operation] : "unknown operation";
}

/* What was not issued yet has no age. */
static void request_write(const char *name, const struct block_request *r, bool issued)
{
    char age[CENSUS_AGE_BYTES];
    census_line("  %s: %s of %llu sectors at %llu, %s%s", name, operation_name(r->operation),
                (unsigned long long)r->sectors, (unsigned long long)r->sector,
                issued ? "in flight for " : "waiting for room",
                issued ? census_age(age, clock_monotonic_ns() - r->issued_ns) : "");
}

static void requests_write(const char *name, const struct list *requests, bool issued)
{
    u32 shown = 0;
    list_for_each (requests, l) {
        if (shown++ == REQUESTS_MOST) {
            census_line("  %s: and more", name);
            return;
        }
        request_write(name, container_of(l, struct block_request, link), issued);
    }
}

closure_method(census_writer, block_census_write, struct block_census, write)
{
    const struct block_census *c = owner();
    if (!spin_try(c->lock)) {
        census_line("  %s is just being used", c->name);
        return;
    }
    if (list_empty(c->flying) && list_empty(c->waiting))
        census_line("  %s: nothing in flight", c->name);
    requests_write(c->name, c->flying, true);
    requests_write(c->name, c->waiting, false);
    spin_unlock(c->lock);
}

void block_census_start(struct block_census *c, const char *name, struct spinlock *lock,
                        const struct list *waiting, const struct list *flying)
{
    c->name = name;
    c->lock = lock;
    c->waiting = waiting;
    c->flying = flying;
    init_method(&c->write, block_census_write);
    census_register(name, &c->write);
}
