/* virtio-mmio devices that ACPI describes: QEMU's microvm with its tables on, Arm-like machines.

   AML is not interpreted.  The DSDT is scanned for the hardware identity LNRO0005 (virtio 1.2,
   4.2.2 names no other way for ACPI), and from there for the memory and the interrupt descriptor of
   the device's resources, by their encodings (ACPI 6.4, 6.4.3.4 and 6.4.3.6).  Only on machines
   with reduced hardware: elsewhere such devices are on PCI, and the scan would cost what boot
   saves. */
#include "kernel/acpi.h"
#include "kernel/acpi_tables.h"
#include "runtime/memory.h"

#define FADT_HARDWARE_REDUCED (1u << 20)

#define VIRTIO_IDENTITY       "LNRO0005"
#define VIRTIO_IDENTITY_BYTES 9   /* terminator included */
#define RESOURCES_MOST        128 /* bytes behind the identity in which the resources stand */

/* A large resource item: its tag, the length of its body in two bytes, the body. */
enum {
    MEMORY32_FIXED = 0x86,
    MEMORY32_BYTES = 9, /* body: read-write flag, base, length */
    INTERRUPT = 0x89,
    INTERRUPT_BYTES = 6, /* body, with one interrupt: flags, count, number */
};

static u32 read_u32(const u8 *at)
{
    return at[0] | (u32)at[1] << 8 | (u32)at[2] << 16 | (u32)at[3] << 24;
}

/* The body of the first item `tag` with a body of `body_bytes` in [at, end); NULL: there is none.
 */
static const u8 *item_find(const u8 *at, const u8 *end, u8 tag, u32 body_bytes)
{
    for (; end - at >= (s64)(3 + body_bytes); at++)
        if (at[0] == tag && at[1] == body_bytes && at[2] == 0)
            return at + 3;
    return NULL;
}

static bool device_read(const u8 *at, const u8 *end, struct acpi_virtio *device)
{
    end = min(end, at + RESOURCES_MOST);
    const u8 *memory = item_find(at, end, MEMORY32_FIXED, MEMORY32_BYTES);
    const u8 *interrupt = item_find(at, end, INTERRUPT, INTERRUPT_BYTES);
    if (!memory || !interrupt || interrupt[1] != 1)
        return false;
    device->base = read_u32(memory + 1);
    device->bytes = read_u32(memory + 5);
    device->gsi = read_u32(interrupt + 2);
    return true;
}

bool acpi_virtio(u32 index, struct acpi_virtio *device)
{
    u32 bytes;
    const struct acpi_fadt *fadt = acpi_table("FACP", &bytes);
    if (!fadt || bytes < offsetof(struct acpi_fadt, reset) ||
        !(fadt->flags & FADT_HARDWARE_REDUCED))
        return false;
    const u8 *dsdt = acpi_table("DSDT", &bytes);
    for (u32 i = sizeof(struct acpi_header); dsdt && i + VIRTIO_IDENTITY_BYTES <= bytes; i++)
        if (dsdt[i] == 'L' && memcmp(dsdt + i, VIRTIO_IDENTITY, VIRTIO_IDENTITY_BYTES) == 0 &&
            device_read(dsdt + i + VIRTIO_IDENTITY_BYTES, dsdt + bytes, device) && index-- == 0)
            return true;
    return false;
}
