/* CRC-32C: see runtime/crc32c.h.

   In software eight bytes are folded at a time, by eight tables: table[k][b] is the checksum of
   byte b followed by k zero bytes. */
#include "runtime/crc32c.h"

#include <cpuid.h>

#include "runtime/memory.h"

#define POLYNOMIAL 0x82f63b78u

static u32 table[8][256];
static bool table_ready;  /* [a] */
static bool use_hardware; /* [a] */

/* Two CPUs may both fill the table: they write the same values. */
static void table_fill(void)
{
    for (u32 byte = 0; byte < 256; byte++) {
        u32 crc = byte;
        for (u32 bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        table[0][byte] = crc;
    }
    for (u32 k = 1; k < 8; k++) {
        for (u32 byte = 0; byte < 256; byte++)
            table[k][byte] = table[k - 1][byte] >> 8 ^ table[0][table[k - 1][byte] & 0xff];
    }
    __atomic_store_n(&table_ready, true, __ATOMIC_RELEASE);
}

static u64 load64(const u8 *p)
{
    u64 value;
    memcpy(&value, p, sizeof(value));
    return value;
}

static u32 software(u32 crc, const u8 *p, u64 bytes)
{
    if (!__atomic_load_n(&table_ready, __ATOMIC_ACQUIRE))
        table_fill();
    for (; bytes >= 8; p += 8, bytes -= 8) {
        u64 v = load64(p) ^ crc;
        crc = table[7][v & 0xff] ^ table[6][v >> 8 & 0xff] ^ table[5][v >> 16 & 0xff] ^
              table[4][v >> 24 & 0xff] ^ table[3][v >> 32 & 0xff] ^ table[2][v >> 40 & 0xff] ^
              table[1][v >> 48 & 0xff] ^ table[0][v >> 56];
    }
    for (; bytes; p++, bytes--)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
    return crc;
}

__attribute__((target("crc32"))) static u32 hardware_crc(u32 crc, const u8 *p, u64 bytes)
{
    for (; bytes >= 8; p += 8, bytes -= 8)
        crc = (u32)__builtin_ia32_crc32di(crc, load64(p));
    for (; bytes; p++, bytes--)
        crc = __builtin_ia32_crc32qi(crc, *p);
    return crc;
}

u32 crc32c_extend(u32 before, const void *data, u64 bytes)
{
    u32 crc = ~before;
    bool hardware = __atomic_load_n(&use_hardware, __ATOMIC_RELAXED);
    return ~(hardware ? hardware_crc(crc, data, bytes) : software(crc, data, bytes));
}

u32 crc32c(const void *data, u64 bytes)
{
    return crc32c_extend(0, data, bytes);
}

bool crc32c_select(bool hardware)
{
    unsigned a, b, c = 0, d;
    bool present = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2);
    __atomic_store_n(&use_hardware, hardware && present, __ATOMIC_RELAXED);
    return hardware && present;
}
