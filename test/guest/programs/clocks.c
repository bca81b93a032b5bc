/* The clocks by the C library, which reads them in the vDSO, against the same by system call.
   "clocks compare" goes through everything; "clocks library" asks the library only, so that no
   system call for a clock may be seen. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 100000, ROUNDS_FEW = 2000, CLOCKS = 12, PAGE = 4096 };

static int failures;

static void expect(int holds, const char *what, long clock)
{
    if (holds)
        return;
    failures++;
    printf("wrong: %s, clock %ld\n", what, clock);
}

static int64_t ns_of(const struct timespec *t)
{
    return t->tv_sec * 1000000000 + t->tv_nsec;
}

static int64_t by_call(clockid_t clock)
{
    struct timespec t = {-1, 0};
    return syscall(SYS_clock_gettime, clock, &t) ? -1 : ns_of(&t);
}

static int64_t by_library(clockid_t clock)
{
    struct timespec t = {-1, 0};
    return clock_gettime(clock, &t) ? -1 : ns_of(&t);
}

/* Each reading is between its neighbours, which are of the other kind. */
static void compare_order(clockid_t clock, long rounds)
{
    int64_t before = by_call(clock);
    for (long i = 0; i < rounds; i++) {
        int64_t library = by_library(clock), after = by_call(clock);
        if (before < 0 || before > library || library > after) {
            printf("round %ld: %lld, library %lld, %lld\n", i, (long long)before,
                   (long long)library, (long long)after);
            expect(0, "time goes back", clock);
            return;
        }
        before = after;
    }
}

static void compare_others(void)
{
    for (int i = 0; i < ROUNDS_FEW; i++) {
        struct timeval t;
        struct timezone zone = {1, 1};
        int64_t before = by_call(CLOCK_REALTIME);
        gettimeofday(&t, &zone);
        int64_t us = t.tv_sec * 1000000 + t.tv_usec;
        int64_t between = by_call(CLOCK_REALTIME);
        time_t stored, seconds = time(&stored);
        int64_t after = by_call(CLOCK_REALTIME);
        if (before / 1000 > us || us > between / 1000 || t.tv_usec > 999999)
            expect(0, "gettimeofday", CLOCK_REALTIME);
        if (stored != seconds || between / 1000000000 > seconds || seconds > after / 1000000000)
            expect(0, "time", CLOCK_REALTIME);
    }
    unsigned cpu = 7;
    expect(syscall(SYS_getcpu, &cpu, NULL, NULL) == 0, "getcpu by call", 0);
    expect(sched_getcpu() == (int)cpu, "sched_getcpu", 0);
}

/* Resolutions and refusals, beyond the numbers that are clocks too. */
static void compare_answers(clockid_t clock)
{
    struct timespec library = {-1, -1}, called = {-1, -1}, now;
    int a = clock_getres(clock, &library), a_errno = a ? errno : 0;
    long b = syscall(SYS_clock_getres, clock, &called), b_errno = b ? errno : 0;
    expect(a == b && a_errno == b_errno, "clock_getres", clock);
    expect(ns_of(&library) == ns_of(&called), "clock_getres's answer", clock);
    a = clock_gettime(clock, &now), a_errno = a ? errno : 0;
    b = syscall(SYS_clock_gettime, clock, &now), b_errno = b ? errno : 0;
    expect(a == b && a_errno == b_errno, "clock_gettime's refusal", clock);
}

/* The two pages as /proc/self/maps has them. */
static void look_at_maps(unsigned long vdso)
{
    char line[512];
    int seen = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof(line), maps)) {
        unsigned long start, end;
        char flags[8];
        if (sscanf(line, "%lx-%lx %7s", &start, &end, flags) != 3)
            continue;
        if (strstr(line, "[vdso]") && start == vdso)
            seen += strcmp(flags, "r-xp") == 0;
        if (strstr(line, "[vvar]") && end == vdso)
            seen += strcmp(flags, "r--p") == 0;
    }
    if (maps)
        fclose(maps);
    expect(seen == 2, "[vdso] and [vvar] in /proc/self/maps", 0);
}

static int compare(void)
{
    unsigned long vdso = getauxval(AT_SYSINFO_EHDR);
    expect(vdso && memcmp((const void *)vdso, ELFMAG, SELFMAG) == 0, "AT_SYSINFO_EHDR", 0);
    compare_order(CLOCK_MONOTONIC, ROUNDS);
    compare_order(CLOCK_REALTIME, ROUNDS);
    for (clockid_t clock = 0; clock < CLOCKS; clock++)
        if (clock != 10)
            compare_order(clock, ROUNDS_FEW);
    for (clockid_t clock = -10; clock < 70; clock++)
        compare_answers(clock);
    compare_others();
    look_at_maps(vdso);
    /* Its pages can be taken away only to come back. */
    madvise((void *)(vdso - PAGE), 2 * PAGE, MADV_DONTNEED);
    compare_order(CLOCK_REALTIME, ROUNDS_FEW);
    puts(failures ? "the clocks differ" : "the clocks agree");
    return failures != 0;
}

static int library(void)
{
    struct timespec t;
    struct timeval v;
    long sum = 0;
    for (int i = 0; i < 100; i++)
        for (clockid_t clock = 0; clock < 8; clock++) {
            if (clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
                continue;
            sum += clock_gettime(clock, &t) + gettimeofday(&v, NULL) + (time(NULL) < 0);
            sum += sched_getcpu() < 0;
        }
    puts(sum ? "the clocks failed" : "the clocks were read");
    return sum != 0;
}

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "library") == 0 ? library() : compare();
}
