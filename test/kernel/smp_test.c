/* Several CPUs: they come up, reach each other, and forget what was unmapped.

   Boot options: cpus_expected=N, how many there must be; panic_race, every CPU panics at once,
   which ends the machine instead of the tests (test/kernel/smp.t looks at what is printed).

   A closure runs with the surface lock held; what is to run on two CPUs at once gives it up. */
#include "kernel/clock.h"
#include "kernel/cpus.h"
#include "kernel/machine.h"
#include "kernel/page_table.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/paging.h"
#include "runtime/assert.h"
#include "test/kernel/kernel_test.h"

#define REMAPS      500
#define RACE_ROUNDS 100
#define RACE_PAGES  3
#define USER_PAGE   0x400000ull

static bool several(void)
{
    if (cpus_online() > 1)
        return true;
    test_skip("there is one CPU");
    return false;
}

/* Spins are not closures: the other CPU's requests are answered here. */
static void spin(void)
{
    cpu_pause();
    shootdown_poll();
}

/* --- they come up ----------------------------------------------------------------------------- */

static void cpus_are_there(void)
{
    u64 expected = boot_option("cpus_expected") ? boot_option_number("cpus_expected") : 1;
    u32 online = cpus_online();
    if (online != expected)
        test_note("%u CPUs are online", online);
    expect(online == expected);
    expect(cpu_number() == 0);
    for (u32 n = 0; n < online; n++) {
        expect(cpu_of(n) && cpu_of(n)->self == cpu_of(n) && cpu_of(n)->id == n);
        for (u32 other = 0; other < n; other++)
            expect(cpu_of(n)->apic_id != cpu_of(other)->apic_id);
    }
    expect(online == CPUS_MOST || !cpu_of(online));
    expect(cpu_of(CPUS_MOST) == NULL);
    test_pass();
}

/* --- they reach each other -------------------------------------------------------------------- */

static struct round {
    u32 next;  /* the CPU that it is on, or goes to */
    u32 wrong; /* where it ran on another one */
    u32 laps;
    struct thunk arrived;
} round_trip;

#define LAPS 20

closure_method(thunk, round_arrived, struct round, arrived)
{
    struct round *r = owner();
    r->wrong += cpu_number() != r->next;
    r->next = (r->next + 1) % cpus_online();
    if (r->next == 1)
        r->laps++;
    if (r->laps <= LAPS || r->next != 1) {
        run_on(r->next, &r->arrived);
        return;
    }
    expect(r->wrong == 0);
    test_pass(); /* on CPU 0: the one before 1 */
}

static void cpus_reach_each_other(void)
{
    if (!several())
        return;
    init_method(&round_trip.arrived, round_arrived);
    round_trip.next = 1;
    run_on(1, &round_trip.arrived);
}

/* --- shoot-downs ------------------------------------------------------------------------------ */

/* One CPU maps two pages by turns to one address, each with a number in it that grows; what was
   mapped before is poisoned as soon as the mapping has returned.  The other one reads. */
static struct remap {
    struct page_space *space;
    u64 address;
    u64 *pages[2];
    bool idles; /* the reader is lazy in between */
    u64 mapped; /* [a] the number that is mapped for certain */
    u64 seen_old, reads;
    u32 reader; /* [a] 0: is not there yet, 1: reads, 2: has ended */
    struct thunk read, ended;
    struct page_space user;
    void (*after)(void);
} remap;

static u64 remap_read(const struct remap *r)
{
    bool user = r->address < USER_END && cpu_features.smap;
    if (user)
        cpu_stac();
    u64 value = *(volatile u64 *)r->address;
    if (user)
        cpu_clac();
    return value;
}

static void reader_idle(void)
{
    space_idle_begin();
    for (u32 i = 0; i < 100; i++)
        cpu_pause();
    space_idle_end();
}

closure_method(thunk, remap_reading, struct remap, read)
{
    struct remap *r = owner();
    surface_unlock();
    page_space_switch(r->space);
    __atomic_store_n(&r->reader, 1, __ATOMIC_SEQ_CST);
    u64 least;
    while ((least = __atomic_load_n(&r->mapped, __ATOMIC_SEQ_CST)) < REMAPS) {
        r->seen_old += remap_read(r) < least;
        r->reads++;
        if (r->idles && r->reads % 16 == 0)
            reader_idle();
        shootdown_poll();
    }
    page_space_switch(&kernel_space);
    __atomic_store_n(&r->reader, 2, __ATOMIC_SEQ_CST);
    surface_lock();
    run_on(0, &r->ended);
}

static bool remap_to(struct remap *r, u64 number)
{
    u32 flags = PAGE_WRITE | (r->address < USER_END ? PAGE_USER : 0);
    u64 *page = r->pages[number % 2];
    __atomic_store_n(page, number, __ATOMIC_SEQ_CST);
    bool good = is_ok(page_map(r->space, r->address, physical_of(page), PAGE_BYTES, flags));
    if (number)
        __atomic_store_n(r->pages[(number - 1) % 2], 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&r->mapped, good ? number : REMAPS, __ATOMIC_SEQ_CST);
    return good;
}

closure_method(thunk, remap_end, struct remap, ended)
{
    struct remap *r = owner();
    page_unmap(r->space, r->address, PAGE_BYTES);
    for (u32 i = 0; i < 2; i++)
        deallocate(page_heap, r->pages[i], PAGE_BYTES);
    if (r->space == &r->user)
        page_space_destroy(&r->user);
    test_note("%llu reads, %llu of them old", (unsigned long long)r->reads,
              (unsigned long long)r->seen_old);
    expect(r->seen_old == 0);
    expect(r->reads > 0);
    test_pass();
}

static void remap_begin(struct page_space *space, u64 address, bool idles)
{
    struct remap *r = &remap;
    r->space = space;
    r->address = address;
    r->idles = idles;
    r->mapped = r->seen_old = r->reads = r->reader = 0;
    for (u32 i = 0; i < 2; i++)
        r->pages[i] = allocate_zero(page_heap, PAGE_BYTES);
    expect(address && r->pages[0] && r->pages[1] && remap_to(r, 0));
    init_method(&r->read, remap_reading);
    init_method(&r->ended, remap_end);
    run_on(1, &r->read);
    surface_unlock();
    while (__atomic_load_n(&r->reader, __ATOMIC_SEQ_CST) == 0)
        spin();
    bool good = true;
    for (u64 number = 1; number <= REMAPS && good; number++)
        good = remap_to(r, number);
    while (__atomic_load_n(&r->reader, __ATOMIC_SEQ_CST) != 2)
        spin();
    surface_lock();
    if (!good)
        r->seen_old = 1; /* the other CPU ends the test */
}

static void kernel_page_is_forgotten(void)
{
    if (several())
        remap_begin(&kernel_space, kernel_room_take(PAGE_BYTES), false);
}

static void user_page_is_forgotten(void)
{
    if (!several())
        return;
    expect(is_ok(page_space_create(&remap.user)));
    remap_begin(&remap.user, USER_PAGE, false);
}

static void idle_cpu_forgets(void)
{
    if (!several())
        return;
    expect(is_ok(page_space_create(&remap.user)));
    remap_begin(&remap.user, USER_PAGE, true);
}

/* A CPU that idles in a space which is given up must not keep its tables. */
static struct leave {
    struct page_space space;
    u32 state; /* [a] 1: loaded, 2: may look, 3: looked */
    bool left;
    struct thunk enter;
} leave;

closure_method(thunk, leave_enter, struct leave, enter)
{
    struct leave *l = owner();
    surface_unlock();
    page_space_switch(&l->space);
    u64 root = l->space.root.bits;
    space_idle_begin();
    __atomic_store_n(&l->state, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&l->state, __ATOMIC_SEQ_CST) != 2)
        spin();
    l->left = read_cr3() == kernel_space.root.bits && root != kernel_space.root.bits;
    space_idle_end();
    __atomic_store_n(&l->state, 3, __ATOMIC_SEQ_CST);
    surface_lock();
}

static void space_given_up_is_left(void)
{
    if (!several())
        return;
    struct leave *l = &leave;
    l->state = 0;
    expect(is_ok(page_space_create(&l->space)));
    init_method(&l->enter, leave_enter);
    run_on(1, &l->enter);
    surface_unlock();
    while (__atomic_load_n(&l->state, __ATOMIC_SEQ_CST) != 1)
        spin();
    page_space_destroy(&l->space);
    __atomic_store_n(&l->state, 2, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&l->state, __ATOMIC_SEQ_CST) != 3)
        spin();
    surface_lock();
    expect(l->left);
    test_pass();
}

/* --- all at once ------------------------------------------------------------------------------ */

/* Every CPU maps and unmaps addresses of its own: each shoots at all others at the same time. */
static struct race {
    struct racer {
        struct thunk run;
        u64 address;
        u32 wrong;
    } racers[CPUS_MOST];
    u32 ready, running; /* [a] */
    u64 *page;
} race;

static bool race_round(const struct racer *racer, physical page)
{
    u64 bytes = RACE_PAGES * PAGE_BYTES;
    for (u64 at = 0; at < bytes; at += PAGE_BYTES)
        if (!is_ok(page_map(&kernel_space, racer->address + at, page, PAGE_BYTES, PAGE_WRITE)))
            return false;
    bool good = *(volatile u64 *)racer->address == 1;
    page_unmap(&kernel_space, racer->address, bytes);
    return good;
}

static void racer_race(struct racer *racer)
{
    u32 online = cpus_online();
    __atomic_fetch_add(&race.ready, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&race.ready, __ATOMIC_SEQ_CST) < online)
        spin();
    for (u32 i = 0; i < RACE_ROUNDS / online + 1; i++)
        racer->wrong += !race_round(racer, physical_of(race.page));
    __atomic_fetch_sub(&race.running, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&race.running, __ATOMIC_SEQ_CST))
        spin();
}

closure_method(thunk, racer_run, struct racer, run)
{
    surface_unlock();
    racer_race(owner());
    surface_lock();
}

static void all_shoot_at_once(void)
{
    if (!several())
        return;
    u32 online = cpus_online(), wrong = 0;
    race.page = allocate_zero(page_heap, PAGE_BYTES);
    expect(race.page);
    *race.page = 1;
    race.ready = 0;
    race.running = online;
    for (u32 n = 0; n < online; n++) {
        race.racers[n].address = kernel_room_take(RACE_PAGES * PAGE_BYTES);
        race.racers[n].wrong = 0;
        expect(race.racers[n].address);
        init_method(&race.racers[n].run, racer_run);
    }
    for (u32 n = 1; n < online; n++)
        run_on(n, &race.racers[n].run);
    surface_unlock();
    racer_race(&race.racers[0]);
    surface_lock();
    for (u32 n = 0; n < online; n++)
        wrong += race.racers[n].wrong;
    deallocate(page_heap, race.page, PAGE_BYTES);
    expect(wrong == 0);
    test_pass();
}

/* --- the end ---------------------------------------------------------------------------------- */

static struct thunk panics[CPUS_MOST];
static u32 panics_ready; /* [a] */

closure_function(thunk, panic_here, ())
{
    surface_unlock();
    __atomic_fetch_add(&panics_ready, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&panics_ready, __ATOMIC_SEQ_CST) < cpus_online())
        spin();
    panic("all CPUs at once");
}

static void everybody_panics(void)
{
    if (!boot_option("panic_race")) {
        test_skip("panic_race is not asked for");
        return;
    }
    for (u32 n = 0; n < cpus_online(); n++) {
        panics[n] = *stack_closure(panic_here);
        run_on(n, &panics[n]);
    }
}

const struct kernel_test smp_tests[] = {
    {"all CPUs panic at once", everybody_panics},
    {"every CPU comes up, with a number", cpus_are_there},
    {"an interrupt reaches each CPU", cpus_reach_each_other},
    {"an unmapped page of the kernel is forgotten everywhere", kernel_page_is_forgotten},
    {"an unmapped page of a program is forgotten everywhere", user_page_is_forgotten},
    {"an idle CPU forgets before it goes on", idle_cpu_forgets},
    {"a space that is given up is left by an idle CPU", space_given_up_is_left},
    {"all CPUs shoot down at once", all_shoot_at_once},
    {NULL, NULL},
};
