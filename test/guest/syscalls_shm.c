/* System V shared memory and timerfd, with right and wrong arguments.  Prints every result, so that
   the output in the machine can be compared with the output on Linux. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "tell.h"

/* Numbers that the system chooses are not compared. */
static long good(const char *what, long result)
{
    if (result < 0)
        return tell(what, result);
    printf("%-60s good\n", what);
    return result;
}

#define CALL(call) tell(#call, (long)(call))
#define GOOD(call) good(#call, (long)(call))

static void show(int id)
{
    struct shmid_ds s;
    if (CALL(shmctl(id, IPC_STAT, &s)) == 0)
        printf("  bytes %ld attached %ld mode %o removed %d\n", (long)s.shm_segsz,
               (long)s.shm_nattch, s.shm_perm.mode & 0777, !!(s.shm_perm.mode & 01000));
}

static void shared_memory(void)
{
    key_t key = 0x7468756e;
    CALL(shmget(key, 5000, 0600));
    CALL(shmget(IPC_PRIVATE, 0, 0600));
    int id = (int)GOOD(shmget(key, 5000, IPC_CREAT | IPC_EXCL | 0640));
    CALL(shmget(key, 5000, IPC_CREAT | IPC_EXCL | 0640));
    CALL(shmget(key, 5001, 0));
    printf("found by its key: %d\n", shmget(key, 4000, 0) == id);
    show(id);
    char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);
    printf("attached: %d %d\n", a != (void *)-1, b != (void *)-1);
    printf("zero: %d %d\n", a[0], a[4999]);
    strcpy(a + 4090, "across two pages");
    printf("seen by the other: %s\n", b + 4090);
    show(id);
    CALL(mprotect(b, 4096, PROT_READ | PROT_WRITE));
    CALL(shmat(id, a + 1, 0) == (void *)-1 ? -1 : 0);
    CALL(shmat(id, a, 0) == (void *)-1 ? -1 : 0);
    CALL(shmat(id, NULL, SHM_REMAP) == (void *)-1 ? -1 : 0);
    printf("in its place: %d\n", shmat(id, b, SHM_REMAP) == b);
    CALL(shmdt(a + 4096));
    CALL(shmdt(a));
    CALL(shmdt(a));
    show(id);
    CALL(munmap(b, 4096));
    show(id);
    CALL(shmdt(b));
    show(id);
    a = shmat(id, NULL, 0);
    printf("kept while nobody had it: %s\n", a + 4090);
    CALL(shmctl(id, IPC_RMID, NULL));
    show(id);
    CALL(shmget(key, 4000, 0));
    CALL(shmdt(a));
    CALL(shmctl(id, IPC_RMID, NULL));
    CALL(shmat(id, NULL, 0) == (void *)-1 ? -1 : 0);
    CALL(shmctl(id, 99, NULL));
}

static void timers(void)
{
    struct itimerspec spec = {{0, 0}, {0, 0}}, old;
    uint64_t count = 0;
    CALL(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    CALL(timerfd_create(CLOCK_MONOTONIC, 1));
    int fd = (int)GOOD(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    CALL(read(fd, &count, 4));
    CALL(read(fd, &count, 8));
    CALL(write(fd, &count, 8));
    CALL(timerfd_settime(0, 0, &spec, NULL));
    CALL(timerfd_settime(99, 0, &spec, NULL));
    CALL(timerfd_settime(fd, 8, &spec, NULL));
    spec.it_value.tv_nsec = 1000000000;
    CALL(timerfd_settime(fd, 0, &spec, NULL));
    spec = (struct itimerspec){{0, 0}, {0, 20000000}};
    CALL(timerfd_settime(fd, 0, &spec, &old));
    printf("it was not set: %ld %ld\n", old.it_value.tv_sec, old.it_value.tv_nsec);
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    CALL(poll(&p, 1, 0));
    CALL(poll(&p, 1, 10000));
    printf("ready: %d\n", p.revents);
    CALL(timerfd_gettime(fd, &old));
    printf("it has expired: %ld %ld\n", old.it_value.tv_sec, old.it_value.tv_nsec);
    CALL(read(fd, &count, 8));
    printf("once: %d\n", count == 1);
    CALL(read(fd, &count, 8));
    spec = (struct itimerspec){{100, 0}, {100, 0}};
    CALL(timerfd_settime(fd, 0, &spec, NULL));
    CALL(timerfd_gettime(fd, &old));
    printf("%ld, again after %ld\n", old.it_value.tv_sec / 90, old.it_interval.tv_sec);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    spec = (struct itimerspec){{0, 1000000}, now};
    CALL(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL));
    usleep(30000);
    CALL(read(fd, &count, 8));
    printf("more than ten times: %d\n", count > 10);
    CALL(close(fd));
    fd = (int)GOOD(timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC));
    spec = (struct itimerspec){{0, 0}, {1, 0}};
    CALL(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL));
    CALL(read(fd, &count, 8));
    printf("in the past: %d\n", count == 1);
    CALL(close(fd));
}

int main(void)
{
    shared_memory();
    timers();
    return 0;
}
