/* PCI: finding functions, their base addresses, capabilities and interrupts.

   The firmware has given out buses and addresses; we read them.  Configuration goes through the
   ports 0xcf8/0xcfc where they answer, and through the memory window of the MCFG table where they
   do not; the first 256 bytes are enough for both.  Callers: drivers of PCI devices. */
#pragma once

#include "drivers/drivers.h"
#include "runtime/closure.h"
#include "runtime/types.h"

struct pci_function {
    u8 bus, slot, function;
    u16 vendor, device;
};

/* PCI Local Bus 3.0, 6.1 */
enum pci_register {
    PCI_VENDOR = 0x00,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_SECONDARY_BUS = 0x19,
    PCI_HEADER_TYPE = 0x0e,
    PCI_CLASS = 0x08,
    PCI_BAR0 = 0x10,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
};

#define PCI_COMMAND_PORTS     1
#define PCI_COMMAND_MEMORY    2
#define PCI_COMMAND_MASTER    4
#define PCI_COMMAND_NO_INTX   0x400
#define PCI_CAPABILITY_MSIX   0x11
#define PCI_CAPABILITY_VENDOR 0x09
#define PCI_BARS              6

/* Enumerates all buses and starts a driver for each function that has one. */
void pci_start(const struct device_users *users);

u8 pci_read8(const struct pci_function *f, u8 offset);
u16 pci_read16(const struct pci_function *f, u8 offset);
u32 pci_read32(const struct pci_function *f, u8 offset);
void pci_write16(const struct pci_function *f, u8 offset, u16 value);

/* The next capability of a kind after the one at `after` (0: the first); 0: there is none. */
u8 pci_capability(const struct pci_function *f, u8 kind, u8 after);

/* The physical address of a memory BAR, 32 or 64 bits wide; 0: an I/O one, or not given out. */
u64 pci_bar(const struct pci_function *f, u8 bar);

/* Routes the function's interrupt to `handler`: entry 0 of its MSI-X table, or its legacy pin.
   `handler` is applied in interrupt context; a legacy line may be shared, so it looks whether its
   device was meant. */
status pci_interrupt(const struct pci_function *f, thunk handler, bool *msix);
/* A further one, entry `entry` of the MSI-X table, behind a pci_interrupt that found one.  ENOSPC:
   the function has no such entry, or there is no vector left. */
status pci_interrupt_further(const struct pci_function *f, u16 entry, thunk handler);
/* The I/O port of a BAR; 0: it is one of memory, or not given out. */
u16 pci_ports(const struct pci_function *f, u8 bar);
