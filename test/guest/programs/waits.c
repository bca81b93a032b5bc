/* Every way in which a system call that waits ends: what it waits for, a deadline, a signal, the
   cancellation of its thread, the end of its process.  Each check prints what it saw, so that the
   output on Linux is the oracle.

   waits                the checks
   waits end HOW        threads wait in every way (and one runs), and the process ends: HOW is exit,
                        last (every thread ends by itself), kill, alarm or abort
   waits slow FILE HOW  the same while threads wait for pages of FILE, read and mapped */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The C library has no header for them. */
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define ROUNDS     1000

static int ends[2]; /* a pipe that stays empty */
static _Atomic int word, caught, tid;
static _Atomic long progress;

static void check(const char *name, int passed)
{
    printf("%s: %s\n", name, passed ? "yes" : "NO");
}

static void handler(int signal)
{
    caught = signal;
}

static void catch_signal(int signal, int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(signal, &action, NULL);
}

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

/* --- the ways to wait: each returns what the call did, -errno or its result --------------------
 */

static long result_of(long r)
{
    return r < 0 ? -errno : r;
}

static long wait_futex(void)
{
    return result_of(syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0));
}

static long wait_futex_timed(void)
{
    struct timespec t = {100, 0};
    return result_of(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0));
}

static long wait_pipe(void)
{
    char byte;
    return result_of(read(ends[0], &byte, 1));
}

static long wait_full_pipe(void)
{
    static char bytes[1 << 20];
    int full[2];
    if (pipe(full) != 0)
        return -1;
    long r = result_of(write(full[1], bytes, sizeof(bytes)));
    close(full[0]);
    close(full[1]);
    return r;
}

static long wait_poll(void)
{
    struct pollfd p = {ends[0], POLLIN, 0};
    return result_of(poll(&p, 1, 100000));
}

static long wait_poll_many(void)
{
    struct pollfd p[20];
    for (int i = 0; i < 20; i++)
        p[i] = (struct pollfd){ends[0], POLLIN, 0};
    return result_of(poll(p, 20, -1));
}

static long wait_select(void)
{
    fd_set in;
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    return result_of(select(ends[0] + 1, &in, NULL, NULL, NULL));
}

static long wait_nanosleep(void)
{
    struct timespec t = {100, 0}, left = {0, 0};
    long r = result_of(nanosleep(&t, &left));
    return r == -EINTR && (left.tv_sec < 1 || left.tv_sec > 99) ? -1 : r;
}

static long wait_signal(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    struct timespec t = {100, 0};
    /* The C library would begin again. */
    return result_of(syscall(SYS_rt_sigtimedwait, &set, NULL, &t, 8));
}

static long wait_pause(void)
{
    return result_of(pause());
}

static const struct way {
    const char *name;
    long (*wait)(void);
    long interrupted; /* what a signal makes of it; with SA_RESTART too unless it restarts */
    int restarts;
} ways[] = {
    {"futex", wait_futex, -EINTR, 1},         {"futex with a timeout", wait_futex_timed, -EINTR, 1},
    {"pipe", wait_pipe, -EINTR, 1},           {"full pipe", wait_full_pipe, 65536, 0},
    {"poll", wait_poll, -EINTR, 0},           {"poll of many", wait_poll_many, -EINTR, 0},
    {"select", wait_select, -EINTR, 0},       {"nanosleep", wait_nanosleep, -EINTR, 0},
    {"sigtimedwait", wait_signal, -EINTR, 0}, {"pause", wait_pause, -EINTR, 0},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* --- a thread that waits ------------------------------------------------------------------------
 */

struct waiting {
    const struct way *way;
    _Atomic int tid;
    _Atomic long result;
    _Atomic int returned;
    pthread_t thread;
};

static void *waiting_thread(void *argument)
{
    struct waiting *w = argument;
    w->tid = (int)syscall(SYS_gettid);
    w->result = w->way->wait();
    w->returned = 1;
    return NULL;
}

/* Returns when it most likely waits. */
static void waiting_start(struct waiting *w, const struct way *way)
{
    *w = (struct waiting){.way = way};
    if (pthread_create(&w->thread, NULL, waiting_thread, w) != 0)
        exit(99);
    while (!w->tid)
        sleep_ms(1);
    sleep_ms(30);
}

/* Whether it has returned, after some time for that. */
static int waiting_over(struct waiting *w)
{
    for (int i = 0; i < 500 && !w->returned; i++)
        sleep_ms(1);
    return w->returned;
}

/* Signals until it returns: one may come just before it waits. */
static void waiting_end(struct waiting *w)
{
    do
        pthread_kill(w->thread, SIGUSR1);
    while (!waiting_over(w));
    pthread_join(w->thread, NULL);
}

static void test_signals(void)
{
    for (unsigned i = 0; i < WAYS; i++) {
        struct waiting w;
        char text[100];
        catch_signal(SIGUSR1, 0);
        caught = 0;
        waiting_start(&w, &ways[i]);
        waiting_end(&w);
        snprintf(text, sizeof(text), "%s is interrupted by a signal", ways[i].name);
        check(text, w.result == ways[i].interrupted && caught == SIGUSR1);
    }
}

static void test_restarts(void)
{
    for (unsigned i = 0; i < WAYS; i++) {
        struct waiting w;
        char text[100];
        catch_signal(SIGUSR1, SA_RESTART);
        caught = 0;
        waiting_start(&w, &ways[i]);
        pthread_kill(w.thread, SIGUSR1);
        int again = !waiting_over(&w);
        catch_signal(SIGUSR1, 0);
        if (again)
            waiting_end(&w);
        else
            pthread_join(w.thread, NULL);
        snprintf(text, sizeof(text), "%s goes on after a handler with SA_RESTART", ways[i].name);
        printf("%s: %s\n", text, again ? "yes" : "no");
    }
}

static void test_cancel(void)
{
    for (unsigned i = 2; i < WAYS; i++) { /* bare system calls are no cancellation points */
        struct waiting w;
        char text[100];
        void *end;
        if (ways[i].wait == wait_full_pipe || ways[i].wait == wait_signal)
            continue;
        waiting_start(&w, &ways[i]);
        pthread_cancel(w.thread);
        pthread_join(w.thread, &end);
        snprintf(text, sizeof(text), "%s is cancelled with its thread", ways[i].name);
        check(text, end == PTHREAD_CANCELED && !w.returned);
    }
}

/* --- deadlines and what comes in time ------------------------------------------------------------
 */

static void test_deadlines(void)
{
    struct timespec t = {0, 30000000};
    struct timeval v = {0, 30000};
    struct pollfd p = {ends[0], POLLIN, 0};
    sigset_t set;
    long long from = now_ns();
    check("a futex's deadline",
          result_of(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0)) == -ETIMEDOUT);
    check("a poll's", poll(&p, 1, 30) == 0);
    check("a select's", select(0, NULL, NULL, NULL, &v) == 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    check("a sigtimedwait's", result_of(sigtimedwait(&set, NULL, &t)) == -EAGAIN);
    check("a nanosleep's", nanosleep(&t, NULL) == 0);
    check("none of them early", now_ns() - from >= 5 * 30000000ll);
}

static void *writes_later(void *argument)
{
    (void)argument;
    sleep_ms(30);
    return (void *)(long)write(ends[1], "x", 1);
}

static void test_in_time(void)
{
    pthread_t thread;
    struct pollfd p = {ends[0], POLLIN, 0};
    char byte;
    sigset_t set, old;
    pthread_create(&thread, NULL, writes_later, NULL);
    check("a poll ends when there is something", poll(&p, 1, 10000) == 1 && p.revents == POLLIN);
    check("and the byte is there", read(ends[0], &byte, 1) == 1 && byte == 'x');
    pthread_join(thread, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    struct waiting w;
    waiting_start(&w, &ways[8]);
    kill(getpid(), SIGUSR2);
    pthread_join(w.thread, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    check("sigtimedwait takes the process's signal", w.result == SIGUSR2);
}

static void test_alarm(void)
{
    struct itimerval soon = {.it_value = {0, 30000}};
    catch_signal(SIGALRM, 0);
    for (unsigned i = 2; i < 8; i++) {
        char text[100];
        caught = 0;
        setitimer(ITIMER_REAL, &soon, NULL);
        long r = ways[i].wait();
        snprintf(text, sizeof(text), "%s is interrupted by an alarm", ways[i].name);
        check(text, r == ways[i].interrupted && caught == SIGALRM);
    }
}

/* --- threads that run ---------------------------------------------------------------------------
 */

static void *runs(void *argument)
{
    _Atomic int *stop = argument;
    while (!*stop)
        progress++;
    return NULL;
}

static _Atomic int stopped;

static void stop_it(int signal)
{
    (void)signal;
    stopped = 1;
}

static void test_running(void)
{
    pthread_t thread;
    struct sigaction action = {.sa_handler = stop_it};
    sigaction(SIGUSR1, &action, NULL);
    stopped = 0;
    pthread_create(&thread, NULL, runs, &stopped);
    while (progress < 1000)
        sleep_ms(1);
    long long from = now_ns();
    pthread_kill(thread, SIGUSR1);
    pthread_join(thread, NULL);
    check("a thread that runs takes its signal", now_ns() - from < 5000000000ll);
}

/* --- a long call beside one that sleeps ----------------------------------------------------------
 */

#define LONG_BYTES  (16 << 20)
#define LONG_ROUNDS 50
#define LONG_WAKES  3 /* of one call; after it the sleeper wakes in any case */

static _Atomic int long_begun, long_ended;

static void *writes_long(void *found)
{
    char *bytes = calloc(1, LONG_BYTES);
    int fd = open("waits.long", O_RDWR | O_CREAT | O_TRUNC, 0600);
    unlink("waits.long");
    while (long_begun < LONG_ROUNDS && !*(_Atomic int *)found) {
        long_begun++;
        if (pwrite(fd, bytes, LONG_BYTES, 0) != LONG_BYTES)
            break;
        long_ended = long_begun;
    }
    close(fd);
    free(bytes);
    long_begun = LONG_ROUNDS + 1;
    return NULL;
}

/* One processor that is given to the long call until its end would let the sleeper run once. */
static void test_long_call(void)
{
    static _Atomic int found;
    pthread_t thread;
    struct timespec nap = {0, 200000};
    int call = 0, wakes = 0;
    pthread_create(&thread, NULL, writes_long, (void *)&found);
    while (long_begun <= LONG_ROUNDS && !found) {
        nanosleep(&nap, NULL);
        if (long_begun == long_ended)
            continue;
        wakes = long_begun == call ? wakes + 1 : 1;
        call = long_begun;
        found = wakes >= LONG_WAKES;
    }
    pthread_join(thread, NULL);
    check("a thread wakes in the middle of another one's long write", found);
}

static void *ends_at_once(void *argument)
{
    return argument;
}

static void test_ends(void)
{
    struct waiting w[WAYS];
    int right = 1;
    catch_signal(SIGUSR1, 0);
    for (unsigned i = 0; i < WAYS; i++)
        waiting_start(&w[i], &ways[i]);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_t thread;
        void *end = NULL;
        right = right && pthread_create(&thread, NULL, ends_at_once, &word) == 0 &&
                pthread_join(thread, &end) == 0 && end == &word;
    }
    check("a thousand threads come and go beside those that wait", right);
    for (unsigned i = 0; i < WAYS; i++) {
        waiting_end(&w[i]);
        right = right && w[i].result == ways[i].interrupted;
    }
    check("which wait as before", right);
}

/* --- wakes and signals at the same time
 * ----------------------------------------------------------- */

static _Atomic int turn, finished;

static void *takes_turns(void *argument)
{
    (void)argument;
    tid = (int)syscall(SYS_gettid);
    for (int i = 1; i <= ROUNDS; i++)
        while (turn < i)
            syscall(SYS_futex, &turn, FUTEX_WAIT, i - 1, NULL, NULL, 0);
    finished = 1;
    return NULL;
}

static void test_races(void)
{
    pthread_t thread;
    catch_signal(SIGUSR1, 0);
    turn = finished = 0;
    tid = 0;
    pthread_create(&thread, NULL, takes_turns, NULL);
    while (!tid)
        sleep_ms(1);
    for (int i = 1; i <= ROUNDS; i++) {
        if (i % 3 == 0)
            pthread_kill(thread, SIGUSR1);
        turn = i;
        syscall(SYS_futex, &turn, FUTEX_WAKE, 1, NULL, NULL, 0);
        if (i % 3 == 1)
            pthread_kill(thread, SIGUSR1);
        if (i % 7 == 0)
            sched_yield();
    }
    pthread_join(thread, NULL);
    check("no wake is lost between signals", finished == 1);
}

static void *reads_bytes(void *argument)
{
    long got = 0;
    for (char byte; got < ROUNDS;) {
        long r = read(*(int *)argument, &byte, 1);
        if (r == 0 || (r < 0 && errno != EINTR))
            break;
        if (r == 1 && byte == (char)got)
            got++;
    }
    return (void *)got;
}

static void test_bytes(void)
{
    int pipe_ends[2];
    pthread_t thread;
    void *got;
    if (pipe(pipe_ends) != 0)
        return;
    pthread_create(&thread, NULL, reads_bytes, &pipe_ends[0]);
    for (int i = 0; i < ROUNDS; i++) {
        char byte = (char)i;
        if (i % 3 == 0)
            pthread_kill(thread, SIGUSR1);
        while (write(pipe_ends[1], &byte, 1) != 1)
            ;
        if (i % 5 == 0)
            sched_yield();
    }
    pthread_join(thread, &got);
    check("nor a byte of a pipe", (long)got == ROUNDS);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

/* --- the end of the process
 * ------------------------------------------------------------------------ */

static const char *slow_file;

static void *reads_slowly(void *argument)
{
    static _Thread_local char bytes[4096];
    int fd = open(slow_file, O_RDONLY);
    off_t end = lseek(fd, 0, SEEK_END), at = (off_t)(long)argument * 5000000;
    for (;; at += 1234567, progress++)
        if (pread(fd, bytes, sizeof(bytes), at % end) < 0)
            exit(98);
}

static void *touches_slowly(void *argument)
{
    int fd = open(slow_file, O_RDONLY);
    off_t end = lseek(fd, 0, SEEK_END), at = (off_t)(long)argument * 7000000;
    volatile const char *bytes = mmap(NULL, (size_t)end, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        exit(97);
    for (;; at += 3456789, progress++)
        (void)bytes[at % end];
}

static void process_end(const char *how)
{
    struct itimerval soon = {.it_value = {0, 50000}};
    printf("ends by %s\n", how);
    fflush(stdout);
    if (!strcmp(how, "exit"))
        _exit(3);
    if (!strcmp(how, "kill"))
        kill(getpid(), SIGKILL);
    if (!strcmp(how, "abort"))
        abort();
    if (!strcmp(how, "alarm"))
        setitimer(ITIMER_REAL, &soon, NULL);
    for (;;)
        pause();
}

static void test_process_end(const char *how)
{
    static struct waiting w[WAYS];
    static _Atomic int never;
    pthread_t thread;
    if (!strcmp(how, "last")) {
        printf("ends by the last thread\n");
        fflush(stdout);
        pthread_create(&thread, NULL, writes_later, NULL);
        pthread_exit(NULL);
    }
    for (unsigned i = 0; i < WAYS; i++)
        waiting_start(&w[i], &ways[i]);
    pthread_create(&thread, NULL, runs, &never);
    while (progress < 1000)
        sleep_ms(1);
    process_end(how);
}

static void test_slow_end(const char *file, const char *how)
{
    pthread_t thread;
    slow_file = file;
    for (long i = 0; i < 4; i++) {
        pthread_create(&thread, NULL, reads_slowly, (void *)i);
        pthread_create(&thread, NULL, touches_slowly, (void *)i);
    }
    sleep_ms(1500);
    process_end(how);
}

int main(int count, char **arguments)
{
    if (pipe(ends) != 0)
        return 99;
    if (count == 3 && !strcmp(arguments[1], "end"))
        test_process_end(arguments[2]);
    if (count == 4 && !strcmp(arguments[1], "slow"))
        test_slow_end(arguments[2], arguments[3]);
    if (count != 1)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_deadlines();
    test_in_time();
    test_signals();
    test_restarts();
    test_cancel();
    test_alarm();
    test_running();
    test_long_call();
    test_ends();
    test_races();
    test_bytes();
    return 0;
}
