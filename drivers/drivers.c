/* Starting all devices: first those of the command line, then those of PCI; and what the program's
   streams go over where none of them is a console.  Caller: kernel/init.c. */
#include "drivers/drivers.h"
#include "drivers/console_carrier.h"
#include "drivers/pci.h"
#include "drivers/virtio.h"

void drivers_start(block_attach block, net_attach net)
{
    const struct device_users users = {block, net};
    console_init();
    virtio_mmio_start(&users);
    pci_start(&users);
    if (virtio_console_expected())
        return;
    const struct console_carrier *serial = serial_carrier();
    console_lock();
    console_carry_rest(serial);
    console_unlock();
}
