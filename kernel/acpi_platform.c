/* What the ACPI tables say about the machine: interrupts, PCI's configuration space, power off.
   See kernel/acpi.h.  AML is not interpreted; \_S5 alone is looked for by its encoding. */
#include "kernel/acpi.h"
#include "kernel/acpi_tables.h"
#include "kernel/machine.h"
#include "kernel/page_table.h"
#include "runtime/memory.h"

/* --- MADT ------------------------------------------------------------------------------------- */

/* The entry after `entry` (NULL: the first) that lies whole in the table; NULL at the end. */
static const struct acpi_madt_entry *madt_next(const struct acpi_madt *madt, u32 bytes,
                                               const struct acpi_madt_entry *entry)
{
    const char *end = (const char *)madt + bytes;
    const char *at = entry ? (const char *)entry + entry->length : (const char *)(madt + 1);
    const struct acpi_madt_entry *next = (const void *)at;
    if (end - at < 2 || next->length < 2 || next->length > end - at)
        return NULL;
    return next;
}

/* The n-th entry of a type that has at least the bytes its layout needs. */
static const struct acpi_madt_entry *madt_entry(u8 type, u32 index, u8 bytes_least)
{
    u32 bytes;
    const struct acpi_madt *madt = acpi_table("APIC", &bytes);
    if (!madt || bytes < sizeof(*madt))
        return NULL;
    const struct acpi_madt_entry *entry = NULL;
    while ((entry = madt_next(madt, bytes, entry)))
        if (entry->type == type && entry->length >= bytes_least && index-- == 0)
            return entry;
    return NULL;
}

bool acpi_io_apic(u32 index, physical *registers, u32 *gsi_base)
{
    const struct acpi_madt_entry *entry = madt_entry(MADT_IO_APIC, index, 12);
    if (!entry)
        return false;
    *registers = physical_at(entry->io_apic.address);
    *gsi_base = entry->io_apic.gsi_base;
    return true;
}

/* A processor that is only capable of coming online is not plugged in, whatever its other flag. */
static bool madt_processor(const struct acpi_madt_entry *entry, u32 *apic_id)
{
    u32 flags = 0;
    if (entry->type == MADT_LOCAL_APIC && entry->length >= 8) {
        *apic_id = entry->local_apic.id;
        flags = entry->local_apic.flags;
    } else if (entry->type == MADT_LOCAL_X2APIC && entry->length >= 16) {
        *apic_id = entry->local_x2apic.id;
        flags = entry->local_x2apic.flags;
    }
    return flags & MADT_CPU_ENABLED;
}

u32 acpi_processors(u32 *apic_ids, u32 most)
{
    u32 bytes, count = 0, id;
    const struct acpi_madt *madt = acpi_table("APIC", &bytes);
    if (!madt || bytes < sizeof(*madt))
        return 0;
    const struct acpi_madt_entry *entry = NULL;
    while ((entry = madt_next(madt, bytes, entry)))
        if (madt_processor(entry, &id) && count++ < most)
            apic_ids[count - 1] = id;
    return count;
}

u32 acpi_gsi_of_isa(u8 isa_irq, bool *level_triggered, bool *active_low)
{
    const struct acpi_madt_entry *entry;
    *level_triggered = *active_low = false;
    for (u32 i = 0; (entry = madt_entry(MADT_OVERRIDE, i, 10)); i++) {
        if (entry->override.irq != isa_irq)
            continue;
        *active_low = (entry->override.flags & 3) == 3;
        *level_triggered = (entry->override.flags >> 2 & 3) == 3;
        return entry->override.gsi;
    }
    return isa_irq;
}

/* --- MCFG ------------------------------------------------------------------------------------- */

bool acpi_pci_window(physical *base, u8 *first_bus, u8 *last_bus)
{
    u32 bytes;
    const struct acpi_mcfg *mcfg = acpi_table("MCFG", &bytes);
    if (!mcfg)
        return false;
    for (u32 i = 0; sizeof(*mcfg) + (i + 1) * sizeof(mcfg->windows[0]) <= bytes; i++) {
        if (mcfg->windows[i].segment != 0)
            continue;
        *base = physical_at(mcfg->windows[i].base);
        *first_bus = mcfg->windows[i].first_bus;
        *last_bus = mcfg->windows[i].last_bus;
        return true;
    }
    return false;
}

/* --- power off and reset ---------------------------------------------------------------------- */

enum { ADDRESS_MEMORY = 0, ADDRESS_PORT = 1 };

static void address_write8(const struct acpi_address *to, u8 value)
{
    if (to->space == ADDRESS_PORT) {
        port_write8((u16)to->address, value);
    } else if (to->space == ADDRESS_MEMORY) {
        volatile u8 *at = device_map(physical_at(to->address), 1);
        if (at)
            *at = value;
    }
}

/* 20.2: DefName is 08 '_S5_', the package 12, its length (whose first two bits tell how many
   bytes more it has), the number of elements; an element is 00, 01, or 0A and a byte. */
static bool s5_find(u8 *type_a, u8 *type_b)
{
    u32 bytes;
    const u8 *dsdt = acpi_table("DSDT", &bytes);
    for (u32 i = sizeof(struct acpi_header); dsdt && i + 16 <= bytes; i++) {
        if (dsdt[i] != '_' || memcmp(dsdt + i, "_S5_\x12", 5) != 0)
            continue;
        u8 types[2];
        u32 at = i + 5 + 1 + (dsdt[i + 5] >> 6) + 1;
        for (u32 n = 0; n < 2; n++) {
            if (at + 2 > bytes)
                return false;
            at += dsdt[at] == 0x0a;
            types[n] = dsdt[at++] & 7;
        }
        *type_a = types[0];
        *type_b = types[1];
        return true;
    }
    return false;
}

static const struct acpi_fadt *fadt_with(u64 bytes_least)
{
    u32 bytes;
    const struct acpi_fadt *fadt = acpi_table("FACP", &bytes);
    return fadt && bytes >= bytes_least ? fadt : NULL;
}

#define FADT_RESET_REGISTER   (1u << 10)
#define FADT_HARDWARE_REDUCED (1u << 20)
#define PM1_SCI_ENABLED       1u
#define PM1_SLEEP_ENABLE      (1u << 13)
#define SLEEP_CONTROL_ENABLE  (1u << 5)
#define ENABLE_TRIES          1000

static void acpi_mode_enter(const struct acpi_fadt *fadt)
{
    if (!fadt->smi_command || !fadt->acpi_enable)
        return;
    port_write8((u16)fadt->smi_command, fadt->acpi_enable);
    for (u32 i = 0; i < ENABLE_TRIES; i++)
        if (port_read16((u16)fadt->pm1a_control) & PM1_SCI_ENABLED)
            return;
}

void acpi_power_off(void)
{
    const struct acpi_fadt *fadt = fadt_with(offsetof(struct acpi_fadt, reset));
    u8 a, b;
    if (!fadt || !s5_find(&a, &b))
        return;
    if (fadt->flags & FADT_HARDWARE_REDUCED) { /* 4.8.3.7 */
        fadt = fadt_with(offsetof(struct acpi_fadt, sleep_status));
        if (fadt)
            address_write8(&fadt->sleep_control, (u8)(a << 2 | SLEEP_CONTROL_ENABLE));
        return;
    }
    if (!fadt->pm1a_control)
        return;
    if (!(port_read16((u16)fadt->pm1a_control) & PM1_SCI_ENABLED))
        acpi_mode_enter(fadt);
    port_write16((u16)fadt->pm1a_control, (u16)(a << 10 | PM1_SLEEP_ENABLE)); /* 4.8.3.2.1 */
    if (fadt->pm1b_control)
        port_write16((u16)fadt->pm1b_control, (u16)(b << 10 | PM1_SLEEP_ENABLE));
}

void acpi_reset(void)
{
    const struct acpi_fadt *fadt = fadt_with(offsetof(struct acpi_fadt, arm_flags));
    if (fadt && fadt->flags & FADT_RESET_REGISTER)
        address_write8(&fadt->reset, fadt->reset_value);
}
