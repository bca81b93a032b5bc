/* The workload of the out-of-memory walk: threads that read a file in several ways at once, with
   pipes, mappings, sleeps and polls between them.  What it prints is the same on every run.

   A call that fails is reported on standard error with its errno, and ends it with status 1; so
   output that differs without a report is a defect of the kernel.  The same source is built
   statically (musl) and dynamically (glibc). */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 3, PIECE = 5000, PIPE_BYTES = 20000 };

static const char *file_name;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int arrived;

__attribute__((noreturn)) static void failed(const char *what, int error)
{
    fprintf(stderr, "memory_work: %s: %s\n", what, strerror(error));
    _exit(1);
}

static long must(const char *what, long result)
{
    if (result < 0)
        failed(what, errno);
    return result;
}

static void must_be_zero(const char *what, int error)
{
    if (error)
        failed(what, error);
}

static uint32_t sum_of(uint32_t sum, const unsigned char *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        sum = (sum << 1 | sum >> 31) ^ p[i];
    return sum;
}

static uint32_t sum_by_reading(void)
{
    uint32_t sum = 0;
    unsigned char *piece = malloc(PIECE);
    if (!piece)
        failed("malloc", errno);
    int fd = (int)must("open", open(file_name, O_RDONLY));
    for (;;) {
        long n = must("read", read(fd, piece, PIECE));
        if (n == 0)
            break;
        sum = sum_of(sum, piece, (size_t)n);
    }
    must("close", close(fd));
    free(piece);
    return sum;
}

static uint32_t sum_by_mapping(void)
{
    struct stat s;
    int fd = (int)must("open", open(file_name, O_RDONLY));
    must("fstat", fstat(fd, &s));
    unsigned char *p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        failed("mmap", errno);
    uint32_t sum = sum_of(0, p, (size_t)s.st_size);
    must("munmap", munmap(p, (size_t)s.st_size));
    must("close", close(fd));
    return sum;
}

static void *pipe_fill(void *argument)
{
    static const char text[100] = "what goes through the pipe";
    int fd = *(int *)argument;
    for (int i = 0; i < PIPE_BYTES / (int)sizeof(text); i++)
        if (must("write to a pipe", write(fd, text, sizeof(text))) != sizeof(text))
            failed("a short write to a pipe", 0);
    must("close", close(fd));
    return NULL;
}

/* What another thread writes, until it closes its end. */
static uint32_t sum_by_pipe(void)
{
    int ends[2];
    unsigned char piece[777];
    uint32_t sum = 0;
    pthread_t writer;
    must("pipe", pipe(ends));
    must_be_zero("pthread_create", pthread_create(&writer, NULL, pipe_fill, &ends[1]));
    for (;;) {
        struct pollfd p = {ends[0], POLLIN, 0};
        must("poll", poll(&p, 1, 10000));
        long n = must("read from a pipe", read(ends[0], piece, sizeof(piece)));
        if (n == 0)
            break;
        sum = sum_of(sum, piece, (size_t)n);
    }
    must_be_zero("pthread_join", pthread_join(writer, NULL));
    must("close", close(ends[0]));
    return sum;
}

static uint32_t names_in_root(void)
{
    DIR *d = opendir("/");
    uint32_t count = 0;
    if (!d)
        failed("opendir", errno);
    errno = 0;
    for (struct dirent *e; (e = readdir(d)); errno = 0)
        count += e->d_name[0] != '.';
    if (errno)
        failed("readdir", errno);
    closedir(d);
    return count > 2;
}

/* Waits with a timeout, on a pipe that nobody writes to, a sleep, and a signal. */
static void wait_in_vain(void)
{
    int ends[2];
    sigset_t set;
    siginfo_t info;
    must("pipe2", pipe2(ends, O_NONBLOCK));
    struct pollfd p = {ends[0], POLLIN, 0};
    if (must("poll", poll(&p, 1, 1)) != 0)
        failed("bytes that nobody wrote", 0);
    must("nanosleep", nanosleep(&(struct timespec){0, 100000}, NULL));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    must_be_zero("pthread_sigmask", pthread_sigmask(SIG_BLOCK, &set, NULL));
    must_be_zero("pthread_kill", pthread_kill(pthread_self(), SIGUSR1));
    must("sigtimedwait", sigtimedwait(&set, &info, &(struct timespec){10, 0}));
    must("close", close(ends[0]));
    must("close", close(ends[1]));
}

static void touch_memory(void)
{
    size_t bytes = 3 << 20;
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        failed("mmap", errno);
    for (size_t i = 0; i < bytes; i += 65536)
        p[i] = 1;
    must("mprotect", mprotect(p + 65536, 65536, PROT_READ));
    must("madvise", madvise(p, 131072, MADV_DONTNEED));
    must("munmap", munmap(p + 4096, bytes - 4096));
    must("munmap", munmap(p, 4096));
}

static void meet(void)
{
    pthread_mutex_lock(&lock);
    arrived++;
    pthread_cond_broadcast(&changed);
    while (arrived < THREADS)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void *work(void *result)
{
    uint32_t *sum = result;
    meet();
    *sum = sum_by_reading();
    if (*sum != sum_by_mapping())
        failed("a mapped file differs from what is read", 0);
    touch_memory();
    wait_in_vain();
    *sum ^= sum_by_pipe();
    sched_yield();
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    uint32_t sums[THREADS];
    file_name = argc > 1 ? argv[1] : argv[0];
    for (int i = 0; i < THREADS; i++)
        must_be_zero("pthread_create", pthread_create(&threads[i], NULL, work, &sums[i]));
    for (int i = 0; i < THREADS; i++)
        must_be_zero("pthread_join", pthread_join(threads[i], NULL));
    for (int i = 0; i < THREADS; i++)
        printf("%d: %08x\n", i, sums[i]);
    printf("names %u\nend\n", names_in_root());
    return fflush(stdout) == 0 ? 0 : 1;
}
