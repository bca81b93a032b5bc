/* virtio-net: features, configuration, and the queues from nothing to ready; again after a reset.
   See drivers/virtio_net.h. */
#include "drivers/virtio_net.h"

#include "kernel/cpus.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/memory.h"

/* virtio 1.2, 5.1.4 */
struct vnet_config {
    u8 hardware_address[NET_HARDWARE_BYTES];
    u16 status;
    u16 pairs_most;
    u16 mtu;
};
_Static_assert(sizeof(struct vnet_config) == 12, "virtio 1.2, 5.1.4");
#define CONFIG_LINK_UP 1

#define VNET_F_ANY_LAYOUT (1ull << 27) /* virtio 1.2, 6.3 */

#define MTU_LEAST 68 /* RFC 791 */
#define MTU_USUAL 1500

/* --- features --------------------------------------------------------------------------------- */

/* Some are of use only together with others, and a device may offer them without (virtio 1.2,
   5.1.3.1).  Large frames come in buffers that are joined, or not at all. */
static u64 features_wanted(u64 offered)
{
    u64 wanted = VNET_F_CSUM | VNET_F_GUEST_CSUM | VNET_F_MTU | VNET_F_MAC | VNET_F_MRG_RXBUF |
                 VNET_F_STATUS | VNET_F_ANY_LAYOUT;
    if (offered & VNET_F_CSUM)
        wanted |= VNET_F_HOST_TSO4 | VNET_F_HOST_TSO6;
    if (offered & VNET_F_GUEST_CSUM && offered & VNET_F_MRG_RXBUF)
        wanted |= VNET_F_GUEST_TSO4 | VNET_F_GUEST_TSO6;
    if (offered & VNET_F_MQ && offered & VNET_F_CTRL_VQ)
        wanted |= VNET_F_MQ | VNET_F_CTRL_VQ;
    return wanted;
}

static status features_agree(struct virtio_device *d)
{
    u64 offered;
    status s = virtio_greet(d, &offered);
    return is_ok(s) ? virtio_agree(d, offered, features_wanted(offered)) : s;
}

static u32 offloads_of(const struct virtio_device *d)
{
    u32 offloads = 0;
    if (virtio_has(d, VNET_F_CSUM))
        offloads |= NET_CHECKSUM_OUT;
    if (virtio_has(d, VNET_F_GUEST_CSUM))
        offloads |= NET_CHECKSUM_IN;
    if (virtio_has(d, VNET_F_HOST_TSO4))
        offloads |= NET_SEGMENT_V4;
    if (virtio_has(d, VNET_F_HOST_TSO6))
        offloads |= NET_SEGMENT_V6;
    if (virtio_has(d, VNET_F_GUEST_TSO4 | VNET_F_GUEST_TSO6))
        offloads |= NET_LARGE_IN;
    return offloads;
}

/* --- configuration ---------------------------------------------------------------------------- */

bool virtio_net_link_read(const struct vnet *n)
{
    u16 link;
    if (!virtio_has(n->virtio, VNET_F_STATUS))
        return true;
    virtio_config(n->virtio, offsetof(struct vnet_config, status), &link, sizeof(link));
    return link & CONFIG_LINK_UP;
}

static bool address_is_zero(const u8 *address)
{
    u8 bits = 0;
    for (u32 i = 0; i < NET_HARDWARE_BYTES; i++)
        bits |= address[i];
    return bits == 0;
}

/* A device without an address gets one at random, marked as of local administration. */
static void address_read(struct vnet *n)
{
    u8 *address = n->device.hardware_address;
    if (virtio_has(n->virtio, VNET_F_MAC)) {
        virtio_config(n->virtio, 0, address, NET_HARDWARE_BYTES);
        if (!(address[0] & 1) && !address_is_zero(address))
            return;
        log_warning("%s: its hardware address cannot be; it gets another", n->virtio->name);
    }
    random_bytes(address, NET_HARDWARE_BYTES);
    address[0] = (u8)((address[0] & ~1u) | 2);
}

static void mtu_read(struct vnet *n)
{
    u16 mtu = MTU_USUAL;
    if (virtio_has(n->virtio, VNET_F_MTU))
        virtio_config(n->virtio, offsetof(struct vnet_config, mtu), &mtu, sizeof(mtu));
    if (mtu < MTU_LEAST) {
        log_warning("%s: an MTU of %u cannot be; %u is used", n->virtio->name, mtu, MTU_USUAL);
        mtu = MTU_USUAL;
    }
    u32 most = n->pool.buffer_bytes - VNET_FRAME_OFFSET - NET_ETHERNET_BYTES;
    n->device.mtu = n->mergeable ? mtu : min((u32)mtu, most);
}

static void pairs_read(struct vnet *n)
{
    u16 pairs = 1;
    if (virtio_has(n->virtio, VNET_F_MQ))
        virtio_config(n->virtio, offsetof(struct vnet_config, pairs_most), &pairs, sizeof(pairs));
    n->pairs_offered = max(pairs, (u16)1);
    u32 useful = min(cpus_online(), (u32)VNET_PAIRS_MOST);
    n->pair_count = min(n->pairs_offered, useful);
    n->pairs_active = 1;
}

static void header_choose(struct vnet *n)
{
    const struct virtio_device *d = n->virtio;
    n->mergeable = virtio_has(d, VNET_F_MRG_RXBUF);
    bool whole = !d->legacy || n->mergeable;
    n->header_bytes = whole ? sizeof(struct vnet_header) : VNET_HEADER_SHORT;
    n->any_layout = !d->legacy || virtio_has(d, VNET_F_ANY_LAYOUT);
    n->header_apart = !n->any_layout && !n->mergeable;
}

/* --- queues ----------------------------------------------------------------------------------- */

/* virtio 1.2, 5.1.2 */
static status pair_start(struct vnet *n, u16 index)
{
    struct vnet_pair *p = &n->pairs[index];
    p->net = n;
    status s = virtqueue_start(&p->receive, n->virtio, 2 * index, VNET_RING_MOST);
    if (is_ok(s))
        s = virtqueue_start(&p->transmit, n->virtio, 2 * index + 1, VNET_RING_MOST);
    if (!is_ok(s))
        return s;
    if (!p->transmit.indirect && p->transmit.size <= NET_FRAME_PIECES)
        return status_error(EIO, "virtio-net: a ring too small for a frame", p->transmit.size);
    if (!p->slots)
        s = virtio_net_slots_make(p);
    if (!is_ok(s))
        return s;
    virtio_net_receive_size(p);
    if (!virtio_net_fill(p))
        return status_error(ENOMEM, "virtio-net: no memory for received frames", p->posted);
    virtqueue_interrupts_off(&p->transmit);
    virtqueue_interrupts_on(&p->receive);
    return STATUS_OK;
}

static status queues_start(struct vnet *n)
{
    status s = STATUS_OK;
    for (u16 i = 0; is_ok(s) && i < n->pair_count; i++)
        s = pair_start(n, i);
    if (is_ok(s) && n->pair_count > 1)
        s = virtqueue_start(&n->control.queue, n->virtio, (u16)(2 * n->pairs_offered), 4);
    return s;
}

static void device_go(struct vnet *n)
{
    virtio_ready(n->virtio);
    for (u32 i = 0; i < n->pair_count; i++)
        virtqueue_notify(&n->pairs[i].receive);
    if (n->pair_count > 1)
        virtio_net_control_ask(n);
}

status virtio_net_restart(struct vnet *n)
{
    u64 before = n->virtio->features;
    status s = features_agree(n->virtio);
    if (is_ok(s) && n->virtio->features != before)
        s = status_error(EIO, "virtio-net: other features than before", n->virtio->features);
    n->pairs_active = 1;
    n->control.flying = false;
    if (is_ok(s))
        s = queues_start(n);
    if (is_ok(s))
        device_go(n);
    return s;
}

/* --- start ------------------------------------------------------------------------------------ */

/* The device was reset, or never had anything. */
static void vnet_free(struct vnet *n)
{
    for (u32 i = 0; i < n->pair_count; i++) {
        struct vnet_pair *p = &n->pairs[i];
        virtio_net_buffers_reclaim(p);
        virtio_net_pool_empty(n);
        virtio_net_slots_free(p);
        virtqueue_free(&p->receive);
        virtqueue_free(&p->transmit);
    }
    virtqueue_free(&n->control.queue);
    deallocate(general_heap, n, sizeof(*n));
}

static void config_read(struct vnet *n)
{
    header_choose(n);
    pairs_read(n);
    virtio_net_receive_init(n);
    address_read(n);
    mtu_read(n);
    memcpy(n->device.name, n->virtio->name, sizeof(n->device.name));
    n->device.offloads = offloads_of(n->virtio);
    n->device.link_up = virtio_net_link_read(n);
}

static void start_log(const struct vnet *n)
{
    const u8 *a = n->device.hardware_address;
    u32 offloads = n->device.offloads;
    log_info("%s: %02x:%02x:%02x:%02x:%02x:%02x, MTU %u, link %s, queue pairs %u of %u, %s "
             "buffers%s%s%s%s%s",
             n->virtio->name, a[0], a[1], a[2], a[3], a[4], a[5], n->device.mtu,
             n->device.link_up ? "up" : "down", n->pair_count, n->pairs_offered,
             n->mergeable ? "mergeable" : "single",
             offloads & NET_CHECKSUM_OUT ? ", checksums out" : "",
             offloads & NET_CHECKSUM_IN ? ", checksums in" : "",
             offloads & NET_SEGMENT_V4 ? ", TSO4" : "", offloads & NET_SEGMENT_V6 ? ", TSO6" : "",
             offloads & NET_LARGE_IN ? ", large frames in" : "");
}

status virtio_net_start(struct virtio_device *d, net_attach attach)
{
    d->wants_config = true;
    status s = features_agree(d);
    if (!is_ok(s))
        return s;
    struct vnet *n = allocate_zero(general_heap, sizeof(*n));
    if (!n)
        return status_error(ENOMEM, "virtio-net: no memory for the device", sizeof(*n));
    n->virtio = d;
    config_read(n);
    virtio_net_service_init(n);
    virtio_net_transmit_init(n);
    s = queues_start(n);
    if (!is_ok(s)) {
        virtio_fail(d);
        vnet_free(n);
        return s;
    }
    d->service = &n->service;
    device_go(n);
    virtio_net_census_start(n);
    start_log(n);
    apply(attach, &n->device);
    return STATUS_OK;
}
