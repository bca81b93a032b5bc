/* The IO-APICs.  See kernel/x86/ioapic.h. */
#include "kernel/x86/ioapic.h"

#include "kernel/acpi.h"
#include "kernel/page_table.h"
#include "kernel/x86/cpu.h"

#define IOAPICS_MOST 8 /* further ones are not used: their gsi count as absent */

enum { /* 82093AA, 3.2 */
       IOAPIC_VERSION = 1,
       IOAPIC_ENTRIES = 0x10,
};

#define ENTRY_NMI        (4u << 8)
#define ENTRY_MASKED     (1u << 16)
#define ENTRY_LEVEL      (1u << 15)
#define ENTRY_ACTIVE_LOW (1u << 13)

static struct ioapic {
    volatile u32 *registers; /* select at 0, window at 0x10 */
    u32 gsi_base, gsi_count;
} ioapics[IOAPICS_MOST];
static u32 ioapic_count;
static bool searched;

static u32 ioapic_read(struct ioapic *io, u32 at)
{
    io->registers[0] = at;
    return io->registers[4];
}

static void ioapic_write(struct ioapic *io, u32 at, u32 value)
{
    io->registers[0] = at;
    io->registers[4] = value;
}

static void ioapic_add(physical registers, u32 gsi_base)
{
    struct ioapic *io = &ioapics[ioapic_count];
    if (ioapic_count == IOAPICS_MOST || !(io->registers = device_map(registers, PAGE_BYTES)))
        return;
    u32 version = ioapic_read(io, IOAPIC_VERSION);
    if (version == ~0u) /* nothing answers there */
        return;
    io->gsi_base = gsi_base;
    io->gsi_count = (version >> 16 & 0xff) + 1;
    ioapic_count++;
    /* Whatever the firmware routed goes to vectors that are ours now. */
    for (u32 i = 0; i < io->gsi_count; i++)
        ioapic_write(io, IOAPIC_ENTRIES + 2 * i, ENTRY_MASKED);
}

static void ioapics_search(void)
{
    physical registers;
    u32 gsi_base;
    searched = true;
    for (u32 i = 0; i < IOAPICS_MOST && acpi_io_apic(i, &registers, &gsi_base); i++)
        ioapic_add(registers, gsi_base);
    if (ioapic_count)
        return;
    /* No table: where every PC has the first, and where QEMU's microvm has the second. */
    ioapic_add(physical_at(0xfec00000), 0);
    ioapic_add(physical_at(0xfec10000), 24);
}

static struct ioapic *ioapic_of(u32 gsi)
{
    if (!searched)
        ioapics_search();
    for (u32 i = 0; i < ioapic_count; i++)
        if (gsi - ioapics[i].gsi_base < ioapics[i].gsi_count)
            return &ioapics[i];
    return NULL;
}

static bool entry_set(u32 gsi, u32 entry)
{
    struct ioapic *io = ioapic_of(gsi);
    if (!io)
        return false;
    u32 at = IOAPIC_ENTRIES + 2 * (gsi - io->gsi_base);
    ioapic_write(io, at, ENTRY_MASKED);
    ioapic_write(io, at + 1, this_cpu()->apic_id << 24);
    ioapic_write(io, at, entry);
    return true;
}

bool ioapic_route(u32 gsi, u8 vector, bool level_triggered, bool active_low)
{
    return entry_set(gsi, vector | (level_triggered ? ENTRY_LEVEL : 0) |
                              (active_low ? ENTRY_ACTIVE_LOW : 0));
}

bool ioapic_route_nmi(u32 gsi)
{
    return entry_set(gsi, ENTRY_NMI);
}

void ioapic_mask(u32 gsi, bool masked)
{
    struct ioapic *io = ioapic_of(gsi);
    if (!io)
        return;
    u32 at = IOAPIC_ENTRIES + 2 * (gsi - io->gsi_base);
    u32 entry = ioapic_read(io, at) & ~ENTRY_MASKED;
    ioapic_write(io, at, entry | (masked ? ENTRY_MASKED : 0));
}
