/* Interrupts of PCI functions: MSI-X where there is a vector for it, the legacy pin where not.

   A pin is routed by what the firmware left in the interrupt-line register, an ISA number, through
   the MADT's overrides.  Several functions may share it: then one vector serves a list of them. */
#include "drivers/pci.h"
#include "kernel/acpi.h"
#include "kernel/interrupt.h"
#include "kernel/memory.h"
#include "kernel/page_table.h"

/* PCI Local Bus 3.0, 6.8.2 */
#define MSIX_CONTROL        2
#define MSIX_TABLE          4
#define MSIX_CONTROL_ENABLE 0x8000
#define MSIX_CONTROL_MASKED 0x4000
#define MSIX_CONTROL_LAST   0x07ffu /* the number of the table's last entry */
#define MSIX_TABLE_BAR      7u

struct msix_entry {
    u32 address_low;
    u32 address_high;
    u32 data;
    u32 masked;
};
_Static_assert(sizeof(struct msix_entry) == 16, "PCI Local Bus 3.0, 6.8.2");

#define LINES_MOST 16 /* ISA numbers */
#define LINE_USERS 8

struct pci_line {
    struct thunk interrupt;
    bool routed;
    u32 user_count;
    thunk users[LINE_USERS];
};

static struct pci_line lines[LINES_MOST];

static status msix_start(const struct pci_function *f, u8 capability, u16 number, thunk handler)
{
    u8 vector;
    u32 table = pci_read32(f, capability + MSIX_TABLE);
    u64 bar = pci_bar(f, table & MSIX_TABLE_BAR);
    if (bar == 0)
        return status_error(ENXIO, "pci: the MSI-X table has no address", table);
    u64 at = bar + (table & ~MSIX_TABLE_BAR) + number * sizeof(struct msix_entry);
    volatile struct msix_entry *entry = device_map(physical_at(at), sizeof(*entry));
    if (!entry)
        return status_error(ENOMEM, "pci: no memory to map the MSI-X table", bar);
    status s = interrupt_allocate(handler, "pci-msix", &vector);
    if (!is_ok(s))
        return s;
    struct msi_message message = interrupt_message(vector);
    u16 control = pci_read16(f, capability + MSIX_CONTROL);
    /* Enabled but masked as a whole, while the entry is written. */
    pci_write16(f, capability + MSIX_CONTROL, control | MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASKED);
    entry->address_low = (u32)message.address;
    entry->address_high = (u32)(message.address >> 32);
    entry->data = message.data;
    entry->masked = 0;
    pci_write16(f, capability + MSIX_CONTROL,
                (u16)((control | MSIX_CONTROL_ENABLE) & ~MSIX_CONTROL_MASKED));
    return STATUS_OK;
}

closure_method(thunk, line_interrupt, struct pci_line, interrupt)
{
    struct pci_line *l = owner();
    for (u32 i = 0; i < l->user_count; i++)
        apply(l->users[i]);
}

static status line_route(struct pci_line *l, u8 line)
{
    bool level_triggered, active_low;
    u8 vector;
    u32 gsi = acpi_gsi_of_isa(line, &level_triggered, &active_low);
    init_method(&l->interrupt, line_interrupt);
    status s = interrupt_allocate(&l->interrupt, "pci-line", &vector);
    /* A pin of PCI is a level, whatever the table thinks of its ISA number; QEMU's and real
       chipsets' routers turn it into active high at the ISA numbers. */
    if (is_ok(s))
        s = interrupt_route(gsi, vector, true, active_low);
    l->routed = is_ok(s);
    return s;
}

static status line_start(const struct pci_function *f, thunk handler)
{
    u8 line = pci_read8(f, PCI_INTERRUPT_LINE);
    if (pci_read8(f, PCI_INTERRUPT_PIN) == 0 || line >= LINES_MOST)
        return status_error(ENODEV, "pci: the function has no interrupt line", line);
    struct pci_line *l = &lines[line];
    if (l->user_count == LINE_USERS)
        return status_error(ENOSPC, "pci: too many functions on an interrupt line", line);
    l->users[l->user_count++] = handler;
    return l->routed ? STATUS_OK : line_route(l, line);
}

status pci_interrupt(const struct pci_function *f, thunk handler, bool *msix)
{
    u8 capability = pci_capability(f, PCI_CAPABILITY_MSIX, 0);
    *msix = capability && is_ok(msix_start(f, capability, 0, handler));
    return *msix ? STATUS_OK : line_start(f, handler);
}

status pci_interrupt_further(const struct pci_function *f, u16 entry, thunk handler)
{
    u8 capability = pci_capability(f, PCI_CAPABILITY_MSIX, 0);
    if (!capability || entry > (pci_read16(f, capability + MSIX_CONTROL) & MSIX_CONTROL_LAST))
        return status_error(ENOSPC, "pci: the function has no such MSI-X entry", entry);
    return msix_start(f, capability, entry, handler);
}
