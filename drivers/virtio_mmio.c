/* Virtio over memory-mapped registers (virtio 1.2, 4.2), version 2 and the legacy version 1 that
   QEMU's microvm shows unless told otherwise.

   The devices are those of the command line, virtio_mmio.device=SIZE@ADDRESS:IRQ.  Each access may
   cost an exit to the hypervisor, so a probe reads three registers and no more.

   The interrupt is routed as an edge: the line goes down when the service thunk acknowledges,
   which it does before it looks at the rings, so an answer after that raises a new edge. */
#include "drivers/virtio.h"
#include "kernel/acpi.h"
#include "kernel/interrupt.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "kernel/page_table.h"
#include "runtime/format.h"

/* virtio 1.2, 4.2.2 and 4.2.4 */
enum mmio_register {
    MMIO_MAGIC = 0x000,
    MMIO_VERSION = 0x004,
    MMIO_DEVICE_ID = 0x008,
    MMIO_DEVICE_FEATURES = 0x010,
    MMIO_DEVICE_FEATURES_SELECT = 0x014,
    MMIO_DRIVER_FEATURES = 0x020,
    MMIO_DRIVER_FEATURES_SELECT = 0x024,
    MMIO_GUEST_PAGE_SIZE = 0x028, /* legacy */
    MMIO_QUEUE_SELECT = 0x030,
    MMIO_QUEUE_SIZE_MAX = 0x034,
    MMIO_QUEUE_SIZE = 0x038,
    MMIO_QUEUE_ALIGN = 0x03c, /* legacy */
    MMIO_QUEUE_PFN = 0x040,   /* legacy */
    MMIO_QUEUE_READY = 0x044,
    MMIO_QUEUE_NOTIFY = 0x050,
    MMIO_INTERRUPT_STATUS = 0x060,
    MMIO_INTERRUPT_ACK = 0x064,
    MMIO_STATUS = 0x070,
    MMIO_QUEUE_DESCRIPTORS = 0x080,
    MMIO_QUEUE_DRIVER = 0x090,
    MMIO_QUEUE_DEVICE = 0x0a0,
    MMIO_CONFIG_GENERATION = 0x0fc,
    MMIO_CONFIG = 0x100,
};

#define MMIO_MAGIC_VALUE       0x74726976u
#define MMIO_INTERRUPT_CONFIG  2
#define MMIO_INTERRUPT_REASONS 3 /* used buffer, configuration */
#define MMIO_DEVICES_MOST      64

/* Legacy devices take any power of two; a small one keeps a ring within one page. */
#define MMIO_RING_ALIGNMENT 64

struct mmio_device {
    struct virtio_device device;
    volatile u8 *registers;
    struct thunk interrupt;
};

static struct mmio_device *mmio_of(struct virtio_device *d)
{
    return container_of(d, struct mmio_device, device);
}

static u32 mmio_read(volatile u8 *registers, u32 offset)
{
    return *(volatile u32 *)(registers + offset);
}

static void mmio_write(volatile u8 *registers, u32 offset, u32 value)
{
    *(volatile u32 *)(registers + offset) = value;
}

static void mmio_write64(volatile u8 *registers, u32 offset, u64 value)
{
    mmio_write(registers, offset, (u32)value);
    mmio_write(registers, offset + 4, (u32)(value >> 32));
}

/* --- the transport ---------------------------------------------------------------------------- */

static u64 mmio_features(struct virtio_device *d)
{
    volatile u8 *r = mmio_of(d)->registers;
    mmio_write(r, MMIO_DEVICE_FEATURES_SELECT, 0);
    u64 low = mmio_read(r, MMIO_DEVICE_FEATURES);
    if (d->legacy)
        return low;
    mmio_write(r, MMIO_DEVICE_FEATURES_SELECT, 1);
    return low | (u64)mmio_read(r, MMIO_DEVICE_FEATURES) << 32;
}

static void mmio_accept(struct virtio_device *d, u64 features)
{
    volatile u8 *r = mmio_of(d)->registers;
    mmio_write(r, MMIO_DRIVER_FEATURES_SELECT, 0);
    mmio_write(r, MMIO_DRIVER_FEATURES, (u32)features);
    if (d->legacy) {
        mmio_write(r, MMIO_GUEST_PAGE_SIZE, PAGE_BYTES);
        return;
    }
    mmio_write(r, MMIO_DRIVER_FEATURES_SELECT, 1);
    mmio_write(r, MMIO_DRIVER_FEATURES, (u32)(features >> 32));
}

static u8 mmio_status_read(struct virtio_device *d)
{
    return (u8)mmio_read(mmio_of(d)->registers, MMIO_STATUS);
}

static void mmio_status_write(struct virtio_device *d, u8 value)
{
    mmio_write(mmio_of(d)->registers, MMIO_STATUS, value);
}

static u16 mmio_queue_most(struct virtio_device *d, u16 index)
{
    volatile u8 *r = mmio_of(d)->registers;
    mmio_write(r, MMIO_QUEUE_SELECT, index);
    return (u16)min(mmio_read(r, MMIO_QUEUE_SIZE_MAX), 32768u);
}

static status mmio_queue_start(struct virtio_device *d, struct virtqueue *q)
{
    volatile u8 *r = mmio_of(d)->registers;
    u64 descriptors = physical_of(q->descriptors).bits;
    mmio_write(r, MMIO_QUEUE_SIZE, q->size);
    if (d->legacy) {
        if (descriptors >> (32 + PAGE_ORDER))
            return status_error(EIO, "virtio: a ring beyond a legacy device's reach", descriptors);
        mmio_write(r, MMIO_QUEUE_ALIGN, MMIO_RING_ALIGNMENT);
        mmio_write(r, MMIO_QUEUE_PFN, (u32)(descriptors >> PAGE_ORDER));
        return STATUS_OK;
    }
    mmio_write64(r, MMIO_QUEUE_DESCRIPTORS, descriptors);
    mmio_write64(r, MMIO_QUEUE_DRIVER, physical_of(q->available).bits);
    mmio_write64(r, MMIO_QUEUE_DEVICE, physical_of(q->used).bits);
    mmio_write(r, MMIO_QUEUE_READY, 1);
    return STATUS_OK;
}

static void mmio_notify(struct virtqueue *q)
{
    mmio_write(mmio_of(q->device)->registers, MMIO_QUEUE_NOTIFY, q->index);
}

/* The reason is read only for those who ask: each access may be an exit. */
static void mmio_acknowledge(struct virtio_device *d)
{
    volatile u8 *r = mmio_of(d)->registers;
    if (d->wants_config && mmio_read(r, MMIO_INTERRUPT_STATUS) & MMIO_INTERRUPT_CONFIG)
        __atomic_store_n(&d->config_changed, true, __ATOMIC_RELEASE);
    mmio_write(r, MMIO_INTERRUPT_ACK, MMIO_INTERRUPT_REASONS);
}

/* By words where they are whole and aligned: each access may be an exit. */
static void mmio_config_read(struct virtio_device *d, u32 offset, void *to, u32 bytes)
{
    volatile u8 *registers = mmio_of(d)->registers;
    u8 *out = to;
    while (bytes > 0) {
        if (offset % 4 == 0 && bytes >= 4) {
            u32 word = mmio_read(registers, MMIO_CONFIG + offset);
            memcpy(out, &word, 4);
            offset += 4, out += 4, bytes -= 4;
        } else {
            *out++ = registers[MMIO_CONFIG + offset++];
            bytes--;
        }
    }
}

static u32 mmio_config_generation(struct virtio_device *d)
{
    return d->legacy ? 0 : mmio_read(mmio_of(d)->registers, MMIO_CONFIG_GENERATION);
}

static const struct virtio_transport mmio_transport = {
    .features = mmio_features,
    .accept = mmio_accept,
    .status_read = mmio_status_read,
    .status_write = mmio_status_write,
    .queue_most = mmio_queue_most,
    .queue_start = mmio_queue_start,
    .notify = mmio_notify,
    .acknowledge = mmio_acknowledge,
    .config_read = mmio_config_read,
    .config_generation = mmio_config_generation,
};

/* --- finding the devices ---------------------------------------------------------------------- */

closure_method(thunk, mmio_interrupt, struct mmio_device, interrupt)
{
    struct mmio_device *m = owner();
    virtio_interrupt(&m->device);
}

/* A decimal or 0x number with an optional K or M; *text is moved behind it.  False: none there. */
static bool number_read(const char **text, u64 *number)
{
    const char *t = *text;
    u64 base = 10, value = 0;
    if (t[0] == '0' && t[1] == 'x') {
        base = 16;
        t += 2;
    }
    const char *first = t;
    for (;; t++) {
        u64 digit = (u8)(*t - '0');
        if (digit > 9)
            digit = *t >= 'a' && *t <= 'f' ? (u64)(*t - 'a') + 10 : 16;
        if (digit >= base || value >> 58)
            break;
        value = value * base + digit;
    }
    if (t == first)
        return false;
    if (*t == 'K' || *t == 'M')
        value <<= *t++ == 'K' ? 10 : 20;
    *number = value;
    *text = t;
    return true;
}

struct mmio_place {
    u64 bytes, address, irq;
};

static bool place_sound(const struct mmio_place *p)
{
    return p->bytes > MMIO_CONFIG && p->bytes <= PAGE_BYTES && p->address % 4 == 0 && p->irq < 1024;
}

static bool place_read(const char *text, struct mmio_place *p)
{
    return number_read(&text, &p->bytes) && *text++ == '@' && number_read(&text, &p->address) &&
           *text++ == ':' && number_read(&text, &p->irq) && (*text == 0 || *text == ':') &&
           place_sound(p);
}

static status mmio_interrupt_start(struct mmio_device *m, u32 irq)
{
    u8 vector;
    init_method(&m->interrupt, mmio_interrupt);
    status s = interrupt_allocate(&m->interrupt, "virtio-mmio", &vector);
    return is_ok(s) ? interrupt_route(irq, vector, false, false) : s;
}

/* True when a device is there, and of a kind and version that we know. */
static bool mmio_probe(volatile u8 *registers, u32 *version, u32 *id)
{
    if (mmio_read(registers, MMIO_MAGIC) != MMIO_MAGIC_VALUE)
        return false;
    *version = mmio_read(registers, MMIO_VERSION);
    *id = mmio_read(registers, MMIO_DEVICE_ID);
    return (*version == 1 || *version == 2) && *id != 0;
}

static void mmio_start(const struct mmio_place *p, const struct device_users *users)
{
    volatile u8 *registers = device_map(physical_at(p->address), p->bytes);
    u32 version, id;
    if (!registers || !mmio_probe(registers, &version, &id)) {
        log_info("virtio-mmio: no device at %llx", (unsigned long long)p->address);
        return;
    }
    struct mmio_device *m = allocate_zero(general_heap, sizeof(*m));
    if (!m) {
        log_error("virtio-mmio: no memory for the device at %llx", (unsigned long long)p->address);
        return;
    }
    m->registers = registers;
    m->device.transport = &mmio_transport;
    m->device.id = id;
    m->device.legacy = version == 1;
    m->device.ring_alignment = MMIO_RING_ALIGNMENT;
    status s = mmio_interrupt_start(m, (u32)p->irq);
    if (!is_ok(s)) {
        log_error("virtio-mmio at %llx: no interrupt: %s", (unsigned long long)p->address,
                  status_text(s));
        return;
    }
    char place[24];
    format_text(place, sizeof(place), "mmio %llx", (unsigned long long)p->address);
    virtio_attach(&m->device, place, users);
}

/* QEMU's microvm names its devices on the command line only when it has no ACPI tables. */
static void acpi_devices_start(const struct device_users *users)
{
    struct acpi_virtio device;
    for (u32 i = 0; i < MMIO_DEVICES_MOST && acpi_virtio(i, &device); i++) {
        struct mmio_place p = {device.bytes, device.base, device.gsi};
        if (place_sound(&p))
            mmio_start(&p, users);
        else
            log_warning("ACPI describes a virtio-mmio device that cannot be, at %llx",
                        (unsigned long long)device.base);
    }
}

void virtio_mmio_start(const struct device_users *users)
{
    const char *text;
    if (!boot_option("virtio_mmio.device"))
        acpi_devices_start(users);
    for (u32 i = 0; i < MMIO_DEVICES_MOST && (text = boot_option_at("virtio_mmio.device", i));
         i++) {
        struct mmio_place p;
        if (place_read(text, &p))
            mmio_start(&p, users);
        else
            log_warning("virtio_mmio.device=%s is not SIZE@ADDRESS:IRQ", text);
    }
}
