/* The program's stdin, stdout and stderr, the control channel to `thunk`, and the trace.

   On virtio-console ports named thunk.stdin, thunk.stdout, thunk.stderr, thunk.control and
   thunk.trace; where a machine has none, all of it but the trace goes over the serial port.
   Whatever carries it, unix/ sees this. */
#pragma once

#include "runtime/closure.h"
#include "runtime/sg.h"

enum console_stream { CONSOLE_STDIN, CONSOLE_STDOUT, CONSOLE_STDERR, CONSOLE_TRACE };

/* Bytes that can be read from stdin now.  0 and *ended: end of file. */
u64 console_available(bool *ended);
/* Takes up to `bytes` of stdin's bytes that are there; never waits. */
u64 console_read(void *to, u64 bytes);
/* `ready` is applied once, from the run loop, when there is something to read or the end of file.
 */
void console_wait_readable(status_handler ready);

/* Takes up to `bytes` into the output buffer of 64 KiB; 0 when it is full; never waits. */
u64 console_write(enum console_stream stream, const void *from, u64 bytes);
/* What console_write would take now; `wanted` is what is hoped for. */
u64 console_room(enum console_stream stream, u64 wanted);
/* `ready` is applied once when there is room. */
void console_wait_writable(enum console_stream stream, status_handler ready);
/* `drained` is applied once when the device has taken every byte written so far. */
void console_drain(status_handler drained);

/* A line to `thunk` on the control channel ("exit 139"); false when there is no such channel. */
bool console_control(const char *line);
