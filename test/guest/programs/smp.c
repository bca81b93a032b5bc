/* Several CPUs at once, seen from a program: each part is done by several threads, and prints the
   same whatever the number of CPUs and their order; so the host's output is what is expected.
   Usage: smp PART, or all parts. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 8 };

static void die(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static void all_run(void *(*body)(void *), int count)
{
    pthread_t threads[THREADS];
    for (long i = 0; i < count; i++)
        if ((errno = pthread_create(&threads[i], NULL, body, (void *)i)))
            die("pthread_create");
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* --- futex ping-pong
 * ------------------------------------------------------------------------------ */

enum { PINGS = 1000 };

enum { FUTEX_WAIT_PRIVATE = 128, FUTEX_WAKE_PRIVATE = 129 };

static _Atomic uint32_t turn;

static void *pinger(void *which)
{
    uint32_t me = (uint32_t)(long)which;
    for (int i = 0; i < PINGS; i++) {
        uint32_t seen;
        while ((seen = atomic_load(&turn)) % 2 != me)
            syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
        atomic_store(&turn, seen + 1);
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    return NULL;
}

/* --- a word that the program and the kernel both add to ----------------------------------------
 */

enum { FUTEX_WAKE_OP_PRIVATE = 133, ADD_1 = 1u << 28 | 1u << 12, ADDINGS = 5000 };

static _Atomic uint32_t added, unused;
static _Atomic int kernel_is_done;

static void *adding(void *which)
{
    if (!which) { /* as often as can be, so that the two meet */
        uint32_t own = 0;
        while (!atomic_load(&kernel_is_done) || own < ADDINGS) {
            atomic_fetch_add(&added, 1);
            own++;
        }
        atomic_fetch_sub(&added, own);
        return NULL;
    }
    for (int i = 0; i < ADDINGS; i++)
        syscall(SYS_futex, &unused, FUTEX_WAKE_OP_PRIVATE, 0, 0L, &added, ADD_1);
    atomic_store(&kernel_is_done, 1);
    return NULL;
}

static void words_part(void)
{
    all_run(adding, 2);
    printf("words: the kernel added %u\n", atomic_load(&added));
}

static void futex_part(void)
{
    all_run(pinger, 2);
    printf("futex: %u turns\n", atomic_load(&turn));
}

/* --- a mutex that all want
 * ------------------------------------------------------------------------- */

enum { LOCKINGS = 5000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter; /* under the mutex */

static void *counting(void *which)
{
    (void)which;
    for (int i = 0; i < LOCKINGS; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void mutex_part(void)
{
    all_run(counting, THREADS);
    printf("mutex: counted to %ld\n", counter);
}

/* --- computing
 * ------------------------------------------------------------------------------------- */

static uint64_t sums[THREADS];

static void *summing(void *which)
{
    long me = (long)which;
    uint64_t x = (uint64_t)me + 1, sum = 0;
    for (int i = 0; i < 3000000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        sum += x >> 33;
    }
    sums[me] = sum;
    return NULL;
}

static void compute_part(void)
{
    all_run(summing, THREADS);
    for (int i = 0; i < THREADS; i++)
        printf("compute: thread %d has %llu\n", i, (unsigned long long)sums[i]);
}

/* --- pipes
 * ------------------------------------------------------------------------------------------ */

enum { MESSAGES = 2000 };

static int stages[THREADS + 1][2];

static void *passing_on(void *which)
{
    long me = (long)which;
    uint64_t message;
    for (int i = 0; i < MESSAGES; i++) {
        if (read(stages[me][0], &message, sizeof(message)) != sizeof(message))
            die("read");
        message = message * 31 + (uint64_t)me;
        if (write(stages[me + 1][1], &message, sizeof(message)) != sizeof(message))
            die("write");
    }
    return NULL;
}

static void *feeding(void *which)
{
    (void)which;
    for (uint64_t i = 0; i < MESSAGES; i++)
        if (write(stages[0][1], &i, sizeof(i)) != sizeof(i))
            die("write");
    return NULL;
}

static void pipes_part(void)
{
    pthread_t threads[THREADS], feeder;
    uint64_t message, sum = 0;
    for (int i = 0; i <= THREADS; i++)
        if (pipe(stages[i]))
            die("pipe");
    pthread_create(&feeder, NULL, feeding, NULL);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, passing_on, (void *)i);
    for (int i = 0; i < MESSAGES; i++) {
        if (read(stages[THREADS][0], &message, sizeof(message)) != sizeof(message))
            die("read");
        sum = sum * 17 + message;
    }
    pthread_join(feeder, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("pipes: %d messages through %d threads, in order: %llx\n", MESSAGES, THREADS,
           (unsigned long long)sum);
}

/* --- registers across CPUs
 * ---------------------------------------------------------------------------- */

static int cpus;

static void move_to(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu % cpus, &set);
    if (sched_setaffinity(0, sizeof(set), &set))
        die("sched_setaffinity");
    if (sched_getcpu() != cpu % cpus) {
        printf("registers: on CPU %d, which is not %d\n", sched_getcpu(), cpu % cpus);
        exit(1);
    }
}

static __thread long own = 0;

/* A floating point sum, the rounding mode, all vector registers and thread-local data (FS) must
   survive every move.  */
static void *moving(void *which)
{
    long me = (long)which;
    double values[16], sum = 0;
    own = me;
    for (int i = 0; i < 16; i++)
        values[i] = (double)(me * 100 + i);
    uint32_t mxcsr = 0x1f80 | (uint32_t)(me % 4) << 13, mxcsr_after;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    for (int round = 0; round < 200; round++) {
        double before[4] = {values[0], values[5], values[10], values[15]}, after[4];
        long result, number = SYS_sched_yield;
        __asm__ volatile("movsd 0(%3), %%xmm0\n\tmovsd 8(%3), %%xmm5\n\t"
                         "movsd 16(%3), %%xmm10\n\tmovsd 24(%3), %%xmm15\n\t"
                         "syscall\n\t"
                         "movsd %%xmm0, 0(%4)\n\tmovsd %%xmm5, 8(%4)\n\t"
                         "movsd %%xmm10, 16(%4)\n\tmovsd %%xmm15, 24(%4)"
                         : "=a"(result)
                         : "0"(number), "m"(before), "r"(before), "r"(after)
                         : "rcx", "r11", "memory", "xmm0", "xmm5", "xmm10", "xmm15");
        if (memcmp(before, after, sizeof(before)) || own != me) {
            printf("registers: thread %ld lost some\n", me);
            exit(1);
        }
        sum += before[round % 4];
        move_to(round + (int)me);
    }
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr_after));
    if ((mxcsr_after & 0x6000) != (mxcsr & 0x6000)) {
        printf("registers: thread %ld lost its rounding mode\n", me);
        exit(1);
    }
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    sums[me] = (uint64_t)sum;
    return NULL;
}

static void registers_part(void)
{
    cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    all_run(moving, THREADS);
    for (int i = 0; i < THREADS; i++)
        printf("registers: thread %d has %llu\n", i, (unsigned long long)sums[i]);
}

/* --- memory that comes and goes under everybody
 * ------------------------------------------------------- */

enum { MAPPINGS = 40, MAP_BYTES = 64 * 1024 };

static void *mapping(void *which)
{
    long me = (long)which;
    uint64_t sum = 0;
    for (int i = 0; i < MAPPINGS; i++) {
        uint8_t *at =
            mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            die("mmap");
        for (int b = 0; b < MAP_BYTES; b += 512) {
            if (at[b])
                die("mmap: a page was not zero");
            at[b] = (uint8_t)(me + b / 512);
        }
        if (mprotect(at, MAP_BYTES / 2, PROT_READ))
            die("mprotect");
        for (int b = 0; b < MAP_BYTES; b += 512)
            if (at[b] != (uint8_t)(me + b / 512))
                die("mprotect: a page was changed");
        at[MAP_BYTES - 1] = 1;
        sum += at[512 * 7];
        if (munmap(at, MAP_BYTES))
            die("munmap");
    }
    sums[me] = sum;
    return NULL;
}

static void memory_part(void)
{
    all_run(mapping, THREADS);
    for (int i = 0; i < THREADS; i++)
        printf("memory: thread %d has %llu\n", i, (unsigned long long)sums[i]);
}

/* --- affinity
 * ---------------------------------------------------------------------------------------------- */

enum { MOVES = 50 };

static int moved_pipe[2];
static atomic_int moved_tid, moved_at, moved_over;

static void *moved_reader(void *unused)
{
    char byte;
    while (read(moved_pipe[0], &byte, 1) == 1)
        ;
    return unused;
}

/* Nearly always in a call that wakes the reader. */
static void *moved_writer(void *unused)
{
    moved_tid = (int)syscall(SYS_gettid);
    while (!moved_over && write(moved_pipe[1], "", 1) == 1)
        moved_at = sched_getcpu();
    close(moved_pipe[1]);
    return unused;
}

/* A thread that makes calls is moved by another one. */
static void moved_part(int online)
{
    pthread_t reader, writer;
    cpu_set_t set;
    if (pipe(moved_pipe))
        die("pipe");
    pthread_create(&reader, NULL, moved_reader, NULL);
    pthread_create(&writer, NULL, moved_writer, NULL);
    while (!moved_tid)
        sched_yield();
    for (int i = 0; i < MOVES; i++) {
        CPU_ZERO(&set);
        CPU_SET(i % online, &set);
        if (sched_setaffinity(moved_tid, sizeof(set), &set))
            die("sched_setaffinity");
        while (moved_at != i % online)
            sched_yield();
    }
    moved_over = 1;
    pthread_join(writer, NULL);
    pthread_join(reader, NULL);
    printf("affinity: moved %d times\n", MOVES);
}

static void affinity_part(void)
{
    cpu_set_t set, none;
    int online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    unsigned cpu = ~0u, node = ~0u;
    if (sched_getaffinity(0, sizeof(set), &set))
        die("sched_getaffinity");
    printf("affinity: all CPUs: %d\n", CPU_COUNT(&set) == online);
    CPU_ZERO(&none);
    printf("affinity: no CPU: %d\n", sched_setaffinity(0, sizeof(none), &none) ? errno : 0);
    printf("affinity: no thread: %d\n", sched_setaffinity(99999999, sizeof(set), &set) ? errno : 0);
    for (int i = 0; i < online; i++) {
        CPU_ZERO(&none);
        CPU_SET(i, &none);
        if (sched_setaffinity(0, sizeof(none), &none))
            die("sched_setaffinity");
        syscall(SYS_getcpu, &cpu, &node, NULL);
        if (cpu != (unsigned)i || sched_getcpu() != i)
            printf("affinity: on CPU %u and %d, which is not %d\n", cpu, sched_getcpu(), i);
    }
    sched_setaffinity(0, sizeof(set), &set);
    moved_part(online);
    printf("affinity: done\n");
}

/* --- end with threads that run
 * -------------------------------------------------------------------------- */

static void *endless(void *which)
{
    for (volatile long i = (long)which;; i++)
        ;
    return NULL;
}

static void end_part(void)
{
    pthread_t thread;
    for (long i = 0; i < THREADS; i++)
        pthread_create(&thread, NULL, endless, (void *)i);
    printf("end: with threads that spin\n");
    fflush(stdout);
    exit(7);
}

static const struct {
    const char *name;
    void (*run)(void);
} parts[] = {
    {"words", words_part},     {"futex", futex_part},       {"mutex", mutex_part},
    {"compute", compute_part}, {"pipes", pipes_part},       {"registers", registers_part},
    {"memory", memory_part},   {"affinity", affinity_part}, {"end", end_part},
};

int main(int argc, char **argv)
{
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (argc < 2 || !strcmp(argv[1], parts[i].name))
            parts[i].run();
    return 0;
}
