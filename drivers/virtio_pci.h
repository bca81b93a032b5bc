/* Virtio over PCI: what the modern form (drivers/virtio_pci.c) and the legacy one
   (drivers/virtio_pci_legacy.c) share. */
#pragma once

#include "drivers/pci.h"
#include "drivers/virtio.h"

/* virtio 1.2, 4.1.4 */
enum virtio_structure { STRUCTURE_COMMON = 1, STRUCTURE_NOTIFY, STRUCTURE_ISR, STRUCTURE_DEVICE };
#define STRUCTURES (STRUCTURE_DEVICE + 1)

#define VIRTIO_NO_VECTOR     0xffff
#define VIRTIO_CONFIG_VECTOR 1 /* the entry of the MSI-X table; the queues have 0 */

struct pci_region {
    u8 bar;
    u32 offset;
    u32 bytes; /* 0: there is none */
    volatile u8 *mapped;
};

struct pci_device {
    struct virtio_device device;
    struct pci_function function;
    struct pci_region regions[STRUCTURES]; /* modern */
    volatile struct pci_common *common;    /* modern */
    u32 notify_multiplier;                 /* modern */
    u16 ports;                             /* legacy: the first of its registers */
    bool msix;
    u16 config_vector; /* VIRTIO_NO_VECTOR: its changes are not heard of */
    struct thunk interrupt;
    struct thunk config_interrupt;
};

static inline struct pci_device *pci_of(struct virtio_device *d)
{
    return container_of(d, struct pci_device, device);
}

/* Makes the device one of the legacy kind.  EOPNOTSUPP: it has no legacy registers either. */
status virtio_pci_legacy_prepare(struct pci_device *p);
/* The reasons for an interrupt (virtio 1.2, 4.1.4.5); reading them clears them. */
u8 virtio_pci_legacy_reasons(struct pci_device *p);
