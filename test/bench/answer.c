/* answer ADDRESS PORT PROGRAM ARG...: starts PROGRAM, and prints the milliseconds until an HTTP
   server at that address sends its first byte; then ends it.  Every two milliseconds another
   connection is tried, so that no lost SYN is waited for.  Status 1 after a minute without. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRIED_MOST  512 /* connections at once; the oldest goes then */
#define INTERVAL_MS 2
#define PATIENCE_MS 60000

static struct pollfd tried[TRIED_MOST];
static bool asked[TRIED_MOST];

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static pid_t start(char **argv)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    execvp(argv[0], argv);
    _exit(127);
}

static void connection_try(int slot, const struct sockaddr_in *to)
{
    if (tried[slot].fd >= 0)
        close(tried[slot].fd);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 &&
        errno != EINPROGRESS) {
        close(fd);
        fd = -1;
    }
    tried[slot] = (struct pollfd){fd, POLLOUT, 0};
    asked[slot] = false;
}

/* Whether the first byte of an answer is there. */
static bool connection_go_on(int slot)
{
    static const char request[] = "GET /small HTTP/1.0\r\n\r\n";
    struct pollfd *p = &tried[slot];
    char byte;
    if (asked[slot] && recv(p->fd, &byte, 1, 0) == 1)
        return true;
    if (!asked[slot] && !(p->revents & (POLLERR | POLLHUP)) &&
        send(p->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0) {
        asked[slot] = true;
        p->events = POLLIN;
        return false;
    }
    close(p->fd);
    p->fd = -1;
    return false;
}

static bool answered(const struct sockaddr_in *to, double began)
{
    double next = began;
    for (int slot = 0; now_ms() - began < PATIENCE_MS;) {
        if (now_ms() >= next) {
            connection_try(slot, to);
            slot = (slot + 1) % TRIED_MOST;
            next += INTERVAL_MS;
        }
        if (poll(tried, TRIED_MOST, INTERVAL_MS) <= 0)
            continue;
        for (int i = 0; i < TRIED_MOST; i++)
            if (tried[i].fd >= 0 && tried[i].revents && connection_go_on(i))
                return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    if (argc < 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
        fprintf(stderr, "answer ADDRESS PORT PROGRAM ARG...\n");
        return 2;
    }
    to.sin_port = htons((uint16_t)atoi(argv[2]));
    for (int i = 0; i < TRIED_MOST; i++)
        tried[i].fd = -1;
    double began = now_ms();
    pid_t child = start(argv + 3);
    bool came = child > 0 && answered(&to, began);
    double took = now_ms() - began;
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    if (came)
        printf("%.0f\n", took);
    return !came;
}
