/* KVM's paravirtual clock (Linux, Documentation/virt/kvm/x86/msr.rst): asked once, for what it
 * knows. */
#pragma once

#include "runtime/types.h"

/* Nanoseconds for a tick of the TSC, 32 bits of fraction; 0: there is no such clock. */
u64 kvm_clock_rate(void);

/* Nanoseconds since 1970, now; 0: there is no such clock. */
u64 kvm_clock_wall_ns(void);
