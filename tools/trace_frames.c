/* What a CPU is doing, from its records: see trace.h. */
#include "tools/trace.h"

static struct cpu_frame frame_of(const struct trace_file *f, const struct trace_event_seen *e)
{
    const u64 *v = e->values;
    switch (e->event) {
    case TRACE_THUNK_BEGIN:
    case TRACE_TIMER_BEGIN:
        return (struct cpu_frame){FRAME_THUNK, trace_name(f, v[0], NULL, NULL), 0, v[0]};
    case TRACE_IDLE_BEGIN:
        return (struct cpu_frame){FRAME_IDLE, "idle", 0, 0};
    case TRACE_SURFACE_BEGIN:
        return (struct cpu_frame){FRAME_WAIT, "surface lock", 0, 0};
    case TRACE_THREAD_RUN:
        return (struct cpu_frame){FRAME_THREAD, "thread", v[0], 0};
    case TRACE_INTERRUPT_BEGIN:
        return (struct cpu_frame){FRAME_INTERRUPT, trace_name(f, v[1], NULL, NULL), v[0], 0};
    case TRACE_SYSCALL_BEGIN:
        return (struct cpu_frame){FRAME_CALL, trace_name(f, v[2], NULL, NULL), v[0], 0};
    default:
        return (struct cpu_frame){FRAME_FAULT, v[2] == 14 ? "page fault" : "exception", v[0], 0};
    }
}

/* How many frames go when the innermost one of that kind ends; 0: there is none. */
static u32 frames_above(const struct cpu_frames *c, enum cpu_frame_kind kind)
{
    for (u32 i = c->count; i-- > 0;)
        if (c->frames[i].kind == kind)
            return c->count - i;
    return 0;
}

static struct cpu_change frame_end(struct cpu_frames *c, enum cpu_frame_kind kind)
{
    struct cpu_change change = {.ended = frames_above(c, kind)};
    c->count -= change.ended;
    return change;
}

static struct cpu_change frame_begin(struct cpu_frames *c, struct cpu_frame frame)
{
    struct cpu_change change = {.began = c->count < CPU_FRAMES_MOST};
    if (change.began)
        c->frames[c->count++] = frame;
    return change;
}

static struct cpu_change frames_end_all(struct cpu_frames *c)
{
    struct cpu_change change = {.ended = c->count};
    c->count = 0;
    return change;
}

/* A call that waits ends somewhere else: only the CPU's own innermost call is ended. */
static struct cpu_change call_end(struct cpu_frames *c, u64 thread)
{
    if (c->count && c->frames[c->count - 1].kind == FRAME_CALL &&
        c->frames[c->count - 1].number == thread)
        return frame_end(c, FRAME_CALL);
    return (struct cpu_change){};
}

struct cpu_change cpu_frames_change(struct cpu_frames *c, const struct trace_file *f,
                                    const struct trace_event_seen *e)
{
    struct cpu_change change;
    switch (e->event) {
    case TRACE_LOST: /* who knows what they said */
    case TRACE_LOOP:
        return frames_end_all(c);
    case TRACE_THREAD_RUN:
        change = frames_end_all(c);
        change.began = frame_begin(c, frame_of(f, e)).began;
        return change;
    case TRACE_THUNK_BEGIN:
    case TRACE_TIMER_BEGIN:
    case TRACE_IDLE_BEGIN:
    case TRACE_SURFACE_BEGIN:
    case TRACE_INTERRUPT_BEGIN:
    case TRACE_SYSCALL_BEGIN:
    case TRACE_FAULT_BEGIN:
        return frame_begin(c, frame_of(f, e));
    case TRACE_THUNK_END:
    case TRACE_TIMER_END:
        return frame_end(c, FRAME_THUNK);
    case TRACE_IDLE_END:
        return frame_end(c, FRAME_IDLE);
    case TRACE_SURFACE_END:
        return frame_end(c, FRAME_WAIT);
    case TRACE_INTERRUPT_END:
        return frame_end(c, FRAME_INTERRUPT);
    case TRACE_SYSCALL_END:
        return call_end(c, e->values[0]);
    case TRACE_FAULT_END:
        return frame_end(c, FRAME_FAULT);
    default:
        return (struct cpu_change){};
    }
}
