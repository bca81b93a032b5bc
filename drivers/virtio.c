/* What all virtio devices have in common: the way from reset to ready (virtio 1.2, 3.1), reading
   the configuration (2.5.1), and the choice of a driver.  Callers: transports and drivers. */
#include "drivers/virtio.h"
#include "kernel/log.h"
#include "kernel/run_loop.h"
#include "runtime/format.h"

/* A configuration that changes on every one of this many reads is taken as it is. */
#define CONFIG_READS 16

const char *virtio_kind(u32 id)
{
    switch (id) {
    case VIRTIO_ID_NET:
        return "virtio-net";
    case VIRTIO_ID_BLOCK:
        return "virtio-blk";
    case VIRTIO_ID_CONSOLE:
        return "virtio-console";
    default:
        return NULL;
    }
}

static status driver_start(struct virtio_device *d, const struct device_users *users)
{
    if (d->id == VIRTIO_ID_BLOCK)
        return virtio_blk_start(d, users->block);
    if (d->id == VIRTIO_ID_NET)
        return virtio_net_start(d, users->net);
    return virtio_console_start(d);
}

void virtio_attach(struct virtio_device *d, const char *place, const struct device_users *users)
{
    const char *kind = virtio_kind(d->id);
    if (!kind) {
        log_info("virtio: no driver for the device of kind %u at %s", d->id, place);
        return;
    }
    format_text(d->name, sizeof(d->name), "%s %s", kind, place);
    status s = driver_start(d, users);
    if (!is_ok(s)) {
        log_error("%s: not started: %s (%llu)", d->name, status_text(s),
                  (unsigned long long)s.detail);
        virtio_fail(d);
    }
}

status virtio_reset(struct virtio_device *d)
{
    d->transport->status_write(d, 0);
    for (u32 i = 0; i < VIRTIO_RESET_READS; i++)
        if (d->transport->status_read(d) == 0)
            return STATUS_OK;
    return status_error(EIO, "virtio: the device does not finish its reset", VIRTIO_RESET_READS);
}

status virtio_greet(struct virtio_device *d, u64 *offered)
{
    const struct virtio_transport *t = d->transport;
    status s = virtio_reset(d);
    if (!is_ok(s))
        return s;
    t->status_write(d, VIRTIO_ACKNOWLEDGE);
    t->status_write(d, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    *offered = t->features(d);
    return STATUS_OK;
}

status virtio_agree(struct virtio_device *d, u64 offered, u64 wanted)
{
    const struct virtio_transport *t = d->transport;
    wanted |= VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | (d->legacy ? 0 : VIRTIO_F_VERSION_1);
    d->features = offered & wanted;
    if (!d->legacy && !virtio_has(d, VIRTIO_F_VERSION_1))
        return status_error(EIO, "virtio: a modern device without VERSION_1", offered);
    t->accept(d, d->features);
    if (d->legacy)
        return STATUS_OK;
    u8 accepted = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK;
    t->status_write(d, accepted);
    if (!(t->status_read(d) & VIRTIO_FEATURES_OK))
        return status_error(EIO, "virtio: the device refuses our features", d->features);
    return STATUS_OK;
}

status virtio_begin(struct virtio_device *d, u64 wanted)
{
    u64 offered;
    status s = virtio_greet(d, &offered);
    return is_ok(s) ? virtio_agree(d, offered, wanted) : s;
}

void virtio_ready(struct virtio_device *d)
{
    u8 value = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK;
    d->transport->status_write(d, d->legacy ? value : value | VIRTIO_FEATURES_OK);
}

void virtio_fail(struct virtio_device *d)
{
    /* Reset first, so that it lets go of our memory; whether it did no longer matters. */
    (void)virtio_reset(d);
    d->transport->status_write(d, VIRTIO_FAILED);
}

void virtio_config(struct virtio_device *d, u32 offset, void *to, u32 bytes)
{
    for (u32 i = 0; i < CONFIG_READS; i++) {
        u32 before = d->transport->config_generation(d);
        d->transport->config_read(d, offset, to, bytes);
        if (d->transport->config_generation(d) == before)
            return;
    }
    log_warning("%s: its configuration does not stay the same", d->name);
}

void virtio_interrupt(struct virtio_device *d)
{
    d->interrupted = true;
    if (!d->service || __atomic_exchange_n(&d->service_queued, true, __ATOMIC_ACQ_REL))
        return;
    run_bottom_half(d->service);
}

void virtio_config_interrupt(struct virtio_device *d)
{
    __atomic_store_n(&d->config_changed, true, __ATOMIC_RELEASE);
    virtio_interrupt(d);
}

bool virtio_config_changed(struct virtio_device *d)
{
    return __atomic_load_n(&d->config_changed, __ATOMIC_RELAXED) &&
           __atomic_exchange_n(&d->config_changed, false, __ATOMIC_ACQ_REL);
}

void virtio_service_later(struct virtio_device *d)
{
    if (!__atomic_exchange_n(&d->service_queued, true, __ATOMIC_ACQ_REL))
        run_later(d->service);
}

bool virtio_service_begin(struct virtio_device *d)
{
    __atomic_store_n(&d->service_queued, false, __ATOMIC_RELEASE);
    if (!d->interrupted)
        return false;
    d->interrupted = false;
    if (d->transport->acknowledge)
        d->transport->acknowledge(d);
    return true;
}
