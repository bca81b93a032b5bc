/* The IDT, and the first C function of every trap.

   Called by kernel/x86/traps.asm; the rules are in kernel/x86/interrupts.h. */
#include "kernel/x86/exceptions.h"
#include "kernel/x86/gdt.h"
#include "kernel/x86/interrupts.h"
#include "kernel/x86/msr.h"

#define VECTORS    256
#define STUB_BYTES 16 /* traps.asm */

#define GATE_INTERRUPT 0x8e /* present, 64-bit, interrupts off */
#define GATE_USER      0x60 /* INT of user mode may go through it */

/* Intel SDM 3A, 6.14.1 */
struct gate {
    u16 offset_low, selector;
    u8 ist, type;
    u16 offset_middle;
    u32 offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "a gate as the CPU reads it");

extern const char trap_stubs[];

static struct gate idt[VECTORS] __attribute__((aligned(16)));

static u8 ist_of(u32 vector)
{
    switch (vector) {
    case VECTOR_DOUBLE_FAULT:
        return IST_DOUBLE_FAULT;
    case VECTOR_NMI:
        return IST_NMI;
    case VECTOR_MACHINE_CHECK:
        return IST_MACHINE_CHECK;
    default:
        return 0;
    }
}

void traps_init(void)
{
    for (u32 vector = 0; vector < VECTORS; vector++) {
        u64 stub = (u64)trap_stubs + vector * STUB_BYTES;
        bool user = vector == VECTOR_BREAKPOINT || vector == VECTOR_OVERFLOW;
        idt[vector] = (struct gate){
            .offset_low = (u16)stub,
            .selector = SELECTOR_KERNEL_CODE,
            .ist = ist_of(vector),
            .type = GATE_INTERRUPT | (user ? GATE_USER : 0),
            .offset_middle = (u16)(stub >> 16),
            .offset_high = (u32)(stub >> 32),
        };
    }
    traps_load();
}

void traps_load(void)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) pointer = {sizeof(idt) - 1, (u64)idt};
    asm volatile("lidt %0" : : "m"(pointer));
}

/* An interrupt that came between STI and HLT would be slept over: its handler only leaves work
   behind, and the run loop has looked for work already.  Processors do not let one in there, but
   after an NMI they may, and QEMU's translator (7.2) does, about once in ten thousand times.  So
   whoever is to go back to a HLT goes on behind it.  In the kernel interrupts are on in front of
   that one HLT alone. */
static void halt_skip(struct trap_frame *frame)
{
    static const u8 halt = 0xf4;
    if (!trap_from_user(frame) && *(const u8 *)frame->rip == halt)
        frame->rip++;
}

void trap_dispatch(struct trap_frame *frame)
{
    /* A program may set AC, and copy_in may have: the kernel's protection is back on before
       anything else runs. */
    if (cpu_features.smap)
        cpu_clac();
    if (frame->vector >= VECTOR_FIRST_INTERRUPT) {
        halt_skip(frame);
        interrupt_dispatch((u8)frame->vector, frame);
    } else {
        exception_dispatch(frame);
    }
}
