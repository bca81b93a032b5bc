/* The tables of the MultiProcessor Specification 1.4: how firmware names the processors where there
   is no ACPI, as on QEMU's microvm. */
#pragma once

#include "runtime/types.h"

/* The processors that are enabled, by their local APICs' numbers: the first `most` of them into
   apic_ids.  Returns how many there are, 0 when there is no sound table. */
u32 mp_processors(u32 *apic_ids, u32 most);
