/* Virtio over PCI as it was before virtio 1.0 (virtio 1.2, 4.1.4.10): registers in I/O ports, rings
   of the device's own size at page numbers.  For devices that have nothing else, as QEMU's with
   disable-modern=on and older clouds'; those that have both are driven the modern way.

   The struct, the interrupts and the choice between the two are drivers/virtio_pci.c's. */
#include "drivers/virtio_pci.h"
#include "kernel/machine.h"
#include "kernel/memory.h"

/* virtio 1.2, 4.1.4.10 */
enum legacy_register {
    LEGACY_DEVICE_FEATURES = 0,
    LEGACY_DRIVER_FEATURES = 4,
    LEGACY_QUEUE_PAGE = 8,
    LEGACY_QUEUE_SIZE = 12,
    LEGACY_QUEUE_SELECT = 14,
    LEGACY_QUEUE_NOTIFY = 16,
    LEGACY_STATUS = 18,
    LEGACY_ISR = 19,
    LEGACY_CONFIG_VECTOR = 20, /* only while MSI-X is enabled; the configuration follows */
    LEGACY_QUEUE_VECTOR = 22,
    LEGACY_CONFIG_MSIX = 24,
};

#define LEGACY_RING_ALIGNMENT 4096 /* virtio 1.2, 2.7.2 */
#define LEGACY_QUEUE_MOST     32768

static u64 legacy_features(struct virtio_device *d)
{
    return port_read32(pci_of(d)->ports + LEGACY_DEVICE_FEATURES);
}

static void legacy_accept(struct virtio_device *d, u64 features)
{
    const struct pci_device *p = pci_of(d);
    port_write32(p->ports + LEGACY_DRIVER_FEATURES, (u32)features);
    if (p->msix)
        port_write16(p->ports + LEGACY_CONFIG_VECTOR, p->config_vector);
}

static u8 legacy_status_read(struct virtio_device *d)
{
    return port_read8(pci_of(d)->ports + LEGACY_STATUS);
}

static void legacy_status_write(struct virtio_device *d, u8 value)
{
    port_write8(pci_of(d)->ports + LEGACY_STATUS, value);
}

static u16 legacy_queue_most(struct virtio_device *d, u16 index)
{
    u16 ports = pci_of(d)->ports;
    port_write16(ports + LEGACY_QUEUE_SELECT, index);
    u16 size = port_read16(ports + LEGACY_QUEUE_SIZE);
    /* It cannot be told another size, so what is not a power of two is no queue. */
    return size <= LEGACY_QUEUE_MOST && (size & (size - 1)) == 0 ? size : 0;
}

static status legacy_queue_start(struct virtio_device *d, struct virtqueue *q)
{
    const struct pci_device *p = pci_of(d);
    u64 page = physical_of(q->descriptors).bits >> PAGE_ORDER;
    if (page >> 32)
        return status_error(EIO, "virtio-pci: a ring beyond a legacy device's reach", page);
    if (p->msix) {
        port_write16(p->ports + LEGACY_QUEUE_VECTOR, 0);
        if (port_read16(p->ports + LEGACY_QUEUE_VECTOR) != 0)
            return status_error(EIO, "virtio-pci: the device takes no interrupt vector", q->index);
    }
    port_write32(p->ports + LEGACY_QUEUE_PAGE, (u32)page);
    return STATUS_OK;
}

static void legacy_notify(struct virtqueue *q)
{
    port_write16(pci_of(q->device)->ports + LEGACY_QUEUE_NOTIFY, q->index);
}

/* By bytes: a legacy device has no other order of them than ours. */
static void legacy_config_read(struct virtio_device *d, u32 offset, void *to, u32 bytes)
{
    const struct pci_device *p = pci_of(d);
    u32 from = p->ports + (p->msix ? LEGACY_CONFIG_MSIX : LEGACY_CONFIG_VECTOR) + offset;
    u8 *out = to;
    for (u32 i = 0; i < bytes; i++)
        out[i] = port_read8((u16)(from + i));
}

static u32 legacy_config_generation(__attribute__((unused)) struct virtio_device *d)
{
    return 0;
}

static const struct virtio_transport legacy_transport = {
    .features = legacy_features,
    .accept = legacy_accept,
    .status_read = legacy_status_read,
    .status_write = legacy_status_write,
    .queue_most = legacy_queue_most,
    .queue_start = legacy_queue_start,
    .notify = legacy_notify,
    .config_read = legacy_config_read,
    .config_generation = legacy_config_generation,
    .queue_size_fixed = true,
};

status virtio_pci_legacy_prepare(struct pci_device *p)
{
    p->ports = pci_ports(&p->function, 0);
    if (!p->ports)
        return status_error(EOPNOTSUPP, "virtio-pci: no registers, neither in memory nor in ports",
                            p->function.device);
    p->device.transport = &legacy_transport;
    p->device.legacy = true;
    p->device.ring_alignment = LEGACY_RING_ALIGNMENT;
    return STATUS_OK;
}

u8 virtio_pci_legacy_reasons(struct pci_device *p)
{
    return port_read8(p->ports + LEGACY_ISR);
}
