/* Non-maskable interrupts: the watchdog's tick, a CPU that asks another what it is doing, and
   somebody outside who asks the machine.  They come at any instruction, so what handles them takes
   no lock but by trying, and believes nothing that it reads half-written.

   Callers: kernel/x86/exceptions.c hands them over; kernel/census.c looks; kernel/watchdog.c has
   the tick. */
#pragma once

#include "runtime/types.h"

struct trap_frame;

void nmi_handle(const struct trap_frame *frame);

#define CPU_FRAMES_MOST 16

/* What a CPU is doing. */
struct cpu_seen {
    bool answered; /* false: it did not within 100 ms, and the rest says nothing */
    bool user;     /* in user mode */
    bool halted;
    u32 frames; /* one in user mode, at rip[0] */
    u64 rip[CPU_FRAMES_MOST];
};

/* Asks CPU `number`, which answers from its own NMI handler.  One question at a time: the caller
   holds the census, or is the watchdog's tick. */
void cpu_look(u32 number, struct cpu_seen *seen);

/* --- the tick ---------------------------------------------------------------------------------
   The 8254's first counter, run once for each tick, raises an NMI on the boot CPU through the
   IO-APIC.  So a CPU that runs with interrupts off is reached too, and no tick is on its way
   unless one was asked for. */
#define NMI_TICKS_A_SECOND 18

/* Looks for the counter and routes it; false: there is none.  A tick may come from here on, and
   nmi_tick_start makes sure that one does. */
bool nmi_tick_init(void);
void nmi_tick_start(void);
/* In an NMI on the boot CPU: it is this tick. */
bool nmi_tick_came(void);
