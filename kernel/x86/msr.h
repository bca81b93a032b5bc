/* Model specific registers, control registers, CPUID and the few single instructions that C has no
   word for.  What the CPU offers is found once, at boot, in cpu_features. */
#pragma once

#include "runtime/types.h"

#define MSR_TSC             0x10
#define MSR_APIC_BASE       0x1b
#define MSR_TSC_DEADLINE    0x6e0
#define MSR_PAT             0x277
#define MSR_EFER            0xc0000080
#define MSR_STAR            0xc0000081
#define MSR_LSTAR           0xc0000082
#define MSR_CSTAR           0xc0000083
#define MSR_FMASK           0xc0000084
#define MSR_FS_BASE         0xc0000100
#define MSR_GS_BASE         0xc0000101
#define MSR_KERNEL_GS_BASE  0xc0000102
#define MSR_TSC_AUX         0xc0000103
#define MSR_KVM_SYSTEM_TIME 0x4b564d01
#define MSR_KVM_WALL_CLOCK  0x4b564d00
#define MSR_X2APIC          0x800 /* + register / 16 */

#define EFER_SYSCALL   (1ull << 0)
#define EFER_NX        (1ull << 11)
#define EFER_LONG_MODE (1ull << 8)

#define CR0_MP (1ull << 1)
#define CR0_EM (1ull << 2)
#define CR0_TS (1ull << 3)
#define CR0_NE (1ull << 5)
#define CR0_WP (1ull << 16)

#define CR4_TSD        (1ull << 2)
#define CR4_PGE        (1ull << 7)
#define CR4_OSFXSR     (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_UMIP       (1ull << 11)
#define CR4_FSGSBASE   (1ull << 16)
#define CR4_PCIDE      (1ull << 17)
#define CR4_OSXSAVE    (1ull << 18)
#define CR4_SMEP       (1ull << 20)
#define CR4_SMAP       (1ull << 21)

#define RFLAGS_TF     (1ull << 8)
#define RFLAGS_IF     (1ull << 9)
#define RFLAGS_DF     (1ull << 10)
#define RFLAGS_NT     (1ull << 14)
#define RFLAGS_AC     (1ull << 18)
#define RFLAGS_ALWAYS (1ull << 1)

struct cpuid_result {
    u32 eax, ebx, ecx, edx;
};

static inline struct cpuid_result cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid_result r;
    asm volatile("cpuid"
                 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                 : "a"(leaf), "c"(subleaf));
    return r;
}

/* What this machine's CPU has.  Set by cpu_features_detect, constant afterwards. */
struct cpu_features {
    bool nx, gigabyte_pages, global_pages, smep, smap, umip, pcid, invpcid;
    bool fsgsbase, rdtscp, tsc_invariant, tsc_deadline, x2apic;
    bool xsave, xsaveopt, xsavec, fxsr, avx, sse42, popcnt, erms, fsrm;
    bool rdrand, rdseed;
    bool hypervisor;    /* runs under one */
    bool emulated;      /* by QEMU, instruction by instruction (TCG) */
    u32 kvm_base;       /* first CPUID leaf of KVM's interface; 0: not KVM */
    u32 kvm_features;   /* EAX of kvm_base + 1 */
    u32 leaf_max;       /* highest basic leaf */
    u32 extended_max;   /* highest leaf of 0x80000000.. */
    u32 hypervisor_max; /* highest leaf of 0x40000000.., 0: none */
    u8 physical_bits;   /* width of a physical address */
};
extern struct cpu_features cpu_features;

void cpu_features_detect(void);

static inline u64 rdmsr(u32 msr)
{
    u32 low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64)high << 32 | low;
}

static inline void wrmsr(u32 msr, u64 value)
{
    asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

/* Not before what comes earlier in the program, another reading of it above all. */
static inline u64 rdtsc(void)
{
    u32 low, high;
    asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (u64)high << 32 | low;
}

#define CONTROL_REGISTER(name)                                                                     \
    static inline u64 read_##name(void)                                                            \
    {                                                                                              \
        u64 value;                                                                                 \
        asm volatile("movq %%" #name ", %0" : "=r"(value));                                        \
        return value;                                                                              \
    }                                                                                              \
    static inline void write_##name(u64 value)                                                     \
    {                                                                                              \
        asm volatile("movq %0, %%" #name : : "r"(value) : "memory");                               \
    }
CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)

static inline void invlpg(u64 address)
{
    asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline void interrupts_disable(void)
{
    asm volatile("cli" : : : "memory");
}

/* Interrupts on and halt, as one step: an interrupt that comes in between still wakes.  Returns
   with interrupts off. */
static inline void cpu_idle(void)
{
    asm volatile("sti\n\thlt\n\tcli" : : : "memory");
}

__attribute__((noreturn)) static inline void cpu_stop(void)
{
    for (;;)
        asm volatile("cli\n\thlt" : : : "memory");
}

static inline void cpu_pause(void)
{
    asm volatile("pause");
}

/* Only where cpu_features.smap. */
static inline void cpu_stac(void)
{
    asm volatile("stac" : : : "memory", "cc");
}

static inline void cpu_clac(void)
{
    asm volatile("clac" : : : "memory", "cc");
}

/* False when the generator has nothing; ten tries are enough (Intel SDM 1, 7.3.17.1). */
static inline bool rdrand(u64 *value)
{
    for (u32 tries = 0; tries < 10; tries++) {
        bool good;
        asm volatile("rdrand %0" : "=r"(*value), "=@ccc"(good));
        if (good)
            return true;
    }
    return false;
}
