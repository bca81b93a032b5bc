/* The local APIC.  See kernel/x86/apic.h. */
#include "kernel/x86/apic.h"

#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/page_table.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/port.h"

enum { /* Intel SDM 3A, table 11-1; x2APIC: MSR_X2APIC + register / 16 */
       APIC_ID = 0x20,
       APIC_TASK_PRIORITY = 0x80,
       APIC_EOI = 0xb0,
       APIC_SPURIOUS = 0xf0,
       APIC_COMMAND = 0x300, /* x2APIC: one register of 64 bits */
       APIC_COMMAND_TO = 0x310,
       APIC_LVT_TIMER = 0x320,
       APIC_LVT_LINT0 = 0x350,
       APIC_LVT_LINT1 = 0x360,
       APIC_LVT_ERROR = 0x370,
       APIC_TIMER_INITIAL = 0x380,
       APIC_TIMER_CURRENT = 0x390,
       APIC_TIMER_DIVIDE = 0x3e0,
};

#define APIC_BASE_ENABLE  (1ull << 11)
#define APIC_BASE_X2APIC  (1ull << 10)
#define APIC_BASE_ADDRESS 0xffffff000ull
#define APIC_ON           (1u << 8)
#define LVT_MASKED        (1u << 16)
#define LVT_NMI           (4u << 8)
#define LVT_TSC_DEADLINE  (2u << 17)
#define DIVIDE_BY_1       0xbu

/* Intel SDM 3A, 11.6.1 */
#define COMMAND_NMI        (4u << 8)
#define COMMAND_INIT       (5u << 8)
#define COMMAND_STARTUP    (6u << 8)
#define COMMAND_SENDING    (1u << 12)
#define COMMAND_ASSERT     (1u << 14)
#define COMMAND_SPINS_MOST 1000000u

static volatile u32 *registers; /* [I] the same for every CPU; NULL: x2APIC */

static u32 apic_read(u32 at)
{
    return registers ? registers[at / 4] : (u32)rdmsr(MSR_X2APIC + at / 16);
}

static void apic_write(u32 at, u32 value)
{
    if (registers)
        registers[at / 4] = value;
    else
        wrmsr(MSR_X2APIC + at / 16, value);
}

/* Every line masked, and the vectors out of the exceptions' way: a spurious one may still come. */
static void legacy_controllers_mask(void)
{
    static const u8 steps[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 0x20}, {0xa1, 0x28},
                                  {0x21, 0x04}, {0xa1, 0x02}, {0x21, 0x01}, {0xa1, 0x01},
                                  {0x21, 0xff}, {0xa1, 0xff}};
    for (u32 i = 0; i < countof(steps); i++)
        out8(steps[i][0], steps[i][1]);
}

void apic_init(void)
{
    legacy_controllers_mask();
    if (!cpu_features.x2apic) {
        u64 base = rdmsr(MSR_APIC_BASE) & APIC_BASE_ADDRESS;
        registers = device_map(physical_at(base), PAGE_BYTES);
        if (!registers) {
            log_error("apic: no memory to map its registers");
            machine_exit(1);
        }
    }
    apic_init_cpu();
}

void apic_init_cpu(void)
{
    u64 base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;
    wrmsr(MSR_APIC_BASE, registers ? base : base | APIC_BASE_X2APIC);
    /* On first: while it is off, its lines stay masked (Intel SDM 3A, 11.4.7.2). */
    apic_write(APIC_SPURIOUS, APIC_ON | VECTOR_SPURIOUS);
    apic_write(APIC_TASK_PRIORITY, 0);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_LVT_LINT1, LVT_NMI);
    apic_write(APIC_LVT_ERROR, LVT_MASKED);
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, VECTOR_TIMER);
}

u32 apic_id(void)
{
    return registers ? apic_read(APIC_ID) >> 24 : apic_read(APIC_ID);
}

/* --- to other CPUs ---------------------------------------------------------------------------- */

/* An x2APIC's command may pass earlier stores, a memory-mapped one's may not: Intel SDM
   3A, 11.12.3. The wait for the one before is bounded; an APIC that does not send is broken, and
   whoever waits for an answer says so. */
static void command_send(u32 to, u32 command)
{
    if (!registers) {
        asm volatile("mfence; lfence" : : : "memory");
        wrmsr(MSR_X2APIC + APIC_COMMAND / 16, (u64)to << 32 | command);
        return;
    }
    for (u32 i = 0; i < COMMAND_SPINS_MOST && apic_read(APIC_COMMAND) & COMMAND_SENDING; i++)
        cpu_pause();
    apic_write(APIC_COMMAND_TO, to << 24);
    apic_write(APIC_COMMAND, command);
}

void apic_send(u32 apic_id, u8 vector)
{
    command_send(apic_id, COMMAND_ASSERT | vector);
}

void apic_send_nmi(u32 apic_id)
{
    command_send(apic_id, COMMAND_ASSERT | COMMAND_NMI);
}

void apic_send_init(u32 apic_id)
{
    command_send(apic_id, COMMAND_ASSERT | COMMAND_INIT);
}

void apic_send_startup(u32 apic_id, u64 page)
{
    command_send(apic_id, COMMAND_ASSERT | COMMAND_STARTUP | (u32)(page >> PAGE_ORDER));
}

bool apic_reaches(u32 apic_id)
{
    return !registers || apic_id <= APIC_ID_LAST_SHORT;
}

void apic_end_of_interrupt(void)
{
    apic_write(APIC_EOI, 0);
}

void apic_timer_start(u32 ticks)
{
    apic_write(APIC_TIMER_INITIAL, ticks);
}

u32 apic_timer_now(void)
{
    return apic_read(APIC_TIMER_CURRENT);
}

void apic_deadline_init(void)
{
    apic_write(APIC_LVT_TIMER, VECTOR_TIMER | LVT_TSC_DEADLINE);
    asm volatile("mfence" : : : "memory"); /* before the first deadline: Intel SDM 3A, 11.5.4.1 */
}

void apic_deadline_start(u64 tsc)
{
    wrmsr(MSR_TSC_DEADLINE, tsc);
}
