/* The integer types, layout helpers and attributes that every layer uses.

   Freestanding and hosted: only the compiler's own headers are included.  Nothing here has state.
 */
#pragma once

#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef unsigned __int128 u128;

#define KiB (1ull << 10)
#define MiB (1ull << 20)
#define GiB (1ull << 30)

#define NS_PER_US     1000ull
#define NS_PER_MS     1000000ull
#define NS_PER_SECOND 1000000000ull

#define countof(array) (sizeof(array) / sizeof((array)[0]))

/* The struct that holds `member`, from a pointer to that member. */
#define container_of(pointer, type, member)                                                        \
    ({                                                                                             \
        typeof(((type *)0)->member) *member_ = (pointer);                                          \
        (type *)(void *)((char *)member_ - offsetof(type, member));                                \
    })

#define min(a, b)                                                                                  \
    ({                                                                                             \
        __auto_type min_a_ = (a);                                                                  \
        __auto_type min_b_ = (b);                                                                  \
        min_a_ < min_b_ ? min_a_ : min_b_;                                                         \
    })
#define max(a, b)                                                                                  \
    ({                                                                                             \
        __auto_type max_a_ = (a);                                                                  \
        __auto_type max_b_ = (b);                                                                  \
        max_a_ > max_b_ ? max_a_ : max_b_;                                                         \
    })

/* `alignment` is a power of two. */
static inline u64 align_down(u64 value, u64 alignment)
{
    return value & ~(alignment - 1);
}

static inline u64 align_up(u64 value, u64 alignment)
{
    return align_down(value + alignment - 1, alignment);
}

/* value * 2^order == bytes rounded up to the next power of two; ceil_log2(1) == 0. */
static inline u32 ceil_log2(u64 value)
{
    return value <= 1 ? 0 : 64 - (u32)__builtin_clzll(value - 1);
}

/* A half-open range [start, end) of whatever unit the context names. */
typedef struct {
    u64 start;
    u64 end;
} range;

static inline range range_of(u64 start, u64 end)
{
    return (range){start, end};
}

static inline u64 range_length(range r)
{
    return r.end - r.start;
}

static inline bool range_empty(range r)
{
    return r.start >= r.end;
}

static inline bool range_contains(range r, u64 point)
{
    return r.start <= point && point < r.end;
}

static inline range range_intersection(range a, range b)
{
    return (range){max(a.start, b.start), min(a.end, b.end)};
}

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
