/* What a disk and its filesystem do.  The same binary runs in Thunk and in the Linux guest, on the
   same kind of virtio-blk device.  One line a figure, "name figure".

   What is read cold was put out of the cache before (POSIX_FADV_DONTNEED).  Rates are medians of
   several rounds, so that one slow moment of the machine does not decide. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BLOCK = 4096,
    CHUNK = 1 << 20,
    FILE_BYTES = 64 << 20,
    FILE_BLOCKS = FILE_BYTES / BLOCK,
    ROUNDS = 5,
    RANDOM_WRITES = 16384,
    SYNCED_WRITES = 500,
    RANDOM_READS_COLD = 4000,
    RANDOM_READS_CACHED = 100000,
    FILES = 4000,
    LATENCIES = 200,
};

static char *buffer;
static char path[512];
static uint64_t random_state = 88172645463325252;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double middle(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(*values), compare);
    return values[count / 2];
}

static int file_open(const char *directory, const char *name, int flags)
{
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd = open(path, flags, 0644);
    must(fd >= 0, path);
    return fd;
}

static double sequential_write(const char *directory, const char *name)
{
    int fd = file_open(directory, name, O_RDWR | O_CREAT | O_TRUNC);
    double start = now();
    for (int at = 0; at < FILE_BYTES; at += CHUNK)
        must(write(fd, buffer, CHUNK) == CHUNK, "write");
    must(fsync(fd) == 0, "fsync");
    double rate = FILE_BYTES / 1048576.0 / (now() - start);
    close(fd);
    return rate;
}

/* Writes a second, over blocks that are there. */
static double random_write(int fd, int count, bool each)
{
    double start = now();
    for (int i = 0; i < count; i++) {
        off_t at = (off_t)(random_next() % FILE_BLOCKS) * BLOCK;
        must(pwrite(fd, buffer, BLOCK, at) == BLOCK, "pwrite");
        if (each)
            must(fdatasync(fd) == 0, "fdatasync");
    }
    must(fsync(fd) == 0, "fsync");
    return count / (now() - start);
}

static double sequential_read(int fd)
{
    double start = now();
    for (int at = 0; at < FILE_BYTES; at += CHUNK / 8)
        must(pread(fd, buffer, CHUNK / 8, at) == CHUNK / 8, "pread");
    return FILE_BYTES / 1048576.0 / (now() - start);
}

static double random_read(int fd, int count)
{
    double start = now();
    for (int i = 0; i < count; i++) {
        off_t at = (off_t)(random_next() % FILE_BLOCKS) * BLOCK;
        must(pread(fd, buffer, BLOCK, at) == BLOCK, "pread");
    }
    return count / (now() - start);
}

/* Empty files made and, durable, removed again. */
static void files(const char *directory, double *made, double *removed)
{
    double start = now();
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof(path), "%s/file-%d", directory, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        must(fd >= 0, path);
        close(fd);
    }
    *made = FILES / (now() - start);
    sync();
    start = now();
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof(path), "%s/file-%d", directory, i);
        must(unlink(path) == 0, path);
    }
    *removed = FILES / (now() - start);
    sync();
}

static volatile bool writer_stop;
static double writer_bytes;

/* Writes at full speed over 64 MiB, round and round, and never syncs. */
static void *writer(void *directory)
{
    char name[512];
    snprintf(name, sizeof(name), "%s/stream", (const char *)directory);
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    must(fd >= 0, name);
    for (int at = 0; !writer_stop; at = (at + CHUNK) % FILE_BYTES) {
        must(pwrite(fd, buffer, CHUNK, at) == CHUNK, "pwrite");
        writer_bytes += CHUNK;
    }
    close(fd);
    return NULL;
}

static void latencies(const char *directory)
{
    static double taken[LATENCIES];
    pthread_t thread;
    must(pthread_create(&thread, NULL, writer, (void *)directory) == 0, "pthread_create");
    int fd = file_open(directory, "journal", O_RDWR | O_CREAT | O_TRUNC);
    double begun = now();
    for (int i = 0; i < LATENCIES; i++) {
        usleep(5000);
        must(write(fd, buffer, BLOCK) == BLOCK, "write");
        double start = now();
        must(fsync(fd) == 0, "fsync");
        taken[i] = (now() - start) * 1e6;
    }
    double seconds = now() - begun;
    writer_stop = true;
    pthread_join(thread, NULL);
    close(fd);
    qsort(taken, LATENCIES, sizeof(*taken), compare);
    printf("fsync_median_us %.0f\nfsync_99_us %.0f\nfsync_beside_mib_s %.1f\n",
           taken[LATENCIES / 2], taken[LATENCIES * 99 / 100], writer_bytes / 1048576 / seconds);
}

static void write_all(const char *directory)
{
    double rates[ROUNDS], more[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        rates[i] = sequential_write(directory, "data");
    printf("write_mib_s %.1f\n", middle(rates, ROUNDS));
    int fd = file_open(directory, "data", O_RDWR);
    for (int i = 0; i < ROUNDS; i++)
        rates[i] = random_write(fd, RANDOM_WRITES, false);
    printf("random_write_iops %.0f\n", middle(rates, ROUNDS));
    for (int i = 0; i < ROUNDS; i++)
        rates[i] = random_write(fd, SYNCED_WRITES, true);
    printf("random_write_fdatasync_iops %.0f\n", middle(rates, ROUNDS));
    for (int i = 0; i < ROUNDS; i++)
        rates[i] = sequential_read(fd);
    printf("cached_read_mib_s %.0f\n", middle(rates, ROUNDS));
    for (int i = 0; i < ROUNDS; i++)
        rates[i] = random_read(fd, RANDOM_READS_CACHED);
    printf("cached_read_iops %.0f\n", middle(rates, ROUNDS));
    close(fd);
    for (int i = 0; i < ROUNDS; i++)
        files(directory, &rates[i], &more[i]);
    printf("create_s %.0f\nunlink_s %.0f\n", middle(rates, ROUNDS), middle(more, ROUNDS));
    latencies(directory);
    sync();
}

/* The file is clean by now, so its pages can go. */
static void forget(int fd)
{
    must(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "posix_fadvise");
}

static void read_cold(const char *directory)
{
    double rates[ROUNDS], more[ROUNDS];
    sequential_write(directory, "cold");
    int fd = file_open(directory, "cold", O_RDONLY);
    for (int i = 0; i < ROUNDS; i++) {
        forget(fd);
        rates[i] = sequential_read(fd);
        forget(fd);
        more[i] = random_read(fd, RANDOM_READS_COLD);
    }
    printf("cold_read_mib_s %.1f\ncold_read_iops %.0f\n", middle(rates, ROUNDS),
           middle(more, ROUNDS));
    close(fd);
}

int main(int argc, char **argv)
{
    buffer = malloc(CHUNK);
    if (argc != 2 || !buffer)
        return 2;
    memset(buffer, 'x', CHUNK);
    setvbuf(stdout, NULL, _IOLBF, 0);
    write_all(argv[1]);
    read_cold(argv[1]);
    printf("done 1\n");
    return 0;
}
