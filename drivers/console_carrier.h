/* Between drivers/console.c, which buffers and wakes, and what carries the bytes: ports of a
   virtio console (drivers/virtio_console.c) or the serial port (drivers/serial.c).

   The functions of a carrier are called under the console's lock, and so are those below, except
   where it says otherwise. */
#pragma once

#include "drivers/console.h"

#define CONSOLE_STREAMS      4
#define CONSOLE_OUTPUT_BYTES (64 * KiB) /* of a stream, on their way */

struct console_carrier {
    /* There are bytes to send; takes what it has room for, see console_output_next(). */
    void (*output)(enum console_stream stream);
    /* As console_available() and console_read(). */
    u64 (*available)(bool *ended);
    u64 (*read)(void *to, u64 bytes);
};

/* From now on `stream` goes over this carrier; what has been written already, too. */
void console_carry(enum console_stream stream, const struct console_carrier *carrier);
bool console_is_carried(enum console_stream stream);
/* Gives every stream of the program that nothing carries to the serial port. */
void console_carry_rest(const struct console_carrier *carrier);

/* The next bytes to send that lie together, at most `most`; they count as sent.  0: none. */
u32 console_output_next(enum console_stream stream, const u8 **bytes, u32 most);
/* The oldest `bytes` of those sent have arrived: their room is free. */
void console_output_taken(enum console_stream stream, u32 bytes);
/* Somebody waits for room, or for the end: the carrier must ask for an interrupt. */
bool console_output_is_awaited(enum console_stream stream);

/* There is something to read, or the end. */
void console_input_arrived(void);

/* Makes the buffers; needs no lock. */
void console_init(void);
void console_lock(void);
void console_unlock(void);
bool console_locked(void); /* by anybody; for a panic */

/* A line to the control channel; set by the carrier that has one.  Called with no lock held. */
typedef bool (*console_control_writer)(const char *line);
void console_set_control(console_control_writer writer);

/* drivers/trace_port.c: the stream CONSOLE_TRACE is carried from now on. */
void trace_port_opened(void);

/* drivers/serial.c */
const struct console_carrier *serial_carrier(void);
/* drivers/virtio_console.c: true when a device might still name a port of ours. */
bool virtio_console_expected(void);
