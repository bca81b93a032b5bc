/* What a census says of a virtio-net device: what the device has, what the network has, and what
   went wrong.  Numbers only, so it may be asked for in the middle of anything. */
#include "drivers/virtio_net.h"

static void pair_write(const struct vnet *n, u32 i)
{
    const struct vnet_pair *p = &n->pairs[i];
    char age[CENSUS_AGE_BYTES];
    census_line("  %s: pair %u: %u of %u receive buffers with the device, %u frames being sent%s%s",
                n->device.name, i, p->posted, p->posted_most, p->transmit.flying,
                p->stalled_ns ? ", none finished for " : "",
                p->stalled_ns ? census_age(age, p->stalled_ns) : "");
}

closure_method(census_writer, vnet_census, struct vnet, census)
{
    const struct vnet *n = owner();
    const struct net_device_statistics *s = &n->device.statistics;
    for (u32 i = 0; i < n->pair_count; i++)
        pair_write(n, i);
    census_line("  %s: link %s%s%s, %u buffers with the network, %llu KiB of %llu KiB",
                n->device.name, n->device.link_up ? "up" : "down", n->dead ? ", given up" : "",
                n->room_wanted ? ", frames wait for room" : "", n->pool.lent,
                (unsigned long long)n->pool.bytes >> 10,
                (unsigned long long)n->pool.bytes_most >> 10);
    census_line(
        "  %s: in %llu, out %llu, dropped %llu, malformed %llu, resets %llu, interrupts %llu",
        n->device.name, (unsigned long long)s->frames_in, (unsigned long long)s->frames_out,
        (unsigned long long)s->dropped_in, (unsigned long long)s->malformed,
        (unsigned long long)s->resets, (unsigned long long)s->interrupts);
}

void virtio_net_census_start(struct vnet *n)
{
    init_method(&n->census, vnet_census);
    census_register(n->device.name, &n->census);
}
