/* Traps and interrupts: the frame that the stubs push, and who handles what.

   Every vector enters kernel/x86/traps.asm, which saves all registers, makes GS the kernel's and
   calls trap_dispatch (traps.c).  Vectors below 32 are exceptions and handled in exceptions.c;
   those from user mode go to user_trap.  Vectors from 32 up go to interrupt_dispatch.  A handler
   that returns resumes what was interrupted, with the registers in the frame. */
#pragma once

#include "kernel/user.h"
#include "runtime/types.h"

/* As the stubs push it, lowest address first.  The last five are the CPU's. */
struct trap_frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8;
    u64 rbp, rdi, rsi, rdx, rcx, rbx, rax;
    u64 vector, error_code; /* error_code: 0 where the CPU pushes none */
    u64 rip, cs, rflags, rsp, ss;
};

enum exception_vector {
    VECTOR_DIVIDE = 0,
    VECTOR_DEBUG = 1,
    VECTOR_NMI = 2,
    VECTOR_BREAKPOINT = 3,
    VECTOR_OVERFLOW = 4,
    VECTOR_INVALID_OPCODE = 6,
    VECTOR_DOUBLE_FAULT = 8,
    VECTOR_GENERAL_PROTECTION = 13,
    VECTOR_PAGE_FAULT = 14,
    VECTOR_MACHINE_CHECK = 18,
    VECTOR_FIRST_INTERRUPT = 32,
};

#define PAGE_FAULT_PRESENT 1u /* error code bits, Intel SDM 3A, 4.7 */
#define PAGE_FAULT_WRITE   2u
#define PAGE_FAULT_USER    4u
#define PAGE_FAULT_FETCH   16u

static inline bool trap_from_user(const struct trap_frame *frame)
{
    return (frame->cs & 3) != 0;
}

/* Builds and loads the IDT.  Exceptions are reported from here on. */
void traps_init(void);
/* The same table for another CPU, on it. */
void traps_load(void);

/* --- implemented by the interrupt code (vectors) and the user mode code ----------------------- */

/* Vectors 32-255, end-of-interrupt included. */
void interrupt_dispatch(u8 vector, struct trap_frame *frame);

/* An exception of user mode: the frame's registers go to this CPU's user_frame, and the fault hook
   is called. */
void user_trap(struct trap_frame *frame, const struct user_fault *fault);

/* A page fault of copy_in/copy_out on a user address: user_hooks.copy_fault.  True: try again. */
bool user_copy_fault(u64 address, bool write);

/* --- fix-ups ---------------------------------------------------------------------------------- */

/* Instructions that may fault, from the first to the last, and where to go on when one did: an
   entry of the section .fixups, three signed 32-bit distances, each from its own field.  In NASM:
       section .fixups
       dd first - $
       dd last - $
       dd landing - $                                                                             */
struct fixup {
    s32 first;
    s32 last;
    s32 landing;
};

/* Where to go on after a fault at rip; 0 when that instruction must not fault. */
u64 exception_fixup(u64 rip);

/* --- exceptions of the kernel ----------------------------------------------------------------- */

/* Prints the registers and the backtrace, and ends the machine with status 255. */
__attribute__((noreturn)) void exception_panic(const struct trap_frame *frame, u64 address);
