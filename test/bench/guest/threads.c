/* What threads cost.  The same binary runs in Thunk and as /init of the Linux guest.  One line an
   operation, "name figure".

   With one CPU, under QEMU's -icount shift=0: figures are instructions, counted by the time-stamp
   counter.  With two CPUs, threads that are pinned to one each: figures are nanoseconds of a round
   trip, the median of several runs.  A ping-pong is a round trip: there and back. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1, FUTEX_PRIVATE_FLAG = 128 };
enum { ROUNDS = 1000, WARM_UP = 50, ACROSS_ROUNDS = 500, ACROSS_RUNS = 7 };

typedef uint64_t (*stamp)(void);

static int rounds_now;
static int there[2], back[2], sockets[2];
static uint32_t turn; /* futex: 0: the first thread's, 1: the second's */

static uint64_t instructions(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static uint64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

__attribute__((noreturn)) static void failed(const char *what, int error)
{
    printf("%s - errno %d\n", what, error);
    fflush(stdout);
    _exit(1);
}

static void pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) < 0)
        failed("sched_setaffinity", errno);
}

/* --- the two sides of each ping-pong ---------------------------------------------------------- */

static void futex(uint32_t *word, int operation, uint32_t value)
{
    syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void futex_side(uint32_t mine)
{
    for (int i = 0; i < rounds_now; i++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine)
            futex(&turn, FUTEX_WAIT, !mine);
        __atomic_store_n(&turn, !mine, __ATOMIC_RELEASE);
        futex(&turn, FUTEX_WAKE, 1);
    }
}

static void futex_first(void)
{
    futex_side(0);
}

static void futex_second(void)
{
    futex_side(1);
}

static void byte_move(int from, int to, int write_first)
{
    char byte = 0;
    if (write_first && write(to, &byte, 1) != 1)
        failed("write", errno);
    if (read(from, &byte, 1) != 1)
        failed("read", errno);
    if (!write_first && write(to, &byte, 1) != 1)
        failed("write", errno);
}

static void pipe_first(void)
{
    for (int i = 0; i < rounds_now; i++)
        byte_move(back[0], there[1], 1);
}

static void pipe_second(void)
{
    for (int i = 0; i < rounds_now; i++)
        byte_move(there[0], back[1], 0);
}

static void socket_first(void)
{
    for (int i = 0; i < rounds_now; i++)
        byte_move(sockets[0], sockets[0], 1);
}

static void socket_second(void)
{
    for (int i = 0; i < rounds_now; i++)
        byte_move(sockets[1], sockets[1], 0);
}

static void yield_side(void)
{
    for (int i = 0; i < rounds_now; i++)
        sched_yield();
}

/* --- running them ----------------------------------------------------------------------------- */

struct side {
    void (*run)(void);
    int cpu;
};

static pthread_barrier_t together;

static void *side_thread(void *argument)
{
    struct side *s = argument;
    pin(s->cpu);
    pthread_barrier_wait(&together);
    s->run();
    return NULL;
}

/* What one round of two sides takes, until both have ended; the first side is this thread. */
static uint64_t pair_run(void (*first)(void), void (*second)(void), int rounds, int apart,
                         stamp now)
{
    struct side s = {second, apart ? 1 : -1};
    pthread_t thread;
    pin(apart ? 0 : -1);
    turn = 0;
    rounds_now = rounds;
    pthread_barrier_init(&together, NULL, 2);
    int error = pthread_create(&thread, NULL, side_thread, &s);
    if (error)
        failed("pthread_create", error);
    pthread_barrier_wait(&together);
    uint64_t before = now();
    first();
    pthread_join(thread, NULL);
    return (now() - before) / (uint64_t)rounds;
}

static void pair_count(const char *name, void (*first)(void), void (*second)(void), uint64_t parts)
{
    pair_run(first, second, WARM_UP, 0, instructions);
    uint64_t each = pair_run(first, second, ROUNDS, 0, instructions);
    printf("%s %llu\n", name, (unsigned long long)(each / parts));
}

static int later(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void pair_time(const char *name, void (*first)(void), void (*second)(void))
{
    uint64_t took[ACROSS_RUNS];
    for (int i = 0; i < ACROSS_RUNS; i++)
        took[i] = pair_run(first, second, ACROSS_ROUNDS, 1, nanoseconds);
    qsort(took, ACROSS_RUNS, sizeof(took[0]), later);
    printf("%s %llu\n", name, (unsigned long long)took[ACROSS_RUNS / 2]);
}

static void *nothing(void *argument)
{
    return argument;
}

static void count_start_and_join(void)
{
    uint64_t before = 0;
    for (int i = 0; i < WARM_UP + ROUNDS; i++) {
        pthread_t thread;
        if (i == WARM_UP)
            before = instructions();
        int error = pthread_create(&thread, NULL, nothing, NULL);
        if (error)
            failed("pthread_create", error);
        pthread_join(thread, NULL);
    }
    printf("thread %llu\n", (unsigned long long)((instructions() - before) / ROUNDS));
}

static void count_wake(void)
{
    static uint32_t word;
    uint64_t before = 0;
    for (int i = 0; i < WARM_UP + ROUNDS; i++) {
        if (i == WARM_UP)
            before = instructions();
        futex(&word, FUTEX_WAKE, 1);
    }
    printf("futex_wake %llu\n", (unsigned long long)((instructions() - before) / ROUNDS));
}

int main(void)
{
    if (pipe(there) < 0 || pipe(back) < 0)
        failed("pipe", errno);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
        pair_time("futex_cpus", futex_first, futex_second);
        pair_time("pipe_cpus", pipe_first, pipe_second);
    } else {
        pair_count("yield_two", yield_side, yield_side, 2);
        count_wake();
        pair_count("futex", futex_first, futex_second, 1);
        pair_count("pipe_pair", pipe_first, pipe_second, 1);
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) < 0)
            printf("socket_pair - errno %d\n", errno);
        else
            pair_count("socket_pair", socket_first, socket_second, 1);
        count_start_and_join();
    }
    puts("end");
    fflush(stdout);
    return 0;
}
