/* What kernel/init.c calls to find and start devices. */
#pragma once

#include "kernel/net/device.h"
#include "runtime/block.h"
#include "runtime/closure.h"

/* Applied for every block device found, in bus order.  The device lives for ever. */
closure_type(block_attach, void, struct block_device *device);

/* Enumerates PCI (when there is one) and the virtio-mmio devices of the command line
   (virtio_mmio.device=SIZE@ADDRESS:IRQ, as QEMU's microvm gives them), and starts the drivers. */
void drivers_start(block_attach block, net_attach net);

/* The two of them, on their way through the buses to the drivers. */
struct device_users {
    block_attach block;
    net_attach net;
};

/* 16550 at an I/O port, polled for output: usable from the first instruction of C. */
void serial_init(u16 port);
void serial_write(const char *text, u64 bytes);
