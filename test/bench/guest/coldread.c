/* Reads a file that is not in the cache from one end to the other and says how fast: "MiB/s N". */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 1 << 17 };

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    char *buffer = malloc(CHUNK);
    int fd = open(argv[1], O_RDONLY);
    if (!buffer || fd < 0) {
        perror(argv[1]);
        return 1;
    }
    struct timespec before, after;
    long long total = 0;
    unsigned long long sum = 0;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (;;) {
        ssize_t n = read(fd, buffer, CHUNK);
        if (n < 0) {
            perror("read");
            return 1;
        }
        if (n == 0)
            break;
        for (ssize_t i = 0; i < n; i += 4096)
            sum += (unsigned char)buffer[i];
        total += n;
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    double seconds =
        (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    printf("MiB/s %.1f (%lld bytes, check %llu)\n", (double)total / 1048576 / seconds, total, sum);
    return 0;
}
