/* The 8254.  See kernel/x86/pit.h; Intel 8254 datasheet, and port 0x61 as the PC has it. */
#include "kernel/x86/pit.h"

#include "kernel/x86/port.h"

#define PIT_HZ         1193182ull
#define PORT_COUNTER_0 0x40
#define PORT_COUNTER_2 0x42
#define PORT_CONTROL   0x43
#define PORT_GATE      0x61 /* bit 0: gate of counter 2, bit 1: speaker, bit 5: its output */
#define TRIES_MOST     1000000u

u64 pit_wait(u64 ns)
{
    u32 count = (u32)min(ns * PIT_HZ / NS_PER_SECOND, 0xffffull);
    u8 gate = (u8)(in8(PORT_GATE) & ~3u);
    out8(PORT_GATE, gate);
    out8(PORT_CONTROL, 0xb0); /* counter 2, both bytes, mode 0: its output rises at the end */
    out8(PORT_COUNTER_2, (u8)count);
    out8(PORT_COUNTER_2, (u8)(count >> 8));
    out8(PORT_GATE, gate | 1);
    u32 tries = 0;
    while (!(in8(PORT_GATE) & 0x20) && tries < TRIES_MOST)
        tries++;
    out8(PORT_GATE, gate);
    /* An output that is high at once is a port that nobody answers. */
    return tries == 0 || tries == TRIES_MOST ? 0 : count * NS_PER_SECOND / PIT_HZ;
}

/* --- the alarm -------------------------------------------------------------------------------- */

#define ALARM_CONTROL 0x30 /* counter 0, both bytes, mode 0: its output rises once, at the end */
#define READ_STATUS_0 0xe2 /* latch the status of counter 0 */
#define STATUS_OUTPUT 0x80
#define STATUS_MODE   0x3f

void pit_alarm_start(void)
{
    out8(PORT_CONTROL, ALARM_CONTROL);
    out8(PORT_COUNTER_0, 0); /* 0 stands for 65536, the longest */
    out8(PORT_COUNTER_0, 0);
}

static u8 alarm_status(void)
{
    out8(PORT_CONTROL, READ_STATUS_0);
    return in8(PORT_COUNTER_0);
}

bool pit_alarm_is_there(void)
{
    pit_alarm_start();
    return (alarm_status() & STATUS_MODE) == ALARM_CONTROL;
}

bool pit_alarm_rang(void)
{
    return alarm_status() & STATUS_OUTPUT;
}
