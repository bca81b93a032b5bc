/* The ACPI tables.  See kernel/acpi.h.

   Tables come from firmware: a table whose length or checksum is wrong is reported and counts as
   absent, and a machine without any table at all (microvm with acpi=off) is ordinary.  Nothing is
   read before somebody asks.  Sections are of the ACPI specification 6.4. */
#include "kernel/acpi.h"

#include "kernel/acpi_tables.h"
#include "kernel/log.h"
#include "kernel/page_table.h"
#include "runtime/memory.h"

#define TABLES_MOST      64 /* further ones are not looked at, and that is logged */
#define TABLE_BYTES_MOST (1 * MiB)

static struct {
    bool searched;
    u64 rsdp; /* as the loader gave it */
    u32 count;
    struct {
        u64 at; /* physical */
        char signature[4];
    } tables[TABLES_MOST];
} acpi;

void acpi_set_rsdp(u64 rsdp)
{
    acpi.rsdp = rsdp;
}

static bool checksum_is_right(const void *from, u64 bytes)
{
    const u8 *p = from;
    u8 sum = 0;
    for (u64 i = 0; i < bytes; i++)
        sum = (u8)(sum + p[i]);
    return sum == 0;
}

/* Firmware's tables need not lie in what is mapped as RAM.  They are not registers, so the mapping
   loses its volatile. */
static const void *table_map(u64 at, u64 bytes)
{
    return (const void *)(u64)device_map(physical_at(at), bytes);
}

/* The table at a physical address, whole; NULL when it is not sound. */
static const struct acpi_header *table_at(u64 at)
{
    const struct acpi_header *header = at ? table_map(at, sizeof(*header)) : NULL;
    if (!header)
        return NULL;
    u32 bytes = header->length;
    if (bytes < sizeof(*header) || bytes > TABLE_BYTES_MOST) {
        log_warning("acpi: the table %.4s has a length of %u bytes", header->signature, bytes);
        return NULL;
    }
    if ((at & (PAGE_BYTES - 1)) + bytes > PAGE_BYTES)
        header = table_map(at, bytes);
    if (header && !checksum_is_right(header, bytes)) {
        log_warning("acpi: the table %.4s has a wrong checksum", header->signature);
        return NULL;
    }
    return header;
}

static bool rsdp_is_sound(const struct acpi_rsdp *rsdp)
{
    return memcmp(rsdp->signature, "RSD PTR ", 8) == 0 &&
           checksum_is_right(rsdp, offsetof(struct acpi_rsdp, length));
}

/* 5.2.5.1: on 16-byte boundaries in the BIOS area. */
static const struct acpi_rsdp *rsdp_search(void)
{
    const char *area = table_map(0xe0000, 0x20000);
    for (u32 at = 0; area && at < 0x20000; at += 16) {
        const struct acpi_rsdp *rsdp = (const void *)(area + at);
        if (*(const u64 *)(const void *)rsdp->signature == 0x2052545020445352ull &&
            rsdp_is_sound(rsdp))
            return rsdp;
    }
    return NULL;
}

static const struct acpi_rsdp *rsdp_find(void)
{
    if (!acpi.rsdp)
        return rsdp_search();
    const struct acpi_rsdp *rsdp = table_map(acpi.rsdp, sizeof(*rsdp));
    if (rsdp && rsdp_is_sound(rsdp))
        return rsdp;
    log_warning("acpi: no root pointer at %#llx, where the loader says it is",
                (unsigned long long)acpi.rsdp);
    return NULL;
}

/* The entries of an RSDT (4 bytes each) or XSDT (8 bytes), not aligned. */
static void root_read(const struct acpi_header *root, u32 entry_bytes)
{
    const char *entry = (const char *)(root + 1);
    u32 entries = (u32)(root->length - sizeof(*root)) / entry_bytes;
    if (entries > TABLES_MOST) {
        log_warning("acpi: %u tables, of which %u are looked at", entries, TABLES_MOST);
        entries = TABLES_MOST;
    }
    for (u32 i = 0; i < entries; i++) {
        u64 at = 0;
        memcpy(&at, entry + i * entry_bytes, entry_bytes);
        const struct acpi_header *table = at ? table_map(at, sizeof(*table)) : NULL;
        if (!table)
            continue;
        acpi.tables[acpi.count].at = at;
        memcpy(acpi.tables[acpi.count].signature, table->signature, 4);
        acpi.count++;
    }
}

static void tables_search(void)
{
    acpi.searched = true;
    const struct acpi_rsdp *rsdp = rsdp_find();
    if (!rsdp)
        return;
    const struct acpi_header *root = rsdp->revision >= 2 ? table_at(rsdp->xsdt) : NULL;
    if (root) {
        root_read(root, 8);
    } else {
        root = table_at(rsdp->rsdt);
        if (root)
            root_read(root, 4);
    }
}

/* The DSDT is not in the list; the FADT names it (5.2.9). */
static const struct acpi_header *dsdt_find(void)
{
    u32 bytes;
    const struct acpi_fadt *fadt = acpi_table("FACP", &bytes);
    if (!fadt || bytes < offsetof(struct acpi_fadt, dsdt) + sizeof(fadt->dsdt))
        return NULL;
    u64 at = fadt->dsdt;
    if (bytes >= offsetof(struct acpi_fadt, x_dsdt) + sizeof(fadt->x_dsdt) && fadt->x_dsdt)
        at = fadt->x_dsdt;
    return table_at(at);
}

const void *acpi_table(const char signature[4], u32 *length_bytes)
{
    const struct acpi_header *found = NULL;
    if (!acpi.searched)
        tables_search();
    if (memcmp(signature, "DSDT", 4) == 0) {
        found = dsdt_find();
    } else {
        for (u32 i = 0; i < acpi.count && !found; i++)
            if (memcmp(acpi.tables[i].signature, signature, 4) == 0)
                found = table_at(acpi.tables[i].at);
    }
    if (found)
        *length_bytes = found->length;
    return found;
}
