/* The ACPI tables that are read: RSDP, RSDT/XSDT, MADT, FADT, MCFG, and \_S5 for power off. */
#pragma once

#include "kernel/memory.h"
#include "runtime/status.h"

/* Where the loader found the root pointer (boot_info.rsdp); 0: it is searched for. */
void acpi_set_rsdp(u64 rsdp);

/* A checked table, mapped, by signature ("APIC", "FACP", "MCFG", "DSDT"); NULL when there is none
   or its length or checksum is wrong.  length_bytes includes the header. */
const void *acpi_table(const char signature[4], u32 *length_bytes);

/* PCI configuration by memory (MCFG): physical base for segment 0, and its first and last bus.
   False when there is no MCFG. */
bool acpi_pci_window(physical *base, u8 *first_bus, u8 *last_bus);

/* What routes a PCI interrupt pin without an interpreter: the gsi for q35/pc slots (PCI interrupt
   line register plus MADT overrides).  */
u32 acpi_gsi_of_isa(u8 isa_irq, bool *level_triggered, bool *active_low);

/* The n-th IO-APIC: its registers and its first gsi.  False past the last, or with no table. */
bool acpi_io_apic(u32 index, physical *registers, u32 *gsi_base);

/* The processors of the MADT that are enabled, by their local APICs' numbers: the first `most` of
   them into apic_ids.  Returns how many there are, 0 with no table.  One that is named both as
   local APIC and as x2APIC counts twice. */
u32 acpi_processors(u32 *apic_ids, u32 most);

/* A virtio-mmio device that the DSDT describes: its registers (physical) and its interrupt. */
struct acpi_virtio {
    u64 base, bytes;
    u32 gsi;
};
/* The n-th of them; false past the last, and on machines without reduced hardware. */
bool acpi_virtio(u32 index, struct acpi_virtio *device);

/* Enters S5, or returns when there is no way to or it did not happen. */
void acpi_power_off(void);

/* Writes FADT's reset register; returns when there is none or it did not happen. */
void acpi_reset(void);
