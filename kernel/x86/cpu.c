/* What the CPU offers, its segments, its stacks, and turning its protections on.

   cpu_features_detect runs before the relocation too (boot/), so it uses no pointers in data. */
#include "kernel/x86/cpu.h"

#include "kernel/cpus.h"
#include "kernel/page_table.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/paging.h"
#include "runtime/memory.h"

#define KVM_LEAVES_FIRST 0x40000000u
#define KVM_LEAVES_LAST  0x40000f00u
#define KVM_LEAVES_STEP  0x100u

struct cpu_features cpu_features;
struct cpu boot_cpu;
static struct cpu *cpus[CPUS_MOST] = {&boot_cpu}; /* [I] once that many are online */

/* paging_init takes the pages of its guards away. */
static struct cpu_stacks boot_stacks __attribute__((section(".bss..stacks"), aligned(PAGE_BYTES)));

u64 boot_stack_end(void)
{
    return (u64)(boot_stacks.stack + STACK_BYTES);
}

void stack_guards_remove(void)
{
    page_unmap(&kernel_space, (u64)boot_stacks.guard, PAGE_BYTES);
    for (u32 i = 0; i < IST_STACKS; i++)
        page_unmap(&kernel_space, (u64)boot_stacks.ist[i].guard, PAGE_BYTES);
}

bool stack_guard_hit(u64 address)
{
    u64 page = align_down(address, PAGE_BYTES);
    bool hit = false;
    for (u32 n = 0; n < CPUS_MOST && cpus[n]; n++) {
        const struct cpu_stacks *stacks = cpus[n]->stacks;
        hit |= page == (u64)stacks->guard;
        for (u32 i = 0; i < IST_STACKS; i++)
            hit |= page == (u64)stacks->ist[i].guard;
    }
    return hit;
}

struct cpu *cpu_of(u32 number)
{
    return number < CPUS_MOST ? cpus[number] : NULL;
}

/* Read-only data of user mode, accessed; its limit is the CPU's number. */
#define SEGMENT_NUMBER 0x0040f10000000000ull

void cpu_set(u32 number, struct cpu *cpu)
{
    cpus[number] = cpu;
    cpu->gdt.entry[SELECTOR_CPU / 8] = SEGMENT_NUMBER | number;
}

/* --- further CPUs ----------------------------------------------------------------------------- */

/* A CPU's memory is one block: its struct, and behind it the pages of its stacks in order. */
#define CPU_BYTES        (8 * KiB)
#define CPU_STACKS_BYTES (STACK_BYTES + IST_STACKS * IST_STACK_BYTES)
#define CPU_BLOCK_BYTES  (CPU_BYTES + CPU_STACKS_BYTES)
#define STACK_FLAGS      PAGE_WRITE

_Static_assert(sizeof(struct cpu) <= CPU_BYTES, "it lies before its stacks");

static bool stacks_map(struct cpu_stacks *stacks, physical at)
{
    if (!is_ok(page_map(&kernel_space, (u64)stacks->stack, at, STACK_BYTES, STACK_FLAGS)))
        return false;
    at.bits += STACK_BYTES;
    for (u32 i = 0; i < IST_STACKS; i++, at.bits += IST_STACK_BYTES)
        if (!is_ok(page_map(&kernel_space, (u64)stacks->ist[i].stack, at, IST_STACK_BYTES,
                            STACK_FLAGS)))
            return false;
    return true;
}

struct cpu *cpu_make(void)
{
    u64 room = kernel_room_take(sizeof(struct cpu_stacks));
    struct cpu *cpu = room ? allocate(page_heap, CPU_BLOCK_BYTES) : NULL;
    if (!cpu)
        return NULL;
    memset(cpu, 0, sizeof(*cpu));
    cpu->stacks = (struct cpu_stacks *)room;
    if (stacks_map(cpu->stacks, physical_at(physical_of(cpu).bits + CPU_BYTES)))
        return cpu;
    page_unmap(&kernel_space, room, sizeof(struct cpu_stacks));
    deallocate(page_heap, cpu, CPU_BLOCK_BYTES);
    return NULL;
}

/* --- what there is ---------------------------------------------------------------------------- */

static bool bit(u32 word, u32 number)
{
    return word >> number & 1;
}

static void basic_detect(struct cpu_features *f)
{
    f->leaf_max = cpuid(0, 0).eax;
    struct cpuid_result one = cpuid(1, 0);
    f->fxsr = bit(one.edx, 24);
    f->global_pages = bit(one.edx, 13);
    f->pcid = bit(one.ecx, 17);
    f->sse42 = bit(one.ecx, 20);
    f->x2apic = bit(one.ecx, 21);
    f->popcnt = bit(one.ecx, 23);
    f->tsc_deadline = bit(one.ecx, 24);
    f->xsave = bit(one.ecx, 26);
    f->avx = bit(one.ecx, 28);
    f->rdrand = bit(one.ecx, 30);
    f->hypervisor = bit(one.ecx, 31);
    if (f->leaf_max >= 7) {
        struct cpuid_result seven = cpuid(7, 0);
        f->fsgsbase = bit(seven.ebx, 0);
        f->smep = bit(seven.ebx, 7);
        f->erms = bit(seven.ebx, 9);
        f->invpcid = bit(seven.ebx, 10);
        f->rdseed = bit(seven.ebx, 18);
        f->smap = bit(seven.ebx, 20);
        f->umip = bit(seven.ecx, 2);
        f->fsrm = bit(seven.edx, 4);
    }
    if (f->xsave && f->leaf_max >= 13) {
        u32 eax = cpuid(13, 1).eax;
        f->xsaveopt = bit(eax, 0);
        f->xsavec = bit(eax, 1);
    }
}

static void extended_detect(struct cpu_features *f)
{
    f->extended_max = cpuid(0x80000000, 0).eax;
    struct cpuid_result one = cpuid(0x80000001, 0);
    f->nx = bit(one.edx, 20);
    f->gigabyte_pages = bit(one.edx, 26);
    f->rdtscp = bit(one.edx, 27);
    f->physical_bits = 36;
    if (f->extended_max >= 0x80000007)
        f->tsc_invariant = bit(cpuid(0x80000007, 0).edx, 8);
    if (f->extended_max >= 0x80000008)
        f->physical_bits = (u8)cpuid(0x80000008, 0).eax;
}

/* KVM's leaves begin at 0x40000000, or further up when it shows another hypervisor's first.  QEMU's
   emulation says "TCGTCGTCGTCG" there. */
static void hypervisor_detect(struct cpu_features *f)
{
    if (!f->hypervisor)
        return;
    struct cpuid_result first = cpuid(KVM_LEAVES_FIRST, 0);
    f->hypervisor_max = first.eax;
    f->emulated = first.ebx == 0x54474354 && first.ecx == 0x43544743 && first.edx == 0x47435447;
    for (u32 leaf = KVM_LEAVES_FIRST; leaf <= KVM_LEAVES_LAST; leaf += KVM_LEAVES_STEP) {
        struct cpuid_result r = cpuid(leaf, 0);
        if (r.ebx == 0x4b4d564b && r.ecx == 0x564b4d56 && r.edx == 0x4d) { /* "KVMKVMKVM" */
            f->kvm_base = leaf;
            f->kvm_features = cpuid(leaf + 1, 0).eax;
            return;
        }
        if (!r.eax)
            return;
    }
}

void cpu_features_detect(void)
{
    basic_detect(&cpu_features);
    extended_detect(&cpu_features);
    hypervisor_detect(&cpu_features);
}

/* --- segments --------------------------------------------------------------------------------- */

#define SEGMENT_CODE_KERNEL 0x00af9b000000ffffull
#define SEGMENT_DATA_KERNEL 0x00cf93000000ffffull
#define SEGMENT_CODE_USER32 0x00cffb000000ffffull
#define SEGMENT_DATA_USER   0x00cff3000000ffffull
#define SEGMENT_CODE_USER   0x00affb000000ffffull
#define SEGMENT_TSS         0x0000890000000000ull

/* A system segment's descriptor has two words (Intel SDM 3A, 7.2.3). */
static void tss_describe(u64 entry[2], const struct tss *tss)
{
    u64 base = (u64)tss;
    entry[0] =
        SEGMENT_TSS | (sizeof(*tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    entry[1] = base >> 32;
}

static void segments_load(const struct gdt *gdt)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) pointer = {sizeof(*gdt) - 1, (u64)gdt};
    asm volatile("lgdt %0\n\t"
                 "pushq %1\n\t"
                 "leaq 1f(%%rip), %%rax\n\t"
                 "pushq %%rax\n\t"
                 "lretq\n"
                 "1:\n\t"
                 "movl %2, %%eax\n\t"
                 "movl %%eax, %%ds\n\t"
                 "movl %%eax, %%es\n\t"
                 "movl %%eax, %%ss\n\t"
                 "xorl %%eax, %%eax\n\t"
                 "movl %%eax, %%fs\n\t"
                 "movl %%eax, %%gs\n\t"
                 "movw %3, %%ax\n\t"
                 "ltr %%ax"
                 :
                 : "m"(pointer), "i"(SELECTOR_KERNEL_CODE), "i"(SELECTOR_KERNEL_DATA),
                   "i"(SELECTOR_TSS)
                 : "rax", "memory");
}

void cpu_init(struct cpu *cpu)
{
    cpu->self = cpu;
    cpu->stack_top = (u64)(cpu->stacks->stack + STACK_BYTES);
    cpu->tss.rsp[0] = cpu->stack_top;
    for (u32 i = 0; i < IST_STACKS; i++)
        cpu->tss.ist[i] = (u64)(cpu->stacks->ist[i].stack + IST_STACK_BYTES);
    cpu->tss.io_map = sizeof(struct tss);
    cpu->gdt = (struct gdt){{0, SEGMENT_CODE_KERNEL, SEGMENT_DATA_KERNEL, SEGMENT_CODE_USER32,
                             SEGMENT_DATA_USER, SEGMENT_CODE_USER, 0, 0, SEGMENT_NUMBER}};
    tss_describe(&cpu->gdt.entry[SELECTOR_TSS / 8], &cpu->tss);
    segments_load(&cpu->gdt);
    wrmsr(MSR_GS_BASE, (u64)cpu);
    wrmsr(MSR_KERNEL_GS_BASE, 0);
}

#ifdef CLOSURE_CHECKS
static struct lock_stack *cpu_lock_stack(void)
{
    return &this_cpu()->locks;
}
#endif

void cpu_init_boot(void)
{
    boot_cpu.stacks = &boot_stacks;
    cpu_init(&boot_cpu);
#ifdef CLOSURE_CHECKS
    lock_context = cpu_lock_stack;
#endif
}

/* --- protections ------------------------------------------------------------------------------ */

void cpu_protect(void)
{
    const struct cpu_features *f = &cpu_features;
    u64 cr0 = (read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_WP | CR0_NE | CR0_MP;
    write_cr0(cr0);
    u64 cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cr4 |= (f->global_pages ? CR4_PGE : 0) | (f->smep ? CR4_SMEP : 0) | (f->smap ? CR4_SMAP : 0) |
           (f->umip ? CR4_UMIP : 0) | (f->fsgsbase ? CR4_FSGSBASE : 0) |
           (f->xsave ? CR4_OSXSAVE : 0);
    write_cr4(cr4);
}
