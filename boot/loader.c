/* What the loader left, read into boot_info.

   PVH: Xen's public/arch-x86/hvm/start_info.h.  multiboot2: its specification 1.6, 3.6.  Both list
   memory as {address, length, type, ...} with type 1 for RAM, so one function reads both.  The
   addresses come from the loader, but a length is looked at before it is believed.

   Called by boot_main, before any memory is used.  Afterwards nothing of the loader's is needed. */
#include "boot/boot.h"

#include "runtime/memory.h"

#define PVH_MAGIC         0x336ec578u
#define MULTIBOOT2_MAGIC  0x36d76289u
#define MAP_ENTRIES_MOST  512
#define LOADER_BYTES_MOST (1ull << 20) /* of multiboot2's tags */
#define RSDP_BYTES_MOST   64
#define PAGE              4096ull
#define LOW_MEMORY_KEPT   0x10000ull /* BIOS data, and room to start further CPUs */
#define LOW_MEMORY_END    0xa0000ull /* of what a CPU in real mode may start in */
#define MEMORY_RAM        1

/* A copy for the loader that hands over the RSDP itself, not its address. */
static u8 rsdp_copy[RSDP_BYTES_MOST] __attribute__((aligned(16)));

struct memory_entry {
    u64 address;
    u64 length;
    u32 type;
};

struct pvh_start_info {
    u32 magic, version, flags, modules;
    u64 module_list, command_line, rsdp;
    u64 memory_map; /* version 1 and later */
    u32 memory_map_entries, reserved;
};

struct multiboot_tag {
    u32 type, bytes;
};

enum { TAG_END = 0, TAG_COMMAND_LINE = 1, TAG_MEMORY_MAP = 6, TAG_ACPI_1 = 14, TAG_ACPI_2 = 15 };

struct multiboot_memory_tag {
    struct multiboot_tag tag;
    u32 entry_bytes, entry_version;
};

static bool reachable(u64 address, u64 bytes)
{
    return address && address < BOOT_MAPPED_BYTES && bytes <= BOOT_MAPPED_BYTES - address;
}

static void command_line_read(struct boot_info *info, const char *text, u64 most)
{
    u64 i = 0;
    while (i < most && i < BOOT_COMMAND_LINE - 1 && text[i]) {
        info->command_line[i] = text[i];
        i++;
    }
    info->command_line[i] = 0;
    info->command_line_cut = i == BOOT_COMMAND_LINE - 1 && i < most && text[i];
}

/* The last page of what is kept anyway, or the first one above it that is RAM: a CPU starts in real
   mode, on a page boundary below 1 MiB.  Page 0 holds the BIOS's vectors. */
static void start_page_choose(struct boot_info *info)
{
    range low = range_of(LOW_MEMORY_KEPT - PAGE, LOW_MEMORY_END);
    for (u32 i = 0; i < info->memory_count && !info->start_page; i++) {
        range r = range_intersection(info->memory[i], low);
        if (!range_empty(r))
            info->start_page = r.start;
    }
    if (info->start_page)
        memory_map_remove(info, range_of(info->start_page, info->start_page + PAGE));
}

/* RAM first, then what lies in it and is not to be used: a reserved entry wins. */
static void memory_read(struct boot_info *info, u64 entries, u64 count, u64 stride)
{
    if (count > MAP_ENTRIES_MOST) {
        info->memory_dropped += (u32)(count - MAP_ENTRIES_MOST);
        count = MAP_ENTRIES_MOST;
    }
    for (u32 pass = 0; pass < 2; pass++) {
        for (u64 i = 0; i < count; i++) {
            struct memory_entry e; /* copied: a bad stride leaves it unaligned */
            memcpy(&e, (const void *)(entries + i * stride), sizeof(e));
            range r = range_of(e.address, e.address + e.length);
            if (r.end < r.start)
                continue;
            if (pass == 0 && e.type == MEMORY_RAM)
                memory_map_add(info, r);
            else if (pass == 1 && e.type != MEMORY_RAM)
                memory_map_remove(info, r);
        }
    }
    start_page_choose(info);
    memory_map_remove(info, range_of(0, LOW_MEMORY_KEPT));
}

static const char *pvh_read(struct boot_info *info, const struct pvh_start_info *start)
{
    info->loader = "PVH";
    info->rsdp = start->rsdp;
    if (reachable(start->command_line, 1))
        command_line_read(info, (const char *)start->command_line,
                          BOOT_MAPPED_BYTES - start->command_line);
    u64 count = start->memory_map_entries;
    if (start->version < 1 || !reachable(start->memory_map, count * 24))
        return "the loader gave no memory map (PVH start info is of version 0)";
    memory_read(info, start->memory_map, count, 24);
    return NULL;
}

static void tag_read(struct boot_info *info, const struct multiboot_tag *tag)
{
    u64 body = (u64)(tag + 1);
    u64 bytes = tag->bytes - sizeof(*tag);
    if (tag->type == TAG_COMMAND_LINE) {
        command_line_read(info, (const char *)body, bytes);
    } else if (tag->type == TAG_MEMORY_MAP) {
        const struct multiboot_memory_tag *map = (const void *)tag;
        u64 entries = tag->bytes > sizeof(*map) ? tag->bytes - sizeof(*map) : 0;
        if (map->entry_bytes >= sizeof(struct memory_entry))
            memory_read(info, (u64)(map + 1), entries / map->entry_bytes, map->entry_bytes);
    } else if (tag->type == TAG_ACPI_2 || (tag->type == TAG_ACPI_1 && !info->rsdp)) {
        memcpy(rsdp_copy, (const void *)body, min(bytes, (u64)RSDP_BYTES_MOST));
        info->rsdp = (u64)rsdp_copy;
    }
}

static const char *multiboot_read(struct boot_info *info, u64 at)
{
    info->loader = "multiboot2";
    u64 bytes = *(const u32 *)at;
    if (bytes > LOADER_BYTES_MOST || !reachable(at, bytes))
        return "the multiboot2 information is too long";
    u64 end = at + bytes;
    for (u64 next = at + 8; next + sizeof(struct multiboot_tag) <= end;) {
        const struct multiboot_tag *tag = (const void *)next;
        if (tag->type == TAG_END || tag->bytes < sizeof(*tag) || tag->bytes > end - next)
            break;
        tag_read(info, tag);
        next = align_up(next + tag->bytes, 8);
    }
    return NULL;
}

const char *loader_read(struct boot_info *info, u32 magic, u64 loader_info)
{
    if (!reachable(loader_info, sizeof(struct pvh_start_info)))
        return "the loader's information is out of reach";
    const struct pvh_start_info *start = (const void *)loader_info;
    const char *wrong = "the loader is neither PVH nor multiboot2";
    if (magic == MULTIBOOT2_MAGIC)
        wrong = multiboot_read(info, loader_info);
    else if (magic == 0 && start->magic == PVH_MAGIC)
        wrong = pvh_read(info, start);
    if (!wrong && !info->memory_count)
        wrong = "the loader named no usable memory";
    return wrong;
}
