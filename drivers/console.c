/* The program's streams: buffers for output, and those who wait.

   Output of a stream is a ring of 64 KiB.  `written` counts bytes that came from the program,
   `sent` those the carrier was given, `taken` those it is done with; their room is free again.
   Bytes that come before a carrier is known wait in the ring.

   Who waits is a list threaded through the closures' own links, so waiting allocates nothing; a
   merge's branch, which is shared, must not wait here.

   Callers: unix/ (console.h), carriers (console_carrier.h). */
#include "drivers/console_carrier.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "kernel/run_loop.h"
#include "runtime/lock.h"
#include "runtime/trace.h"

#define OUTPUT_BYTES CONSOLE_OUTPUT_BYTES

struct waiters {
    struct closure_header *first;
};

struct console_output {
    const struct console_carrier *carrier; /* [lock] NULL: not known yet */
    u8 *bytes;                             /* [I] OUTPUT_BYTES of them; NULL: no memory */
    u64 written, sent, taken;              /* [lock] */
    struct waiters writable;               /* [lock] */
};

static struct console {
    struct spinlock lock;                           /* rank DEVICE */
    struct console_output outputs[CONSOLE_STREAMS]; /* that of stdin is not used */
    const struct console_carrier *input;            /* [lock] */
    struct waiters readable;                        /* [lock] */
    struct waiters drained;                         /* [lock] */
    console_control_writer control;                 /* [lock] */
} console = {.lock = {0, RANK_DEVICE, "console"}};

void console_lock(void)
{
    spin_lock(&console.lock);
}

void console_unlock(void)
{
    spin_unlock(&console.lock);
}

bool console_locked(void)
{
    return spin_held(&console.lock);
}

/* A program must not end with success when its output went nowhere. */
static void output_refused(enum console_stream stream)
{
    log_error("console: no memory for the buffer of output %u", stream);
    if (stream <= CONSOLE_STDERR)
        machine_exit(1);
}

void console_init(void)
{
    u32 streams = trace_on ? CONSOLE_TRACE + 1 : CONSOLE_TRACE;
    for (u32 stream = CONSOLE_STDOUT; stream < streams; stream++) {
        console.outputs[stream].bytes = allocate(page_heap, OUTPUT_BYTES);
        if (!console.outputs[stream].bytes)
            output_refused(stream);
    }
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void waiters_add(struct waiters *w, status_handler ready)
{
    struct closure_header *h = status_deferred(ready, STATUS_OK);
    h->next = w->first;
    w->first = h;
}

/* They are applied by the run loop, so with no lock held. */
static void waiters_wake(struct waiters *w)
{
    struct closure_header *h = w->first;
    w->first = NULL;
    while (h) {
        struct closure_header *next = h->next;
        h->next = NULL;
        run_later_status(container_of(h, struct status_handler, header), STATUS_OK);
        h = next;
    }
}

/* --- output ----------------------------------------------------------------------------------- */

static u64 output_room(const struct console_output *o)
{
    return OUTPUT_BYTES - (o->written - o->taken);
}

/* The program's; the trace goes on to the end. */
static bool outputs_are_drained(void)
{
    for (u32 stream = CONSOLE_STDOUT; stream <= CONSOLE_STDERR; stream++)
        if (console.outputs[stream].written != console.outputs[stream].taken)
            return false;
    return true;
}

/* After bytes were taken, or there is nothing that could be. */
static void output_wake(struct console_output *o)
{
    if (o->writable.first && output_room(o) > 0)
        waiters_wake(&o->writable);
    if (console.drained.first && outputs_are_drained())
        waiters_wake(&console.drained);
}

/* The carrier may be done with some of it without having been asked. */
static u64 room_locked(enum console_stream stream, u64 wanted)
{
    const struct console_output *o = &console.outputs[stream];
    if (output_room(o) < wanted && o->carrier)
        o->carrier->output(stream);
    return output_room(o);
}

u64 console_room(enum console_stream stream, u64 wanted)
{
    console_lock();
    u64 room = room_locked(stream, wanted);
    console_unlock();
    return room;
}

u64 console_write(enum console_stream stream, const void *from, u64 bytes)
{
    assert(stream != CONSOLE_STDIN);
    struct console_output *o = &console.outputs[stream];
    if (!o->bytes)
        return bytes;
    console_lock();
    u64 taken = min(bytes, room_locked(stream, bytes));
    u64 start = o->written % OUTPUT_BYTES;
    u64 before_end = min(taken, OUTPUT_BYTES - start);
    memcpy(o->bytes + start, from, before_end);
    memcpy(o->bytes, (const u8 *)from + before_end, taken - before_end);
    o->written += taken;
    if (o->carrier && taken > 0)
        o->carrier->output(stream);
    console_unlock();
    return taken;
}

void console_wait_writable(enum console_stream stream, status_handler ready)
{
    struct console_output *o = &console.outputs[stream];
    console_lock();
    waiters_add(&o->writable, ready);
    if (o->carrier)
        o->carrier->output(stream);
    output_wake(o);
    console_unlock();
}

void console_drain(status_handler drained)
{
    console_lock();
    waiters_add(&console.drained, drained);
    for (u32 stream = CONSOLE_STDOUT; stream <= CONSOLE_STDERR; stream++)
        if (console.outputs[stream].carrier)
            console.outputs[stream].carrier->output(stream);
    output_wake(&console.outputs[CONSOLE_STDOUT]);
    console_unlock();
}

u32 console_output_next(enum console_stream stream, const u8 **bytes, u32 most)
{
    struct console_output *o = &console.outputs[stream];
    u64 start = o->sent % OUTPUT_BYTES;
    u64 together = min(o->written - o->sent, OUTPUT_BYTES - start);
    u32 length = (u32)min(together, (u64)most);
    *bytes = o->bytes + start;
    o->sent += length;
    return length;
}

void console_output_taken(enum console_stream stream, u32 bytes)
{
    struct console_output *o = &console.outputs[stream];
    assert(o->taken + bytes <= o->sent);
    o->taken += bytes;
    output_wake(o);
}

bool console_output_is_awaited(enum console_stream stream)
{
    const struct console_output *o = &console.outputs[stream];
    return o->writable.first || console.drained.first || o->written != o->sent;
}

/* --- input ------------------------------------------------------------------------------------ */

u64 console_available(bool *ended)
{
    *ended = false;
    console_lock();
    u64 bytes = console.input ? console.input->available(ended) : 0;
    console_unlock();
    return bytes;
}

u64 console_read(void *to, u64 bytes)
{
    console_lock();
    u64 taken = console.input ? console.input->read(to, bytes) : 0;
    console_unlock();
    return taken;
}

static void input_wake(void)
{
    bool ended = false;
    if (console.readable.first && console.input && (console.input->available(&ended) > 0 || ended))
        waiters_wake(&console.readable);
}

void console_wait_readable(status_handler ready)
{
    console_lock();
    waiters_add(&console.readable, ready);
    input_wake();
    console_unlock();
}

void console_input_arrived(void)
{
    waiters_wake(&console.readable);
}

/* --- carriers --------------------------------------------------------------------------------- */

void console_carry(enum console_stream stream, const struct console_carrier *carrier)
{
    if (stream == CONSOLE_STDIN) {
        console.input = carrier;
        input_wake();
        return;
    }
    console.outputs[stream].carrier = carrier;
    if (console.outputs[stream].bytes)
        carrier->output(stream);
}

bool console_is_carried(enum console_stream stream)
{
    return stream == CONSOLE_STDIN ? console.input : console.outputs[stream].carrier;
}

void console_carry_rest(const struct console_carrier *carrier)
{
    for (enum console_stream stream = CONSOLE_STDIN; stream <= CONSOLE_STDERR; stream++)
        if (!console_is_carried(stream))
            console_carry(stream, carrier);
}

void console_set_control(console_control_writer writer)
{
    console.control = writer;
}

bool console_control(const char *line)
{
    /* A panic may come here from under the lock; then there is no control channel. */
    if (spin_held(&console.lock) || !console.control)
        return false;
    return console.control(line);
}
