/* Instructions per operation, counted from inside: under QEMU's -icount shift=0 the time-stamp
   counter advances by one for every guest instruction.  The same binary runs in Thunk and as /init
   of the Linux guest.  One line an operation: "name instructions", or "name - errno". */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { WARM_UP = 50, ROUNDS = 500 };

static int zero_fd, null_fd, file_fd, pipe_fds[2], event_fd, epoll_fd;
static char page[4096];

/* What is opened and asked about: the same in both guests, wherever the program lies. */
static const char path[] = "/srv/www/site/example/static/index";

static uint64_t instructions(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static long do_nothing(void)
{
    return 0;
}

static long do_getppid(void)
{
    return syscall(SYS_getppid);
}

static long do_clock(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_MONOTONIC, &now);
}

static long do_read_zero(void)
{
    return read(zero_fd, page, 1);
}

static long do_write_null(void)
{
    return write(null_fd, page, 1);
}

static long do_pread_1(void)
{
    return pread(file_fd, page, 1, 100);
}

static long do_pread_4096(void)
{
    return pread(file_fd, page, 4096, 0);
}

static long do_open_close(void)
{
    int fd = open(path, O_RDONLY);
    return fd < 0 ? fd : close(fd);
}

static long do_stat(void)
{
    struct stat s;
    return stat(path, &s);
}

static long do_pipe(void)
{
    long n = write(pipe_fds[1], page, 1);
    return n < 0 ? n : read(pipe_fds[0], page, 1);
}

static long do_event(void)
{
    uint64_t one = 1;
    long n = write(event_fd, &one, 8);
    return n < 0 ? n : read(event_fd, &one, 8);
}

static long do_epoll(void)
{
    struct epoll_event ready[8];
    return epoll_wait(epoll_fd, ready, 8, -1);
}

static long do_yield(void)
{
    return sched_yield();
}

static long touch(size_t bytes)
{
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -1;
    for (size_t i = 0; i < bytes; i += 4096)
        p[i] = 1;
    return munmap(p, bytes);
}

static long do_mmap_4096(void)
{
    return touch(4096);
}

static long do_mmap_64m(void)
{
    return touch(64 << 20);
}

static long do_sleep(void)
{
    struct timespec microsecond = {0, 1000};
    return nanosleep(&microsecond, NULL);
}

static uint64_t empty_loop;

static void measure(const char *name, long (*operation)(void), int rounds)
{
    for (int i = 0; i < (rounds > WARM_UP ? WARM_UP : 1); i++) {
        if (operation() < 0) {
            printf("%s - errno %d\n", name, errno);
            return;
        }
    }
    uint64_t before = instructions();
    for (int i = 0; i < rounds; i++)
        operation();
    uint64_t each = (instructions() - before) / (uint64_t)rounds;
    if (operation == do_nothing)
        empty_loop = each;
    else
        printf("%s %llu\n", name, (unsigned long long)(each - empty_loop));
}

/* In the Linux guest this is /init, in a root with nothing in it. */
static void make_devices(void)
{
    if (getpid() != 1 || access("/dev/zero", F_OK) == 0)
        return;
    mkdir("/dev", 0755);
    mknod("/dev/zero", S_IFCHR | 0666, makedev(1, 5));
    mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3));
}

static void make_path(void)
{
    char part[sizeof(path)];
    for (size_t i = 1; i < strlen(path); i++) {
        memcpy(part, path, sizeof(path));
        if (path[i] != '/')
            continue;
        part[i] = 0;
        mkdir(part, 0755);
    }
    close(open(path, O_CREAT | O_WRONLY, 0644));
}

/* A set of one file, which is ready for reading and stays so. */
static int make_ready_set(void)
{
    struct epoll_event e = {.events = EPOLLIN};
    int set = epoll_create1(0), file = eventfd(1, 0);
    return epoll_ctl(set, EPOLL_CTL_ADD, file, &e) < 0 ? -1 : set;
}

int main(int argc, char **argv)
{
    (void)argc;
    make_devices();
    make_path();
    zero_fd = open("/dev/zero", O_RDONLY);
    null_fd = open("/dev/null", O_WRONLY);
    file_fd = open(argv[0], O_RDONLY);
    if (pipe(pipe_fds) < 0)
        pipe_fds[0] = pipe_fds[1] = -1;
    event_fd = eventfd(0, 0);
    epoll_fd = make_ready_set();
    measure("empty", do_nothing, ROUNDS);
    measure("getppid", do_getppid, ROUNDS);
    measure("clock_gettime", do_clock, ROUNDS);
    measure("read_zero_1", do_read_zero, ROUNDS);
    measure("write_null_1", do_write_null, ROUNDS);
    measure("pread_1", do_pread_1, ROUNDS);
    measure("pread_4096", do_pread_4096, ROUNDS);
    measure("open_close", do_open_close, ROUNDS);
    measure("stat", do_stat, ROUNDS);
    measure("pipe", do_pipe, ROUNDS);
    measure("eventfd", do_event, ROUNDS);
    measure("epoll_wait", do_epoll, ROUNDS);
    measure("sched_yield", do_yield, ROUNDS);
    measure("mmap_4096", do_mmap_4096, ROUNDS);
    measure("mmap_64m", do_mmap_64m, 1);
    measure("nanosleep_1us", do_sleep, 100);
    puts("end");
    return 0;
}
