/* Reading the trace that the machine sent (runtime/trace_stream.h), and what is made of it: spans
   on the tracks of CPUs, of threads and of block requests.

   The stream may be cut anywhere and is believed in nothing: what does not fit is left out. */
#pragma once

#include "runtime/closure.h"
#include "runtime/trace.h"
#include "runtime/trace_stream.h"

#include <stdio.h>

/* --- the records ------------------------------------------------------------------------------ */

struct trace_file;

/* The file's bytes are mapped, so it must not shrink.  NULL: it cannot be read (errno). */
struct trace_file *trace_open(int fd);
void trace_close(struct trace_file *f);

struct trace_event_seen {
    enum trace_event event;
    u32 cpu;
    u64 ns; /* since the kernel's first instruction */
    const u64 *values;
};

/* Every record, in order of time. */
closure_type(trace_visitor, void, const struct trace_event_seen *e);
void trace_walk(const struct trace_file *f, trace_visitor visit);

/* Of an address in a record; "?" when the machine did not say.  file: NULL where there is none. */
const char *trace_name(const struct trace_file *f, u64 address, const char **file, u32 *line);

u64 trace_lost(const struct trace_file *f);    /* records that the machine had to drop */
u64 trace_records(const struct trace_file *f); /* that arrived */
bool trace_whole(const struct trace_file *f);  /* the machine sent its end */
u64 trace_end_ns(const struct trace_file *f);  /* of the last record */

/* --- what a CPU is doing ---------------------------------------------------------------------- */

/* A CPU's frames, outermost first.  A new run loop ends them all; an end ends what was begun
   above it too, because a thunk that entered user mode never said that it had ended. */
#define CPU_FRAMES_MOST 32

enum cpu_frame_kind {
    FRAME_THUNK,
    FRAME_IDLE,
    FRAME_THREAD,
    FRAME_INTERRUPT,
    FRAME_CALL,
    FRAME_FAULT,
    FRAME_WAIT,

};

struct cpu_frame {
    enum cpu_frame_kind kind;
    const char *name;
    u64 number;  /* thread, vector, address */
    u64 address; /* of its name in the kernel; 0: none */
};

struct cpu_frames {
    struct cpu_frame frames[CPU_FRAMES_MOST];
    u32 count;
};

/* What an event does to a CPU's frames: `ended` of them end, innermost first, and then one may
   begin, which is on top afterwards.  Frames beyond CPU_FRAMES_MOST are not entered. */
struct cpu_change {
    u32 ended;
    bool began;
};
struct cpu_change cpu_frames_change(struct cpu_frames *c, const struct trace_file *f,
                                    const struct trace_event_seen *e);

/* --- the results ------------------------------------------------------------------------------ */

/* Writes the Chrome trace (tools/trace_json.c) or the flame graph (tools/flame.c) to an open file;
   `title` is the program's name.  False: writing failed (errno). */
bool trace_write_json(const struct trace_file *f, FILE *to, const char *title);
bool flame_write(const struct trace_file *f, FILE *to, const char *title);
