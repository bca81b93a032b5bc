/* Where interrupts come in: while the run loop idles (cpu_idle, msr.h), and here, for a loop that
   never gets to idle because its closures queue each other, and for system calls that take long. */
#pragma once

static inline void cpu_interrupts_admit(void)
{
    /* STI takes effect after the instruction that follows it. */
    asm volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
}
