/* PCI configuration and enumeration.  drivers/pci.h says what is relied on.

   Buses are visited from 0 on; a bridge adds its secondary bus when that is higher than its own, so
   a bridge that lies cannot make a circle.  Every walk is bounded by the numbers of PCI itself. */
#include "drivers/pci.h"
#include "drivers/virtio.h"
#include "kernel/acpi.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/page_table.h"
#include "runtime/format.h"

#define PCI_ADDRESS_PORT 0xcf8
#define PCI_DATA_PORT    0xcfc
#define PCI_ENABLE       0x80000000u

#define PCI_BUSES             256
#define PCI_SLOTS             32
#define PCI_FUNCTIONS         8
#define PCI_CAPABILITIES_MOST 48 /* what fits into 256 bytes */
#define PCI_BUS_WINDOW        (1ull << 20)

#define PCI_NOBODY          0xffff
#define PCI_MULTIFUNCTION   0x80
#define PCI_HEADER_KIND     0x7f
#define PCI_HEADER_BRIDGE   1
#define PCI_STATUS_HAS_LIST 0x10

#define VENDOR_VIRTIO       0x1af4
#define DEVICE_VIRTIO_FIRST 0x1000
#define DEVICE_VIRTIO_LAST  0x107f

static struct pci {
    bool by_ports;
    u64 window; /* physical base of bus 0 */
    u8 first_bus, last_bus;
    volatile u8 *mapped[PCI_BUSES];
    u8 found[PCI_BUSES / 8];
} pci;

/* --- configuration ---------------------------------------------------------------------------- */

static volatile u8 *window_of(const struct pci_function *f)
{
    if (f->bus < pci.first_bus || f->bus > pci.last_bus)
        return NULL;
    if (!pci.mapped[f->bus])
        pci.mapped[f->bus] =
            device_map(physical_at(pci.window + f->bus * PCI_BUS_WINDOW), PCI_BUS_WINDOW);
    if (!pci.mapped[f->bus])
        return NULL;
    return pci.mapped[f->bus] + ((u32)f->slot << 15) + ((u32)f->function << 12);
}

static void port_select(const struct pci_function *f, u8 offset)
{
    port_write32(PCI_ADDRESS_PORT, PCI_ENABLE | (u32)f->bus << 16 | (u32)f->slot << 11 |
                                       (u32)f->function << 8 | (offset & 0xfcu));
}

u32 pci_read32(const struct pci_function *f, u8 offset)
{
    if (!pci.by_ports) {
        volatile u8 *window = window_of(f);
        return window ? *(volatile u32 *)(window + (offset & 0xfc)) : 0xffffffff;
    }
    port_select(f, offset);
    return port_read32(PCI_DATA_PORT);
}

u16 pci_read16(const struct pci_function *f, u8 offset)
{
    return (u16)(pci_read32(f, offset) >> (8 * (offset & 2)));
}

u8 pci_read8(const struct pci_function *f, u8 offset)
{
    return (u8)(pci_read32(f, offset) >> (8 * (offset & 3)));
}

void pci_write16(const struct pci_function *f, u8 offset, u16 value)
{
    if (!pci.by_ports) {
        volatile u8 *window = window_of(f);
        if (window)
            *(volatile u16 *)(window + offset) = value;
        return;
    }
    port_select(f, offset);
    port_write16(PCI_DATA_PORT + (offset & 2), value);
}

u64 pci_bar(const struct pci_function *f, u8 bar)
{
    if (bar >= PCI_BARS)
        return 0;
    u8 offset = (u8)(PCI_BAR0 + 4 * bar);
    u32 low = pci_read32(f, offset);
    if (low & 1)
        return 0;
    u64 address = low & ~15u;
    if ((low & 6) == 4 && bar + 1 < PCI_BARS)
        address |= (u64)pci_read32(f, offset + 4) << 32;
    return address;
}

u16 pci_ports(const struct pci_function *f, u8 bar)
{
    u32 low = bar < PCI_BARS ? pci_read32(f, (u8)(PCI_BAR0 + 4 * bar)) : 0;
    return low & 1 && low >> 16 == 0 ? (u16)(low & ~3u) : 0;
}

u8 pci_capability(const struct pci_function *f, u8 kind, u8 after)
{
    if (after == 0 && !(pci_read16(f, PCI_STATUS) & PCI_STATUS_HAS_LIST))
        return 0;
    u8 at = pci_read8(f, after ? after + 1 : PCI_CAPABILITIES) & 0xfc;
    for (u32 i = 0; i < PCI_CAPABILITIES_MOST && at >= 0x40; i++) {
        u32 head = pci_read32(f, at);
        if ((u8)head == kind)
            return at;
        at = (u8)(head >> 8) & 0xfc;
    }
    return 0;
}

/* --- enumeration ------------------------------------------------------------------------------ */

/* The ids alone choose the driver. */
static void function_start(const struct pci_function *f, const struct device_users *users)
{
    if (f->vendor == VENDOR_VIRTIO && f->device >= DEVICE_VIRTIO_FIRST &&
        f->device <= DEVICE_VIRTIO_LAST)
        virtio_pci_start(f, users);
}

static void bridge_note(const struct pci_function *f)
{
    u8 behind = pci_read8(f, PCI_SECONDARY_BUS);
    if (behind > f->bus)
        pci.found[behind / 8] |= (u8)(1u << behind % 8);
}

/* Returns whether the slot has further functions; false when nothing is there. */
static bool function_probe(struct pci_function *f, const struct device_users *users)
{
    u32 ids = pci_read32(f, PCI_VENDOR);
    f->vendor = (u16)ids;
    f->device = (u16)(ids >> 16);
    if (f->vendor == PCI_NOBODY || f->vendor == 0)
        return false;
    u8 header = pci_read8(f, PCI_HEADER_TYPE);
    if ((header & PCI_HEADER_KIND) == PCI_HEADER_BRIDGE)
        bridge_note(f);
    else
        function_start(f, users);
    return header & PCI_MULTIFUNCTION;
}

static void bus_start(u8 bus, const struct device_users *users)
{
    for (u8 slot = 0; slot < PCI_SLOTS; slot++) {
        struct pci_function f = {.bus = bus, .slot = slot};
        if (!function_probe(&f, users))
            continue;
        for (f.function = 1; f.function < PCI_FUNCTIONS; f.function++)
            function_probe(&f, users);
    }
}

/* Whether the address register keeps what is written to it: PCI Local Bus 3.0, 3.2.2.3.2. */
static bool ports_answer(void)
{
    port_write32(PCI_ADDRESS_PORT, PCI_ENABLE);
    return port_read32(PCI_ADDRESS_PORT) == PCI_ENABLE;
}

void pci_start(const struct device_users *users)
{
    physical window;
    pci.by_ports = ports_answer();
    if (!pci.by_ports) {
        if (!acpi_pci_window(&window, &pci.first_bus, &pci.last_bus))
            return;
        pci.window = window.bits;
    }
    pci.found[0] = 1;
    for (u32 bus = 0; bus < PCI_BUSES; bus++)
        if (pci.found[bus / 8] & 1u << bus % 8)
            bus_start((u8)bus, users);
}
