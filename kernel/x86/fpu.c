/* The FPU's registers: the kernel does not use them, so they stay a thread's until another thread
   needs them.  XSAVE where the CPU has it, FXSAVE (x87 and SSE) where not.  Intel SDM 1, 13. */
#include "kernel/x86/cpu.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/user.h"
#include "runtime/memory.h"

#define XCR0_X87    (1u << 0)
#define XCR0_SSE    (1u << 1)
#define XCR0_AVX    (1u << 2)
#define XCR0_AVX512 (7u << 5)

#define FXSAVE_BYTES  512
#define FCW_INITIAL   0x37f  /* every exception masked, 64-bit precision */
#define MXCSR_INITIAL 0x1f80 /* every exception masked, round to nearest */

static struct {
    u32 components; /* of XCR0; 0: FXSAVE */
    u32 bytes;
} fpu; /* [I] after fpu_init */

static void xsetbv(u32 value)
{
    asm volatile("xsetbv" : : "c"(0), "a"(value), "d"(0));
}

void fpu_init(void)
{
    fpu.bytes = FXSAVE_BYTES;
    if (!cpu_features.xsave)
        return;
    u32 offered = cpuid(0xd, 0).eax;
    fpu.components = offered & (XCR0_X87 | XCR0_SSE | XCR0_AVX);
    /* The three AVX-512 components may only be set together, and with AVX. */
    if (fpu.components & XCR0_AVX && (offered & XCR0_AVX512) == XCR0_AVX512)
        fpu.components |= XCR0_AVX512;
    xsetbv(fpu.components);
    fpu.bytes = cpuid(0xd, 0).ebx;
}

u64 user_fpu_bytes(void)
{
    return align_up(fpu.bytes, 64);
}

void user_fpu_init(u8 *state)
{
    u16 control = FCW_INITIAL;
    u32 mxcsr = MXCSR_INITIAL;
    memset(state, 0, user_fpu_bytes());
    memcpy(state, &control, sizeof(control)); /* Intel SDM 1, table 10-2 */
    memcpy(state + 24, &mxcsr, sizeof(mxcsr));
}

void fpu_save(u8 *to)
{
    if (!fpu.components)
        asm volatile("fxsave64 (%0)" : : "r"(to) : "memory");
    else if (cpu_features.xsaveopt)
        asm volatile("xsaveopt64 (%0)" : : "r"(to), "a"(fpu.components), "d"(0) : "memory");
    else
        asm volatile("xsave64 (%0)" : : "r"(to), "a"(fpu.components), "d"(0) : "memory");
}

void fpu_load(const u8 *from)
{
    if (!fpu.components)
        asm volatile("fxrstor64 (%0)" : : "r"(from) : "memory");
    else
        asm volatile("xrstor64 (%0)" : : "r"(from), "a"(fpu.components), "d"(0) : "memory");
}
