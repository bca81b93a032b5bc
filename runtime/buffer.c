/* Growable byte buffers: see runtime/buffer.h. */
#include "runtime/buffer.h"

#include "runtime/format.h"

#define BUFFER_LEAST 64
#define BUFFER_MOST  (1ull << 40) /* more than that is a mistake, and treated as out of memory */

void buffer_init(struct buffer *b, heap h)
{
    *b = (struct buffer){.heap = h};
}

void buffer_clear(struct buffer *b)
{
    deallocate(b->heap, b->bytes, b->capacity);
    buffer_init(b, b->heap);
}

bool buffer_failed(const struct buffer *b)
{
    return b->failed;
}

static bool buffer_reserve(struct buffer *b, u64 bytes)
{
    if (b->failed || bytes <= b->capacity - b->length)
        return !b->failed;
    u64 wanted = max(b->length + min(bytes, BUFFER_MOST), (u64)BUFFER_LEAST);
    u64 capacity = 1ull << ceil_log2(wanted);
    u8 *grown = wanted < BUFFER_MOST ? allocate(b->heap, capacity) : NULL;
    if (!grown) {
        b->failed = true;
        return false;
    }
    if (b->length)
        memcpy(grown, b->bytes, b->length);
    deallocate(b->heap, b->bytes, b->capacity);
    b->bytes = grown;
    b->capacity = capacity;
    return true;
}

void *buffer_extend(struct buffer *b, u64 bytes)
{
    if (!buffer_reserve(b, bytes))
        return NULL;
    u8 *at = b->bytes + b->length;
    b->length += bytes;
    return at;
}

void buffer_add(struct buffer *b, const void *from, u64 bytes)
{
    void *at = bytes ? buffer_extend(b, bytes) : NULL;
    if (at)
        memcpy(at, from, bytes);
}

void buffer_add_byte(struct buffer *b, u8 value)
{
    buffer_add(b, &value, 1);
}

/* x86 is little-endian, so values are added as they stand in memory. */
void buffer_add_u16(struct buffer *b, u16 value)
{
    buffer_add(b, &value, sizeof(value));
}

void buffer_add_u32(struct buffer *b, u32 value)
{
    buffer_add(b, &value, sizeof(value));
}

void buffer_add_u64(struct buffer *b, u64 value)
{
    buffer_add(b, &value, sizeof(value));
}

void buffer_add_zeroes(struct buffer *b, u64 bytes)
{
    void *at = bytes ? buffer_extend(b, bytes) : NULL;
    if (at)
        memset(at, 0, bytes);
}

void buffer_add_format(struct buffer *b, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    u64 length = format_text_list(NULL, 0, format, list);
    va_end(list);
    /* The terminator is written and then taken off again. */
    char *at = buffer_extend(b, length + 1);
    if (!at)
        return;
    va_start(list, format);
    format_text_list(at, length + 1, format, list);
    va_end(list);
    b->length--;
}
