/* What boot makes of the loader's structures: the list of memory against an array of pages, and
   both loaders' structures, sound and damaged.

   boot/ reads physical addresses below 4 GiB as pointers, so the structures lie in memory that the
   system places there. */
#include "boot/loader.c"
#include "boot/memory_map.c"

#include "runtime/random.h"
#include "test/host/harness.h"

#include <sys/mman.h>

#define PAGES_MOST  600
#define AREA_BYTES  (2 * MiB) /* more than the reader believes a length to be */
#define MEMORY_MOST 40

static struct boot_info info;
static u8 *area; /* below 4 GiB */

static bool list_is_sound(void)
{
    for (u32 i = 0; i < info.memory_count; i++) {
        range r = info.memory[i];
        if (range_empty(r) || (r.start | r.end) & (PAGE - 1))
            return false;
        if (i && info.memory[i - 1].end >= r.start)
            return false;
    }
    return true;
}

static bool list_has_page(u64 page)
{
    for (u32 i = 0; i < info.memory_count; i++)
        if (range_contains(info.memory[i], page * PAGE))
            return true;
    return false;
}

static void list_like_model(struct random *r)
{
    static bool model[PAGES_MOST];
    memset(model, 0, sizeof(model));
    info = (struct boot_info){};
    for (u32 step = 0; step < 60; step++) {
        u64 start = random_below(r, PAGES_MOST * PAGE - 2);
        u64 end = start + random_below(r, PAGES_MOST * PAGE - start);
        bool add = random_below(r, 2);
        if (add)
            memory_map_add(&info, range_of(start, end));
        else
            memory_map_remove(&info, range_of(start, end));
        for (u64 p = 0; p < PAGES_MOST && start < end; p++) {
            if (add && p * PAGE >= start && (p + 1) * PAGE <= end)
                model[p] = true;
            else if (!add && p * PAGE < end && (p + 1) * PAGE > start)
                model[p] = false;
        }
        must(list_is_sound());
        for (u64 p = 0; p < PAGES_MOST; p++)
            must(list_has_page(p) == model[p]);
    }
    must(info.memory_dropped == 0);
}

static void list_full(void)
{
    info = (struct boot_info){};
    for (u64 i = 0; i < BOOT_MEMORY_RANGES + 5; i++)
        memory_map_add(&info, range_of(i * 3 * PAGE, (i * 3 + 1) * PAGE));
    is(info.memory_count, BOOT_MEMORY_RANGES, "a full list takes no more ranges");
    is(info.memory_dropped, 5, "and counts them");
    ok(list_is_sound(), "and stays sound");
}

/* --- PVH -------------------------------------------------------------------------------------- */

struct pvh_entry {
    u64 address, length;
    u32 type, reserved;
};

struct pvh_area {
    struct pvh_start_info start;
    struct pvh_entry map[3];
    char line[BOOT_COMMAND_LINE + 100];
};

static struct pvh_area *pvh_make(const char *line)
{
    struct pvh_area *a = (void *)area;
    info = (struct boot_info){};
    *a = (struct pvh_area){
        .start = {.magic = PVH_MAGIC,
                  .version = 1,
                  .command_line = (u64)a->line,
                  .rsdp = 0xf0000,
                  .memory_map = (u64)a->map,
                  .memory_map_entries = 3},
        .map = {{0, 0x9fc00, MEMORY_RAM, 0},
                {0x100000, 64 * MiB, MEMORY_RAM, 0},
                {0x200000, 0x1001, 2, 0}},
    };
    memcpy(a->line, line, strlen(line));
    return a;
}

static void pvh_sound(void)
{
    struct pvh_area *a = pvh_make("log=debug a b");
    ok(!loader_read(&info, 0, (u64)a), "PVH is read");
    is(info.memory_count, 3, "a reserved range in the middle of memory splits it");
    is(info.memory[0].start, LOW_MEMORY_KEPT, "the lowest memory is left alone");
    is(info.memory[0].end, 0x9f000, "half a page is none");
    is(info.memory[1].end, 0x200000, "up to the reserved range");
    is(info.memory[2].start, 0x202000, "and on after its last page");
    is(info.rsdp, 0xf0000, "the RSDP");
    is_string(info.command_line, "log=debug a b", "the command line");
    ok(!info.command_line_cut, "which is whole");
}

static void pvh_damaged(void)
{
    struct pvh_area *a = pvh_make("");
    memset(a->line, 'x', sizeof(a->line) - 1);
    ok(!loader_read(&info, 0, (u64)a), "a long command line is no failure");
    is(strlen(info.command_line), BOOT_COMMAND_LINE - 1, "it is cut");
    ok(info.command_line_cut, "and that is said");
    a = pvh_make("");
    a->start.version = 0;
    ok(loader_read(&info, 0, (u64)a), "version 0 has no memory map");
    a = pvh_make("");
    a->start.memory_map_entries = 1u << 31;
    ok(loader_read(&info, 0, (u64)a), "a map that reaches beyond 4 GiB is refused");
    a = pvh_make("");
    a->map[0].length = ~0ull;
    a->map[1].address = ~0ull - 5;
    ok(loader_read(&info, 0, (u64)a) || list_is_sound(), "entries that wrap around are left out");
    a = pvh_make("");
    a->start.magic++;
    ok(loader_read(&info, 0, (u64)a), "another magic number is refused");
    ok(loader_read(&info, 0, 5ull << 32), "what is out of reach is refused");
}

/* --- multiboot2 ------------------------------------------------------------------------------- */

static u64 tag_put(u64 at, u32 type, const void *body, u32 bytes)
{
    memcpy(area + at, &(struct multiboot_tag){type, bytes + 8}, 8);
    memcpy(area + at + 8, body, bytes);
    return align_up(at + 8 + bytes, 8);
}

static u32 multiboot_make(void)
{
    struct {
        u32 entry_bytes, version;
        struct pvh_entry entries[2];
    } map = {24, 0, {{0x100000, 32 * MiB, MEMORY_RAM, 0}, {0, 0x9f000, MEMORY_RAM, 0}}};
    memset(area, 0, 4 * KiB);
    info = (struct boot_info){};
    u64 at = tag_put(8, TAG_COMMAND_LINE, "nokaslr", 8);
    at = tag_put(at, 9, "unknown", 7);
    at = tag_put(at, TAG_MEMORY_MAP, &map, sizeof(map));
    at = tag_put(at, TAG_ACPI_1, "RSD PTR old pointer ", 20);
    at = tag_put(at, TAG_ACPI_2, "RSD PTR new pointer and some more...", 36);
    at = tag_put(at, TAG_END, "", 0);
    memcpy(area, &(u32){(u32)at}, 4);
    return (u32)at;
}

static void multiboot_sound(void)
{
    multiboot_make();
    ok(!loader_read(&info, MULTIBOOT2_MAGIC, (u64)area), "multiboot2 is read");
    is_string(info.command_line, "nokaslr", "the command line");
    is(info.memory_count, 2, "two ranges");
    is(info.memory[1].start, 0x100000, "in order");
    is(info.rsdp, (u64)rsdp_copy, "the RSDP is copied");
    ok(!memcmp(rsdp_copy, "RSD PTR new", 11), "the newer one wins");
}

/* Any four bytes may hold anything: the reader ends, in bounds, with a sound list. */
static void multiboot_damaged(struct random *r)
{
    u32 bytes = multiboot_make();
    for (u32 flips = 0; flips < 3; flips++) {
        u32 value = (u32)random_next(r) >> random_below(r, 32);
        memcpy(area + random_below(r, bytes / 4) * 4, &value, 4);
    }
    loader_read(&info, MULTIBOOT2_MAGIC, (u64)area);
    must(list_is_sound());
    must(strlen(info.command_line) < BOOT_COMMAND_LINE);
}

int main(void)
{
    struct random r;
    random_init(&r, test_seed());
    area = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
                -1, 0);
    if (area == MAP_FAILED)
        skip_all("no memory below 4 GiB");
    for (u32 i = 0; i < 200; i++)
        list_like_model(&r);
    ok(true, "the list of memory is as an array of pages would be");
    list_full();
    pvh_sound();
    pvh_damaged();
    multiboot_sound();
    for (u32 i = 0; i < 20000; i++)
        multiboot_damaged(&r);
    ok(true, "damaged multiboot2 structures are read to an end");
    return done_testing();
}
