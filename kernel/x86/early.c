/* The first serial port, polled: for messages before a driver is there, and for panics.

   drivers/serial.c is the driver proper; this one knows nothing but how to send.  Callers: boot/,
   kernel/log.c. */
#include "kernel/x86/early.h"

#include "kernel/x86/msr.h"
#include "kernel/x86/port.h"

#define UART         0x3f8 /* COM1; registers of the 16550 */
#define UART_DATA    (UART + 0)
#define UART_IER     (UART + 1)
#define UART_FCR     (UART + 2)
#define UART_LCR     (UART + 3)
#define UART_MCR     (UART + 4)
#define UART_LSR     (UART + 5)
#define UART_SCRATCH (UART + 7)

#define LCR_8N1     0x03
#define LCR_DIVISOR 0x80
#define MCR_DTR_RTS 0x03
#define FCR_ENABLE  0x07
#define LSR_EMPTY   0x20
#define SPINS_MOST  100000 /* a byte takes 87 us at 115200; then it is given up */

static enum { UART_UNKNOWN, UART_ABSENT, UART_READY } uart;

/* The scratch register of a UART keeps what is written; an empty port reads as ones. */
static void uart_look(void)
{
    out8(UART_SCRATCH, 0x5a);
    if (in8(UART_SCRATCH) != 0x5a) {
        uart = UART_ABSENT;
        return;
    }
    out8(UART_IER, 0);
    out8(UART_LCR, LCR_DIVISOR | LCR_8N1);
    out8(UART_DATA, 1); /* divisor 1: 115200 baud */
    out8(UART_IER, 0);
    out8(UART_LCR, LCR_8N1);
    out8(UART_FCR, FCR_ENABLE);
    out8(UART_MCR, MCR_DTR_RTS);
    uart = UART_READY;
}

static void uart_put(char c)
{
    for (u32 spins = 0; spins < SPINS_MOST && !(in8(UART_LSR) & LSR_EMPTY); spins++)
        cpu_pause();
    out8(UART_DATA, (u8)c);
}

void early_write(const char *text, u64 bytes)
{
    if (uart == UART_UNKNOWN)
        uart_look();
    if (uart != UART_READY)
        return;
    for (u64 i = 0; i < bytes; i++) {
        if (text[i] == '\n')
            uart_put('\r');
        uart_put(text[i]);
    }
}

void cpu_reset(void)
{
    static const struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) none = {0, 0};
    asm volatile("lidt %0\n\tint3" : : "m"(none));
    cpu_stop();
}
