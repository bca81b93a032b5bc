/* boot_main: from the loader's structures to a relocated kernel with its own page tables.

   Runs at the physical address, see boot/boot.h.  Called by boot/start.asm, once. */
#include "boot/boot.h"

#include "kernel/x86/cpu.h"
#include "kernel/x86/early.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/paging.h"
#include "runtime/memory.h"

/* Where things are put when the option `nokaslr` or `kaslr=off` says so. */
#define DIRECT_MAP_FIXED 0xffff888000000000ull
#define DEVICE_MAP_BASE  0xfffffe8000000000ull

/* What they are chosen from otherwise: the image in the last 512 GiB but the last GiB, in steps of
   2 MiB; the direct map in 64 TiB from the start of the high half, in steps of 1 GiB. */
#define IMAGE_BASES_START 0xffffff8000000000ull
#define IMAGE_BASES       (511 * 512)
#define DIRECT_MAP_START  0xffff800000000000ull
#define DIRECT_MAP_BASES  (1ull << 15)

static struct boot_info boot_info;

/* Whether the command line has that word, between spaces. */
static bool option_given(const char *line, const char *word)
{
    u64 length = strlen(word);
    for (const char *at = line; *at; at++) {
        bool begins = at == line || at[-1] == ' ';
        if (begins && !strncmp(at, word, length) && (!at[length] || at[length] == ' '))
            return true;
    }
    return false;
}

/* Multiplication by odd constants and shifts, both without loss: splitmix64's finishing step. */
static u64 mix(u64 value)
{
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ value >> 27) * 0x94d049bb133111ebull;
    return value ^ value >> 31;
}

static u64 entropy_gather(const struct boot_info *info)
{
    u64 entropy = mix(info->entry_tsc);
    u64 random;
    if (cpu_features.rdrand && rdrand(&random))
        entropy = mix(entropy ^ random);
    return mix(entropy + rdtsc());
}

static void bases_choose(struct boot_info *info)
{
    u64 base = KERNEL_LINK_BASE;
    info->direct_map_base = DIRECT_MAP_FIXED;
    info->device_map_base = DEVICE_MAP_BASE;
    info->entropy = entropy_gather(info);
    if (!option_given(info->command_line, "nokaslr") &&
        !option_given(info->command_line, "kaslr=off")) {
        base = IMAGE_BASES_START + (info->entropy & 0xffffffff) % IMAGE_BASES * (2 * MiB);
        info->direct_map_base = DIRECT_MAP_START + (info->entropy >> 32) % DIRECT_MAP_BASES * GiB;
        /* The bases are no secret to keep for those who see this number: it goes on mixed. */
        info->entropy = mix(info->entropy + rdtsc());
    }
    info->image_at = (u64)image_start;
    info->image = range_of(base, base + (u64)(image_end - image_start));
    info->text_end = base + (u64)(text_end - image_start);
    info->rodata_end = base + (u64)(rodata_end - image_start);
}

__attribute__((noreturn)) static void boot_failed(const char *wrong)
{
    early_write("thunk: boot: ", 13);
    early_write(wrong, strlen(wrong));
    early_write("\n", 1);
    cpu_reset();
}

/* boot/start.asm's tables get the image's high address too: what runs one to one goes on there. */
static void image_join(const struct boot_info *info)
{
    u64 *now = (u64 *)(read_cr3() & ~0xfffull);
    const u64 *then = (const u64 *)info->page_root;
    now[info->image.start >> 39 & 511] = then[info->image.start >> 39 & 511];
}

void boot_main(u32 magic, u64 loader_info, u64 entry_tsc, struct boot_handoff *handoff)
{
    struct boot_info *info = &boot_info;
    info->entry_tsc = entry_tsc;
    cpu_features_detect();
    const char *wrong = loader_read(info, magic, loader_info);
    if (wrong)
        boot_failed(wrong);
    bases_choose(info);
    memory_map_remove(info, range_of((u64)image_start, (u64)image_end));
    u64 slide = info->image.start - info->image_at;
    image_relocate(info->image.start - KERNEL_LINK_BASE);
    if (cpu_features.nx)
        wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NX);
    if (!tables_build(info, cpu_features.nx, cpu_features.gigabyte_pages))
        boot_failed("too little memory for the page tables; give the machine at least 8M");
    image_join(info);
    info->loader += slide;
    info->relocated_tsc = rdtsc();
    *handoff = (struct boot_handoff){
        .page_root = info->page_root,
        .slide = slide,
        .stack_top = boot_stack_end() + slide,
        .entry = (u64)kernel_start + slide,
        .info = (u64)info + slide,
    };
}
