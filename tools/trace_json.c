/* The trace as Chrome's trace events, which Perfetto and chrome://tracing open: see trace.h.

   Four processes: the CPUs, a track each, with what they run; the program's threads, a track each,
   with their system calls; the disk, with its requests from submission to completion; the network,
   with its frames, those that are sent until the device is done with them.  Each event is written
   as it is made, so that a long trace needs no memory.  Every span that began ends:
   those that were open when the machine ended, at the last record. */
#include "runtime/block.h"
#include "tools/say.h"
#include "tools/trace.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_CPUS 64

enum { PROCESS_CPUS = 1, PROCESS_THREADS, PROCESS_DISK, PROCESS_NET };

struct open_call {
    u64 thread;
    const char *name; /* the file's */
    bool open;
};

struct open_request {
    u64 id;
    u64 serial; /* ids come again, serials do not */
    const char *name;
    u32 process; /* the disk or the network */
};

struct writer {
    const struct trace_file *f;
    FILE *to;
    bool failed;
    bool second; /* an event was written already */
    struct cpu_frames cpus[TRACE_CPUS];
    bool cpu_seen[TRACE_CPUS];
    struct open_call *threads;
    u32 thread_count;
    struct open_request *requests;
    u32 request_count, request_room;
    u64 request_serial;
    struct trace_visitor visit;
};

/* --- events ----------------------------------------------------------------------------------- */

/* Takes the event over. */
static void event_write(struct writer *w, json_t *event)
{
    if (!event)
        die(EXIT_FAILED, "out of memory");
    if (fputs(w->second ? ",\n" : "\n", w->to) < 0 ||
        json_dumpf(event, w->to, JSON_COMPACT | JSON_REAL_PRECISION(15)) != 0)
        w->failed = true;
    w->second = true;
    json_decref(event);
}

static double micros(u64 ns)
{
    return (double)ns / 1000;
}

/* Text of the machine's, of which nothing is known. */
static json_t *text_json(const char *text)
{
    json_t *s = json_string(text);
    return s ? s : json_string("?");
}

static json_t *event_new(const char *phase, u32 process, u64 track, u64 ns)
{
    return json_pack("{s:s, s:i, s:I, s:f}", "ph", phase, "pid", (int)process, "tid",
                     (json_int_t)track, "ts", micros(ns));
}

static void begin_write(struct writer *w, json_t *event, const char *category, const char *name,
                        json_t *args)
{
    json_object_set_new(event, "cat", json_string(category));
    json_object_set_new(event, "name", text_json(name));
    if (args)
        json_object_set_new(event, "args", args);
    event_write(w, event);
}

static void label_write(struct writer *w, const char *kind, u32 process, u64 track, char *name)
{
    json_t *event = event_new("M", process, track, 0);
    json_object_set_new(event, "name", json_string(kind));
    json_object_set_new(event, "args", json_pack("{s:o}", "name", text_json(name)));
    event_write(w, event);
    free(name);
}

/* --- CPUs ------------------------------------------------------------------------------------- */

static json_t *place_json(const struct writer *w, u64 address)
{
    const char *file;
    u32 line;
    trace_name(w->f, address, &file, &line);
    return file ? json_pack("{s:o}", "made by", text_json(text_of("%s:%u", file, line))) : NULL;
}

static char *frame_label(const struct cpu_frame *frame)
{
    return frame->kind == FRAME_THREAD ? text_of("thread %llu", (unsigned long long)frame->number)
                                       : text_copy(frame->name);
}

/* The name is not needed by the format, but some viewers find the beginning by it. */
static void end_write(struct writer *w, u32 process, u64 track, u64 ns, const char *name,
                      json_t *args)
{
    json_t *event = event_new("E", process, track, ns);
    json_object_set_new(event, "name", text_json(name));
    if (args)
        json_object_set_new(event, "args", args);
    event_write(w, event);
}

static void frame_end_write(struct writer *w, u32 cpu, u64 ns, const struct cpu_frame *frame)
{
    char *name = frame_label(frame);
    end_write(w, PROCESS_CPUS, cpu + 1ull, ns, name, NULL);
    free(name);
}

static void frame_write(struct writer *w, u32 cpu, u64 ns, const struct cpu_frame *frame,
                        const struct trace_event_seen *e)
{
    static const char *const categories[] = {"thunk", "idle",  "thread", "interrupt",
                                             "call",  "fault", "wait"};
    json_t *args = NULL;
    char *name = frame_label(frame);
    switch (frame->kind) {
    case FRAME_THUNK:
        args = place_json(w, frame->address);
        break;
    case FRAME_INTERRUPT:
        args = json_pack("{s:I}", "vector", (json_int_t)frame->number);
        break;
    case FRAME_CALL:
        args = json_pack("{s:I}", "thread", (json_int_t)frame->number);
        break;
    case FRAME_FAULT:
        args = json_pack("{s:o, s:I, s:I}", "address",
                         json_sprintf("%#llx", (unsigned long long)e->values[0]), "error",
                         (json_int_t)e->values[1], "vector", (json_int_t)e->values[2]);
        break;
    case FRAME_IDLE:
    case FRAME_THREAD:
    case FRAME_WAIT:
        break;
    }
    begin_write(w, event_new("B", PROCESS_CPUS, cpu + 1ull, ns), categories[frame->kind], name,
                args);
    free(name);
}

static void cpu_visit(struct writer *w, const struct trace_event_seen *e)
{
    struct cpu_frames *c = &w->cpus[e->cpu];
    if (!w->cpu_seen[e->cpu]) {
        w->cpu_seen[e->cpu] = true;
        label_write(w, "thread_name", PROCESS_CPUS, e->cpu + 1ull, text_of("CPU %u", e->cpu));
    }
    struct cpu_frames before = *c;
    struct cpu_change change = cpu_frames_change(c, w->f, e);
    for (u32 i = 0; i < change.ended; i++)
        frame_end_write(w, e->cpu, e->ns, &before.frames[before.count - 1 - i]);
    if (change.began)
        frame_write(w, e->cpu, e->ns, &c->frames[c->count - 1], e);
    if (e->event == TRACE_LOST) {
        char *name = text_of("%llu records lost", (unsigned long long)e->values[0]);
        json_t *event = event_new("i", PROCESS_CPUS, e->cpu + 1ull, e->ns);
        json_object_set_new(event, "s", json_string("t"));
        begin_write(w, event, "lost", name, NULL);
        free(name);
    }
}

/* --- threads ---------------------------------------------------------------------------------- */

static struct open_call *thread_of(struct writer *w, u64 thread)
{
    for (u32 i = 0; i < w->thread_count; i++)
        if (w->threads[i].thread == thread)
            return &w->threads[i];
    w->threads = must_grow(w->threads, (w->thread_count + 1) * sizeof(*w->threads));
    label_write(w, "thread_name", PROCESS_THREADS, thread,
                text_of("thread %llu", (unsigned long long)thread));
    w->threads[w->thread_count] = (struct open_call){.thread = thread};
    return &w->threads[w->thread_count++];
}

static void call_end(struct writer *w, struct open_call *t, u64 ns, json_t *args)
{
    if (t->open) {
        end_write(w, PROCESS_THREADS, t->thread, ns, t->name, args);
    } else {
        json_decref(args);
    }
    t->open = false;
}

static void call_visit(struct writer *w, const struct trace_event_seen *e)
{
    struct open_call *t = thread_of(w, e->values[0]);
    if (e->event == TRACE_SYSCALL_END) {
        call_end(w, t, e->ns, json_pack("{s:I}", "result", (json_int_t)e->values[2]));
        return;
    }
    call_end(w, t, e->ns, json_pack("{s:b}", "end lost", 1));
    t->open = true;
    t->name = trace_name(w->f, e->values[2], NULL, NULL);
    begin_write(w, event_new("B", PROCESS_THREADS, t->thread, e->ns), "call", t->name,
                json_pack("{s:I}", "number", (json_int_t)e->values[1]));
}

/* --- what devices do -------------------------------------------------------------------------- */

static const char *request_category(const struct open_request *r)
{
    return r->process == PROCESS_DISK ? "disk" : "network";
}

static json_t *request_event(const char *phase, const struct open_request *r, u64 ns)
{
    json_t *event = event_new(phase, r->process, 1, ns);
    json_object_set_new(event, "id", json_integer((json_int_t)r->serial));
    return event;
}

static void request_open(struct writer *w, const struct trace_event_seen *e, u32 process,
                         const char *name, json_t *args)
{
    if (w->request_count == w->request_room) {
        w->request_room = w->request_room ? 2 * w->request_room : 64;
        w->requests = must_grow(w->requests, w->request_room * sizeof(*w->requests));
    }
    struct open_request r = {e->values[0], ++w->request_serial, name, process};
    w->requests[w->request_count++] = r;
    begin_write(w, request_event("b", &r, e->ns), request_category(&r), r.name, args);
}

static void block_begin(struct writer *w, const struct trace_event_seen *e)
{
    static const char *const operations[] = {[BLOCK_READ] = "read",
                                             [BLOCK_WRITE] = "write",
                                             [BLOCK_FLUSH] = "flush",
                                             [BLOCK_DISCARD] = "discard"};
    u64 operation = e->values[2] >> TRACE_BLOCK_SHIFT;
    u64 sectors = e->values[2] & ((1ull << TRACE_BLOCK_SHIFT) - 1);
    request_open(w, e, PROCESS_DISK, operation < countof(operations) ? operations[operation] : "?",
                 json_pack("{s:I, s:I}", "sector", (json_int_t)e->values[1], "sectors",
                           (json_int_t)sectors));
}

static void request_close(struct writer *w, u32 i, u64 ns, json_t *args)
{
    struct open_request r = w->requests[i];
    begin_write(w, request_event("e", &r, ns), request_category(&r), r.name, args);
    w->requests[i] = w->requests[--w->request_count];
}

static void request_end(struct writer *w, const struct trace_event_seen *e, u32 process,
                        json_t *args)
{
    for (u32 i = 0; i < w->request_count; i++) {
        if (w->requests[i].id == e->values[0] && w->requests[i].process == process) {
            request_close(w, i, e->ns, args);
            return;
        }
    }
    json_decref(args);
}

static json_t *frame_args(u64 bytes, u64 segment)
{
    return json_pack("{s:I, s:I}", "bytes", (json_int_t)bytes, "segment", (json_int_t)segment);
}

static void received_write(struct writer *w, const struct trace_event_seen *e)
{
    json_t *event = event_new("i", PROCESS_NET, 1, e->ns);
    json_object_set_new(event, "s", json_string("t"));
    begin_write(w, event, "network", "received", frame_args(e->values[0], e->values[1]));
}

static void device_visit(struct writer *w, const struct trace_event_seen *e)
{
    if (e->event == TRACE_BLOCK_BEGIN)
        block_begin(w, e);
    else if (e->event == TRACE_BLOCK_END)
        request_end(w, e, PROCESS_DISK, json_pack("{s:I}", "errno", (json_int_t)e->values[1]));
    else if (e->event == TRACE_NET_OUT_BEGIN)
        request_open(w, e, PROCESS_NET, "sent", frame_args(e->values[1], e->values[2]));
    else if (e->event == TRACE_NET_OUT_END)
        request_end(w, e, PROCESS_NET, NULL);
    else if (e->event == TRACE_NET_IN)
        received_write(w, e);
}

/* --- all of it -------------------------------------------------------------------------------- */

closure_method(trace_visitor, json_visit, struct writer, visit, const struct trace_event_seen *e)
{
    struct writer *w = owner();
    cpu_visit(w, e);
    if (e->event == TRACE_SYSCALL_BEGIN || e->event == TRACE_SYSCALL_END)
        call_visit(w, e);
    else
        device_visit(w, e);
}

static void all_end(struct writer *w)
{
    u64 ns = trace_end_ns(w->f);
    for (u32 cpu = 0; cpu < TRACE_CPUS; cpu++)
        for (u32 i = w->cpus[cpu].count; i-- > 0;)
            frame_end_write(w, cpu, ns, &w->cpus[cpu].frames[i]);
    for (u32 i = 0; i < w->thread_count; i++)
        call_end(w, &w->threads[i], ns, json_pack("{s:b}", "unfinished", 1));
    while (w->request_count)
        request_close(w, w->request_count - 1, ns, json_pack("{s:b}", "unfinished", 1));
}

bool trace_write_json(const struct trace_file *f, FILE *to, const char *title)
{
    struct writer *w = must_allocate(sizeof(*w));
    w->f = f;
    w->to = to;
    init_method(&w->visit, json_visit);
    w->failed = fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", to) < 0;
    label_write(w, "process_name", PROCESS_CPUS, 0, text_of("CPUs"));
    label_write(w, "process_name", PROCESS_THREADS, 0, text_of("%s", title));
    label_write(w, "process_name", PROCESS_DISK, 0, text_of("disk"));
    label_write(w, "process_name", PROCESS_NET, 0, text_of("network"));
    trace_walk(f, &w->visit);
    all_end(w);
    if (fprintf(to, "\n],\"otherData\":{\"records\":%llu,\"lost\":%llu,\"whole\":%s}}\n",
                (unsigned long long)trace_records(f), (unsigned long long)trace_lost(f),
                trace_whole(f) ? "true" : "false") < 0 ||
        fflush(to) != 0)
        w->failed = true;
    bool written = !w->failed;
    free(w->threads);
    free(w->requests);
    free(w);
    return written;
}
