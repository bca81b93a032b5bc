/* Starting the application processors, and what CPUs ask of each other.  See kernel/cpus.h.

   All are started at once, by INIT and SIPI (Intel SDM 3A, 9.4.4), and make themselves ready side
   by side.  A slot is a struct cpu with its stacks; whoever comes takes the next one.  The boot CPU
   waits for all, gives the ones that came their numbers in the order in which firmware names them,
   and lets them into their run loops when each has made its queues: so numbers are dense, and
   a CPU that is counted as online is ready.  In between they halt, and are woken by an interrupt.

   A CPU that shows no sign of life is left out with one line.  Should it come later it finds its
   slot closed, and halts for ever: its stacks and the page where it starts stay its own. */
#include "kernel/x86/smp.h"

#include "kernel/acpi.h"
#include "kernel/boot_info.h"
#include "kernel/clock.h"
#include "kernel/cpus.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/mp_table.h"
#include "kernel/page_table.h"
#include "kernel/timer.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/apic_timer.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/interrupts.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/run_loop.h"
#include "kernel/x86/user.h"
#include "runtime/assert.h"
#include "runtime/memory.h"

#define INIT_SETTLE_NS   (10 * NS_PER_MS)  /* real ones want it: Intel SDM 3A, 9.4.4.1 */
#define STARTUP_AGAIN_NS (200 * NS_PER_US) /* the same */
#define SILENCE_MOST_NS  (100 * NS_PER_MS) /* nobody has come for so long: nobody will */
#define ARRIVAL_MOST_NS  NS_PER_SECOND     /* somebody has come, and is on the way */
#define READY_MOST_NS    (10 * NS_PER_SECOND)
#define STOP_MOST_NS     (100 * NS_PER_MS)

#define SLOTS_MOST (CPUS_MOST - 1)

enum slot_state {
    SLOT_OPEN,     /* nobody has come */
    SLOT_CLOSED,   /* nobody may come any more */
    SLOT_ARRIVED,  /* its CPU runs C, and waits for its number */
    SLOT_NUMBERED, /* may make its queues */
    SLOT_READY,    /* has made them, and waits until it is online */
};

static struct slot {
    struct cpu *cpu; /* [I] */
    u32 state;       /* [a] */
} slots[SLOTS_MOST];

u64 smp_slot_stacks[SLOTS_MOST];
u32 smp_slots_offered; /* slots below have a CPU; 0: no more are given */

static u32 online = 1; /* [a] */
static u32 stopping;   /* [a] not 0: an NMI means that */
static u64 stopped;    /* [a] bit n: CPU n has stopped */
static u64 start_page; /* [I] */

u32 cpus_online(void)
{
    return __atomic_load_n(&online, __ATOMIC_ACQUIRE);
}

u32 cpu_number(void)
{
    return this_cpu()->id;
}

void cpu_wake(u32 number)
{
    apic_send(cpu_of(number)->apic_id, VECTOR_WAKE);
}

void smp_take_page(const struct boot_info *boot)
{
    start_page = boot->start_page;
}

/* --- on the CPU that starts ------------------------------------------------------------------- */

static u32 slot_state(const struct slot *s)
{
    return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
}

static void slot_set(struct slot *s, u32 state)
{
    __atomic_store_n(&s->state, state, __ATOMIC_RELEASE);
}

/* The slot goes from open to `state`, unless it is not open any more. */
static bool slot_move(struct slot *s, u32 state)
{
    u32 open = SLOT_OPEN;
    return __atomic_compare_exchange_n(&s->state, &open, state, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

void smp_arrive(u32 number)
{
    struct slot *s = &slots[number];
    cpu_init(s->cpu);
    traps_load();
    cpu_protect();
    apic_init_cpu();
    s->cpu->apic_id = apic_id();
    apic_timer_init();
    user_init();
    if (!slot_move(s, SLOT_ARRIVED))
        cpu_stop();
    while (slot_state(s) != SLOT_NUMBERED)
        cpu_idle();
    run_loop_init();
    timers_init();
    slot_set(s, SLOT_READY);
    while (cpus_online() <= s->cpu->id)
        cpu_idle();
    write_cr3(read_cr3()); /* the page where it started is not mapped any more */
    run_loop();
}

/* --- who there is ----------------------------------------------------------------------------- */

/* The others' APIC numbers, each once, in firmware's order. */
struct processors {
    u32 count;
    u32 apic_ids[SLOTS_MOST];
};

static bool processor_is_new(const struct processors *p, u32 apic_id)
{
    bool known = apic_id == boot_cpu.apic_id;
    for (u32 i = 0; i < p->count; i++)
        known |= p->apic_ids[i] == apic_id;
    return !known;
}

static void processor_add(struct processors *p, u32 apic_id)
{
    if (!processor_is_new(p, apic_id))
        return;
    if (apic_reaches(apic_id))
        p->apic_ids[p->count++] = apic_id;
    else
        log_warning("cpus: APIC %u cannot be reached without x2APIC; it is left out", apic_id);
}

/* A MADT may name each CPU twice: as local APIC and as x2APIC. */
static void processors_find(struct processors *p, u32 most)
{
    u32 named[2 * CPUS_MOST];
    u32 count = acpi_processors(named, countof(named));
    if (!count)
        count = mp_processors(named, countof(named));
    for (u32 i = 0; i < min(count, (u32)countof(named)) && p->count < most; i++)
        processor_add(p, named[i]);
}

/* --- on the boot CPU -------------------------------------------------------------------------- */

/* As smp_trampoline.asm has it. */
struct trampoline_parameters {
    u64 entry;
    u32 root, efer, far_target;
    u16 far_selector, gdt_limit;
    u32 gdt;
} __attribute__((packed));

static bool trampoline_place(void)
{
    u64 bytes = (u64)(smp_trampoline_end - smp_trampoline);
    u8 *page = direct_map(physical_at(start_page));
    struct trampoline_parameters *p = (void *)(page + (smp_trampoline_parameters - smp_trampoline));
    _Static_assert(sizeof(*p) == 28, "smp_trampoline.asm");
    assert(bytes <= PAGE_BYTES && kernel_space.root.bits >> 32 == 0);
    memcpy(page, smp_trampoline, bytes);
    p->entry = (u64)smp_entry;
    p->root = (u32)kernel_space.root.bits;
    p->efer = (u32)(EFER_LONG_MODE | (cpu_features.nx ? EFER_NX : 0));
    p->far_target += (u32)start_page;
    p->gdt += (u32)start_page;
    /* As a user's page, below the kernel's half; a CPU that starts has no SMEP yet. */
    return is_ok(page_map(&kernel_space, start_page, physical_at(start_page), PAGE_BYTES,
                          PAGE_EXECUTE | PAGE_USER));
}

static u32 slots_make(u32 wanted)
{
    u32 made = 0;
    while (made < wanted && (slots[made].cpu = cpu_make())) {
        struct cpu_stacks *stacks = slots[made].cpu->stacks;
        smp_slot_stacks[made++] = (u64)(stacks->stack + STACK_BYTES);
    }
    if (made < wanted)
        log_warning("cpus: no memory for the stacks of %u CPUs; they are left out", wanted - made);
    return made;
}

static void wait_ns(u64 ns)
{
    for (u64 end = clock_monotonic_ns() + ns; clock_monotonic_ns() < end;)
        cpu_pause();
}

static u32 arrived_count(void)
{
    u32 count = 0;
    for (u32 i = 0; i < smp_slots_offered; i++)
        count += slot_state(&slots[i]) == SLOT_ARRIVED;
    return count;
}

static u32 taken_count(void)
{
    return __atomic_load_n(&smp_slots_taken, __ATOMIC_RELAXED);
}

/* The option cpu_fail=N, for tests: the start-up of the N-th further CPU gets lost. */
static void startup_send(const struct processors *p)
{
    u64 lost = boot_option_number("cpu_fail");
    for (u32 i = 0; i < p->count; i++)
        if (i + 1 != lost)
            apic_send_startup(p->apic_ids[i], start_page);
}

static void arrivals_await(u32 wanted)
{
    u64 since = clock_monotonic_ns();
    u32 signs = 0;
    for (;;) {
        u32 arrived = arrived_count(), taken = taken_count();
        u64 now = clock_monotonic_ns();
        if (arrived == wanted)
            return;
        if (arrived + taken != signs)
            since = now;
        signs = arrived + taken;
        if (now - since > (arrived < taken ? ARRIVAL_MOST_NS : SILENCE_MOST_NS))
            return;
        cpu_pause();
    }
}

static void processors_wake(const struct processors *p)
{
    for (u32 i = 0; i < p->count; i++)
        apic_send_init(p->apic_ids[i]);
    if (!cpu_features.hypervisor)
        wait_ns(INIT_SETTLE_NS);
    startup_send(p);
    wait_ns(STARTUP_AGAIN_NS);
    /* Ignored by who runs already. */
    if (taken_count() < p->count)
        startup_send(p);
    arrivals_await(p->count);
}

/* The slot that the CPU with this APIC took and arrived in; NULL: it did not come. */
static struct slot *slot_of(u32 apic_id)
{
    for (u32 i = 0; i < smp_slots_offered; i++)
        if (slot_state(&slots[i]) == SLOT_ARRIVED && slots[i].cpu->apic_id == apic_id)
            return &slots[i];
    return NULL;
}

/* From now on it is certain who has come. */
static void slots_close(void)
{
    for (u32 i = 0; i < smp_slots_offered; i++)
        slot_move(&slots[i], SLOT_CLOSED);
}

/* Returns how many CPUs there are, on their way to their run loops or there. */
static u32 processors_number(const struct processors *p)
{
    u32 count = 1;
    for (u32 i = 0; i < p->count; i++) {
        struct slot *s = slot_of(p->apic_ids[i]);
        if (!s) {
            log_warning("cpus: the CPU with APIC %u does not start; it is left out",
                        p->apic_ids[i]);
            continue;
        }
        s->cpu->id = count;
        cpu_set(count++, s->cpu);
        slot_set(s, SLOT_NUMBERED);
        apic_send(s->cpu->apic_id, VECTOR_WAKE);
    }
    return count;
}

static void ready_await(void)
{
    u64 begin = clock_monotonic_ns();
    for (u32 i = 0; i < smp_slots_offered; i++)
        while (slot_state(&slots[i]) == SLOT_NUMBERED) {
            cpu_pause();
            if (clock_monotonic_ns() - begin > READY_MOST_NS)
                panic("CPU %u does not reach its run loop", slots[i].cpu->id);
        }
}

static void processors_start(struct processors *p)
{
    u32 wanted = p->count;
    p->count = slots_make(p->count);
    if (!p->count || !trampoline_place()) {
        log_warning("cpus: no memory to start %u CPUs", wanted);
        return;
    }
    clock_monotonic_ns(); /* now, at the latest, its rate is known to all */
    smp_slots_offered = p->count;
    processors_wake(p);
    slots_close();
    u32 arrived = arrived_count();
    if (arrived && !run_loop_share(arrived + 1)) {
        log_warning("cpus: no memory for the queues of %u CPUs", arrived);
        return;
    }
    u32 count = processors_number(p);
    ready_await();
    smp_slots_offered = 0;
    if (count == p->count + 1)
        page_unmap(&kernel_space, start_page, PAGE_BYTES);
    if (count == 1)
        return;
    lock_waiting = shootdown_poll;
    __atomic_store_n(&online, count, __ATOMIC_SEQ_CST);
    for (u32 n = 1; n < count; n++)
        cpu_wake(n);
    log_info("%u CPUs", count);
}

void cpus_start(u32 most)
{
    struct processors p = {0};
    if (boot_option("cpus"))
        most = (u32)min((u64)most, boot_option_number("cpus"));
    if (most <= 1)
        return;
    processors_find(&p, min(most - 1, (u32)SLOTS_MOST));
    if (!p.count)
        return;
    if (start_page)
        processors_start(&p);
    else
        log_warning("cpus: no memory below 1 MiB to start %u CPUs in", p.count);
}

/* --- the end ---------------------------------------------------------------------------------- */

void smp_stop_if_asked(void)
{
    if (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE))
        return;
    __atomic_fetch_or(&stopped, 1ull << cpu_number(), __ATOMIC_RELEASE);
    cpu_stop();
}

void cpus_stop(void)
{
    u32 count = cpus_online(), self = cpu_number();
    u64 others = 0;
    if (count == 1)
        return;
    __atomic_store_n(&stopping, 1, __ATOMIC_SEQ_CST);
    for (u32 n = 0; n < count; n++) {
        if (n == self)
            continue;
        others |= 1ull << n;
        apic_send_nmi(cpu_of(n)->apic_id);
    }
    u64 begin = clock_monotonic_ns();
    while ((__atomic_load_n(&stopped, __ATOMIC_ACQUIRE) & others) != others &&
           clock_monotonic_ns() - begin < STOP_MOST_NS)
        cpu_pause();
}
