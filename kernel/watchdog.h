/* The watchdog: names what a CPU does not come back from.  A closure, a system call or a fault of
   user mode that has kept a CPU in the kernel for longer than the boot option watchdog=SECONDS says
   (10; 0 turns it off) is one line with its name, its backtrace and a census, once; and the machine
   goes on.  User mode may run as long as it likes.

   It looks from an NMI, so it sees a CPU that has its interrupts off.  No tick runs in a machine
   that idles: the first CPU that wakes starts it, and it ends when all have halted again.  Needs an
   8254 and an IO-APIC; without them there is no watchdog, and log=info says so. */
#pragma once

#include "runtime/types.h"

/* Once, on the boot CPU, after the machine was brought up. */
void watchdog_start(void);

/* False: it was turned off, or this machine has nothing that could tick. */
bool watchdog_is_on(void);

/* This CPU comes out of its halt. */
void watchdog_woken(void);

/* The machine is ending with that status.  When it has not ended after 5 s: a census, and the next
   way to end. */
void watchdog_expect_end(u8 exit_status);

/* In an NMI on the boot CPU, which was in user mode or not.  False: it is none of the watchdog's.
 */
bool watchdog_tick(bool user);
