/* The trace's way out: the console stream CONSOLE_TRACE, on a port that is named thunk.trace.
   Callers: drivers/virtio_console.c opens it; kernel/trace.c writes to it. */
#include "drivers/console_carrier.h"
#include "kernel/trace.h"

#define TRACE_ROOM (~0ull) /* more than there is: have the device's answers looked at */

static struct trace_port {
    struct trace_output output;
} port;

/* Under the surface lock nobody else has the console's lock; in a panic somebody may, for ever. */
closure_method(trace_output, port_output, struct trace_port, output, const void *head,
               u64 head_bytes, const void *body, u64 body_bytes)
{
    (void)owner();
    if (console_locked())
        return false;
    if (!head)
        return console_room(CONSOLE_TRACE, TRACE_ROOM) == CONSOLE_OUTPUT_BYTES;
    u64 bytes = head_bytes + body_bytes;
    if (console_room(CONSOLE_TRACE, bytes) < bytes)
        return false;
    console_write(CONSOLE_TRACE, head, head_bytes);
    console_write(CONSOLE_TRACE, body, body_bytes);
    return true;
}

void trace_port_opened(void)
{
    if (!trace_on)
        return;
    init_method(&port.output, port_output);
    trace_set_output(&port.output);
}
