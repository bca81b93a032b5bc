/* The processors: how many there are, and which one this is.  kernel/x86/smp.c starts them. */
#pragma once

#include "runtime/types.h"

#define CPUS_MOST 64 /* so that a set of them is a u64, bit n for CPU n */

/* CPUs that run a run loop by now, the boot CPU (0) included.  Numbers are dense: one that did not
   start has none.  Only grows, during the start of the machine. */
u32 cpus_online(void);

/* The CPU that this code runs on. */
u32 cpu_number(void);

/* Starts the application processors that ACPI's MADT names, as many as `most` and CPUS_MOST allow
   (the boot option cpus= lowers it).  Returns when each runs its run loop or was given up; one that
   does not start is reported and left out.  Once, on the boot CPU, after the run loop is made. */
void cpus_start(u32 most);

/* Asks another CPU to look at its queues: it leaves user mode or its halt.  In order with what was
   written before.  Costs an interrupt, so callers find out first whether it is needed. */
void cpu_wake(u32 number);

/* What the other CPUs are told by a panic: stop, for ever.  Bounded: a CPU that does not answer
   within 100 ms is left alone. */
void cpus_stop(void);
