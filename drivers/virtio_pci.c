/* Virtio over PCI, in its modern form (virtio 1.2, 4.1): the structures that capabilities point to,
   all in memory.  Transitional devices are driven the same way; for a device that has only the old
   registers in I/O space there is drivers/virtio_pci_legacy.c.

   One interrupt serves the queues of a device: entry 0 of MSI-X, which needs no acknowledgement, or
   the legacy pin, whose interrupt status is read (and so cleared) by the handler.  Changes of the
   configuration have entry 1, for the kinds whose driver asks for them, or share the pin. */
#include "drivers/virtio_pci.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/page_table.h"
#include "runtime/format.h"

/* virtio 1.2, 4.1.4.3 */
struct pci_common {
    u32 device_feature_select;
    u32 device_feature;
    u32 driver_feature_select;
    u32 driver_feature;
    u16 config_msix_vector;
    u16 queue_count;
    u8 device_status;
    u8 config_generation;
    u16 queue_select;
    u16 queue_size;
    u16 queue_msix_vector;
    u16 queue_enable;
    u16 queue_notify_off;
    u32 queue_descriptors[2];
    u32 queue_driver[2];
    u32 queue_device[2];
};
_Static_assert(sizeof(struct pci_common) == 56, "virtio 1.2, 4.1.4.3");

/* virtio 1.2, 4.1.4 */
#define CAPABILITY_KIND       3
#define CAPABILITY_BAR        4
#define CAPABILITY_OFFSET     8
#define CAPABILITY_LENGTH     12
#define CAPABILITY_MULTIPLIER 16

/* virtio 1.2, 4.1.4.5 */
#define ISR_QUEUE  1
#define ISR_CONFIG 2

#define MAPPED_MOST       (64 * KiB) /* of one BAR */
#define TRANSITIONAL_LAST 0x103f
#define MODERN_BASE       0x1040

/* --- the transport ---------------------------------------------------------------------------- */

static u64 common_features(struct virtio_device *d)
{
    volatile struct pci_common *c = pci_of(d)->common;
    c->device_feature_select = 0;
    u64 low = c->device_feature;
    c->device_feature_select = 1;
    return low | (u64)c->device_feature << 32;
}

static void common_accept(struct virtio_device *d, u64 features)
{
    volatile struct pci_common *c = pci_of(d)->common;
    c->driver_feature_select = 0;
    c->driver_feature = (u32)features;
    c->driver_feature_select = 1;
    c->driver_feature = (u32)(features >> 32);
    c->config_msix_vector = pci_of(d)->config_vector;
}

static u8 common_status_read(struct virtio_device *d)
{
    return pci_of(d)->common->device_status;
}

static void common_status_write(struct virtio_device *d, u8 value)
{
    pci_of(d)->common->device_status = value;
}

static u16 common_queue_most(struct virtio_device *d, u16 index)
{
    volatile struct pci_common *c = pci_of(d)->common;
    if (index >= c->queue_count)
        return 0;
    c->queue_select = index;
    return c->queue_size;
}

/* virtio 1.2, 4.1.3.1: 64-bit fields are written in halves. */
static void address_write(volatile u32 field[2], u64 address)
{
    field[0] = (u32)address;
    field[1] = (u32)(address >> 32);
}

static status common_queue_start(struct virtio_device *d, struct virtqueue *q)
{
    struct pci_device *p = pci_of(d);
    volatile struct pci_common *c = p->common;
    const struct pci_region *notify = &p->regions[STRUCTURE_NOTIFY];
    u64 doorbell = (u64)c->queue_notify_off * p->notify_multiplier;
    if (doorbell + sizeof(u16) > notify->bytes)
        return status_error(EIO, "virtio-pci: a doorbell outside of its region", doorbell);
    q->doorbell = notify->mapped + doorbell;
    c->queue_size = q->size;
    if (p->msix) {
        c->queue_msix_vector = 0;
        if (c->queue_msix_vector != 0)
            return status_error(EIO, "virtio-pci: the device takes no interrupt vector", q->index);
    }
    address_write(c->queue_descriptors, physical_of(q->descriptors).bits);
    address_write(c->queue_driver, physical_of(q->available).bits);
    address_write(c->queue_device, physical_of(q->used).bits);
    c->queue_enable = 1;
    return STATUS_OK;
}

static void common_notify(struct virtqueue *q)
{
    *(volatile u16 *)q->doorbell = q->index;
}

/* In the widths that virtio 1.2, 4.1.3.1 asks for: words where they are whole and aligned. */
static void common_config_read(struct virtio_device *d, u32 offset, void *to, u32 bytes)
{
    const struct pci_region *config = &pci_of(d)->regions[STRUCTURE_DEVICE];
    u8 *out = to;
    memset(to, 0, bytes);
    while (bytes > 0 && offset < config->bytes) {
        if (offset % 4 == 0 && bytes >= 4 && config->bytes - offset >= 4) {
            u32 word = *(volatile u32 *)(config->mapped + offset);
            memcpy(out, &word, 4);
            offset += 4, out += 4, bytes -= 4;
        } else {
            *out++ = config->mapped[offset++];
            bytes--;
        }
    }
}

static u32 common_config_generation(struct virtio_device *d)
{
    return pci_of(d)->common->config_generation;
}

static const struct virtio_transport pci_transport = {
    .features = common_features,
    .accept = common_accept,
    .status_read = common_status_read,
    .status_write = common_status_write,
    .queue_most = common_queue_most,
    .queue_start = common_queue_start,
    .notify = common_notify,
    .config_read = common_config_read,
    .config_generation = common_config_generation,
};

/* --- finding the structures ------------------------------------------------------------------- */

/* Of each kind the first that we can use: the device lists them in its order of preference. */
static void regions_find(struct pci_device *p)
{
    const struct pci_function *f = &p->function;
    u8 at = 0;
    for (u32 i = 0; i < 16 && (at = pci_capability(f, PCI_CAPABILITY_VENDOR, at)); i++) {
        u8 kind = pci_read8(f, at + CAPABILITY_KIND);
        if (kind < STRUCTURE_COMMON || kind > STRUCTURE_DEVICE || p->regions[kind].bytes > 0)
            continue;
        struct pci_region r = {.bar = pci_read8(f, at + CAPABILITY_BAR),
                               .offset = pci_read32(f, at + CAPABILITY_OFFSET),
                               .bytes = pci_read32(f, at + CAPABILITY_LENGTH)};
        if (pci_bar(f, r.bar) == 0 || r.offset >= MAPPED_MOST)
            continue;
        r.bytes = (u32)min((u64)r.bytes, MAPPED_MOST - r.offset);
        p->regions[kind] = r;
        if (kind == STRUCTURE_NOTIFY)
            p->notify_multiplier = pci_read32(f, at + CAPABILITY_MULTIPLIER);
    }
}

/* One mapping per BAR: the structures usually share one. */
static status regions_map(struct pci_device *p)
{
    volatile u8 *mapped[PCI_BARS] = {NULL};
    u32 ends[PCI_BARS] = {0};
    for (u32 kind = STRUCTURE_COMMON; kind < STRUCTURES; kind++)
        if (p->regions[kind].bytes > 0)
            ends[p->regions[kind].bar] =
                max(ends[p->regions[kind].bar], p->regions[kind].offset + p->regions[kind].bytes);
    for (u32 kind = STRUCTURE_COMMON; kind < STRUCTURES; kind++) {
        struct pci_region *r = &p->regions[kind];
        if (r->bytes == 0)
            continue;
        if (!mapped[r->bar])
            mapped[r->bar] = device_map(physical_at(pci_bar(&p->function, r->bar)),
                                        align_up(ends[r->bar], PAGE_BYTES));
        if (!mapped[r->bar])
            return status_error(ENOMEM, "virtio-pci: no memory to map the registers", kind);
        r->mapped = mapped[r->bar] + r->offset;
    }
    p->common = (volatile struct pci_common *)(volatile void *)p->regions[STRUCTURE_COMMON].mapped;
    return STATUS_OK;
}

/* --- interrupts ------------------------------------------------------------------------------- */

static u8 reasons_take(struct pci_device *p)
{
    if (p->device.legacy)
        return virtio_pci_legacy_reasons(p);
    return *p->regions[STRUCTURE_ISR].mapped;
}

closure_method(thunk, pci_device_interrupt, struct pci_device, interrupt)
{
    struct pci_device *p = owner();
    u8 reasons = p->msix ? ISR_QUEUE : reasons_take(p);
    if (reasons & ISR_CONFIG)
        virtio_config_interrupt(&p->device);
    else if (reasons)
        virtio_interrupt(&p->device);
}

closure_method(thunk, pci_device_config_interrupt, struct pci_device, config_interrupt)
{
    struct pci_device *p = owner();
    virtio_config_interrupt(&p->device);
}

static status interrupts_start(struct pci_device *p)
{
    p->config_vector = VIRTIO_NO_VECTOR;
    init_method(&p->interrupt, pci_device_interrupt);
    init_method(&p->config_interrupt, pci_device_config_interrupt);
    status s = pci_interrupt(&p->function, &p->interrupt, &p->msix);
    if (!is_ok(s) || !p->msix || p->device.id != VIRTIO_ID_NET)
        return s;
    if (is_ok(pci_interrupt_further(&p->function, VIRTIO_CONFIG_VECTOR, &p->config_interrupt)))
        p->config_vector = VIRTIO_CONFIG_VECTOR;
    return s;
}

/* --- start ------------------------------------------------------------------------------------ */

static bool modern_registers(const struct pci_device *p)
{
    return p->regions[STRUCTURE_COMMON].bytes >= sizeof(struct pci_common) &&
           p->regions[STRUCTURE_NOTIFY].bytes > 0 && p->regions[STRUCTURE_ISR].bytes > 0;
}

static status device_prepare(struct pci_device *p)
{
    const struct pci_function *f = &p->function;
    regions_find(p);
    status s = modern_registers(p) ? regions_map(p) : virtio_pci_legacy_prepare(p);
    if (!is_ok(s))
        return s;
    u16 window = p->device.legacy ? PCI_COMMAND_PORTS : PCI_COMMAND_MEMORY;
    pci_write16(f, PCI_COMMAND,
                pci_read16(f, PCI_COMMAND) | window | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    return interrupts_start(p);
}

/* virtio 1.2, 4.1.2: modern ids hold the kind; transitional ones name it in the subsystem. */
static u32 kind_of(const struct pci_function *f)
{
    return f->device > TRANSITIONAL_LAST ? f->device - (u32)MODERN_BASE : pci_read16(f, 0x2e);
}

void virtio_pci_start(const struct pci_function *f, const struct device_users *users)
{
    char place[16];
    format_text(place, sizeof(place), "%02x:%02x.%x", f->bus, f->slot, f->function);
    u32 kind = kind_of(f);
    if (!virtio_kind(kind)) {
        log_info("virtio: no driver for the device of kind %u at %s", kind, place);
        return;
    }
    struct pci_device *p = allocate_zero(general_heap, sizeof(*p));
    if (!p) {
        log_error("virtio-pci: no memory for the device at %s", place);
        return;
    }
    p->function = *f;
    p->device.transport = &pci_transport;
    p->device.id = kind;
    p->device.ring_alignment = 64;
    status s = device_prepare(p);
    if (is_ok(s))
        virtio_attach(&p->device, place, users);
    else
        log_error("virtio-pci %s: not started: %s", place, status_text(s));
}
