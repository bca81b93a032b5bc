/* What test/guest/trace.t looks for in a trace: a file read through the page cache, calls of a
   known number, a call that waits, two threads at the end of which one waits for the other. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void *other(void *unused)
{
    for (int i = 0; i < 3; i++)
        syscall(SYS_getuid);
    return unused;
}

int main(int count, char **words)
{
    static char block[8192];
    struct timespec pause = {0, 20000000};
    pthread_t thread;
    long bytes = 0, n;
    int fd = open(words[1], O_RDONLY);
    if (count != 2 || fd < 0)
        return 1;
    while ((n = read(fd, block, sizeof(block))) > 0)
        bytes += n;
    close(fd);
    for (int i = 0; i < 7; i++)
        syscall(SYS_getppid);
    nanosleep(&pause, NULL);
    if (pthread_create(&thread, NULL, other, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return 1;
    printf("%ld bytes\n", bytes);
    return 0;
}
