/* TLB shoot-down: what a change of page tables takes away from the TLBs of all CPUs.

   One request at a time: the initiator holds the lock of the page tables from its first change
   until every CPU concerned has answered, so `request` has one writer and one operation one round
   of interrupts, for all its pages.

   Whom it concerns.  A CPU announces a space in cpu->space_next before it loads CR3, with a full
   fence, and takes the old one back (cpu->space) afterwards.  The initiator changes the entries,
   has a full fence, then reads both.  So either it sees that the CPU has the space, or the CPU
   loads CR3 after the changes are visible, and a load of CR3 empties the TLB of what is not global.

   Idle CPUs keep the space they had last (they often come back to it), but are not woken for it:
   they are lazy.  The initiator posts FLUSH_SPACE and then reads `lazy` once more; the CPU clears
   `lazy`, has a full fence and then reads what was posted (space_idle_end).  One of them sees the
   other: the CPU flushes before it touches user memory, or the initiator sends the interrupt and
   waits.  A space that is given up is different: its tables become other people's memory, which a
   lazy CPU could still walk, so those are woken too and load the kernel's own.

   Why it ends.  Who is asked answers with interrupts off: waiting for a lock (lock_waiting),
   between two closures of the run loop; in user mode and in the halt the interrupt answers.  The
   initiator holds no lock but that of the page tables and what its callers hold, and who waits for
   any of those polls.  Two that begin at once: the second waits for the lock, and polls.  A CPU
   that is silent for SILENCE_MOST_NS has stopped to work, and the panic names it.

   With one CPU online none of this is entered. */
#include "kernel/x86/shootdown.h"

#include "kernel/clock.h"
#include "kernel/cpus.h"
#include "kernel/panic.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/paging.h"
#include "runtime/assert.h"

#define SILENCE_MOST_NS (10 * NS_PER_SECOND)
#define SPINS_A_LOOK    4096 /* between two looks at the clock */

enum flush_wanted {
    FLUSH_LISTED = 1, /* what `request` lists */
    FLUSH_SPACE = 2,  /* everything but the kernel's */
    FLUSH_LEAVE = 4,  /* load the kernel's space if request->space is loaded */
};

static const struct flush *request; /* [page table lock], valid until all have answered */

/* --- one CPU ---------------------------------------------------------------------------------- */

/* A change of CR4.PGE empties the TLB of global entries too (Intel SDM 3A, 4.10.4.1). */
static void flush_everything(void)
{
    u64 cr4 = read_cr4();
    if (cr4 & CR4_PGE) {
        write_cr4(cr4 & ~CR4_PGE);
        write_cr4(cr4);
    } else {
        write_cr3(read_cr3());
    }
}

static void flush_here(const struct flush *f)
{
    if (f->count <= FLUSH_PAGES_MOST)
        for (u32 i = 0; i < f->count; i++)
            invlpg(f->pages[i]);
    else if (f->space == &kernel_space)
        flush_everything();
    else
        write_cr3(read_cr3());
}

static void leave_here(const struct page_space *space)
{
    if (this_cpu()->space == space)
        page_space_switch(&kernel_space);
}

/* FLUSH_SPACE is taken before it is done: for a lazy CPU nobody waits, so the next initiator may
   post it again in the middle, for entries that this flush came too early for
   (test/model/shootdown.pml has the case).  The others are cleared when they are done, which is
   what the initiator awaits. */
static void shootdown_answer(struct cpu *cpu)
{
    u32 wanted = __atomic_fetch_and(&cpu->flush_wanted, ~(u32)FLUSH_SPACE, __ATOMIC_SEQ_CST);
    if (wanted & FLUSH_LISTED)
        flush_here(request);
    if (wanted & FLUSH_SPACE)
        write_cr3(read_cr3());
    if (wanted & FLUSH_LEAVE)
        leave_here(request->space);
    __atomic_fetch_and(&cpu->flush_wanted, ~(wanted & ~FLUSH_SPACE), __ATOMIC_RELEASE);
}

void shootdown_poll(void)
{
    struct cpu *cpu = this_cpu();
    if (unlikely(__atomic_load_n(&cpu->flush_wanted, __ATOMIC_RELAXED)))
        shootdown_answer(cpu);
}

void space_idle_begin(void)
{
    __atomic_store_n(&this_cpu()->lazy, true, __ATOMIC_RELEASE);
}

void space_idle_end(void)
{
    __atomic_store_n(&this_cpu()->lazy, false, __ATOMIC_SEQ_CST); /* an exchange: a full fence */
    shootdown_poll();
}

/* --- all CPUs --------------------------------------------------------------------------------- */

static bool space_concerns(const struct page_space *space, const struct cpu *cpu)
{
    return space == &kernel_space || __atomic_load_n(&cpu->space, __ATOMIC_RELAXED) == space ||
           __atomic_load_n(&cpu->space_next, __ATOMIC_RELAXED) == space;
}

/* False when the CPU idles and will flush by itself. */
static bool flush_post(struct cpu *cpu, u32 wanted)
{
    bool lazy = wanted == FLUSH_LISTED && request->space != &kernel_space &&
                __atomic_load_n(&cpu->lazy, __ATOMIC_RELAXED);
    __atomic_fetch_or(&cpu->flush_wanted, lazy ? FLUSH_SPACE : wanted, __ATOMIC_SEQ_CST);
    if (lazy && __atomic_load_n(&cpu->lazy, __ATOMIC_SEQ_CST))
        return false;
    apic_send(cpu->apic_id, VECTOR_SHOOTDOWN);
    return true;
}

static void answer_await(const struct cpu *cpu)
{
    u64 give_up_ns = 0;
    for (u32 spins = 1; __atomic_load_n(&cpu->flush_wanted, __ATOMIC_ACQUIRE); spins++) {
        cpu_pause();
        shootdown_poll();
        if (spins % SPINS_A_LOOK)
            continue;
        u64 now = clock_monotonic_ns();
        if (!give_up_ns)
            give_up_ns = now + SILENCE_MOST_NS;
        else if (now > give_up_ns)
            panic("CPU %u has not answered a TLB shoot-down for 10 s", cpu->id);
    }
}

static void shootdown(const struct flush *f, u32 wanted)
{
    u32 online = cpus_online(), self = cpu_number();
    u64 asked = 0;
    request = f;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the entries are written before `space` is read */
    for (u32 n = 0; n < online; n++) {
        struct cpu *cpu = cpu_of(n);
        if (n != self && space_concerns(f->space, cpu) && flush_post(cpu, wanted))
            asked |= 1ull << n;
    }
    for (; asked; asked &= asked - 1)
        answer_await(cpu_of((u32)__builtin_ctzll(asked)));
    request = NULL;
}

/* In a panic the others have been stopped. */
static bool others_run(void)
{
    return cpus_online() > 1 && !panic_in_progress();
}

void flush_finish(const struct flush *f)
{
    if (!f->count)
        return;
    if (f->space == &kernel_space || this_cpu()->space == f->space)
        flush_here(f);
    if (others_run())
        shootdown(f, FLUSH_LISTED);
}

void shootdown_leave(const struct page_space *space)
{
    leave_here(space);
    struct flush f;
    flush_begin(&f, space);
    if (others_run())
        shootdown(&f, FLUSH_LEAVE);
}
