/* Growable byte buffers on a heap.

   A buffer that could not grow remembers it: later additions do nothing, and buffer_failed says so
   once at the end, so that a writer of many small parts has one check and not many.  Not locked. */
#pragma once

#include "runtime/heap.h"
#include "runtime/types.h"

struct buffer {
    heap heap;
    u8 *bytes;
    u64 length;
    u64 capacity;
    bool failed;
};

void buffer_init(struct buffer *b, heap h);
/* Gives the memory back; the buffer is empty, and good again. */
void buffer_clear(struct buffer *b);
bool buffer_failed(const struct buffer *b);
/* Room for `bytes` more at the end, which count as written; NULL: out of memory. */
void *buffer_extend(struct buffer *b, u64 bytes);
void buffer_add(struct buffer *b, const void *from, u64 bytes);
void buffer_add_byte(struct buffer *b, u8 value);
/* Little-endian. */
void buffer_add_u16(struct buffer *b, u16 value);
void buffer_add_u32(struct buffer *b, u32 value);
void buffer_add_u64(struct buffer *b, u64 value);
void buffer_add_zeroes(struct buffer *b, u64 bytes);
/* Text without its terminator; runtime/format.h. */
void buffer_add_format(struct buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
