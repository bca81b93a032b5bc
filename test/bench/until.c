/* until TEXT PROGRAM ARG...: starts PROGRAM, and prints the milliseconds until TEXT stands in its
   output; then ends it.  Status 1 when the output ends, or a minute passes, without it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static pid_t start(char **argv, int *output)
{
    int fds[2];
    if (pipe(fds) < 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        setpgid(0, 0);
        dup2(null, 0);
        dup2(fds[1], 1);
        dup2(null, 2);
        close(fds[0]);
        close(fds[1]);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(fds[1]);
    *output = fds[0];
    return child;
}

/* Negative: it never came. */
static double wait_for(int fd, const char *text, double began)
{
    static char seen[1 << 20];
    size_t length = 0;
    while (length + 1 < sizeof(seen) && now_ms() - began < 60000) {
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, 1000) == 0)
            continue;
        ssize_t n = read(fd, seen + length, sizeof(seen) - 1 - length);
        if (n <= 0)
            return -1;
        length += (size_t)n;
        if (memmem(seen, length, text, strlen(text)))
            return now_ms() - began;
    }
    return -1;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: until TEXT PROGRAM ARG...\n");
        return 2;
    }
    int output = -1;
    double began = now_ms();
    pid_t child = start(argv + 2, &output);
    double took = child < 0 ? -1 : wait_for(output, argv[1], began);
    if (child > 0) {
        kill(-child, SIGTERM);
        waitpid(child, NULL, 0);
    }
    if (took < 0)
        return 1;
    printf("%.0f\n", took);
    return 0;
}
