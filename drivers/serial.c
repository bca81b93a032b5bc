/* The 16550 serial port: messages from the first instruction of C on, and the program's streams
   where there is no virtio console.

   Output is polled: the transmitter says when its FIFO is empty, and then takes 16 bytes.  The wait
   is bounded; a port that stays busy that long loses the bytes and is not waited for again until
   it has been seen ready.  Input comes by the interrupt of ISA line 4 into a ring; while the ring
   is full the receiver's interrupt is off, and the sender waits.

   Registers and bits: National Semiconductor PC16550D, table II. */
#include "drivers/console_carrier.h"
#include "drivers/drivers.h"
#include "kernel/acpi.h"
#include "kernel/interrupt.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/run_loop.h"

enum serial_register {
    SERIAL_DATA = 0,
    SERIAL_INTERRUPT_ENABLE = 1,
    SERIAL_FIFO_CONTROL = 2,
    SERIAL_LINE_CONTROL = 3,
    SERIAL_MODEM_CONTROL = 4,
    SERIAL_LINE_STATUS = 5,
    SERIAL_SCRATCH = 7,
};

#define LINE_8N1           0x03
#define LINE_DIVISOR       0x80
#define MODEM_DTR_RTS_OUT2 0x0b
#define STATUS_DATA_READY  0x01
#define STATUS_EMPTY       0x20
#define FIFO_ON_AND_CLEAR  0x07
#define ENABLE_RECEIVED    0x01

#define SERIAL_FIRST_PORT   0x3f8
#define SERIAL_ISA_IRQ      4
#define SERIAL_FIFO_BYTES   16
#define SERIAL_POLLS_MOST   200000 /* at 115200 baud a full FIFO takes about 1.4 ms */
#define SERIAL_INPUT_BYTES  4096   /* a power of two */
#define SERIAL_SCRATCH_MARK 0x5a

static struct serial {
    u16 port;       /* [I] 0: no serial port */
    bool stuck;     /* it stayed busy for SERIAL_POLLS_MOST */
    bool listening; /* its interrupt is routed */
    bool queued;    /* `received` is with the run loop */
    struct thunk interrupt;
    struct thunk received;
    u8 input[SERIAL_INPUT_BYTES];
    u32 arrived, consumed; /* count bytes; modulo the ring */
} serial;

void serial_init(u16 port)
{
    port_write8(port + SERIAL_SCRATCH, SERIAL_SCRATCH_MARK);
    if (port_read8(port + SERIAL_SCRATCH) != SERIAL_SCRATCH_MARK)
        return;
    serial.port = port;
    port_write8(port + SERIAL_INTERRUPT_ENABLE, 0);
    port_write8(port + SERIAL_LINE_CONTROL, LINE_DIVISOR);
    port_write8(port + SERIAL_DATA, 1); /* 115200 baud */
    port_write8(port + SERIAL_INTERRUPT_ENABLE, 0);
    port_write8(port + SERIAL_LINE_CONTROL, LINE_8N1);
    port_write8(port + SERIAL_FIFO_CONTROL, FIFO_ON_AND_CLEAR);
    port_write8(port + SERIAL_MODEM_CONTROL, MODEM_DTR_RTS_OUT2);
}

static bool serial_wait_empty(void)
{
    u32 polls = serial.stuck ? 1 : SERIAL_POLLS_MOST;
    for (u32 i = 0; i < polls; i++) {
        if (port_read8(serial.port + SERIAL_LINE_STATUS) & STATUS_EMPTY) {
            serial.stuck = false;
            return true;
        }
    }
    serial.stuck = true;
    return false;
}

void serial_write(const char *text, u64 bytes)
{
    if (!serial.port)
        return;
    for (u64 i = 0; i < bytes; i++) {
        if (i % SERIAL_FIFO_BYTES == 0 && !serial_wait_empty())
            return;
        port_write8(serial.port + SERIAL_DATA, (u8)text[i]);
    }
}

/* --- as a carrier of the program's streams ---------------------------------------------------- */

static void serial_output(enum console_stream stream)
{
    const u8 *bytes;
    u32 length;
    /* Bounded by the ring: nothing is written to it meanwhile. */
    while ((length = console_output_next(stream, &bytes, SERIAL_INPUT_BYTES)) > 0) {
        serial_write((const char *)bytes, length);
        console_output_taken(stream, length);
    }
    /* Wakes those who wait for room that was there already. */
    console_output_taken(stream, 0);
}

static u64 serial_available(bool *ended)
{
    /* Where there is no port, there is nobody who could send anything. */
    *ended = !serial.listening;
    return serial.arrived - serial.consumed;
}

/* Takes what has arrived, as far as there is room; the receiver's interrupt stays off without. */
static void serial_receive(void)
{
    u16 status_port = serial.port + SERIAL_LINE_STATUS;
    while (serial.arrived - serial.consumed < SERIAL_INPUT_BYTES &&
           (port_read8(status_port) & STATUS_DATA_READY))
        serial.input[serial.arrived++ % SERIAL_INPUT_BYTES] = port_read8(serial.port + SERIAL_DATA);
    if (serial.arrived - serial.consumed < SERIAL_INPUT_BYTES)
        port_write8(serial.port + SERIAL_INTERRUPT_ENABLE, ENABLE_RECEIVED);
}

static u64 serial_read(void *to, u64 bytes)
{
    u8 *out = to;
    u64 taken = 0;
    bool was_full = serial.arrived - serial.consumed == SERIAL_INPUT_BYTES;
    while (taken < bytes && serial.consumed != serial.arrived)
        out[taken++] = serial.input[serial.consumed++ % SERIAL_INPUT_BYTES];
    if (was_full && taken > 0)
        serial_receive();
    return taken;
}

closure_method(thunk, serial_received, struct serial, received)
{
    struct serial *s = owner();
    s->queued = false;
    console_lock();
    serial_receive();
    if (s->arrived != s->consumed)
        console_input_arrived();
    console_unlock();
}

/* The line stays up until the data is read, so the interrupt is turned off until then. */
closure_method(thunk, serial_interrupt, struct serial, interrupt)
{
    struct serial *s = owner();
    port_write8(s->port + SERIAL_INTERRUPT_ENABLE, 0);
    if (s->queued)
        return;
    s->queued = true;
    run_bottom_half(&s->received);
}

static void serial_listen(void)
{
    bool level_triggered, active_low;
    u8 vector;
    u32 gsi = acpi_gsi_of_isa(SERIAL_ISA_IRQ, &level_triggered, &active_low);
    init_method(&serial.interrupt, serial_interrupt);
    init_method(&serial.received, serial_received);
    status s = interrupt_allocate(&serial.interrupt, "serial", &vector);
    if (is_ok(s))
        s = interrupt_route(gsi, vector, level_triggered, active_low);
    if (!is_ok(s)) {
        log_warning("serial: no interrupt, so no input: %s", status_text(s));
        return;
    }
    serial.listening = true;
    serial_receive();
}

const struct console_carrier *serial_carrier(void)
{
    static const struct console_carrier carrier = {serial_output, serial_available, serial_read};
    if (!serial.port)
        serial_init(SERIAL_FIRST_PORT);
    if (serial.port && !serial.listening)
        serial_listen();
    return &carrier;
}
