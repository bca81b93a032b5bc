/* Interrupts of devices: vectors, and the two ways to raise them (MSI-X, IO-APIC). */
#pragma once

#include "runtime/closure.h"
#include "runtime/status.h"

/* `handler` is applied in interrupt context, interrupts off, whenever the vector fires; it leaves
   a bottom half (kernel/run_loop.h) and returns.  The end-of-interrupt is given by the caller.
   ENOSPC when all vectors are taken.  The vector is never given back. */
status interrupt_allocate(thunk handler, const char *name, u8 *vector);

/* Routes global system interrupt `gsi` (ACPI numbering) to `vector`.  ENODEV: no IO-APIC has it. */
status interrupt_route(u32 gsi, u8 vector, bool level_triggered, bool active_low);

/* Masks or unmasks a routed gsi. */
void interrupt_mask(u32 gsi, bool masked);

/* What to write into an MSI or MSI-X entry for this CPU (Intel SDM 3A, 11.11). */
struct msi_message {
    u64 address;
    u32 data;
};
struct msi_message interrupt_message(u8 vector);
