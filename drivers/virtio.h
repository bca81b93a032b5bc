/* A virtio device, whatever bus it sits on (virtio 1.2, 2 and 3).

   A transport (drivers/virtio_mmio.c, drivers/virtio_pci.c) finds the device, fills a struct
   virtio_device in and hands it to virtio_attach(), which chooses the driver by its id.  The
   driver negotiates with virtio_begin(), starts its queues, and calls virtio_ready().

   Interrupts: the transport's handler calls virtio_interrupt(); that queues the driver's `service`
   thunk once, as a bottom half.  The thunk begins with virtio_service_begin().  A driver that wants
   to know when the device's configuration changed says so (`wants_config`) before virtio_begin(),
   and asks virtio_config_changed() in its service thunk. */
#pragma once

#include "drivers/drivers.h"
#include "drivers/virtqueue.h"
#include "runtime/closure.h"

/* virtio 1.2, 5 */
enum virtio_id { VIRTIO_ID_NET = 1, VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3 };

/* virtio 1.2, 2.1 */
enum virtio_status {
    VIRTIO_ACKNOWLEDGE = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 64,
    VIRTIO_FAILED = 128,
};

/* virtio 1.2, 6 */
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX     (1ull << 29)
#define VIRTIO_F_VERSION_1     (1ull << 32)

/* How long a device may take to say that its reset is done, in reads of its status. */
#define VIRTIO_RESET_READS 100000

struct virtio_transport {
    u64 (*features)(struct virtio_device *d);
    void (*accept)(struct virtio_device *d, u64 features);
    u8 (*status_read)(struct virtio_device *d);
    void (*status_write)(struct virtio_device *d, u8 value);
    /* The most descriptors that queue `index` can have; 0: there is no such queue. */
    u16 (*queue_most)(struct virtio_device *d, u16 index);
    /* Tells the device where queue q is, just after queue_most() was asked for it. */
    status (*queue_start)(struct virtio_device *d, struct virtqueue *q);
    void (*notify)(struct virtqueue *q);
    /* Before the rings are looked at, after an interrupt; NULL: nothing to do. */
    void (*acknowledge)(struct virtio_device *d);
    void (*config_read)(struct virtio_device *d, u32 offset, void *to, u32 bytes);
    u32 (*config_generation)(struct virtio_device *d);
    bool queue_size_fixed; /* the driver cannot choose a smaller one */
};

#define VIRTIO_NAME_BYTES 32

struct virtio_device {
    const struct virtio_transport *transport; /* [I] */
    u32 id;                                   /* [I] enum virtio_id */
    bool legacy;                              /* [I] before virtio 1.0 */
    u32 ring_alignment;                       /* [I] of the used ring */
    char name[VIRTIO_NAME_BYTES];             /* [I] "virtio-blk 00:03.0" */
    u64 features;                             /* [I] after virtio_begin() */
    thunk service;                            /* [I] the driver's bottom half */
    bool service_queued;                      /* [a] */
    bool interrupted;                         /* [a] since the last virtio_service_begin() */
    bool wants_config;                        /* [I] after virtio_begin() */
    bool config_changed;                      /* [a] */
};

/* "virtio-blk", or NULL: no driver is for devices of that kind. */
const char *virtio_kind(u32 id);

/* Names the device after its kind and where it is, and starts its driver.  A kind that has no
   driver is left alone. */
void virtio_attach(struct virtio_device *d, const char *place, const struct device_users *users);

/* Resets the device and agrees on features: those of `wanted` and of the rings that it offers.
   EIO: it does not reset, or does not keep to the protocol. */
status virtio_begin(struct virtio_device *d, u64 wanted);
/* The two halves of it, for a driver that wants some features only together with others: `offered`
   is what the device has. */
status virtio_greet(struct virtio_device *d, u64 *offered);
status virtio_agree(struct virtio_device *d, u64 offered, u64 wanted);
/* The device may use its queues from here on. */
void virtio_ready(struct virtio_device *d);
/* The device lets go of all memory.  EIO: it does not say that it did. */
status virtio_reset(struct virtio_device *d);
/* Gives the device up. */
void virtio_fail(struct virtio_device *d);

/* Reads `bytes` of the device's configuration, all of one generation. */
void virtio_config(struct virtio_device *d, u32 offset, void *to, u32 bytes);

/* From a transport's interrupt handler; the second one when the configuration changed. */
void virtio_interrupt(struct virtio_device *d);
void virtio_config_interrupt(struct virtio_device *d);
/* Runs the service thunk soon, from outside an interrupt. */
void virtio_service_later(struct virtio_device *d);
/* Whether there was an interrupt since the last time. */
bool virtio_service_begin(struct virtio_device *d);
/* Whether the configuration may have changed since the last time that this was asked. */
bool virtio_config_changed(struct virtio_device *d);

static inline bool virtio_has(const struct virtio_device *d, u64 feature)
{
    return (d->features & feature) != 0;
}

/* The transports. */
void virtio_mmio_start(const struct device_users *users);
struct pci_function;
void virtio_pci_start(const struct pci_function *f, const struct device_users *users);

/* The drivers.  A failure has not been reported yet, and the device is given up by the caller. */
status virtio_blk_start(struct virtio_device *d, block_attach attach);
status virtio_console_start(struct virtio_device *d);
status virtio_net_start(struct virtio_device *d, net_attach attach);
