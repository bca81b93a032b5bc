/* The trace as the machine sends it to `thunk`: a sequence of chunks, each a header and its bytes,
   all little-endian.  It may end anywhere: a machine can be ended at any time.

   Records of one CPU are in order of time; those of several are not, so the reader merges them by
   their stamps.  Names may come behind the records that use them. */
#pragma once

#include "runtime/types.h"

#define TRACE_CHUNK_MAGIC 0x6b6e7468u /* "htnk" as it lies in memory */

enum trace_chunk_kind {
    TRACE_CHUNK_CLOCK = 1, /* struct trace_clock; the first chunk */
    TRACE_CHUNK_CLOSURE,   /* struct trace_name: its name, then its file */
    TRACE_CHUNK_TEXT,      /* struct trace_name: its text */
    TRACE_CHUNK_RECORDS,   /* struct trace_record, as many as there are bytes for, of `cpu` */
    TRACE_CHUNK_END,       /* nothing: the machine ended in order, and all records were sent */
};

struct trace_chunk {
    u32 magic;
    u16 kind;
    u16 cpu;
    u32 bytes; /* that follow, at most TRACE_CHUNK_MOST */
    u32 zero;
    u64 lost; /* records that `cpu` had to drop until now */
};

#define TRACE_CHUNK_MOST (64 * KiB)

/* Nanoseconds since the kernel's first instruction: (tsc - tsc_begin) * ns_a_tick >> 32. */
struct trace_clock {
    u64 tsc_begin;
    u64 ns_a_tick; /* 32 bits of fraction */
};

/* Of what a record's value of kind c or t points to; the texts follow, each with its zero. */
struct trace_name {
    u64 address;
    u32 line; /* closures */
    u32 zero;
};

struct trace_record {
    u64 stamp; /* the time-stamp counter << 8 | enum trace_event */
    u64 values[3];
};

#define TRACE_STAMP_SHIFT 8

_Static_assert(sizeof(struct trace_chunk) == 24, "the stream's format");
_Static_assert(sizeof(struct trace_clock) == 16, "the stream's format");
_Static_assert(sizeof(struct trace_name) == 16, "the stream's format");
_Static_assert(sizeof(struct trace_record) == 32, "the stream's format");
