/* Layouts of the ACPI tables that are read (ACPI specification 6.4), packed as firmware packs them.
 */
#pragma once

#include "runtime/types.h"

/* 5.2.5.3.  The checksum covers the bytes before `length`. */
struct acpi_rsdp {
    char signature[8];
    u8 checksum;
    char oem[6];
    u8 revision; /* 2: xsdt is there */
    u32 rsdt;
    u32 length;
    u64 xsdt;
    u8 extended_checksum;
    u8 reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 5.2.5.3");

/* 5.2.6 */
struct acpi_header {
    char signature[4];
    u32 length;
    u8 revision, checksum;
    char oem[6], oem_table[8];
    u32 oem_revision, creator, creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI 5.2.6");

/* 5.2.3.2 */
struct acpi_address {
    u8 space; /* 0: memory, 1: port */
    u8 bits, offset, access;
    u64 address;
} __attribute__((packed));

/* 5.2.9 */
struct acpi_fadt {
    struct acpi_header header;
    u32 facs, dsdt;
    u8 reserved, profile;
    u16 sci;
    u32 smi_command;
    u8 acpi_enable, acpi_disable, s4bios, pstate;
    u32 pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer;
    u32 gpe0, gpe1;
    u8 lengths[8]; /* of the blocks above, and the GPE base */
    u16 latencies[2], flush[2];
    u8 duty[2], alarm[2], century;
    u16 boot_flags;
    u8 reserved2;
    u32 flags; /* bit 20: hardware-reduced */
    struct acpi_address reset;
    u8 reset_value;
    u16 arm_flags;
    u8 minor;
    u64 x_facs, x_dsdt;
    struct acpi_address x_blocks[8];
    struct acpi_address sleep_control, sleep_status; /* of hardware-reduced machines */
} __attribute__((packed));
_Static_assert(offsetof(struct acpi_fadt, flags) == 112, "ACPI 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "ACPI 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "ACPI 5.2.9");

/* 5.2.12: followed by entries, each with its type and length. */
struct acpi_madt {
    struct acpi_header header;
    u32 local_apic;
    u32 flags;
} __attribute__((packed));

enum { MADT_LOCAL_APIC = 0, MADT_IO_APIC = 1, MADT_OVERRIDE = 2, MADT_LOCAL_X2APIC = 9 };

/* 5.2.12.2.1.  A CPU that may only be brought online later is not there yet. */
#define MADT_CPU_ENABLED        1u
#define MADT_CPU_ONLINE_CAPABLE 2u

struct acpi_madt_entry {
    u8 type, length;
    union {
        struct {
            u8 uid, id;
            u32 flags;
        } __attribute__((packed)) local_apic; /* 5.2.12.2 */
        struct {
            u16 reserved;
            u32 id, flags, uid;
        } __attribute__((packed)) local_x2apic; /* 5.2.12.12 */
        struct {
            u8 id, reserved;
            u32 address, gsi_base;
        } __attribute__((packed)) io_apic; /* 5.2.12.3 */
        struct {
            u8 bus, irq;
            u32 gsi;
            u16 flags;
        } __attribute__((packed)) override; /* 5.2.12.5 */
    };
} __attribute__((packed));

/* PCI firmware specification 3.2, 4.1.2: followed by allocations. */
struct acpi_mcfg {
    struct acpi_header header;
    u64 reserved;
    struct {
        u64 base;
        u16 segment;
        u8 first_bus, last_bus;
        u32 reserved;
    } __attribute__((packed)) windows[];
} __attribute__((packed));
