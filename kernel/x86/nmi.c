/* Non-maskable interrupts.  See kernel/x86/nmi.h. */
#include "kernel/x86/nmi.h"

#include "kernel/acpi.h"
#include "kernel/census.h"
#include "kernel/cpus.h"
#include "kernel/panic.h"
#include "kernel/watchdog.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/interrupts.h"
#include "kernel/x86/ioapic.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/pit.h"
#include "kernel/x86/smp.h"
#include "kernel/x86/symbols.h"

#define ANSWER_SPINS_MOST 2000000u /* a pause each: some 100 ms */
#define PIT_PIN           2u       /* where a PC's IO-APIC has it, when no table says so */

/* The NMI that this CPU is handling; NULL: none.  Written by that CPU. */
static const struct trap_frame *interrupted[CPUS_MOST];

/* A question, and its answer. */
static struct {
    u32 to; /* [a] CPU number + 1; 0: answered, or none */
    struct cpu_seen *seen;
} question;

/* --- looking ---------------------------------------------------------------------------------- */

static void see_frame(u32 number, const struct trap_frame *frame, struct cpu_seen *seen)
{
    seen->user = trap_from_user(frame);
    seen->halted = cpu_of(number)->halted;
    seen->rip[0] = frame->rip;
    seen->frames = 1;
    if (!seen->user)
        seen->frames = backtrace_collect(frame->rip, frame->rbp, seen->rip, CPU_FRAMES_MOST);
}

static void see_caller(struct cpu_seen *seen)
{
    seen->user = seen->halted = false;
    seen->frames =
        backtrace_collect((u64)__builtin_return_address(0) - 1,
                          *(const u64 *)__builtin_frame_address(0), seen->rip, CPU_FRAMES_MOST);
}

static void ask(u32 number, struct cpu_seen *seen)
{
    question.seen = seen;
    __atomic_store_n(&question.to, number + 1, __ATOMIC_SEQ_CST);
    apic_send_nmi(cpu_of(number)->apic_id);
    for (u32 i = 0; i < ANSWER_SPINS_MOST && __atomic_load_n(&question.to, __ATOMIC_ACQUIRE); i++)
        cpu_pause();
    /* An answer that begins now would go to memory that is not ours any more. */
    u32 asked = number + 1;
    if (!__atomic_compare_exchange_n(&question.to, &asked, 0, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        while (__atomic_load_n(&question.to, __ATOMIC_ACQUIRE))
            cpu_pause();
}

/* A CPU that a panic has stopped stays in its handler. */
void cpu_look(u32 number, struct cpu_seen *seen)
{
    const struct trap_frame *frame = __atomic_load_n(&interrupted[number], __ATOMIC_ACQUIRE);
    *seen = (struct cpu_seen){.answered = false};
    if (number != cpu_number() && !panic_in_progress()) {
        ask(number, seen);
        return;
    }
    seen->answered = frame || number == cpu_number();
    if (frame)
        see_frame(number, frame, seen);
    else if (seen->answered)
        see_caller(seen);
}

/* CPUS_MOST + 1 and more: it is being answered. */
static bool question_answer(u32 number, const struct trap_frame *frame)
{
    u32 asked = number + 1;
    if (!__atomic_compare_exchange_n(&question.to, &asked, number + 1 + CPUS_MOST, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return false;
    see_frame(number, frame, question.seen);
    question.seen->answered = true;
    __atomic_store_n(&question.to, 0, __ATOMIC_RELEASE);
    return true;
}

/* --- the tick --------------------------------------------------------------------------------- */

bool nmi_tick_init(void)
{
    bool level, low;
    u32 gsi = acpi_gsi_of_isa(0, &level, &low);
    return pit_alarm_is_there() && ioapic_route_nmi(gsi ? gsi : PIT_PIN);
}

void nmi_tick_start(void)
{
    pit_alarm_start();
}

bool nmi_tick_came(void)
{
    return pit_alarm_rang();
}

/* --- the interrupt ---------------------------------------------------------------------------- */

/* One from outside comes to all CPUs, or to the boot CPU; that one answers for all. */
static void nmi_serve(u32 number, const struct trap_frame *frame)
{
    bool asked = question_answer(number, frame);
    bool tick = number == 0 && watchdog_tick(trap_from_user(frame));
    if (number == 0 && !asked && !tick)
        census_log("somebody outside asks");
}

void nmi_handle(const struct trap_frame *frame)
{
    u32 number = cpu_number();
    u64 address = read_cr2();
    __atomic_store_n(&interrupted[number], frame, __ATOMIC_RELEASE);
    smp_stop_if_asked();
    nmi_serve(number, frame);
    interrupted[number] = NULL;
    /* It may have come between a page fault and the first look at its address. */
    if (read_cr2() != address)
        write_cr2(address);
}
