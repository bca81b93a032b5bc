/* Interrupts of devices: who handles which vector.  See kernel/interrupt.h. */
#include "kernel/interrupt.h"

#include "kernel/log.h"
#include "kernel/run_loop.h"
#include "kernel/timer.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/interrupts.h"
#include "kernel/x86/ioapic.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/user.h"
#include "runtime/trace.h"

#define VECTOR_FIRST_DEVICE 0x30 /* 0x20-0x2f: where the masked 8259s' spurious ones go */
#define VECTOR_LAST_DEVICE  0xef

static struct {
    thunk handler; /* [I] once set */
    const char *name;
} handlers[VECTOR_LAST_DEVICE + 1];
static u8 unexpected[256]; /* reported once each */
static u32 vector_next = VECTOR_FIRST_DEVICE;

status interrupt_allocate(thunk handler, const char *name, u8 *vector)
{
    if (vector_next > VECTOR_LAST_DEVICE)
        return status_error(ENOSPC, "interrupt: every vector is taken", vector_next);
    handlers[vector_next].handler = handler;
    handlers[vector_next].name = name;
    *vector = (u8)vector_next++;
    return STATUS_OK;
}

status interrupt_route(u32 gsi, u8 vector, bool level_triggered, bool active_low)
{
    if (!ioapic_route(gsi, vector, level_triggered, active_low))
        return status_error(ENODEV, "interrupt: no IO-APIC has this line", gsi);
    return STATUS_OK;
}

void interrupt_mask(u32 gsi, bool masked)
{
    ioapic_mask(gsi, masked);
}

struct msi_message interrupt_message(u8 vector)
{
    /* Fixed delivery, edge triggered, to this CPU: Intel SDM 3A, 11.11.1 and 11.11.2. */
    return (struct msi_message){
        .address = 0xfee00000ull | (u64)this_cpu()->apic_id << 12,
        .data = vector,
    };
}

static void vector_handle(u8 vector)
{
    if (vector == VECTOR_TIMER)
        timer_interrupt();
    else if (vector == VECTOR_WAKE)
        this_cpu()->work_pending = 1;
    else if (vector == VECTOR_SHOOTDOWN)
        shootdown_poll();
    else if (vector <= VECTOR_LAST_DEVICE && handlers[vector].handler)
        apply(handlers[vector].handler);
    else if (!unexpected[vector]++)
        log_warning("interrupt: vector %u came, and nobody handles it", vector);
}

/* For the trace. */
static const char *vector_name(u8 vector)
{
    const char *name = vector == VECTOR_TIMER         ? "timer"
                       : vector == VECTOR_WAKE        ? "wake"
                       : vector == VECTOR_SHOOTDOWN   ? "shoot-down"
                       : vector <= VECTOR_LAST_DEVICE ? handlers[vector].name
                                                      : NULL;
    return name ? name : "unexpected";
}

void interrupt_dispatch(u8 vector, struct trap_frame *frame)
{
    this_cpu()->halted = false;
    if (vector == VECTOR_SPURIOUS) /* has no end: Intel SDM 3A, 11.9 */
        return;
    TRACE(INTERRUPT_BEGIN, vector, vector_name(vector));
    vector_handle(vector);
    apic_end_of_interrupt();
    TRACE(INTERRUPT_END);
    if (trap_from_user(frame))
        user_interrupted(frame);
}
