/* epoll, eventfd, poll and select over pipes, eventfds and timers, with right and wrong arguments.
   Prints every result, so that the output in the machine can be compared with the output on Linux.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tell.h"

#define CALL(call) tell(#call, (long)(call))

static int control(int set, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(set, operation, fd, &e);
}

static void show(const char *what, int set, int most, int timeout_ms)
{
    struct epoll_event e[64];
    int n = epoll_wait(set, e, most, timeout_ms);
    printf("%s: %d", what, n < 0 ? -errno : n);
    for (int i = 0; i < n; i++)
        printf(" %lu:%x", (unsigned long)e[i].data.u64, e[i].events);
    printf("\n");
}

static uint64_t take(int fd)
{
    uint64_t value = 0;
    return read(fd, &value, 8) == 8 ? value : (uint64_t)-errno;
}

static int give(int fd, uint64_t value)
{
    return write(fd, &value, 8) == 8 ? 0 : -errno;
}

static void eventfds(void)
{
    char text[64], link[64];
    CALL(eventfd(0, 0x1000));
    int e = eventfd(3, EFD_NONBLOCK), s = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE | EFD_CLOEXEC);
    printf("cloexec %d %d\n", fcntl(e, F_GETFD), fcntl(s, F_GETFD));
    printf("read %ld %ld\n", (long)take(e), (long)take(e));
    printf("semaphore %ld %ld %ld\n", (long)take(s), (long)take(s), (long)take(s));
    printf("write %d %d %d\n", give(e, 0), give(e, UINT64_MAX - 1), give(e, 1));
    printf("write %d %d\n", give(e, UINT64_MAX), give(s, 7));
    struct pollfd p[2] = {{e, POLLIN | POLLOUT, 0}, {s, POLLIN | POLLOUT, 0}};
    int n = poll(p, 2, 0);
    printf("poll %d %x %x\n", n, p[0].revents, p[1].revents);
    printf("read %lx\n", (unsigned long)take(e));
    CALL(read(e, text, 7));
    CALL(write(e, text, 7));
    CALL(write(e, "12345678", 8));
    CALL(read(e, text, 64));
    CALL(lseek(e, 0, SEEK_SET));
    CALL(pread(e, text, 8, 0));
    give(e, 0x0102030405060708);
    struct iovec v[2] = {{text, 3}, {text + 3, 5}};
    CALL(readv(e, v, 2));
    printf("in two parts %x %x\n", text[0], text[7]);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", e);
    n = (int)readlink(link, text, sizeof(text));
    printf("link %.*s\n", n, text);
    close(e);
    close(s);
}

static void wrong(void)
{
    int p[2], set = epoll_create1(0), file = open("file", O_RDONLY);
    struct epoll_event e[4] = {0};
    CALL(pipe(p));
    CALL(epoll_create(0));
    CALL(epoll_create1(1));
    CALL(control(set, EPOLL_CTL_ADD, file, EPOLLIN, 1));
    CALL(control(set, EPOLL_CTL_ADD, set, EPOLLIN, 1));
    CALL(control(set, EPOLL_CTL_ADD, 99, EPOLLIN, 1));
    CALL(control(99, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    CALL(control(p[0], EPOLL_CTL_ADD, p[1], EPOLLIN, 1));
    CALL(control(set, 9, p[0], EPOLLIN, 1));
    CALL(control(set, EPOLL_CTL_MOD, p[0], EPOLLIN, 1));
    CALL(control(set, EPOLL_CTL_DEL, p[0], EPOLLIN, 1));
    CALL(control(set, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    CALL(control(set, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    CALL(control(set, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLEXCLUSIVE, 1));
    CALL(control(set, EPOLL_CTL_ADD, p[1], EPOLLPRI | EPOLLEXCLUSIVE, 1));
    CALL(control(set, EPOLL_CTL_ADD, p[1], EPOLLOUT | EPOLLEXCLUSIVE, 1));
    CALL(control(set, EPOLL_CTL_MOD, p[1], EPOLLOUT, 1));
    CALL(epoll_ctl(set, EPOLL_CTL_ADD, p[1], (void *)8));
    CALL(epoll_ctl(set, EPOLL_CTL_DEL, p[0], NULL));
    CALL(epoll_wait(set, e, 0, 0));
    CALL(epoll_wait(set, e, -1, 0));
    CALL(epoll_wait(set, (void *)8, 4, 0));
    CALL(epoll_wait(file, e, 4, 0));
    CALL(epoll_wait(99, e, 4, 0));
    CALL(syscall(SYS_epoll_pwait, set, e, 4, 0, e, 5));
    CALL(read(set, e, 4));
    CALL(write(set, e, 4));
    close(set);
    close(p[0]);
    close(p[1]);
    close(file);
}

static void levels_and_edges(void)
{
    int p[2], q[2], set = epoll_create1(EPOLL_CLOEXEC);
    char bytes[16];
    if (pipe(p) || pipe2(q, O_NONBLOCK))
        return;
    control(set, EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    control(set, EPOLL_CTL_ADD, q[0], EPOLLIN | EPOLLET, 2);
    control(set, EPOLL_CTL_ADD, q[1], EPOLLOUT | EPOLLET, 3);
    show("at first", set, 8, 0);
    show("again", set, 8, 0);
    CALL(write(p[1], "ab", 2));
    CALL(write(q[1], "cd", 2));
    show("both", set, 8, 0);
    show("level only", set, 8, 0);
    CALL(write(q[1], "e", 1));
    show("another edge", set, 1, 0);
    show("another edge", set, 8, 0);
    CALL(read(p[0], bytes, 1));
    show("a byte left", set, 8, 0);
    CALL(read(p[0], bytes, 1));
    show("nothing left", set, 8, 0);
    control(set, EPOLL_CTL_MOD, q[0], EPOLLIN | EPOLLET, 4);
    show("modified", set, 8, 0);
    control(set, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 5);
    CALL(write(p[1], "f", 1));
    show("one shot", set, 8, 0);
    CALL(write(p[1], "g", 1));
    show("no more", set, 8, 0);
    control(set, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 6);
    show("armed again", set, 8, 0);
    close(p[1]);
    show("hung up, but disarmed", set, 8, 0);
    control(set, EPOLL_CTL_MOD, p[0], 0, 7);
    show("errors are always told", set, 8, 0);
    close(p[0]);
    show("closed: gone", set, 8, 0);
    int copy = dup(q[0]);
    close(q[0]);
    CALL(write(q[1], "h", 1));
    show("still there through its copy", set, 8, 0);
    close(copy);
    show("gone with the copy", set, 8, 0);
    close(q[1]);
    show("empty", set, 8, 0);
    close(set);
}

static void many(void)
{
    int fds[40], set = epoll_create(1);
    for (int i = 0; i < 40; i++) {
        fds[i] = eventfd(i % 2, 0);
        control(set, EPOLL_CTL_ADD, fds[i], EPOLLIN, (uint64_t)i);
    }
    for (int i = 0; i < 5; i++)
        show("seven at a time, in turn", set, 7, 0);
    for (int i = 0; i < 40; i++)
        close(fds[i]);
    show("all closed", set, 40, 0);
    close(set);
}

static void nested(void)
{
    int sets[8], p[2];
    if (pipe(p))
        return;
    for (int i = 0; i < 8; i++)
        sets[i] = epoll_create1(0);
    CALL(control(sets[0], EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    CALL(control(sets[1], EPOLL_CTL_ADD, sets[0], EPOLLIN, 2));
    CALL(control(sets[0], EPOLL_CTL_ADD, sets[1], EPOLLIN, 2));
    CALL(control(sets[2], EPOLL_CTL_ADD, sets[1], EPOLLIN | EPOLLET, 3));
    CALL(control(sets[2], EPOLL_CTL_ADD, sets[0], EPOLLIN | EPOLLEXCLUSIVE, 3));
    show("outer, nothing", sets[2], 4, 0);
    CALL(write(p[1], "a", 1));
    show("outer", sets[2], 4, 0);
    show("outer, edge", sets[2], 4, 0);
    show("middle", sets[1], 4, 0);
    show("inner", sets[0], 4, 0);
    struct pollfd f = {sets[1], POLLIN, 0};
    CALL(poll(&f, 1, 0));
    char byte;
    CALL(read(p[0], &byte, 1));
    CALL(poll(&f, 1, 0));
    show("middle, nothing left", sets[1], 4, 0);
    for (int i = 0; i < 8; i++)
        close(sets[i]);
    close(p[0]);
    close(p[1]);
}

/* --- threads that wait ------------------------------------------------------------------------ */

static int wake_fd, wait_set;

static void *waker(void *how)
{
    usleep(20000);
    if (how)
        close(wake_fd);
    else
        give(wake_fd, 1);
    return NULL;
}

static void *waiter_of_one(void *result)
{
    struct epoll_event e[4];
    *(int *)result = epoll_wait(wait_set, e, 4, 5000);
    return NULL;
}

static void nothing(int signal)
{
    (void)signal;
}

static long elapsed_ms(const struct timespec *from)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

static void two_threads(void)
{
    /* Two threads in one set: one event wakes one, and the other times out or gets the next. */
    int results[2] = {0, 0};
    pthread_t waiters[2];
    control(wait_set, EPOLL_CTL_MOD, wake_fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 2; i++)
        pthread_create(&waiters[i], NULL, waiter_of_one, &results[i]);
    usleep(50000);
    give(wake_fd, 1);
    usleep(50000);
    printf("of two, woken: %d\n", results[0] + results[1]);
    give(wake_fd, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(waiters[i], NULL);
    printf("then: %d\n", results[0] + results[1]);
    take(wake_fd);
}

static void signals(void)
{
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    sigset_t none;
    struct itimerval alarm = {{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &alarm, NULL);
    show("a signal", wait_set, 4, -1);
    sigset_t blocked;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    setitimer(ITIMER_REAL, &alarm, NULL);
    struct epoll_event e[4];
    CALL(epoll_pwait(wait_set, e, 4, 60, &blocked));
    CALL(epoll_pwait(wait_set, e, 4, -1, &none));
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    struct timespec wait = {0, 1000000};
    CALL(syscall(SYS_epoll_pwait2, wait_set, e, 4, &wait, NULL, 8));
    wait.tv_nsec = -1;
    CALL(syscall(SYS_epoll_pwait2, wait_set, e, 4, &wait, NULL, 8));
}

static void waiting(void)
{
    pthread_t thread;
    struct timespec start;
    wait_set = epoll_create1(0);
    wake_fd = eventfd(0, 0);
    control(wait_set, EPOLL_CTL_ADD, wake_fd, EPOLLIN, 1);
    clock_gettime(CLOCK_MONOTONIC, &start);
    show("timed out", wait_set, 4, 30);
    printf("after its time: %d\n", elapsed_ms(&start) >= 30);
    pthread_create(&thread, NULL, waker, NULL);
    show("woken", wait_set, 4, -1);
    pthread_join(thread, NULL);
    take(wake_fd);

    pthread_create(&thread, NULL, waker, NULL);
    struct pollfd p = {wake_fd, POLLIN, 0};
    CALL(poll(&p, 1, -1));
    pthread_join(thread, NULL);
    take(wake_fd);

    pthread_create(&thread, NULL, waker, NULL);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(wake_fd, &in);
    CALL(select(wake_fd + 1, &in, NULL, NULL, NULL));
    pthread_join(thread, NULL);
    take(wake_fd);

    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec in_20_ms = {{0, 0}, {0, 20000000}};
    control(wait_set, EPOLL_CTL_ADD, timer, EPOLLIN | EPOLLET, 2);
    timerfd_settime(timer, 0, &in_20_ms, NULL);
    show("a timer", wait_set, 4, -1);
    show("once", wait_set, 4, 0);
    close(timer);
    two_threads();
    signals();

    /* The set is closed, or what is watched, while somebody waits: on Linux the wait goes on. */
    pthread_create(&thread, NULL, waker, (void *)1);
    show("closed meanwhile", wait_set, 4, 60);
    pthread_join(thread, NULL);
    close(wait_set);
}

/* Events that land in a page that is not there yet, and across two. */
static void memory(void)
{
    int set = epoll_create1(0), fds[3];
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 3; i++) {
        fds[i] = eventfd(1, 0);
        control(set, EPOLL_CTL_ADD, fds[i], EPOLLIN | EPOLLET, (uint64_t)i);
    }
    struct epoll_event *e = (void *)(pages + 4096 - 18);
    CALL(epoll_wait(set, e, 8, 0));
    printf("data %d %d %d\n", (int)e[0].data.u64, (int)e[1].data.u64, (int)e[2].data.u64);
    give(fds[1], 5);
    CALL(munmap(pages + 8192, 4096));
    uint64_t *value = (void *)(pages + 8192 - 4);
    CALL(read(fds[1], value, 8)); /* the count may be lost by this, and is on Linux */
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    take(fds[1]);
    give(fds[1], 5);
    CALL(read(fds[1], pages + 4096 - 4, 8));
    CALL(mprotect(pages, 8192, PROT_READ));
    give(fds[1], 9);
    CALL(epoll_wait(set, e, 8, 0));
    CALL(mprotect(pages, 8192, PROT_READ | PROT_WRITE));
    CALL(epoll_wait(set, e, 8, 0));
    close(set);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    eventfds();
    wrong();
    levels_and_edges();
    many();
    nested();
    waiting();
    memory();
    return 0;
}
