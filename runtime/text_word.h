/* Texts by words of eight bytes, for what every path and every name goes through.  The first byte
   of the text is the lowest of the word. */
#pragma once

#include "runtime/memory.h"
#include "runtime/types.h"

#define EACH_BYTE(byte) ((byte)*0x0101010101010101ull)

static inline u64 text_load64(const char *at)
{
    u64 word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static inline u64 text_load32(const char *at)
{
    u32 word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* The first word of a text, zeros behind what is shorter.  Nothing outside of the text is read:
   parts that overlap agree. */
static inline u64 text_head(const char *at, u64 bytes)
{
    if (bytes >= 8)
        return text_load64(at);
    if (bytes >= 4)
        return text_load32(at) | text_load32(at + bytes - 4) << (bytes - 4) * 8;
    if (!bytes)
        return 0;
    u64 middle = bytes / 2, last = bytes - 1;
    return (u64)(u8)at[0] | (u64)(u8)at[middle] << middle * 8 | (u64)(u8)at[last] << last * 8;
}

/* Not 0 when a byte of the word is zero; the lowest bit that is set is the top one of the first
   such byte. */
static inline u64 word_zero_bytes(u64 word)
{
    return (word - EACH_BYTE(1)) & ~word & EACH_BYTE(0x80);
}

/* Which byte that is. */
static inline u64 word_first(u64 zero_bytes)
{
    return (u32)__builtin_ctzll(zero_bytes) / 8;
}

/* word_zero_bytes for bytes that are `byte`. */
static inline u64 word_bytes_equal(u64 word, char byte)
{
    return word_zero_bytes(word ^ EACH_BYTE((u64)(u8)byte));
}

/* The first `byte`, or the end. */
static inline const char *text_find(const char *at, const char *end, char byte)
{
    while (at < end) {
        u64 found = word_bytes_equal(text_head(at, (u64)(end - at)), byte);
        if (found)
            return at + word_first(found);
        at = end - at > 8 ? at + 8 : end;
    }
    return end;
}

/* The first that is no `byte`, or the end. */
static inline const char *text_skip(const char *at, const char *end, char byte)
{
    while (at < end && *at == byte)
        at++;
    return at;
}
