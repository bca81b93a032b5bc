/* The IO-APICs: which global system interrupt raises which vector.  Intel 82093AA datasheet. */
#pragma once

#include "runtime/types.h"

/* False: no IO-APIC has that gsi.  The first call looks for the IO-APICs. */
bool ioapic_route(u32 gsi, u8 vector, bool level_triggered, bool active_low);
/* The same, as a non-maskable interrupt, on the CPU that calls. */
bool ioapic_route_nmi(u32 gsi);
void ioapic_mask(u32 gsi, bool masked);
