/* The MultiProcessor Specification's tables.  See kernel/mp_table.h; sections are of version 1.4.

   They come from firmware: one with a wrong checksum or length counts as absent.  Looked for only
   where no MADT is.  Callers: kernel/x86/smp.c. */
#include "kernel/mp_table.h"

#include "kernel/page_table.h"
#include "runtime/memory.h"

#define ENTRY_PROCESSOR       0
#define ENTRY_PROCESSOR_BYTES 20
#define PROCESSOR_ENABLED     1u

/* 4.1 */
struct mp_floating {
    char signature[4]; /* "_MP_" */
    u32 table;
    u8 length; /* in 16 bytes */
    u8 revision, checksum, features[5];
} __attribute__((packed));
_Static_assert(sizeof(struct mp_floating) == 16, "MP 4.1");

/* 4.2: followed by the entries, processors first. */
struct mp_header {
    char signature[4]; /* "PCMP" */
    u16 length;
    u8 revision, checksum;
    char oem[8], product[12];
    u32 oem_table;
    u16 oem_bytes, entries;
    u32 local_apic;
    u16 extended_length;
    u8 extended_checksum, reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct mp_header) == 44, "MP 4.2");

/* 4.3.1 */
struct mp_processor {
    u8 type, apic_id, apic_version, flags;
    u32 signature, features, reserved[2];
} __attribute__((packed));
_Static_assert(sizeof(struct mp_processor) == ENTRY_PROCESSOR_BYTES, "MP 4.3.1");

static const void *table_map(u64 at, u64 bytes)
{
    return (const void *)(u64)device_map(physical_at(at), bytes);
}

static bool checksum_is_right(const void *from, u32 bytes)
{
    const u8 *p = from;
    u8 sum = 0;
    for (u32 i = 0; i < bytes; i++)
        sum = (u8)(sum + p[i]);
    return sum == 0;
}

static const struct mp_header *table_of(const struct mp_floating *floating)
{
    if (memcmp(floating->signature, "_MP_", 4) != 0 || floating->length != 1 ||
        !checksum_is_right(floating, sizeof(*floating)) || !floating->table)
        return NULL;
    const struct mp_header *header = table_map(floating->table, sizeof(*header));
    if (!header || memcmp(header->signature, "PCMP", 4) != 0 || header->length < sizeof(*header))
        return NULL;
    header = table_map(floating->table, header->length);
    return header && checksum_is_right(header, header->length) ? header : NULL;
}

/* 4: the floating pointer lies on a 16-byte boundary. */
static const struct mp_header *area_search(u64 at, u64 bytes)
{
    const char *area = table_map(at, bytes);
    for (u64 i = 0; area && i < bytes; i += sizeof(struct mp_floating)) {
        const struct mp_floating *floating = (const void *)(area + i);
        const struct mp_header *header = table_of(floating);
        if (header)
            return header;
    }
    return NULL;
}

static const struct mp_header *table_search(void)
{
    const struct mp_header *found = area_search(0x9fc00, 0x400); /* the last KiB of base memory */
    return found ? found : area_search(0xf0000, 0x10000);        /* the BIOS */
}

u32 mp_processors(u32 *apic_ids, u32 most)
{
    const struct mp_header *table = table_search();
    if (!table)
        return 0;
    u32 count = 0;
    const char *at = (const char *)(table + 1), *end = (const char *)table + table->length;
    /* By the length: QEMU's qboot counts no entries. */
    while (end - at >= ENTRY_PROCESSOR_BYTES) {
        const struct mp_processor *p = (const void *)at;
        if (p->type != ENTRY_PROCESSOR)
            break; /* 4.3: the processors come first */
        if (p->flags & PROCESSOR_ENABLED && count++ < most)
            apic_ids[count - 1] = p->apic_id;
        at += ENTRY_PROCESSOR_BYTES;
    }
    return count;
}
