/* Signals, memory, threads, sleeping and alarms: each check prints what it saw, so that the output
   on Linux is the oracle.  Nothing printed depends on addresses or times. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096

static sigjmp_buf back;
static volatile int caught, caught_code;
static void *volatile caught_address;
static volatile double scratch = 2;

static void check(const char *name, int passed)
{
    printf("%s: %s\n", name, passed ? "yes" : "NO");
}

static void handler(int signal, siginfo_t *info, void *context)
{
    (void)context;
    caught = signal;
    caught_code = info->si_code;
    caught_address = info->si_addr;
    scratch *= 1.5; /* must not be seen by who was interrupted */
    if (signal == SIGSEGV || signal == SIGILL || signal == SIGBUS)
        siglongjmp(back, 1);
}

static void catch_signals(int flags)
{
    static const int signals[] = {SIGSEGV, SIGILL, SIGBUS, SIGUSR1, SIGUSR2, SIGALRM};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
}

/* The signal that touching `p` gives; 0: none. */
static int touch(volatile char *p, int write)
{
    caught = 0;
    if (!sigsetjmp(back, 1)) {
        if (write)
            *p = 1;
        else
            (void)*p;
    }
    return caught;
}

static void test_faults(void)
{
    printf("null: %d code %d\n", touch(NULL, 1), caught_code);
    check("its address", caught_address == NULL);
    caught = 0;
    if (!sigsetjmp(back, 1))
        __asm__ volatile("ud2");
    printf("ud2: %d\n", caught);
    printf("kernel memory: %d\n", touch((char *)(uintptr_t)0xffff800000000000, 0));
}

static void test_signals(void)
{
    double kept = 3.25;
    sigset_t set, old, pending;
    raise(SIGUSR1);
    printf("raise: %d, %.2f %.2f\n", caught, scratch > 2 ? 1.0 : 0.0, kept);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &old);
    caught = 0;
    kill(getpid(), SIGUSR2);
    sigpending(&pending);
    printf("blocked: %d, pending %d\n", caught, sigismember(&pending, SIGUSR2));
    siginfo_t info;
    printf("sigtimedwait: %d", sigtimedwait(&set, &info, &(struct timespec){0, 0}));
    printf(" from itself %d\n", info.si_pid == getpid());
    int again = sigtimedwait(&set, &info, &(struct timespec){0, 1000000});
    printf("again: %d %s\n", again, strerror(errno));
    kill(getpid(), SIGUSR2);
    sigprocmask(SIG_SETMASK, &old, NULL);
    printf("unblocked: %d\n", caught);
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigaction(SIGUSR2, &action, NULL);
    caught = 0;
    raise(SIGUSR2);
    printf("ignored: %d\n", caught);
    printf("SIGKILL caught: %d %s\n", sigaction(SIGKILL, &action, NULL), strerror(errno));
}

static void test_stack_overflow_is_caught(void)
{
    static char stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    printf("sigaltstack: %d\n", sigaltstack(&alternate, NULL));
    catch_signals(SA_ONSTACK);
    raise(SIGUSR1);
    printf("on it: %d\n", caught);
    printf("too small: %d\n", sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = 100}, NULL));
}

static char *map(size_t bytes, int protection)
{
    return mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void test_protection(void)
{
    char *p = map(256 * PAGE, PROT_READ | PROT_WRITE);
    int zeroes = 0;
    for (int i = 0; i < 256; i++) {
        zeroes += p[i * PAGE] == 0;
        p[i * PAGE] = (char)i;
    }
    printf("zero pages: %d\n", zeroes);
    mprotect(p + 2 * PAGE, PAGE, PROT_READ);
    printf("read-only: read %d write %d code %d\n", touch(p + 2 * PAGE, 0), touch(p + 2 * PAGE, 1),
           caught_code);
    mprotect(p + 2 * PAGE, PAGE, PROT_NONE);
    printf("none: read %d\n", touch(p + 2 * PAGE, 0));
    mprotect(p, 256 * PAGE, PROT_READ | PROT_WRITE);
    printf("kept: %d\n", p[2 * PAGE]);
    munmap(p + PAGE, PAGE);
    printf("unmapped: %d, neighbours %d %d\n", touch(p + PAGE, 0), p[0], p[2 * PAGE]);
    printf("mprotect of a hole: %d %s\n", mprotect(p, 3 * PAGE, PROT_READ), strerror(errno));
    char *q = mremap(p + 2 * PAGE, 254 * PAGE, 512 * PAGE, MREMAP_MAYMOVE);
    printf("mremap: %d %d %d\n", q[0], q[PAGE], q[511 * PAGE]);
    printf("shrunk in place: %d\n", mremap(q, 512 * PAGE, PAGE, 0) == q);
    printf("beyond it: %d\n", touch(q + PAGE, 0));
    madvise(q, PAGE, MADV_DONTNEED);
    printf("discarded: %d\n", q[0]);
}

static void test_memory_errors(void)
{
    char *p = map(2 * PAGE, PROT_READ);
    unsigned char present[2];
    printf("munmap unaligned: %d %s\n", munmap(p + 1, PAGE), strerror(errno));
    printf("mmap of nothing: %d %s\n", map(0, PROT_READ) == MAP_FAILED, strerror(errno));
    printf("mmap of too much: %d %s\n", map((size_t)1 << 60, PROT_READ) == MAP_FAILED,
           strerror(errno));
    void *fixed =
        mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    printf("in the way: %d %s\n", fixed == MAP_FAILED, strerror(errno));
    printf("bad descriptor: %d %s\n", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED,
           strerror(errno));
    touch(p, 0);
    printf("mincore: %d\n", mincore(p, 2 * PAGE, present));
    munmap(p, 2 * PAGE);
    printf("mincore of a hole: %d %s\n", mincore(p, PAGE, present), strerror(errno));
    printf("madvise of nonsense: %d %s\n", madvise(p, PAGE, 12345), strerror(errno));
}

static void test_file_mapping(const char *path)
{
    FILE *f = fopen(path, "r");
    char head[4];
    if (!f || fread(head, 1, 4, f) != 4)
        return;
    fseek(f, 0, SEEK_END);
    long bytes = ftell(f), beyond = (bytes + PAGE - 1) / PAGE * PAGE;
    char *p = mmap(NULL, (size_t)beyond + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(f), 0);
    printf("mapped: %d\n", !memcmp(p, head, 4));
    p[0] = 'x';
    printf("private: %c%c\n", p[0], p[1]);
    printf("zero behind the end: %d\n", p[beyond - 1] == 0 || bytes == beyond);
    printf("a page beyond the end: %d\n", touch(p + beyond, 0));
    fclose(f);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long counter, ready;
static __thread long own = 5;

static void *worker(void *number)
{
    own += (long)number;
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        if (i % 100 == 0)
            sched_yield();
    }
    pthread_mutex_lock(&mutex);
    ready++;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
    return (void *)own;
}

static void test_threads(void)
{
    pthread_t threads[8];
    for (long i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, worker, (void *)i) != 0)
            printf("pthread_create failed\n");
    pthread_mutex_lock(&mutex);
    while (ready < 8)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    long sum = 0;
    for (int i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    printf("threads: %ld counted, %ld of their own, %ld here\n", counter, sum, own);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 5000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&mutex);
    printf("timed wait: %s\n", strerror(pthread_cond_timedwait(&changed, &mutex, &until)));
    pthread_mutex_unlock(&mutex);
}

static void *spin(void *stop)
{
    while (!*(volatile int *)stop) {
    }
    return NULL;
}

/* A thread that never gives the processor up must not keep it. */
static void test_time_slice(void)
{
    static volatile int stop;
    pthread_t thread;
    pthread_create(&thread, NULL, spin, (void *)(uintptr_t)&stop);
    usleep(30000);
    stop = 1;
    pthread_join(thread, NULL);
    printf("a spinning thread was interrupted\n");
}

static void test_time(void)
{
    struct timespec before, after, left;
    clock_gettime(CLOCK_MONOTONIC, &before);
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    long slept = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
    check("slept long enough", slept >= 20000000);
    printf("nonsense: %d %s\n", nanosleep(&(struct timespec){0, 1000000000}, NULL),
           strerror(errno));
    struct itimerval soon = {.it_value = {0, 10000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    caught = 0;
    int result = nanosleep(&(struct timespec){10, 0}, &left);
    printf("interrupted by an alarm: %d %s, signal %d, %ld s left\n", result, strerror(errno),
           caught, (long)left.tv_sec);
    setitimer(ITIMER_REAL, &soon, NULL);
    caught = 0;
    pause();
    printf("pause: signal %d\n", caught);
    alarm(100);
    printf("alarm had left: %u\n", alarm(0));
}

int main(int count, char **arguments)
{
    catch_signals(0);
    test_faults();
    test_signals();
    test_stack_overflow_is_caught();
    test_protection();
    test_memory_errors();
    test_file_mapping(arguments[0]);
    test_threads();
    test_time_slice();
    test_time();
    printf("arguments: %d\n", count);
    fflush(stdout);
    if (count > 1) {
        signal(SIGABRT, SIG_DFL);
        abort();
    }
    return 42;
}
